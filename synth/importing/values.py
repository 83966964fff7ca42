"""Values of rows: what is missing, how numbers and records become text without losing a digit, the choices of a test.

A rule for all modalities: null, NaN, empty text, and empty lists and objects are missing; true and false are values.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from typing import Any

from synth.importing.raw import Digits

MAX_CHOICES = len(string.ascii_uppercase)


class BadRow(ValueError):
    """A row that cannot be used; the message is the counted reason."""


def missing(value: Any) -> bool:
    """Whether a value says nothing."""
    if value:
        return isinstance(value, float) and value != value
    return value is None or isinstance(value, str | list | dict)


def text(value: Any, what: str) -> str:
    """A value as text. Raises BadRow for what has none."""
    if isinstance(value, str):
        return str(value)
    if missing(value):
        raise BadRow(f"no {what}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return decimal(value)
    if isinstance(value, float):
        return repr(value)
    raise BadRow(f"the {what} is not text")


def decimal(value: int) -> str:
    """A whole number in digits. Raises BadRow for one so long that Python refuses to write it."""
    try:
        return str(value)
    except ValueError as error:
        raise BadRow("a number has thousands of digits") from error


def json_text(value: Any) -> str:
    """A value as JSON in which numbers keep their digits."""
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, dict):
        items = (f"{json.dumps(str(key), ensure_ascii=False)}: {json_text(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(json_text(item) for item in value) + "]"
    if isinstance(value, bytes):
        raise BadRow("bytes where text is expected")
    return json.dumps(value, ensure_ascii=False)


def numbers(value: Any) -> Any:
    """A value with numbers in place of their digits, for what is stored as JSON itself: tools and their arguments."""
    if isinstance(value, Digits):
        return float(value)
    if isinstance(value, dict):
        return {str(key): numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def judged(value: Any) -> bool:
    """A KTO label. Raises BadRow for what is neither true nor false."""
    if isinstance(value, bool):
        return value
    name = str(value).strip().lower()
    known = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
    if name not in known:
        raise BadRow("the label is neither true nor false")
    return known[name]


BEYOND = "the answer is none of the choices, but one beyond the last"
"""Why a row is set aside whose choices were perhaps counted from 1."""


class Choices:
    """The choices of a question with their letters; places of them are counted from `first`.

    `place` is the right one, where a number told it; `beside` are keys of the choices that say neither text nor name.
    """

    place: int | None = None

    def __init__(self, value: Any, first: int = 0) -> None:
        self.first = first
        if isinstance(value, str):
            value = written(value)
        names: list[str] = []
        self.beside: dict[str, Any] = {}
        if isinstance(value, dict) and isinstance(value.get("text"), list):
            names = [str(name) for name in value.get("label") or ()]
            items = value["text"]
            self._see_beside([value])
        elif isinstance(value, dict):
            names, items = [str(key) for key in value], list(value.values())
        elif isinstance(value, list) and all(isinstance(item, dict) and "text" in item for item in value):
            names = [str(item["label"]) for item in value if "label" in item]
            items = [item["text"] for item in value]
            self._see_beside(value)
        elif isinstance(value, list):
            items = value
        else:
            raise BadRow("the choices are no list")
        if not 2 <= len(items) <= MAX_CHOICES:
            raise BadRow(f"not 2 to {MAX_CHOICES} choices")
        self.texts = [text(item, "choice").strip() for item in items]
        marked = [re.match(r"\(?([A-Z])\)[.:]?\s*|([A-Z])[.:]\s+", item) for item in self.texts]
        letters = string.ascii_uppercase[: len(items)]
        if all(m and (m[1] or m[2]) == letter for m, letter in zip(marked, letters, strict=True)):
            self.texts = [item[m.end() :] for m, item in zip(marked, self.texts, strict=True) if m]
        self.names = names if len(set(names)) == len(items) else []
        self.letters = letters

    def _see_beside(self, items: list[dict[str, Any]]) -> None:
        self.beside = {name: item[name] for item in items for name in item if name not in ("text", "label")}

    def lines(self) -> str:
        """One line for each choice."""
        return "\n".join(f"{letter}. {item}" for letter, item in zip(self.letters, self.texts, strict=True))

    def letter(self, answer: Any) -> str:
        """The letter of the right one: by its name, its letter, its place from 0, or its text. Raises BadRow."""
        found = {self.letters[place] for place in self._places(answer)}
        if len(found) > 1:
            raise BadRow("the answer is the place of one choice and the text of another")
        if not found:
            raise BadRow("the answer is none of the choices")
        return found.pop()

    def _places(self, answer: Any) -> set[int]:
        if isinstance(answer, bool) or missing(answer):
            raise BadRow("the answer is none of the choices")
        said = text(answer, "answer").strip()
        if said in self.names:
            return {self.names.index(said)}
        folded = [item.casefold() for item in self.texts]
        places = {place for place, item in enumerate(folded) if item == said.casefold()}
        if len(places) > 1:
            raise BadRow("two choices are the same")
        if places and isinstance(answer, str) and not isinstance(answer, Digits):
            return places
        if re.fullmatch(r"\d+(\.0)?", said) and not self.names:
            place = int(float(said)) - self.first
            if place == len(self.texts) and not places:
                raise BadRow(BEYOND)
            self.place = place
            return places | ({place} if 0 <= place < len(self.texts) else set())
        letter = said.strip("().").upper()
        if not places and len(letter) == 1 and letter in self.letters:
            places = {self.letters.index(letter)}
        return places


def written(value: str) -> Any:
    """Choices that a table holds as text: a JSON or Python list, or parts between bars."""
    import ast

    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(value) if value.lstrip()[:1] in ("[", "{") else value.split("|")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value.split("|")


def strings(value: Any) -> list[Any]:
    """A list, also one that a table holds as JSON; a single value as a list of one."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    return value if isinstance(value, list) else [value]


def printable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as short text, for the record of rejected rows: nothing in it may break the record."""
    return {
        str(key)[:200]: value if isinstance(value, int) else str(value)[:2000].encode("utf-8", "replace").decode()
        for key, value in list(row.items())[:50]
    }
