"""From a generator and its spec to a dataset folder, streaming.

The folder appears under its name only when complete, and only rows that their generator's checks confirm are in it.
Generators are deterministic, so work that was stopped is made again from its spec; what cost money is kept in the
workspace's cache until then. Nothing half-made is ever left under the final name.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import shutil
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from synth.context import Context, Ledger
from synth.curation import leakage
from synth.dataset import MADE_OF, MEDIA, Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import GENERATED_SPLITS, Example
from synth.generators import Candidate, GeneratorInfo, Ingredient, generator, parse_spec
from synth.media import AddMedia
from synth.progress import Meter, ProgressFn, silent
from synth.ranged import MadeElsewhere
from synth.storage import atomic_dir, sha256_bytes
from synth.workspace import Workspace

if TYPE_CHECKING:
    from pydantic import BaseModel

    from synth.endpoint import Endpoint
    from synth.ranges import RangeEngine

LONGEST_NAME = 80
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")


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
    candidates = info.candidates(parse_spec(info, settings), Context(add_media))
    kept = (c.example for c in candidates if c.example is not None and not c.reason)
    return list(islice(kept, rows))


def build_dataset(
    key: str,
    settings: dict[str, Any],
    name: str,
    workspace: Workspace,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
    endpoints: Mapping[str, Endpoint] | None = None,
    engine: RangeEngine | None = None,
) -> DatasetDir:
    """Generate a dataset and return it.

    Args:
        key: a key of `generators.GENERATORS`.
        settings: the values of the generator's Spec; faults are reported together.
        stop: asked between rows; when True, RunError is raised and nothing is left but what was paid for.
        endpoints: models that the generator may ask, by the names that its settings use.
        engine: who makes ranges of rows, on other machines for example; the dataset is the same as without it.

    Raises:
        RecipeError: unknown generator or faulty settings, or one whose rows cannot be made in ranges.
        StorageError: the name is taken, or the disk refuses.
        DataError: files that the settings name cannot be used, or changed meanwhile.
    """
    info = generator(key)
    start, spec = time.monotonic(), parse_spec(info, settings)
    values, ingredients = spec.model_dump(), info.made_of(spec)
    target = workspace.datasets / check_name(name)
    made = workspace.path / "cache" / "generation"
    ledger = Ledger(made / f"{name}.jsonl")
    elsewhere = MadeElsewhere(key, spec, made / name, engine, stop) if engine else None
    with contextlib.closing(ledger), atomic_dir(target) as folder:
        writer = DatasetWriter(folder)
        meter = Meter(f"generate {name}", _rows_asked(values), "rows", on_progress)
        context = Context(writer.add_media, stop=stop, ledger=ledger, endpoints=endpoints or {})
        context = elsewhere.given_to(context) if elsewhere else context
        for candidate in info.candidates(spec, context):
            if stop():
                raise _stopped(ledger)
            _write(candidate, writer, meter)
        _refuse_changed(info, spec, ingredients)
        writer.finish(
            Card(
                name=name,
                modality=info.modality,
                generator=key,
                generator_version=info.version(),
                spec=values,
                task=info.task(),
                created=now_utc(),
                seconds=round(max(time.monotonic() - start, elsewhere.seconds if elsewhere else 0.0), 3),
                usd=ledger.usd,
                notes={MADE_OF: [ingredient._asdict() for ingredient in ingredients]} if ingredients else {},
            )
        )
        leakage.record(folder)
    ledger.close(forget=True)
    shutil.rmtree(made / name, ignore_errors=True)
    return DatasetDir(target)


def _write(candidate: Candidate, writer: DatasetWriter, meter: Meter) -> None:
    if candidate.example is not None and not candidate.reason:
        writer.keep(candidate.example)
        meter.update(sum(writer.counts.values()), f"{sum(writer.reasons.values())} rejected")
    else:
        writer.reject(candidate.example or candidate.row, candidate.reason or "no example")


def _refuse_changed(info: GeneratorInfo, spec: BaseModel, ingredients: tuple[Ingredient, ...]) -> None:
    if info.made_of(spec) != ingredients:
        raise DataError(
            "Files that rows were made of changed meanwhile; nothing was kept.",
            "Start again, and leave them alone.",
            "data.changed",
        )


def _rows_asked(values: Mapping[str, Any]) -> int:
    return sum(int(values.get(split, 0)) for split in GENERATED_SPLITS)


def _stopped(ledger: Ledger) -> RunError:
    if not ledger:
        return RunError(
            "Generation was stopped; nothing was kept.", "Start it again with the same settings.", "run.stopped"
        )
    cost = "" if ledger.usd is None else f" (${ledger.usd:.2f})"
    return RunError(
        f"Generation was stopped; the {len(ledger)} results that were paid for{cost} are kept.",
        "Start it again under the same name: they are not paid for again.",
        "run.stopped",
    )
