"""What speaks against a row that was edited by hand: its own scorer's reading, and its generator's checker.

Sentences for the person who edits, who may know better. No sentence means that nothing was found, not that the row is
right: rows that were imported have no checker that knows the answer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from synth.example import Example, text_of
from synth.math.working import false_lines
from synth.scoring import numerals, verify
from synth.scoring.records import same_value
from synth.scoring.scorers import known_scorer
from synth.scoring.verify import Verdict

if TYPE_CHECKING:
    from synth.math.checker import Checker

SHOWN = 3
_UNREADABLE = "The checker cannot read the question any more, so nobody but you vouches for the answer."


def check_failures(example: Example, original: Example) -> tuple[str, ...]:
    """Why the edited row may be wrong, a sentence each; `original` is the row as it was generated or imported."""
    found = [f"This line of the working is false: {line}." for line in _newly_false(example.target, original.target)]
    if example.answer is not None and not (verdict := _concludes(example.target, example)):
        found.append(f"The target does not end in the answer: {verdict.reason}.")
    if example.rejected is not None and verify.same_text(example.target, example.rejected):
        found.append("The target is the answer that is to be rejected.")
    checker = CHECKERS.get(str(example.source.get("generator", "")))
    if checker is not None:
        try:
            found.append(checker(example, original))
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, StopIteration):
            found.append(_UNREADABLE)
    return tuple(sentence for sentence in found if sentence)


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


# --- the generators' checkers ------------------------------------------------------------------------------------


@functools.cache
def _math_checker(domain: str) -> Checker:
    from synth.math.checker import Checker
    from synth.math.spec import DOMAINS

    return Checker([DOMAINS[domain]])


def _math(example: Example, original: Example) -> str:
    """The answer derived from the question's text alone, against the one given."""
    from synth.math.family import show_clock
    from synth.math.spec import ALL_FAMILIES

    phrasing = int(example.template.rpartition("/t")[2])
    derived = _math_checker(example.source["domain"]).derive(example.family, phrasing, text_of(example))
    if derived is None:
        return _UNREADABLE
    answer = example.answer or ""
    if ALL_FAMILIES[example.family].clock_answer:
        right, shown = numerals.clock(answer) == int(derived), show_clock(int(derived))
    else:
        right, shown = numerals.number(answer) == Fraction(derived), f"{float(Fraction(derived)):.10g}"
    return "" if right else f"The checker derives {shown} from the question; the answer says {answer[:60]}."


def _vision(example: Example, original: Example) -> str:
    """The answer read again from the data that the picture was drawn from."""
    from synth.vision.check import reread

    params = example.source["params"]
    drawn = reread(params["scene"], params["op"], params["args"])
    if not same_value(example.answer or "", drawn):
        return f"The picture was drawn from data that say “{drawn}”; the answer says “{(example.answer or '')[:60]}”."
    return _UNREADABLE if text_of(example) != text_of(original) else ""


def _audio(example: Example, original: Example) -> str:
    """The recording was spoken from the transcript, so another transcript is another recording's."""
    if _words(example.answer or "") == _words(original.answer or ""):
        return ""
    return f"The recording was spoken from “{(original.answer or '')[:120]}”; the transcript says something else."


CHECKERS: dict[str, Callable[[Example, Example], str]] = {"math": _math, "vision": _vision, "audio": _audio}
"""Generator → what its checker has against (the edited row, the original); "" for nothing."""
