"""From a generator and its spec to a dataset folder, streaming.

The folder appears under its name only when complete. Generators are deterministic, so work that was stopped is made
again from its spec; nothing half-made is ever left under the final name.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from synth.curation import leakage
from synth.dataset import MEDIA, Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example
from synth.generators import AddMedia, generator, parse_spec
from synth.progress import Meter, ProgressFn, silent
from synth.storage import atomic_dir, sha256_bytes
from synth.workspace import Workspace

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def check_name(name: str) -> str:
    """A dataset, run or comparison name that is safe as a folder name. Raises DataError."""
    if not _NAME.fullmatch(name):
        raise DataError(
            f"'{name[:80]}' cannot be a name.",
            "Use letters, digits, '.', '_' and '-', at most 80 characters.",
        )
    return name


def _forget(data: bytes, suffix: str) -> str:
    return f"{MEDIA}/{sha256_bytes(data)}{suffix}"


def now_utc() -> str:
    """The time as ISO 8601, to the second, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def preview_rows(key: str, settings: dict[str, Any], rows: int, add_media: AddMedia = _forget) -> list[Example]:
    """The first `rows` rows that `build_dataset` would keep, without writing a dataset.

    `add_media` receives the bytes of pictures and recordings, for those who want to show them.
    """
    info = generator(key)
    candidates = info.generate(parse_spec(info, settings), add_media)
    kept = (c.example for c in candidates if c.example is not None and not c.reason)
    return list(islice(kept, rows))


def build_dataset(
    key: str,
    settings: dict[str, Any],
    name: str,
    workspace: Workspace,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
) -> DatasetDir:
    """Generate a dataset and return it.

    Args:
        key: a key of `generators.GENERATORS`.
        settings: the values of the generator's Spec; faults are reported together.
        stop: asked between rows; when it answers True nothing is left and RunError is raised.

    Raises:
        RecipeError: unknown generator or faulty settings.
        StorageError: the name is taken, or the disk refuses.
    """
    info = generator(key)
    spec = parse_spec(info, settings)
    values = spec.model_dump()
    total = sum(int(values.get(split, 0)) for split in ("train", "val", "test", "test_ood"))
    start = time.monotonic()
    target = workspace.datasets / check_name(name)
    with atomic_dir(target) as folder:
        writer = DatasetWriter(folder)
        meter = Meter(f"generate {name}", total, "rows", on_progress)
        for candidate in info.generate(spec, writer.add_media):
            if stop():
                raise RunError(
                    "Generation was stopped; nothing was kept.",
                    "Start it again with the same settings.",
                    "run.stopped",
                )
            if candidate.example is not None and not candidate.reason:
                writer.keep(candidate.example)
                meter.update(sum(writer.counts.values()), f"{sum(writer.reasons.values())} rejected")
            else:
                writer.reject(candidate.example or candidate.row, candidate.reason or "no example")
        writer.finish(
            Card(
                name=name,
                modality=info.modality,
                generator=key,
                generator_version=info.version(),
                spec=values,
                created=now_utc(),
                seconds=round(time.monotonic() - start, 3),
            )
        )
        leakage.record(folder)
    return DatasetDir(target)
