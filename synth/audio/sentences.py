"""Users' (or a teacher's) own sentences as utterances: a text file with one sentence per line, in written form.

A `.jsonl` file is a split of a dataset, such as the pipeline `sentences-to-speak` makes: its targets are said.

`say` makes the spoken form: numbers, prices, percentages, units, codes. Where that is not how the words should be
said, a line may give both, separated by a tab: written, then spoken. No grammar is involved.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from synth.audio import forms
from synth.audio.grammar import Entity, Utterance
from synth.errors import DataError
from synth.storage import read_jsonl

FAMILY = "own_sentences"
SAID_AS_GIVEN = "own, with its spoken form"
"""The pattern of a sentence whose spoken form the user gave: how its words are said is the user's to know."""
LONGEST = 300  # characters: about 20 s of speech
_TOKEN = re.compile(
    r"\$(?P<dollars>\d+)(?:\.(?P<cents>\d\d))?\b"
    r"|(?P<code>\b(?=[A-Z\d-]*\d)(?=[A-Z\d-]*[A-Z])[A-Z\d]+(?:-[A-Z\d]+)*\b)"
    r"|(?P<number>\d+(?:,\d{3})*)(?:\.(?P<tenths>\d+))?(?:\s?(?P<unit>mg|mcg|ml|kg|cm|mm|m|kV|bar|L)\b|(?P<mark>%|°C))?"
)


def say(written: str) -> str:
    """The spoken form of a written sentence: "Give 12.5 mg to KT-4" → "give twelve point five milligrams to kay tee
    four".
    """
    words = _TOKEN.sub(lambda match: f" {_spoken(match)} ", written).lower().replace("-", " ")
    return re.sub(r"\s+(?=[.,;:?!]|$)", "", " ".join(words.split()))


def _spoken(match: re.Match[str]) -> str:
    part = match.groupdict()
    if part["dollars"]:
        cents = f" and {forms.cardinal(int(part['cents']))} cents" if part["cents"] and int(part["cents"]) else ""
        return f"{forms.cardinal(int(part['dollars']))} dollars{cents}"
    if part["code"]:
        return forms.spell(part["code"])
    digits = part["number"].replace(",", "")
    # Long or zero-led digits are numbers of things (accounts, telephones), said one by one.
    number = forms.digits(digits) if len(digits) > 5 or (digits[0] == "0" and len(digits) > 1) else ""
    said = number or forms.cardinal(int(digits))
    tail = f" point {forms.digits(part['tenths'])}" if part["tenths"] else ""
    unit = part["unit"] or part["mark"]
    return f"{said}{tail}{' ' + forms.UNITS[unit] if unit else ''}"


def _rows(file: Path) -> list[dict[str, Any]]:
    return [line.value for line in read_jsonl(file) if isinstance(line.value, dict)]


@lru_cache(maxsize=4)
def read_sentences(path: str) -> tuple[Utterance, ...]:
    """The file's sentences, each once, in order; empty lines are skipped.

    Raises DataError: no such file, no text, no sentence, or a line that is longer than LONGEST characters.
    """
    file = Path(path).expanduser()
    try:
        if file.suffix == ".jsonl":
            lines = [" ".join(str(row.get("target", "")).split()) for row in _rows(file)]
        else:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} cannot be read as text.", "Give a UTF-8 file with one sentence per line.") from fault
    found: dict[str, Utterance] = {}
    for number, line in enumerate(lines, start=1):
        written, _, spoken = (part.strip() for part in line.partition("\t"))
        if len(line) > LONGEST:
            raise DataError(f"{path} line {number} has {len(line)} characters.", f"Keep lines to {LONGEST} or fewer.")
        if written:
            entities = tuple(Entity("number", match.group(0)) for match in _TOKEN.finditer(written))
            pattern = SAID_AS_GIVEN if spoken else "own"
            found.setdefault(written, Utterance(spoken or say(written), written, entities, FAMILY, pattern))
    if not found:
        raise DataError(f"{path} holds no sentence.", "Write one sentence per line.")
    return tuple(found.values())
