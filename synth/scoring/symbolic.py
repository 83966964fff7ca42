"""Answers that are expressions rather than numbers: roots, π, intervals, sets, formulas. Compared by math-verify.

math-verify stops slow work with a signal, which only the main thread can receive, so its own time limits are off; what
could run long is refused before it is parsed (`is_tame`).
"""

from __future__ import annotations

import functools
import logging
import re
from typing import Any

from synth.scoring.answers import marked, plain, stated
from synth.scoring.rule import Score
from synth.scoring.verify import quote

MAX_CHARS = 200
_SIGNS = re.compile(r"\\[a-zA-Z]+|\^|√|π|∞|∪|≤|≥|\bsqrt\b|\bpi\b|^[(\[{].*[)\]}]$|[A-Za-z0-9)]\s*[+*/=<>-]\s*[A-Za-z(]")
_WILD = re.compile(r"\d{16,}|\^\s*\{?\s*-?\d{3,}|\^[^^]*\^|\d{3,}\s*!|!\s*!|\*\*[^*]*\*\*|\\(?:int|sum|prod|lim)")


def is_expression(text: str) -> bool:
    """Whether a short text is written as mathematics beyond a plain number."""
    return len(text) <= MAX_CHARS and _SIGNS.search(text.strip().strip("$")) is not None


def is_tame(text: str) -> bool:
    """Whether a text can be parsed and compared in bounded time: short, no towers of powers, no huge factorials."""
    return len(text) <= MAX_CHARS and _WILD.search(text) is None


def grade(reply: str, gold: str) -> Score:
    """The expression that a reply concludes with against gold."""
    explicit = marked(reply)
    answer = explicit[0] if explicit else stated(reply)
    if plain(answer).strip(" .$") == plain(gold).strip(" .$"):
        return Score(1.0, answer, "equal", 1.0)
    if not is_tame(answer):
        return Score(0.0, answer, f"too long or too large to be read: {quote(answer)}", readable=False)
    ok = same_expression(answer, gold)
    return Score(
        float(ok), answer, "equal by math-verify" if ok else f"{quote(answer)} is not {quote(gold)}", float(ok)
    )


def same_expression(answer: str, gold: str) -> bool:
    """Whether both parse, math-verify calls them equal, and their numeric values agree where both have one."""
    if not (is_tame(answer) and is_tame(gold)):
        return False
    from math_verify import verify

    given, wanted = _parsed(_dressed(answer)), _parsed(_dressed(gold))
    if not given or not wanted:
        return False
    try:
        equal = bool(verify(list(wanted), list(given), timeout_seconds=None))
    except Exception:  # the library answers odd input with any error of sympy's
        return False
    return equal and _agree(given[0], wanted[0])


def _dressed(text: str) -> str:
    """As a formula, which is what the parser looks for."""
    bare = re.sub(r"^(?:\$\$?|\\[(\[])|(?:\$\$?|\\[)\]])\.?$", "", text.strip()).strip(" .")
    bare = bare.replace("√", r"\sqrt ").replace("π", r"\pi ").replace("∞", r"\infty ").replace("∪", r"\cup ")
    bare = re.sub(r"\bsqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", bare)
    bare = re.sub(r"(?<![\\a-zA-Z])(pi|sqrt)\b", r"\\\1", bare).replace("≤", r"\le ").replace("≥", r"\ge ")
    return f"${bare}$"


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    from math_verify import parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the limit that is off on purpose
    try:
        return tuple(parse(text, parsing_timeout=None))
    except Exception:  # as above
        return ()


def _agree(given: Any, wanted: Any) -> bool:
    """The cross-check: both values to 15 digits, where both are numbers."""
    try:
        first, second = complex(given.evalf()), complex(wanted.evalf())
    except (AttributeError, TypeError, ValueError, ArithmeticError):
        return True
    return abs(first - second) <= 1e-6 * max(1.0, abs(second))
