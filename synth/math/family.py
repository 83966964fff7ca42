"""What a family of word problems is: typed parameters, constraints, a worked solution, phrasings.

Holds no family itself; they are in `invoices`, `rates` and `schedules`. The solution here becomes the target; `checker`
derives answers a second way and shares no arithmetic with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import NamedTuple

from synth.math import working
from synth.math.working import Number

Values = dict[str, Number]
CENT = Decimal("0.01")


class Unfit(Exception):
    """A draw that would make a bad problem; the message is the counted reason."""


def show(value: Number) -> str:
    """Whole numbers plain, others with exactly two decimals: `12`, `4.50`."""
    return working.show(value, money=True)


def show_clock(minutes: Number) -> str:
    """Minutes after midnight as `09:05`."""
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}"


class Work:
    """A worked solution: one operation per line; see `working`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _checked(self, result: Number) -> Number:
        if result <= 0:
            raise Unfit("a result is not positive")
        if result >= 100_000:
            raise Unfit("a result has more than five digits")
        if isinstance(result, Decimal):
            if result != result.quantize(CENT):
                raise Unfit("a result has more than two decimals")
            if result == result.to_integral_value():
                return int(result)
        return result

    def add(self, a: Number, b: Number) -> Number:
        """a + b."""
        self.lines.append(working.add(a, b, money=True))
        return self._checked(a + b)

    def sub(self, a: Number, b: Number) -> Number:
        """a - b."""
        result = self._checked(a - b)
        self.lines.append(working.sub(a, b, money=True))
        return result

    def mul(self, a: Number, b: Number) -> Number:
        """a * b."""
        result = self._checked(a * b)
        self.lines.append(working.mul(a, b, money=True))
        return result

    def div(self, a: Number, b: Number) -> Number:
        """a / b, which must come out with at most two decimals."""
        result = self._checked(Decimal(a) / Decimal(b))
        if result * b != a:
            raise Unfit("a result has more than two decimals")
        self.lines.append(working.div(a, b, money=True))
        return result

    def later(self, start: Number, minutes: Number) -> Number:
        """The time of day `minutes` after `start`, both in minutes after midnight; through minutes and back."""
        hours, rest = divmod(int(start), 60)
        total = self.mul(hours, 60)
        if rest:
            total = self.add(total, rest)
        total = self.add(total, minutes)
        if total >= 24 * 60:
            raise Unfit("the time runs over midnight")
        full = self.mul(int(total) // 60, 60)
        if total > full:
            self.sub(total, full)
        return total


# --- typed parameters --------------------------------------------------------------------------------------------


def _whole(*bands: tuple[int, int, int]) -> Callable[[Random, int], Number]:
    def draw(rng: Random, size: int) -> Number:
        low, high, step = bands[size - 1]
        return low + step * int(rng.random() * ((high - low) // step + 1))

    return draw


_DOLLARS = _whole((2, 20, 1), (5, 60, 1), (12, 199, 1))


def _price(rng: Random, size: int) -> Number:
    """Whole dollars; one price in four ends in .50 at size 2, in .25, .50 or .75 at size 3."""
    dollars = _DOLLARS(rng, size)
    if size == 2 and rng.random() < 0.25:
        return dollars + Decimal("0.50")
    if size == 3 and rng.random() < 0.25:
        return dollars + rng.choice((Decimal("0.25"), Decimal("0.50"), Decimal("0.75")))
    return dollars


KINDS: dict[str, Callable[[Random, int], Number]] = {
    "count": _whole((2, 9, 1), (3, 12, 1), (6, 25, 1)),
    "small": _whole((2, 5, 1), (2, 9, 1), (5, 20, 1)),
    "price": _price,
    "fee": _whole((2, 15, 1), (5, 40, 1), (15, 120, 1)),
    "bill": _whole((20, 200, 10), (40, 600, 20), (50, 990, 5)),
    "percent": _whole((10, 50, 10), (5, 50, 5), (5, 90, 5)),
    "hours": _whole((2, 9, 1), (2, 12, 1), (5, 24, 1)),
    "minutes": _whole((5, 55, 5), (10, 59, 1), (25, 99, 1)),
    "pause": _whole((5, 20, 5), (3, 20, 1), (5, 30, 1)),
    "rate": _whole((3, 20, 1), (10, 60, 1), (30, 250, 1)),
    "amount": _whole((10, 90, 5), (20, 300, 5), (150, 3000, 10)),
    "clock": _whole((8 * 60, 18 * 60, 5), (7 * 60, 20 * 60, 1), (6 * 60, 21 * 60, 1)),
}
"""How parameters are drawn for size 1, 2 and 3 of the numbers; the same for all splits, so that sizes match."""

PAYMENTS = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


def payment_above(cost: Number) -> int:
    """The smallest round sum that covers `cost`."""
    return next((note for note in PAYMENTS if note > cost), 50_000)


class Constraint(NamedTuple):
    """A draw is dropped with `reason` unless `holds`."""

    holds: Callable[[Values], bool]
    reason: str


class Family(NamedTuple):
    """One structure of problem.

    Attributes:
        steps: operations of the solution; with the size of the numbers it makes the difficulty.
        params: slot → key of KINDS; drawn. `derived` computes further values from them.
        solve: writes the working and returns the answer (minutes after midnight when `clock_answer`).
        templates: phrasings; slots are parameters, or words of the domain. A distractor may stand before any sentence.
        clocks: slots that are times of day.
        held_out: meant for test_ood unless the user says otherwise.
    """

    name: str
    domain: str
    steps: int
    params: Mapping[str, str]
    solve: Callable[[Work, Values], Number]
    templates: tuple[str, ...]
    derived: Callable[[Values], Values] = lambda _: {}
    constraints: tuple[Constraint, ...] = ()
    clocks: frozenset[str] = frozenset()
    clock_answer: bool = False
    held_out: bool = False


class Domain(NamedTuple):
    """Families that share words and distractors."""

    name: str
    title: str
    words: Mapping[str, tuple[str, ...]]
    distractors: tuple[str, ...]
    families: tuple[Family, ...]


def difficulty(steps: int, size: int) -> int:
    """1 to 3 from steps x size of the numbers (1 to 3): at most 2, at most 5, more."""
    load = steps * size
    return 1 if load <= 2 else 2 if load <= 5 else 3


NAMES = (
    "Ava", "Ben", "Cleo", "Dan", "Eli", "Fay", "Gus", "Hana", "Ivan", "Jo", "Kai", "Lena", "Max", "Nia", "Omar",
    "Pia", "Quin", "Rosa", "Sam", "Tia",
)  # fmt: skip
