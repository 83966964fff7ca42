"""Runs: queue and history with filters; the chosen run, polled while it goes on; others laid over it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from recipes.run.directory import Run
from studio.cli.terminal import duration
from studio.read.history import RunFacts, history, matching, tags_of
from studio.views import run_sweeps
from studio.views.run_detail import detail, notes
from studio.widgets import address, manage, ui

PAGE = {"title": "Runs", "icon": ":material/monitoring:", "order": 40}

MOST_OVERLAID = 7
ROW_PX, HEAD_PX, MOST_ROWS, FEW_ROWS = 35, 38, 7, 3


def page() -> None:
    """The whole page."""
    runs = history(ui.workspace())
    manage.undo("runs")
    if not runs:
        ui.empty(
            "No run yet", "A run is one training. Start one on the **Train** page; it goes on when this page is closed."
        )
        st.page_link("views/train.py", label="Train a model", icon=":material/model_training:")
        manage.bin_of("runs")
        return
    found = _filtered(runs)
    wanted = ui.param("run")
    ids = [run.id for run in runs]
    if wanted and wanted not in ids:
        ui.show_error(f"There is no run '{wanted}' in this workspace.", "Choose another one below.")
    _table(found, FEW_ROWS if wanted in ids else MOST_ROWS)  # the buttons of a chosen run stay above the fold
    run_sweeps.show()
    if any(run.status in ui.ACTIVE for run in runs):
        _watch({run.id: run.status for run in runs})
    listed, shown = [run.id for run in found], manage.all_shown("runs")
    if wanted in ids and wanted not in listed:
        listed.insert(0, wanted)
    if listed:
        left, right = st.columns([2, 3])
        with left:
            chosen = address.menu("Run", listed, "run", show=shown)
        with right:
            rest = [i for i in listed if i != chosen]
            others = address.several("Show with the curves of", rest, "over", MOST_OVERLAID, shown) if rest else []
        _show(Run(ui.workspace().runs / chosen), others, tags_of(runs))
    manage.bin_of("runs")


@st.fragment(run_every=3.0)
def _watch(seen: dict[str, str]) -> None:
    """The list again once a run came, began or ended."""
    if {run.id: run.status for run in history(ui.workspace())} != seen:
        st.rerun()


def _filtered(runs: list[RunFacts]) -> list[RunFacts]:
    """The runs that the filters in the address leave."""
    first, second, third = st.columns([3, 1, 1])
    with first:
        words = address.text("Search", "find", placeholder="id, note, tag, dataset, base model")
    with second:
        status = address.menu("Status", ["", *ui.STATUS_ICON], "status", show=lambda s: s or "any")
    with third:
        tag = address.menu("Tag", ["", *tags_of(runs)], "tag", show=lambda t: t or "any")
    found = matching(runs, words, status, tag, manage.all_shown("runs"))
    waiting = sum(run.status == "queued" for run in runs)
    going = next((run.id for run in runs if run.status == "running"), None)
    queue = f" · {ui.inert(going)} is training" if going else ""
    queue += f" · {waiting} waiting, one training at a time" if waiting else ""
    st.caption(f"{len(found):,} of {len(runs):,} runs{queue}")
    return found


def _table(runs: list[RunFacts], most_rows: int) -> None:
    """The runs as a table that shows so many at once; a click on a row opens it."""
    import pandas as pd

    if not runs:
        ui.empty("No run fits", "Widen the search, or choose **any** status and tag.")
        return
    shown = manage.all_shown("runs")
    frame = pd.DataFrame(
        {
            "Run": [shown(run.id) for run in runs],
            "Status": [run.status for run in runs],
            "Dataset": [run.recipe.data.dataset for run in runs],
            "Method": [run.recipe.method for run in runs],
            "Base": [run.recipe.base_model for run in runs],
            "Loss": pd.Series([run.ended.loss if run.ended else None for run in runs], dtype=float),
            "Took": [_took(run) for run in runs],
            "Tags": [list(run.notes.tags) for run in runs],
            "Note": [run.notes.note.partition("\n")[0][:80] for run in runs],
            "Changed": pd.to_datetime([run.changed for run in runs], unit="s"),
        }
    )
    columns = {
        "Loss": st.column_config.NumberColumn(format="%.3f"),
        "Tags": st.column_config.ListColumn(),
        "Changed": st.column_config.DatetimeColumn(format="distance"),
    }

    def open_row() -> None:
        selection: Any = st.session_state["runs.table"]
        if rows := selection["selection"]["rows"]:
            ui.set_params(run=runs[rows[0]].id)

    st.dataframe(
        frame,
        hide_index=True,
        height=HEAD_PX + ROW_PX * min(len(runs), most_rows),
        column_config=columns,
        placeholder="",
        selection_mode="single-row",
        on_select=open_row,
        key="runs.table",
    )


def _took(run: RunFacts) -> str:
    seconds = run.ended.seconds if run.ended else None
    return "" if seconds is None else duration(seconds)


def _show(run: Run, others: list[str], tags: list[str]) -> None:
    overlaid = [Run(ui.workspace().runs / name) for name in others]
    if run.status() in ui.ACTIVE:
        _live(run.id, overlaid)
    else:
        detail(run, overlaid)
    notes(run, tags)


@st.fragment(run_every=2.0)
def _live(run_id: str, others: list[Run]) -> None:
    """A run that goes on, polled until it ends."""
    run = Run(ui.workspace().runs / run_id)
    if run.status() not in ui.ACTIVE:
        st.rerun()
    detail(run, others)


st.title("Runs")
with ui.sentences():
    page()
