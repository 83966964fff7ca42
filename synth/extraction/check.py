"""Is an issue what its message says? Every value that is not null stands in the message, and no null value does.

It reads the finished message and the answer, and knows the phrase banks; it does not know how the message was made.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Iterable

from pydantic import ValidationError

from synth.example import Example, text_of
from synth.extraction.bank import LANGUAGES, Problem, bank, problems
from synth.extraction.named import PLATFORM, VERSION, is_cut_short
from synth.extraction.phrase import Pattern, any_within, bare
from synth.extraction.schema import Issue, IssueType, Priority
from synth.scoring.verify import Verdict

_HOURS = re.compile(r"\b\d+(?:[.,]\d+)?\s?(?:h|hours?|stunden|horas|heures)\b")
_LISTED = re.compile(r"(?m)^(?:\d+[.):] |- |\* |-> )(.+)$")
_COPIED = ("component", "version", "platform", "expected", "actual")


def check(row: Example) -> Verdict:
    """Whether the answer can be recovered from the message, field by field."""
    try:
        issue = Issue.model_validate_json(row.answer or "")
    except ValidationError as error:
        return Verdict(False, "the answer is no issue", str(error.errors()[0]["msg"]))
    if json.loads(row.target) != json.loads(row.answer or ""):
        return Verdict(False, "target and answer differ")
    said = row.prompt[-1].text if row.prompt else text_of(row)
    text, beside = _fold(said), [_fold(item) for item in row.source.get("distractors", ())]
    for fault in (
        _missing(issue, _without(beside, text)),
        "the platform is cut short" if issue.platform and is_cut_short(issue.platform, said) else "",
        _misnamed(issue, row),
        _overlooked(issue, text, beside, row),
        _unlisted(issue, said, row),
        _misjudged(issue, text, row),
    ):
        if fault:
            return Verdict(False, fault)
    return Verdict(True, "every value stands in the message")


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text).casefold()).strip()


def _without(items: Iterable[str], text: str) -> str:
    """The text without these, the longest first."""
    for item in sorted(items, key=len, reverse=True):
        text = text.replace(item, " ") if item else text
    return text


def _missing(issue: Issue, text: str) -> str:
    """What the issue says and the message does not."""
    for key in _COPIED:
        value = getattr(issue, key)
        mark = "v?" if key == "version" else ""
        if value is not None and not re.search(rf"(?<!\w){mark}{re.escape(_fold(value))}(?!\w)", text):
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


def _misnamed(issue: Issue, row: Example) -> str:
    """A value in the field of another, or a part of the product that is another than the one the row is about."""
    if issue.version is not None and not (issue.version.isdigit() or VERSION.search(f" {_fold(issue.version)} ")):
        return "the version is none"
    if issue.platform is not None and not PLATFORM.search(_fold(issue.platform)):
        return "the platform is none"
    named, words = str(row.source["component"]), bank(_named(row))
    whole = any(Pattern(phrase).is_all_of(_fold(named)) for phrase in words.unnamed)
    if _fold(issue.component or "") != ("" if whole else _fold(bare(named))):
        return "the component is another than the message names"
    return ""


def _overlooked(issue: Issue, text: str, beside: list[str], row: Example) -> str:
    """What the message says and the issue does not. `beside` are versions, platforms and hours that are no answer."""
    rest = _without([*beside, *(_fold(item or "") for item in (issue.platform, issue.component))], text)
    if PLATFORM.search(rest):
        return "a platform is named that the issue does not have"
    if VERSION.search(_HOURS.sub(" ", _without([_fold(issue.version or "")], rest))):
        return "a version is named that the issue does not have"
    if issue.estimated_hours is None and _HOURS.search(rest):
        return "hours are named, and the issue has none"
    known_phrases, component = _phrases(_named(row)), str(row.source["component"])
    if not issue.steps and any(_fold(intro) in text for intro in known_phrases.steps_intro):
        return "steps are listed, and the issue has none"
    if not issue.steps and any_within(known_phrases.done, text, component):
        return "the message says what was done, and the issue has no step"
    for key, patterns in (("expected", known_phrases.expected), ("actual", known_phrases.actual)):
        if getattr(issue, key) is None and any_within(patterns, text, component):
            return f"the message says what is {key}, and the issue does not"
    return ""


def _unlisted(issue: Issue, said: str, row: Example) -> str:
    """A step in a list of the message that the issue lacks."""
    known, component = _phrases(_named(row)), str(row.source["component"])
    steps = {_fold(step) for step in issue.steps}
    for line in _LISTED.findall(said):
        step = _fold(line).rstrip(".")
        if step not in steps and any(pattern.is_all_of(step, component) for pattern in known.listed):
            return "the message lists a step that the issue lacks"
    return ""


class _Phrases:
    """What can be found in messages that a bank words."""

    def __init__(self, name: str) -> None:
        words, self.problems = bank(name), problems(name)
        every = [problem for group in self.problems.values() for problem in group]
        hoped = [phrase for group in words.hopes.values() for phrase in group]
        faults = [problem for problem in every if problem.actual is not None]
        done = (*words.actions, *(problem.do for problem in faults if problem.do))
        self.steps_intro = (*words.says["steps_intro"], "steps to reproduce")
        self.actual = _patterns([problem.actual or "" for problem in faults])
        self.expected = _patterns([*hoped, *(problem.expected or "" for problem in faults)])
        led = [sentence.split("{do}")[0].removeprefix("{Actual} ") for sentence in words.says.get("problem_do", ())]
        self.done = _patterns([lead + phrase for lead in (words.doing.format(do=""), *led) for phrase in done])
        self.listed = _patterns([*words.steps, *done])
        self.wished = _patterns([problem.expected or "" for problem in every])
        self.impact = {level: _patterns(sentences) for level, sentences in words.impact.items()}
        self.titles: dict[IssueType, list[tuple[Pattern, Problem]]] = {
            kind: [(Pattern(problem.title_phrase), problem) for problem in group]
            for kind, group in self.problems.items()
        }

    def agree(self, problem: Problem, issue: Issue, text: str, component: str) -> bool:
        """Whether an issue is whole: what happens and what is wished for are those of its problem, word for word."""
        quoted = self.actual if "{does}" in (problem.ask or "") else []
        happens = [Pattern(problem.actual)] if problem.actual else quoted
        asked = not problem.ask or Pattern(problem.ask.strip("¿? .")).within(text, component)
        quotes = (("{actual}", issue.actual), ("{expected}", issue.expected))
        titled = all(_fold(value or "") in _fold(issue.title) for slot, value in quotes if slot in problem.title)
        wished = issue.expected or ("" if issue.type == "feature" else None)
        return (
            asked
            and titled
            and _is_one_of(issue.actual or ("" if happens else None), happens, component)
            and _is_one_of(wished, self.wished if issue.type == "feature" else self.expected, component)
        )

    def stated(self, text: str) -> set[Priority]:
        """The priorities that sentences of a message state."""
        return {level for level, patterns in self.impact.items() if any_within(patterns, text)}


_phrases = functools.cache(_Phrases)


def _named(row: Example) -> str:
    """The bank that a row is worded with."""
    return str(row.source.get("phrases", row.source["language"]))


def _is_one_of(value: str | None, patterns: Iterable[Pattern], component: str) -> bool:
    """Whether a value is all of a sentence that a pattern stands for; None is."""
    return value is None or any(pattern.is_all_of(_fold(value), component) for pattern in patterns)


def _patterns(phrases: list[str] | tuple[str, ...]) -> list[Pattern]:
    return [Pattern(phrase.rstrip(" .!?")) for phrase in dict.fromkeys(phrases) if phrase]


def _misjudged(issue: Issue, text: str, row: Example) -> str:
    """Type by the problem that the title names; priority by the sentence that states it, else by that problem."""
    known, component = _phrases(_named(row)), str(row.source["component"])
    title = _fold(issue.title)
    found = [problem for pattern, problem in known.titles.get(issue.type, ()) if pattern.is_all_of(title, component)]
    if not found:
        return "no known problem has this title and type"
    if not (found := [problem for problem in found if known.agree(problem, issue, text, component)]):
        return "the title, actual, expected and the message do not go together"
    stated = known.stated(text)
    if len(stated) > 1:
        return "the message states two priorities"
    if issue.priority not in (stated or {problem.p for problem in found}):
        return "the priority is another than the message states"
    return ""


assert all(bank(language).says for language in LANGUAGES)
