"""Phrases with choices and slots: `[opens|starts] {s}` stands for two sentences about one part of a product.

`vary` settles the choices, `fill` the slots, and `Pattern` finds any of the sentences that a phrase stands for.
It knows no language.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from random import Random

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_PART = re.compile(r"\[([^\[\]]*)\]|\{(\w+)\}")
_NOTHING = "\0"
_UNSAID = re.compile(r" ?\0(?=[.,!?]|$)")  # an empty option leaves no blank before a stop
_CODE = re.compile(r"\w*[_/.(]\w|\W|\w+[A-Z]|\w+(?:\(|-(?:worker|plugin|service))")
_ARTICLES = ("der ", "die ", "das ", "el ", "la ", "los ", "las ", "le ", "les ", "l'", "o ", "a ", "os ", "as ")
_WHOLE = "(?:page|section|feature|part|area)"
_ANY = {"k": r"\d+", "does": r"[^\n]+?", "expected": r"[^\n]+?"}


def vary(phrase: str, rng: Random) -> str:
    """The phrase with one of each `[a|b|c]`."""
    if "[" not in phrase:
        return phrase
    said = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")) or _NOTHING, phrase)
    return _UNSAID.sub("", said).replace(_NOTHING, "").replace("  ", " ")


def bare(component: str) -> str:
    """A component's name without its article: `die Kasse` is called `Kasse` in an issue."""
    article = next((a for a in _ARTICLES if component.startswith(a)), "")
    return component[len(article) :]


def fill(clause: str, component: str, subject: str = "", **more: str) -> str:
    """A clause with the component in its slots.

    `{c}` with its article, `{C}` at the beginning, `{n}` without it, `{N}` that at the beginning; `{s}` as the message
    calls it (`the cart`, `your cart`, `parse()`), `{S}` at the beginning.
    """
    if "{" not in clause:
        return clause
    name, called = bare(component), subject or component
    slots = {"c": component, "C": capital(component), "n": name, "N": capital(name), "s": called, "S": capital(called)}
    return clause.format(**slots, **more)


def capital(text: str) -> str:
    """The text with its first letter in upper case, unless code begins it: `parse_rows()` and `iPhone` stay."""
    return text if _CODE.match(text) else text[:1].upper() + text[1:]


class Pattern:
    """Finds what a phrase stands for in folded text (one space, lower case)."""

    def __init__(self, phrase: str) -> None:
        self.phrase = phrase
        self._named = any(slot[2] and slot[2] in "cCnNsS" for slot in _PART.finditer(_CHOICE.sub(r"\1", phrase)))
        fixed = [(part.strip().casefold(),) for part in _PART.split(phrase)[::3]]
        choices = [tuple(_fixed(option) for option in found[1].split("|")) for found in _CHOICE.finditer(phrase)]
        self._needed = max([*fixed, *choices], key=lambda options: min(map(len, options)))

    def within(self, text: str, component: str = "") -> bool:
        """Whether one of its sentences stands in the text."""
        return self._may_stand_in(text) and self._compiled(component).search(text) is not None

    def is_all_of(self, text: str, component: str = "") -> bool:
        """Whether the text is one of its sentences."""
        return self._may_stand_in(text) and self._compiled(component).fullmatch(text) is not None

    def _may_stand_in(self, text: str) -> bool:
        """Whether the text has the longest thing that all its sentences have: cheap, and mostly false."""
        return any(option in text for option in self._needed)

    def _compiled(self, component: str) -> re.Pattern[str]:
        return _compiled(self.phrase, component if self._named else "")


def _fixed(option: str) -> str:
    """The longest piece of an option that no slot changes."""
    return max(re.split(r"\{\w+\}", option), key=len).strip().casefold()


@functools.lru_cache(maxsize=16384)
def _compiled(phrase: str, component: str) -> re.Pattern[str]:
    """The phrase as a regular expression over folded text, whole words only."""
    parts, end = [], 0
    named = component.casefold()
    name = re.escape(bare(component).casefold())
    slots = {
        **dict.fromkeys("cC", re.escape(named)),
        **dict.fromkeys("nN", name),
        **dict.fromkeys("sS", rf"(?:the new |\w+ )?`?{name}`?(?: {_WHOLE})?"),
    }
    for found in _PART.finditer(phrase):
        parts.append(re.escape(phrase[end : found.start()].casefold()))
        if found[2] is None:
            parts.append("(?:" + "|".join(_choice(option, slots) for option in found[1].split("|")) + ")")
        else:
            parts.append(slots.get(found[2]) or _ANY[found[2]])
        end = found.end()
    parts.append(re.escape(phrase[end:].casefold()))
    spaced = "".join(parts).replace(r"\ ", " ?")  # an option may be empty
    return re.compile(rf"(?<!\w){spaced}(?!\w)")


def _choice(option: str, slots: dict[str, str]) -> str:
    pieces = re.split(r"\{(\w+)\}", option)
    return "".join(
        (slots.get(piece) or _ANY[piece]) if at % 2 else re.escape(piece.casefold()) for at, piece in enumerate(pieces)
    )


def any_within(patterns: Iterable[Pattern], text: str, component: str = "") -> bool:
    """Whether any of the patterns occurs in the text."""
    return any(pattern.within(text, component) for pattern in patterns)
