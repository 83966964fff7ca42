"""Rows that somebody pasted: JSON lines, a table with a header, or lines of "text → answer", told by their looks.

Knows no columns: those of JSON lines and tables are mapped by the importer.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from synth.errors import DataError

ARROWS = re.compile(r"\s*(?:→|=>|->)\s*")
COUNTED = re.compile(r"\s*\(?(\d+)[.):]\s+")
"""The number of a numbered list."""
TABLES = (
    ("\t", ".tsv", "a table with tabs"),
    (";", ".csv", "a table with semicolons"),
    (",", ".csv", "a table with commas"),
)


class Pasted(NamedTuple):
    """What to write into a file, its ending, and in words what was found."""

    text: str
    suffix: str
    found: str


def read_pasted(text: str) -> Pasted:
    """The rows as a file that the importer reads. Raises DataError when no row can be seen in the text."""
    text = text.removeprefix("\ufeff")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError("There is no row in the text.", "Paste one row a line.", "data.no_rows")
    if lines[0].lstrip().startswith("{"):
        return Pasted("\n".join(lines) + "\n", ".jsonl", "JSON lines")
    if sum(bool(ARROWS.search(line)) for line in lines) > len(lines) / 2:
        pairs = "".join(_pair(line, number) for number, line in enumerate(_unnumbered(lines), 1))
        return Pasted(pairs, ".jsonl", "text → answer")
    for mark, suffix, what in TABLES:
        if len(lines) > 1 and mark in lines[0]:
            return Pasted(text.strip() + "\n", suffix, f"{what}, its first line being the header")
    raise DataError(
        "The text is neither JSON lines nor a table with a header nor lines of “text → answer”.",
        "Put an arrow (→ or ->) between each text and its answer.",
        "data.pasted",
    )


def _unnumbered(lines: list[str]) -> list[str]:
    """Lines without their numbers, where they are a numbered list: 1, 2, 3 … on every line."""
    numbers = [int(found[1]) for line in lines if (found := COUNTED.match(line))]
    if len(lines) < 2 or not numbers or numbers != list(range(numbers[0], numbers[0] + len(lines))):
        return lines
    return [COUNTED.sub("", line, count=1) for line in lines]


def _pair(line: str, number: int) -> str:
    """The last arrow parts text and answer: texts may hold arrows of their own."""
    found = list(ARROWS.finditer(line))
    if not found or not line[: found[-1].start()].strip() or not line[found[-1].end() :].strip():
        raise DataError(f"Line {number} has no text, arrow and answer: {line[:60]!r}.", "Write it as: text → answer.")
    return row(line[: found[-1].start()].strip(), line[found[-1].end() :].strip())


def row(question: str, answer: str) -> str:
    """A JSON line of one row."""
    return json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n"
