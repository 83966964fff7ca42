"""Curves and last figures of runs, read from their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from recipes.run import Run
from studio.terminal import duration

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1500


@st.cache_data(max_entries=64, show_spinner=False)
def _steps(path: str, size: int) -> list[dict[str, Any]]:
    """Step and validation events of a run; `size` of its event file is part of the cache's key."""
    from pathlib import Path

    run = Run(Path(path))
    validated = [{"step": e["step"], "eval_loss": e["loss"], "at": e["at"]} for e in run.events("eval")]
    return [*run.events("step"), *validated]


def steps(run: Run) -> list[dict[str, Any]]:
    """Step events of a run, thinned to what a screen can show."""
    file = run.path / "events.jsonl"
    found = _steps(str(run.path), file.stat().st_size) if file.is_file() else []
    stride = max(1, len(found) // MAX_POINTS)
    return found[::stride]


def curve_frame(runs: list[Run], key: str) -> pd.DataFrame:
    """One column per run, indexed by step; empty when no run has that figure."""
    import pandas as pd

    series = {
        run.id: pd.Series({e["step"]: e[key] for e in steps(run) if e.get(key) is not None}, dtype=float)
        for run in runs
    }
    return pd.DataFrame({name: s for name, s in series.items() if not s.empty})


def last_figures(run: Run) -> list[tuple[str, str]]:
    """(label, value) of a run's latest step."""
    found = [e for e in steps(run) if "loss" in e]
    if not found:
        return []
    last, figures = found[-1], [("Step", str(found[-1].get("step", "")))]
    for key, label, form in (
        ("loss", "Loss", "{:.3f}"),
        ("tokens_per_s", "Tokens/s", "{:,.0f}"),
        ("rewards/margins", "Reward margin", "{:.3f}"),
        ("memory_mb", "Memory", "{:,.0f} MiB"),
    ):
        if isinstance(last.get(key), int | float):
            figures.append((label, form.format(last[key])))
    figures.append(("Time", duration(last["at"] - found[0]["at"])))
    return figures
