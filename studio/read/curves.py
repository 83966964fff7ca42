"""A run's events as pages show them: curves, last figures, phases, answers. Of a growing file only the new is read."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.run.directory import Run
from studio.cli.terminal import duration
from studio.engines.jobs import read_new
from synth.jobdir import EVENTS
from synth.storage import JsonDict

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1500
CURVES = {
    "loss": "Loss",
    "eval_loss": "Validation loss",
    "score": "Task's metric on validation rows",
    "learning_rate": "Learning rate",
    "tokens_per_s": "Tokens per second",
    "memory_mb": "Memory (MiB)",
    "rewards/margins": "Reward margin",
    "rewards/accuracies": "Share of pairs in the right order",
    "rewards/chosen": "Reward of the chosen answer",
    "rewards/rejected": "Reward of the rejected answer",
}


FIRST_PHASE = "loading"
NUMBER = (int, float)
SHOWN: dict[str, dict[str, tuple[type, ...]]] = {
    "step": {"step": (int,), "total_steps": (int,), "seconds": NUMBER},
    "eval": {"step": (int,)},
    "score": {"step": (int,), "value": NUMBER, "final": (bool,)},
    "phase": {"name": (str,)},
    "warning": {"sentence": (str,)},
    "samples": {"step": (int,), "rows": (list,)},
    "progress": {"done": NUMBER, "total": (int, float, type(None)), "phase": (str,), "unit": (str,), "seconds": NUMBER},
}
"""What pages show of each kind of event. A line that lacks it, because somebody wrote it, is left out."""


class Phase(NamedTuple):
    """A named part of a run, and how many seconds it has taken."""

    name: str
    seconds: float


class _Log:
    """The events of one file so far; safe to read from several sessions at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._events: list[JsonDict] = []
        self._offset = 0

    def read(self) -> list[JsonDict]:
        with self._lock:
            new, self._offset = read_new(self._file, self._offset)
            self._events.extend(event for event in new if _is_whole(event))
            return list(self._events)


def _is_whole(event: JsonDict) -> bool:
    known = SHOWN.get(str(event.get("kind")), {})
    fits = all(isinstance(event.get(key), kinds) for key, kinds in {**known, "kind": (str,), "at": NUMBER}.items())
    return fits and all(abs(value) < 1e300 for value in event.values() if isinstance(value, NUMBER))


@functools.lru_cache(maxsize=64)
def _log(file: Path, inode: int) -> _Log:
    return _Log(file)


def events(run: Run) -> list[JsonDict]:
    """All events of a run, oldest first."""
    file = run.path / EVENTS
    return _log(file, file.stat().st_ino).read() if file.is_file() else []


def curve_frame(runs: Sequence[Run], key: str) -> pd.DataFrame:
    """One column per run, indexed by step, thinned to what a screen can show; empty when no run has that figure."""
    import pandas as pd

    columns = {run.id: frame[key].dropna() for run in runs if key in (frame := _frame(run))}
    return pd.DataFrame({name: _thinned(column) for name, column in columns.items() if not column.empty})


def _thinned(column: pd.Series) -> pd.Series:
    stride = max(1, len(column) // MAX_POINTS)
    return column.iloc[::stride]


def _frame(run: Run) -> pd.DataFrame:
    import pandas as pd

    file = run.path / EVENTS
    state = file.stat() if file.is_file() else None
    return _figures(run.path, state.st_ino, state.st_size) if state else pd.DataFrame()


@functools.lru_cache(maxsize=64)
def _figures(path: Path, inode: int, size: int) -> pd.DataFrame:
    """Every figure by step; of the last session where a step was done twice."""
    import pandas as pd

    rows: dict[int, JsonDict] = {}
    for event in events(Run(path)):
        if event["kind"] == "step":
            known = {key: event[key] for key in CURVES if isinstance(event.get(key), NUMBER)}
            rows.setdefault(event["step"], {}).update(known)
        elif event["kind"] == "eval" and isinstance(event.get("loss"), NUMBER):
            rows.setdefault(event["step"], {})["eval_loss"] = event["loss"]
        elif event["kind"] == "score" and not event["final"]:
            rows.setdefault(event["step"], {})["score"] = event["value"]
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float).sort_index()


def last_figures(run: Run) -> list[tuple[str, str]]:
    """(label, value) of a run's latest step."""
    last = next((event for event in reversed(events(run)) if event["kind"] == "step"), None)
    if last is None:
        return []
    figures = [("Step", f"{last['step']:,} of {last['total_steps']:,}")]
    for key, label, form in (
        ("loss", "Loss", "{:.3f}"),
        ("tokens_per_s", "Tokens/s", "{:,.0f}"),
        ("rewards/margins", "Reward margin", "{:.3f}"),
        ("memory_mb", "Memory", "{:,.0f} MiB"),
    ):
        if isinstance(last.get(key), int | float):
            figures.append((label, form.format(last[key])))
    figures.append(("Time", duration(last["seconds"])))
    return figures


class Rank(NamedTuple):
    """One of several processes that trained a run: where, on what, and what it had in memory (MiB, None = unknown)."""

    machine: str
    device: str
    memory_mb: int | None


def ranks(run: Run) -> list[Rank]:
    """The processes of the last session, in order; none where there was one alone."""
    recorded = events(run)
    begun = next((event for event in reversed(recorded) if event["kind"] == "ranks"), None)
    if begun is None:
        return []
    last = next((event for event in reversed(recorded) if event["kind"] == "step"), {})
    memory = [*last.get("rank_memory_mb", ()), *[None] * len(begun["machines"])]
    return [Rank(*one) for one in zip(begun["machines"], begun["devices"], memory, strict=False)]


def phases(run: Run, now: float | None = None) -> list[Phase]:
    """The phases of the last session, in order; with `now` (s since the epoch) the last one goes on."""
    recorded = events(run)
    begun = [(event["name"], event["at"]) for event in recorded if event["kind"] == "phase"]
    first = max((place for place, (name, _) in enumerate(begun) if name == FIRST_PHASE), default=0)
    begun = begun[first:]
    ends = [at for _, at in begun[1:]] + [recorded[-1]["at"] if now is None else now] if begun else []
    return [Phase(name, max(0.0, end - at)) for (name, at), end in zip(begun, ends, strict=True)]


def answers(run: Run) -> dict[int, list[JsonDict]]:
    """Answers to validation rows during training, by step; the rows are those of `recipes.train.samples`."""
    return {event["step"]: event["rows"] for event in events(run) if event["kind"] == "samples"}
