"""What cleaning knows of all rows before it judges one: who stands in a test split, and which could be duplicates.

    looks = Eye(rules.near, rules.decontaminate).looks(rows)              # here, a batch at a time
    looks = looks_elsewhere(source, rules.near, True, engine)  # the same, in ranges on other machines
    surveyed(looks)

Rows come tests first. What is learned of each lies on disk until it is known what several rows share; of a row that
cannot be a duplicate, two bytes stay in memory. Nothing is judged here: see `curate`.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from synth.curation.leakage import TESTS, Tests
from synth.curation.minhash import Bands, Shared, Sketch, repeated
from synth.curation.runs import read_text
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.example import Example, Split, media_parts, text_of
from synth.ranges import Range, RangeEngine
from synth.storage import atomic_write_bytes
from synth.temporary import temporary

BATCH = 4096
RANGE_BATCHES = 4
ORDER: tuple[Split, ...] = (*TESTS, "val", "train")
"""In which rows are looked at and judged."""


class Look(NamedTuple):
    """Of n rows: (n,) uint8, 1 where one stands in a test split; (n,) uint64, of text and media; (n, bands) uint32."""

    contaminated: Any
    exact: Any
    keys: Any


class Survey(NamedTuple):
    """For each row: is it in a test split; do others have its text; the keys that others have too."""

    contaminated: bytearray
    repeated: Any
    shared: Shared

    def suspected(self, place: int) -> list[int]:
        """The keys by which a row may be a duplicate; none when it cannot be one."""
        return self.shared.at(place) or ([0] if self.repeated[place] else [])


class Eye:
    """Looks at rows, and knows the test rows that it has seen; `near` and `decontaminate` as in `curate.Rules`."""

    def __init__(self, near: float, decontaminate: bool) -> None:
        self._sketch = Sketch(near) if near < 1 else None
        self._tests = Tests() if decontaminate else None

    def learn_tests(self, rows: Sequence[Example]) -> None:
        """Know these test rows."""
        if self._tests:
            self._tests.take(rows, [read_text(text_of(row)) for row in rows])

    def looks(self, rows: Iterable[Example]) -> Iterator[Look]:
        """What there is to know of rows, a batch at a time. Test rows become known."""
        waiting = iter(rows)
        while batch := list(islice(waiting, BATCH)):
            yield self._look(batch)

    def _look(self, batch: Sequence[Example]) -> Look:
        import numpy as np

        texts = [read_text(text_of(row)) for row in batch]
        hashes = [
            blake2b("\0".join((" ".join(text.text.split()), *media_of(row))).encode("utf-8", "replace"), digest_size=8)
            for row, text in zip(batch, texts, strict=True)
        ]
        keys = self._sketch.keys(texts) if self._sketch else np.empty((len(batch), 0), np.uint32)
        keys[[place for place, row in enumerate(batch) if media_parts(row)]] = 0
        found = self._tests.take(batch, texts) if self._tests else bytes(len(batch))
        exact = np.frombuffer(b"".join(one.digest() for one in hashes), np.uint64)
        return Look(np.frombuffer(found, np.uint8), exact, keys)


def surveyed(looks: Iterable[Look]) -> Survey:
    """What several looks say together, in their order."""
    import numpy as np

    contaminated, bands = bytearray(), Bands(0)
    with contextlib.ExitStack() as open_files:
        exact = open_files.enter_context(tempfile.TemporaryFile())
        for number, look in enumerate(looks):
            if number == 0:
                bands = open_files.enter_context(contextlib.closing(Bands(look.keys.shape[1])))
            contaminated += look.contaminated.tobytes()
            exact.write(look.exact.tobytes())
            bands.take(look.keys)
        exact.seek(0)
        return Survey(contaminated, repeated(np.fromfile(exact, np.uint64)), bands.shared())


def media_of(row: Example) -> tuple[str, ...]:
    """The hashes of a row's pictures and recordings."""
    return tuple(part.sha256 for part in media_parts(row))


def looks_elsewhere(
    source: DatasetDir,
    near: float,
    decontaminate: bool,
    engine: RangeEngine,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Look]:
    """The looks at all rows of a dataset, made by an engine in a folder beside it.

    Raises DataError as `DatasetDir.examples`, RunError as `RangeEngine.each`, and StorageError.
    """
    import numpy as np

    folder = temporary(source.path)
    work = functools.partial(look_range, source.path, near, decontaminate)
    try:
        with contextlib.closing(engine.each(work, _ranges(source, folder), stop)) as done:  # type: ignore[type-var]
            for one in done:
                table = np.fromfile(one.file, _columns(near))
                yield Look(table["contaminated"], table["exact"], table["keys"])
                one.file.unlink()
    except RunError as error:
        if error.code != "run.stopped":
            raise
        raise RunError("It was stopped; nothing was kept.", "Start it again.", "run.stopped") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def look_range(source: Path, near: float, decontaminate: bool, one: Range) -> None:
    """Look at the rows of a range, which says of which split, from which line and byte of its file."""
    import numpy as np

    split, line, offset = one.rows
    eye = _eye(source, near, decontaminate, one.file.parent)
    looks = list(eye.looks(DatasetDir(source).rows_from(split, line, offset, one.end - one.first)))
    table = np.empty(one.end - one.first, _columns(near))
    for name in Look._fields:
        table[name] = np.concatenate([getattr(look, name) for look in looks])
    atomic_write_bytes(one.file, table.tobytes())


def _columns(near: float) -> Any:
    """Of the table of a range."""
    import numpy as np

    bands = Sketch(near).bands if near < 1 else 0
    return np.dtype([("contaminated", "u1"), ("exact", "u8"), ("keys", "u4", (bands,))])


@functools.lru_cache(maxsize=1)
def _eye(source: Path, near: float, decontaminate: bool, asked: Path) -> Eye:
    """Of this process, for its next range of the same work (`asked`)."""
    eye, dataset = Eye(near, decontaminate), DatasetDir(source)
    for split in TESTS if decontaminate else ():
        eye.learn_tests(list(dataset.examples(split)))
    return eye


def _ranges(source: DatasetDir, folder: Path) -> Iterator[Range]:
    """Rows of one split each, in order."""
    first = 0
    for split in ORDER:
        for line, offset, count in source.parts(split, BATCH * RANGE_BATCHES):
            file = folder / f"{first:08d}-{first + count:08d}.rows"
            yield Range(file, first, first + count, (split, line, offset))
            first += count
