"""A second derivation of every answer, from the rendered text alone.

The numbers are read back out of the text by its phrasing, and the answer is solved by sympy from an *equation* that is
stated here and nowhere else. Nothing of the solution code is used: not its values, not its order of operations.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

from synth.example import Example, text_of
from synth.math.family import Domain, Family, show_clock
from synth.math.working import false_lines
from synth.scoring.verify import Verdict

EQUATIONS: dict[str, str] = {
    "two_items": "answer - m*q = n*p",
    "item_delivery": "answer - f = n*p",
    "item_coupon": "answer + c = n*p",
    "item_change": "answer + n*p = b",
    "two_items_coupon": "answer + c - n*p = m*q",
    "percent_off": "100*answer = p*(100 - x)",
    "two_items_delivery": "answer - f - m*q = n*p",
    "delivery_coupon": "answer + c - f = n*p",
    "two_items_change": "b - answer - n*p = m*q",
    "delivery_change": "b - answer - f = n*p",
    "two_legs": "(answer - s*u)/t = r",
    "fill_level": "(answer - v)/t = r",
    "drain_level": "(v - answer)/t = r",
    "fill_time": "v + r*answer = V",
    "joint_output": "answer/t = r + s",
    "ratio_part": "answer/a = (T - answer)/b",
    "blend_price": "a*(answer - p) = b*(q - answer)",
    "joint_drain": "(v - answer)/t - r = s",
    "fill_twice": "answer - v - s*u = r*t",
    "joint_fill": "(answer - v)/t - s = r",
    "fill_and_drain": "answer + s*u - r*t = v",
    "sessions_breaks": "answer + b = n*(m + b)",
    "tasks_left": "(T - answer)/n = m",
    "equal_slots": "n*answer + b = T",
    "weekly_extra": "(answer - e)/k = h",
    "hours_minutes": "(answer - m)/60 = h",
    "end_time": "answer - s = m",
    "hours_break": "(answer + b)/60 = h",
    "two_parts_end": "answer - b - s = m",
    "hours_left": "h - answer/60 = n*m/60",
    "sessions_end": "(answer - s)/n = m",
    "coupon_change": "b - answer + c = n*p",
    "two_items_coupon_change": "b - answer + c - m*q = n*p",
    "coupon_delivery_change": "b - answer + c - f = n*p",
    "two_items_delivery_change": "b - answer - f - m*q = n*p",
    "drain_twice": "v - answer - s*u = r*t",
    "drain_then_fill": "answer - r*t + s*u = v",
    "net_fill": "(answer - v)/t + s = r",
    "tasks_setup": "(answer - b)/n = m",
    "hours_and_tasks": "h + n*m/60 = answer/60",
    "long_shift_left": "h + k/60 - answer/60 = n*m/60",
    "sessions_break_end": "(answer - s - b)/n = m",
}

_NUMBER = r"\d+(?:\.\d\d)?"
_CLOCK = r"\d\d:\d\d"
_WORD = r"[A-Za-z]+"
_SLOT = re.compile(r"\{(\w+)\}")


class _Reader(NamedTuple):
    """How to read one phrasing: a pattern over the whole text and the slots that are numbers."""

    pattern: re.Pattern[str]
    slots: tuple[str, ...]


class Checker:
    """Compiled once for the families that are used. Building it imports sympy (about a second)."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        self._readers: dict[tuple[str, int], _Reader] = {}
        self._noise: dict[str, re.Pattern[str]] = {}
        self._solutions: dict[str, Callable[[dict[str, int | Fraction]], Fraction]] = {}
        for domain in domains:
            clauses = "|".join(re.escape(clause).replace(r"\{d\}", r"\d+") for clause in domain.distractors)
            noise = re.compile(rf"(?:^|(?<= ))(?:{clauses})(?: |$)")
            for family in domain.families:
                self._noise[family.name] = noise
                self._solutions[family.name] = _solution(EQUATIONS[family.name])
                for index, template in enumerate(family.templates):
                    self._readers[family.name, index] = _reader(template, family, domain)

    def derive(self, family: str, template: int, text: str) -> str | None:
        """The answer to `text` as an exact number or a time of day; None when the phrasing does not fit the text."""
        reader = self._readers[family, template]
        match = reader.pattern.fullmatch(text) or reader.pattern.fullmatch(self._noise[family].sub("", text, count=1))
        if match is None:
            return None
        value = self._solutions[family]({slot: _parse(match.group(slot)) for slot in reader.slots})
        return str(value)

    def check(self, family: Family, template: int, text: str, answer: str, working: str) -> Verdict:
        """Is the answer right by the second way, and is every line of the working true?"""
        derived = self.derive(family.name, template, text)
        if derived is None:
            return Verdict(False, "the checker cannot read the question")
        if derived != str(_parse(answer)):
            shown = show_clock(int(derived)) if family.clock_answer else f"{float(Fraction(derived)):.10g}"
            detail = f"The checker derives {shown} from the question; the answer says {answer[:60]}."
            return Verdict(False, "the checker derives another answer", detail)
        if false := false_lines(working):
            return Verdict(False, "a line of the working is false", f"This line of the working is false: {false[0]}.")
        return Verdict(True, "equal")


@functools.cache
def _checker(domain: str) -> Checker:
    from synth.math.spec import DOMAINS

    return Checker([DOMAINS[domain]])


def check(row: Example) -> Verdict:
    """Is the row right? From its text, its answer and its target; of the lineage, only which family and phrasing."""
    from synth.math.spec import ALL_FAMILIES

    family, phrasing = ALL_FAMILIES[row.family], int(row.template.rpartition("/t")[2])
    answer = row.answer or ""
    working, _, ending = row.target.rpartition("\n")
    verdict = _checker(family.domain).check(family, phrasing, text_of(row), answer, working)
    if verdict and ending != f"Answer: {answer}":
        return Verdict(False, "the target does not end in the answer", f"The target ends in “{ending[:60]}”.")
    return verdict


def _parse(text: str) -> int | Fraction:
    """A number, or a time of day in minutes after midnight."""
    if ":" in text:
        hours, minutes = text.split(":")
        return int(hours) * 60 + int(minutes)
    return Fraction(text) if "." in text else int(text)


def _reader(template: str, family: Family, domain: Domain) -> _Reader:
    pattern, position = "", 0
    numbers: list[str] = []
    seen: set[str] = set()
    for match in _SLOT.finditer(template):
        pattern += re.escape(template[position : match.start()])
        slot, position = match.group(1), match.end()
        if slot in seen:
            pattern += f"(?P={slot})"
            continue
        seen.add(slot)
        if slot not in domain.words:
            numbers.append(slot)
        kind = _WORD if slot in domain.words else _CLOCK if slot in family.clocks else _NUMBER
        pattern += f"(?P<{slot}>{kind})"
    return _Reader(re.compile(pattern + re.escape(template[position:])), tuple(numbers))


def _solution(equation: str) -> Callable[[dict[str, int | Fraction]], Fraction]:
    """Solve the equation for `answer` once; evaluation is exact, as numerator / denominator."""
    import sympy

    names = sorted(set(re.findall(r"[A-Za-z]+", equation)))
    symbols = {name: sympy.Symbol(name, positive=True) for name in names}
    left, right = (sympy.sympify(side, locals=symbols) for side in equation.split(" = "))
    solved = sympy.solve(sympy.Eq(left, right), symbols["answer"])
    numerator, denominator = sympy.fraction(sympy.together(solved[0]))
    slots = [name for name in names if name != "answer"]
    over = sympy.lambdify([symbols[name] for name in slots], numerator, modules="math")
    under = sympy.lambdify([symbols[name] for name in slots], denominator, modules="math")

    def solve(values: dict[str, int | Fraction]) -> Fraction:
        arguments = [values[name] for name in slots]
        return Fraction(over(*arguments)) / Fraction(under(*arguments))

    return solve
