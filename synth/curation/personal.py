"""Personal data that have a form: where they stand in a text, and the text without them.

Found: e-mail addresses, telephone numbers, account numbers (IBAN) and payment cards, both by their check digits, social
security numbers of the United States, and public IP addresses. Names, places and birthdays have no form and are not
found: whoever must be sure reads the rows.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple


class Found(NamedTuple):
    """A piece of a text from `start` to `end` (characters), and what it is."""

    start: int
    end: int
    kind: str


def find(text: str) -> list[Found]:
    """Every piece, in order; none overlaps another."""
    found: list[Found] = []
    for kind, (pattern, holds) in KINDS.items():
        for match in pattern.finditer(text):
            start, end = match.span()
            if holds(match.group()) and all(end <= one.start or one.end <= start for one in found):
                found.append(Found(start, end, kind))
    return sorted(found)


def redacted(text: str) -> str:
    """The text with `[e-mail address]` and the like in place of each piece."""
    for one in reversed(find(text)):
        text = f"{text[: one.start]}[{one.kind}]{text[one.end :]}"
    return text


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


_ISSUED = re.compile(r"4\d{15}|(?:5[0-8]|2[2-7]|35|6\d)\d{14}|3[47]\d{13}|3[0689]\d{12}|[46]\d{18}")


def _card(text: str) -> bool:
    """As many digits as the issuer's cards have, with their check digit (ISO/IEC 7812)."""
    plain = _digits(text)
    digits = [int(digit) for digit in reversed(plain)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return bool(_ISSUED.fullmatch(plain)) and (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _iban(text: str) -> bool:
    """The check digits of account numbers (ISO 13616)."""
    plain = re.sub(r"\s", "", text)
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _telephone(text: str) -> bool:
    """So many digits that it is no time or range of numbers."""
    text = re.sub(f"{_EXTENSION}$", "", text)
    return 9 <= len(_digits(text)) <= 15 and len(set(_digits(text))) > 2


_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,5})"
_BEFORE, _AFTER = r"(?<![\w.,/-])", r"(?![\w/-]|[.,]\d)"
KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "e-mail address": (re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}(?![\w-])"), lambda text: True),
    "account number": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _iban),
    "card number": (
        re.compile(
            rf"{_BEFORE}(?:\d{{4}}([ -])\d{{4}}\1\d{{4}}\1\d{{4}}|3\d{{3}}([ -])\d{{6}}\2\d{{4,5}}|\d{{14,19}}){_AFTER}"
        ),
        _card,
    ),
    "social security number": (
        re.compile(rf"{_BEFORE}(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}{_AFTER}"),
        lambda text: True,
    ),
    "IP address": (re.compile(rf"{_BEFORE}\d{{1,3}}(?:\.\d{{1,3}}){{3}}{_AFTER}"), _public),
    "telephone number": (
        re.compile(
            rf"{_BEFORE}(?:(?:\+|(?<!\d )00)[1-9]\d{{0,2}}(?:[ ./-]?\(?\d{{1,5}}\)?){{2,6}}|"
            rf"\(\d{{3}}\) ?\d{{3}}[ .-]\d{{4}}|(?:1-)?\d{{3}}([.-])\d{{3}}\1\d{{4}}|"
            rf"(?:0[1-9]\d{{0,3}} ?[/-]|\(0\d{{1,4}}\)-?) ?\d{{2,4}}(?:[ -]?\d{{2,4}}){{1,3}}|"
            rf"(?<!\d )0[1-9](?:(?:([ .])\d\d)(?:\2\d\d){{3}}|\d{{1,4}} \d{{3,4}}(?: ?\d{{2,4}}){{1,2}})"
            rf"){_EXTENSION}?{_AFTER}"
        ),
        _telephone,
    ),
}
"""Kinds in the order in which a piece is claimed: pattern, and what must hold of it."""
