"""What speaks against a row that was edited by hand: its own scorer's reading, and its generator's checker.

Sentences for the person who edits, who may know better. No sentence means that nothing was found, not that the row is
right: rows that were imported have no checker that knows the answer.
"""

from __future__ import annotations

import re

from synth.example import Example, media_parts, text_of
from synth.generators import GENERATORS
from synth.math.working import false_lines
from synth.scoring import verify
from synth.scoring.scorers import known_scorer
from synth.scoring.verify import Verdict

SHOWN = 3
_UNREADABLE = "The checker cannot read the question any more, so nobody but you vouches for the answer."


def check_failures(example: Example, original: Example) -> tuple[str, ...]:
    """Why the edited row may be wrong, a sentence each; `original` is the row as it was generated or imported."""
    found = [f"This line of the working is false: {line}." for line in _newly_false(example.target, original.target)]
    if example.answer is not None and not (verdict := _concludes(example.target, example)):
        found.append(f"The target does not end in the answer: {verdict.reason}.")
    if example.rejected is not None and verify.same_text(example.target, example.rejected):
        found.append("The target is the answer that is to be rejected.")
    found += _of_generator(example, original)
    return tuple(found)


def _of_generator(example: Example, original: Example) -> list[str]:
    """What the generator's own checker says, the same that judged the row when it was made."""
    info = GENERATORS.get(str(example.source.get("generator", "")))
    if info is None:
        return []
    verdict = info.check(example)
    if verdict and media_parts(example) and text_of(example) != text_of(original):
        return [_UNREADABLE]  # the picture is still what was drawn, but who knows what is asked
    if verdict.ok:
        return []
    return [_UNREADABLE if verdict.reason.startswith("the checker cannot read") else verdict.detail or verdict.reason]


def _newly_false(target: str, original: str) -> list[str]:
    """Equations that do not hold and did not stand there before. Lines with brackets are not judged."""
    new = [line for line in target.split("\n") if "(" not in line and line not in original.split("\n")]
    return [line for line in new if _false(line)][:SHOWN]


def _false(line: str) -> bool:
    try:
        return bool(false_lines(line))
    except (ArithmeticError, ValueError):
        return True


def _concludes(target: str, row: Example) -> Verdict:
    """Does the target state the answer, as the row's scorer would read it? Yes where no rule can tell."""
    rule = known_scorer(row.scorer)
    if not rule.checkable:
        return Verdict(True, "")
    return rule.verdict(target, row) or Verdict(False, rule.score(target, row).why)


def _words(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", " ", text.casefold()).split()
