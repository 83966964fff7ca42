"""Worked lines of arithmetic, and the check that every line written is true.

One operation a line. A product or quotient too wide to know by heart is split on the same line:
`12.45 * 7 = 12 * 7 + 0.45 * 7 = 84 + 3.15 = 87.15`. Numbers are exact; nothing is rounded. The starters learn
arithmetic in this form, so generators that want their targets to be learnt quickly write it too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

Number = int | Decimal
_EQUATION = re.compile(r"[\d.+*/ ()-]+(?: = [\d.+*/ ()-]+)+")
_ORDER = re.compile(r"[\d.]+(?: [<>] [\d.]+)+")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[-+*/]")


def show(value: Number, money: bool = False) -> str:
    """Plain digits: no exponent, no trailing zeros; money that is not whole keeps two decimals."""
    if isinstance(value, int):
        return str(value)
    if value == value.to_integral_value():
        return str(int(value))
    if money and value == value.quantize(Decimal("0.01")):
        return f"{value:.2f}"
    return f"{value.normalize():f}"


def significant(value: Number) -> int:
    """Significant digits, trailing zeros of an integer left out: 300 has one."""
    if isinstance(value, int):
        return len(str(value).rstrip("0")) or 1
    return len(value.normalize().as_tuple().digits)


def _power_of_ten(value: Number) -> bool:
    return Decimal(value).normalize().as_tuple().digits == (1,)


def places(value: Number, width: int = 1) -> list[Decimal]:
    """Split into groups of `width` digits round the decimal point, largest first, zeros left out.

    places(123.45, 2) is 100, 23, 0.45 and places(36) is 30, 6.
    """
    exact = Decimal(value)
    step = Decimal(10) ** width
    unit = Decimal(1)
    while exact / unit >= step:
        unit *= step
    groups = []
    while exact > 0:
        group = (exact // unit) * unit
        if group:
            groups.append(group)
        exact -= group
        unit /= step
    return groups


def add(a: Number, b: Number, money: bool = False) -> str:
    """`a + b = c`."""
    return f"{show(a, money)} + {show(b, money)} = {show(a + b, money)}"


def sub(a: Number, b: Number, money: bool = False) -> str:
    """`a - b = c`; a must not be smaller than b."""
    return f"{show(a, money)} - {show(b, money)} = {show(a - b, money)}"


def _sum_chain(parts: Sequence[Number], money: bool) -> list[str]:
    sides = []
    left = list(parts)
    while True:
        sides.append(" + ".join(show(part, money) for part in left))
        if len(left) == 1:
            return sides
        left = [left[0] + left[1], *left[2:]]


def mul(a: Number, b: Number, money: bool = False) -> str:
    """`a * b = c`, through partial products unless one digit times at most two."""
    head = f"{show(a, money)} * {show(b, money)}"
    narrow, wide = sorted((significant(a), significant(b)))
    if (narrow <= 1 and wide <= 2) or _power_of_ten(a) or _power_of_ten(b):
        return f"{head} = {show(a * b, money)}"
    if significant(a) >= significant(b):
        terms = [(x, y) for y in places(b) for x in places(a, 2)]
    else:
        terms = [(x, y) for x in places(a) for y in places(b, 2)]
    split = " + ".join(f"{show(x, money)} * {show(y, money)}" for x, y in terms)
    return " = ".join([head, split, *_sum_chain([x * y for x, y in terms], money)])


def div(a: Number, b: Number, money: bool = False) -> str:
    """`a / b = q` for an exact quotient: one digit of q after the other, each time with what is left to divide.

    `861 / 7 = 700 / 7 + 161 / 7 = 700 / 7 + 140 / 7 + 21 / 7 = 100 + 20 + 3 = 123`; a one-digit q and powers of ten
    stand alone.
    """
    quotient = Decimal(a) / Decimal(b)
    head = f"{show(a, money)} / {show(b, money)}"
    chunks = places(quotient)
    if len(chunks) == 1 or _power_of_ten(b):
        return f"{head} = {show(quotient, money)}"
    sides = [head]
    for taken in range(1, len(chunks)):
        parts = [*chunks[:taken], sum(chunks[taken:], Decimal(0))]
        sides.append(" + ".join(f"{show(q * b, money)} / {show(b, money)}" for q in parts))
    return " = ".join([*sides, " + ".join(show(q, money) for q in chunks), show(quotient, money)])


def running_sum(values: Sequence[Number], money: bool = False) -> list[str]:
    """One line for each addition of a column."""
    lines, total = [], values[0]
    for value in values[1:]:
        lines.append(add(total, value, money))
        total += value
    return lines


def percent_of(percent: int, value: Number, money: bool = False) -> tuple[list[str], Decimal]:
    """Lines for percent * value / 100, and the result."""
    product = Decimal(value) * percent
    return [mul(value, percent, money), div(product, 100, money)], product / 100


def evaluate(side: str) -> Fraction | int:
    """The exact value of a sum of products such as `12 * 7 + 0.45 * 7`; brackets are ignored."""
    total: Fraction | int = 0
    term: Fraction | int = 0
    sign, operator = 1, "+"
    for token in _TOKEN.findall(side):
        if token in "+-":
            total, sign, operator = total + sign * term, 1 if token == "+" else -1, token
        elif token in "*/":
            operator = token
        else:
            number = Fraction(token) if "." in token else int(token)
            term = term * number if operator == "*" else Fraction(term) / number if operator == "/" else number
    return total + sign * term


def false_lines(text: str) -> list[str]:
    """The equations and orderings in `text` that do not hold or have no value; lines of words are not judged."""
    return [line for line in text.split("\n") if not _holds(line)]


def _holds(line: str) -> bool:
    try:
        if _EQUATION.fullmatch(line):
            return len({evaluate(side) for side in line.split(" = ")}) == 1
        if _ORDER.fullmatch(line):
            parts = line.split(" ")
            pairs = zip(parts[::2], parts[1::2], parts[2::2], strict=False)
            return all((Fraction(a) < Fraction(b)) == (op == "<") for a, op, b in pairs)
    except (ValueError, ZeroDivisionError):
        return False
    return True
