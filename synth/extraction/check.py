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
from synth.extraction.bank import LANGUAGES, Problem, bank, problems
from synth.extraction.named import PLATFORM, VERSION
from synth.extraction.phrase import Pattern, any_within
from synth.extraction.schema import Issue, IssueType, Priority
from synth.scoring.verify import Verdict

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
    listed = len(issue.steps) > 1
    end = 0
    for step in issue.steps:
        end = text.find(_fold(step), end) if listed else text.find(_fold(step))
        if end < 0:
            return "the steps do not stand in the message in this order"
    hours = issue.estimated_hours
    if hours is not None and f"{hours:g}" not in {re.split(r"[h\s]", found)[0] for found in _HOURS.findall(text)}:
        return "estimated_hours does not stand in the message"
    return ""


def _overlooked(issue: Issue, text: str, row: Example) -> str:
    """What the message says and the issue leaves null. Distractors are named by the row."""
    known = [_fold(item) for item in (*row.source.get("distractors", ()), issue.platform or "", issue.component or "")]
    rest = text
    for item in sorted(known, key=len, reverse=True):
        rest = rest.replace(item, " ") if item else rest
    if issue.platform is None and PLATFORM.search(rest):
        return "a platform is named, and the issue has none"
    if issue.version is None and VERSION.search(_HOURS.sub(" ", rest)):
        return "a version is named, and the issue has none"
    if issue.estimated_hours is None and _HOURS.search(rest):
        return "hours are named, and the issue has none"
    known_phrases, component = _phrases(str(row.source["language"])), str(row.source["component"])
    if not issue.steps and any(_fold(intro) in text for intro in known_phrases.steps_intro):
        return "steps are listed, and the issue has none"
    if not issue.steps and any_within(known_phrases.done, text, component):
        return "the message says what was done, and the issue has no step"
    for key, patterns in (("expected", known_phrases.expected), ("actual", known_phrases.actual)):
        if getattr(issue, key) is None and any_within(patterns, text, component):
            return f"the message says what is {key}, and the issue does not"
    return ""


class _Phrases:
    """What can be found in messages of a language."""

    def __init__(self, language: str) -> None:
        words, self.problems = bank(language), problems(language)
        every = [problem for group in self.problems.values() for problem in group]
        hoped = [phrase for group in words.hopes.values() for phrase in group]
        faults = [problem for problem in every if problem.actual is not None]
        done = (*words.actions, *(problem.do for problem in faults if problem.do))
        self.steps_intro = (*words.says["steps_intro"], "steps to reproduce")
        self.actual = _patterns([problem.actual or "" for problem in faults])
        self.expected = _patterns([*hoped, *(problem.expected or "" for problem in faults)])
        self.done = _patterns([words.doing.format(do=phrase) for phrase in done])
        self.impact = {level: _patterns(sentences) for level, sentences in words.impact.items()}
        self.titles: dict[IssueType, list[tuple[Pattern, Problem]]] = {
            kind: [(Pattern(problem.title_phrase), problem) for problem in group]
            for kind, group in self.problems.items()
        }

    def stated(self, text: str) -> set[Priority]:
        """The priorities that sentences of a message state."""
        return {level for level, patterns in self.impact.items() if any_within(patterns, text)}


_phrases = functools.cache(_Phrases)


def _patterns(phrases: list[str] | tuple[str, ...]) -> list[Pattern]:
    return [Pattern(phrase.rstrip(" .!?")) for phrase in dict.fromkeys(phrases) if phrase]


def _misjudged(issue: Issue, text: str, row: Example) -> str:
    """Type by the problem that the title names; priority by the sentence that states it, else by that problem."""
    known, component = _phrases(str(row.source["language"])), str(row.source["component"])
    title = _fold(issue.title)
    found = [problem for pattern, problem in known.titles.get(issue.type, ()) if pattern.is_all_of(title, component)]
    if not found:
        return "no known problem has this title and type"
    stated = known.stated(text)
    if len(stated) > 1:
        return "the message states two priorities"
    if issue.priority not in (stated or {problem.p for problem in found}):
        return "the priority is another than the message states"
    return ""


assert all(bank(language).says for language in LANGUAGES)
