"""Is an issue what its message says? Every value that is not null stands in the message, and no null value does.

It reads the finished message and the answer, and knows the phrase banks; it does not know how the message was made.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata

from pydantic import ValidationError

from synth.example import Example, text_of
from synth.extraction.bank import LANGUAGES, PLATFORMS, Problem, bank
from synth.extraction.case import fill
from synth.extraction.schema import Issue
from synth.scoring.verify import Verdict

_VERSION = re.compile(r"(?<![\w.])v?\d+\.\d+(?:\.\d+)*(?:-rc\d+)?(?![\w.]*\w)")
_HOURS = re.compile(r"\b\d+(?:[.,]\d+)?\s?(?:h|hours?|stunden|horas|heures)\b")
_COPIED = ("component", "version", "platform", "expected", "actual")


def check(row: Example) -> Verdict:
    """Whether the answer can be recovered from the message, field by field."""
    try:
        issue = Issue.model_validate_json(row.answer or "")
    except ValidationError as error:
        return Verdict(False, "the answer is no issue", str(error.errors()[0]["msg"]))
    if json.loads(row.target) != json.loads(row.answer or ""):
        return Verdict(False, "target and answer differ")
    text = _fold(row.prompt[-1].text if row.prompt else text_of(row))
    for fault in (_missing(issue, text), _overlooked(issue, text, row), _misjudged(issue, text, row)):
        if fault:
            return Verdict(False, fault)
    return Verdict(True, "every value stands in the message")


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text).casefold()).strip()


def _missing(issue: Issue, text: str) -> str:
    """What the issue says and the message does not."""
    for key in _COPIED:
        value = getattr(issue, key)
        if value is not None and _fold(value) not in text:
            return f"{key} does not stand in the message"
    end = 0
    for step in issue.steps:
        end = text.find(_fold(step), end)
        if end < 0:
            return "the steps do not stand in the message in this order"
    hours = issue.estimated_hours
    if hours is not None and f"{hours:g}" not in {re.split(r"[h\s]", found)[0] for found in _HOURS.findall(text)}:
        return "estimated_hours does not stand in the message"
    return ""


def _overlooked(issue: Issue, text: str, row: Example) -> str:
    """What the message says and the issue leaves null. Distractors are named by the row."""
    known = [_fold(item) for item in row.source.get("distractors", ())]
    rest = text
    for item in sorted([*known, _fold(issue.platform or "")], key=len, reverse=True):
        rest = rest.replace(item, " ") if item else rest
    if issue.platform is None and any(re.search(rf"(?<!\w){re.escape(_fold(p))}(?!\w)", rest) for p in PLATFORMS):
        return "a platform is named, and the issue has none"
    if issue.version is None and _VERSION.search(_HOURS.sub(" ", rest)):
        return "a version is named, and the issue has none"
    if issue.estimated_hours is None and _HOURS.search(rest):
        return "hours are named, and the issue has none"
    words = bank(str(row.source["language"]))
    if not issue.steps and any(_fold(intro) in text for intro in (*words.says["steps_intro"], "steps to reproduce")):
        return "steps are listed, and the issue has none"
    component = str(row.source["component"])
    for key in ("expected", "actual"):
        clauses = {_fold(fill(c, component)) for c in _clauses(str(row.source["language"]), key)}
        if getattr(issue, key) is None and any(clause in text for clause in clauses):
            return f"the message says what is {key}, and the issue does not"
    return ""


@functools.cache
def _clauses(language: str, key: str) -> tuple[str, ...]:
    """Clauses that can only be an expectation or an observation: short wishes occur inside other sentences."""
    problems = [
        p for group in bank(language).problems.values() for p in group if key == "actual" or p.actual is not None
    ]
    return tuple(clause for p in problems if (clause := getattr(p, key)) is not None)


def _misjudged(issue: Issue, text: str, row: Example) -> str:
    """Type by the problem that the title names; priority by the sentence that states it, else by that problem."""
    language, component = str(row.source["language"]), str(row.source["component"])
    found = _problem(issue, language, component)
    if found is None:
        return "no known problem has this title and type"
    words = bank(language)
    stated = {level for level, sentences in words.impact.items() if any(_fold(s) in text for s in sentences)}
    if len(stated) > 1:
        return "the message states two priorities"
    if issue.priority != (stated.pop() if stated else found.p):
        return "the priority is another than the message states"
    return ""


def _problem(issue: Issue, language: str, component: str) -> Problem | None:
    problems = bank(language).problems.get(issue.type, ())
    return next((p for p in problems if fill(p.title, component) == issue.title), None)


assert all(bank(language).problems for language in LANGUAGES)
