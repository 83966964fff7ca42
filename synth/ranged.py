"""Generation in ranges: units of a generator are made by an engine, and taken in their order as if made here.

    <workspace>/cache/generation/<name>/<settings>/<split>/  <first>-<end>.jsonl  <first>-<end>.media

The pictures and recordings of a range lie in one file, one after another: to have a file on disk for sure takes as long
for one picture as for a thousand. The caller runs the generator's own loop, which says how many units it takes; so the
rows, and what is rejected, are those of one process. Ranges that are done outlive a kill, and go when the dataset is
there. What a generator offers, and whether its rows can be made apart, is `synth.generators`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from synth.context import Context
from synth.dataset import MEDIA
from synth.errors import StorageError
from synth.example import Example, Split
from synth.generators import Candidate, generator, parse_spec
from synth.ranges import Range, RangeEngine, cut
from synth.scoring.verify import Verdict
from synth.storage import (
    JsonDict,
    atomic_file,
    atomic_write_bytes,
    read_jsonl,
    sha256_bytes,
    sha256_file,
    storage_faults,
)

UNITS = 200
"""Of a range: seconds of work, so that a lost one costs little and asking for it even less."""
MARGIN = 1.05
"""Units asked for at once, over what the share of rejected rows so far makes likely."""


class Medium(NamedTuple):
    """A picture or recording by its reference: where it begins among those of its range, and how many bytes it has."""

    name: str
    start: int
    size: int


class Unit(NamedTuple):
    """The candidates of a unit, all media that it made and the file that has them, and how long it took."""

    candidates: list[Candidate]
    media: list[Medium]
    file: Path
    seconds: float


def make_range(key: str, settings: JsonDict, split: Split, one: Range) -> None:
    """Make the units of a range, check their rows, and write them down."""
    info, lines = generator(key), list[str]()
    media: list[Medium] = []
    with atomic_file(_media_of(one)) as written:

        def add_media(data: bytes, suffix: str) -> str:
            name = f"{MEDIA}/{sha256_bytes(data)}{suffix}"
            media.append(Medium(name, written.tell(), len(data)))
            written.write(data)
            return name

        spec, context, start = parse_spec(info, settings), Context(add_media), time.monotonic()
        for candidates in info.made_apart(spec, context, split, range(one.first, one.end)):
            now = time.monotonic()
            rows = [_record(found) for found in candidates]
            lines.append(json.dumps({"rows": rows, "media": media, "seconds": now - start}, ensure_ascii=False))
            media.clear()
            start = now
    atomic_write_bytes(one.file, "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))


def _media_of(one: Range) -> Path:
    return one.file.with_suffix(".media")


def _record(candidate: Candidate) -> JsonDict:
    example = candidate.example.model_dump(mode="json") if candidate.example else None
    return {"example": example, "row": candidate.row, "reason": candidate.reason, "verdict": candidate.verdict}


def read_range(one: Range) -> list[Unit]:
    """The units of a finished range. Raises StorageError for a file that does not hold them all."""
    found = []
    for line in read_jsonl(one.file):
        with contextlib.suppress(LookupError, TypeError, ValueError):  # a line that somebody changed
            row = line.value or {}
            media = [Medium(*made) for made in row["media"]]
            found.append(Unit([_candidate(made) for made in row["rows"]], media, _media_of(one), row["seconds"]))
    if len(found) != one.end - one.first:
        raise StorageError(
            f"{one.file} holds {len(found)} of {one.end - one.first} units.", "Delete it, and start again.", "data.torn"
        )
    return found


def _candidate(row: JsonDict) -> Candidate:
    example = None if row["example"] is None else Example.model_validate(row["example"])
    verdict = None if row["verdict"] is None else Verdict(*row["verdict"])
    return Candidate(example, row["row"], row["reason"], verdict)


class MadeElsewhere:
    """Units of one dataset, asked of an engine as they are needed. `seconds`: of all machines, for what was taken."""

    def __init__(
        self, key: str, spec: BaseModel, folder: Path, engine: RangeEngine, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._key, self._settings = key, spec.model_dump(mode="json")
        info = generator(key)
        with info.units(spec, Context(lambda data, suffix: "")) as units:  # refused before anything is begun
            self._most = units.most
        files = [sha256_file(Path(v)) for v in self._settings.values() if isinstance(v, str) and Path(v).is_file()]
        files += [one.sha256 for one in info.made_of(spec)]
        named = json.dumps([key, info.version(), self._settings, files], sort_keys=True)
        self._folder = folder / sha256_bytes(named.encode())[:16]
        self._engine, self._stop = engine, stop
        self.seconds = 0.0
        self._split: Split | None = None
        self._asked = self._taken = self._first_room = 0  # units of the split; room for rows when it began
        self._waiting: Iterator[Unit] = iter(())
        self._add_media: Callable[[bytes, str], str] = lambda data, suffix: ""

    def given_to(self, context: Context) -> Context:
        """The context of a generator that takes its units from here; media go where the context puts them."""
        self._add_media = context.add_media
        return dataclasses.replace(context, made=self.of)

    def of(self, split: Split, number: int, room: int) -> list[Candidate]:
        """The candidates of a unit, as `Units.of`; numbers of a split come one after another."""
        if split != self._split:
            self._split, self._asked, self._taken, self._first_room = split, 0, 0, room
            self._waiting = iter(())
        unit = next(self._waiting, None)
        if unit is None:
            self._waiting = self._ask(split, room)
            unit = next(self._waiting)
        self._taken += 1
        self.seconds += unit.seconds
        self._take(unit)
        return unit.candidates

    def _take(self, unit: Unit) -> None:
        """Put the media of a unit where they belong. Raises StorageError where they are not what was made."""
        if not unit.media:
            return
        torn = StorageError(
            f"{unit.file} does not hold what was made.", f"Delete {unit.file.parent}, and start again.", "data.torn"
        )
        if not unit.file.is_file():
            raise torn
        with storage_faults(unit.file), unit.file.open("rb") as file:
            for name, start, size in unit.media:
                file.seek(start)
                if self._add_media(file.read(size), Path(name).suffix) != name:
                    raise torn

    def _ask(self, split: Split, room: int) -> Iterator[Unit]:
        """Units for the room that is left, as many as those so far make likely."""
        so_far = self._first_room - room
        count = math.ceil(room * self._taken / so_far * MARGIN) if so_far else math.ceil(room / self._most)
        first, self._asked = self._asked, self._asked + count
        work = functools.partial(make_range, self._key, self._settings, split)
        ranges = cut(self._folder / split, first, self._asked, UNITS)
        with contextlib.closing(self._engine.each(work, ranges, self._stop)) as done:  # type: ignore[type-var]
            for one in done:
                yield from read_range(one)
