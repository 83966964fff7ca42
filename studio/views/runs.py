"""Runs: history and queue; one run's curves, phases, log and remedies; several runs laid over each other."""

from __future__ import annotations

import shutil

import streamlit as st

from recipes.recipe import dump_recipe, recipe_diff
from recipes.run import Run
from studio import jobs, ui
from studio.curves import curve_frame, last_figures
from synth.errors import RunError

CURVES = {
    "loss": "Loss",
    "eval_loss": "Validation loss",
    "learning_rate": "Learning rate",
    "tokens_per_s": "Tokens per second",
    "memory_mb": "Memory (MiB)",
    "rewards/margins": "Reward margin",
}


def history() -> None:
    """Every run, newest first."""
    runs = jobs.list_runs(ui.workspace())
    if not runs:
        ui.empty(
            "No run yet", "A run is one training. Start one on the **Train** page; it goes on when this page is closed."
        )
        st.page_link("views/train.py", label="Train a model", icon=":material/model_training:")
        return
    wanted = ui.param("run")
    ids = [run.id for run in runs]
    if wanted and wanted not in ids:
        ui.show_error(f"There is no run '{wanted}' in this workspace.", "Choose another one below.")
    left, right = st.columns([2, 3])
    chosen = left.selectbox("Run", ids, ids.index(wanted) if wanted in ids else 0)
    others = right.multiselect("Lay over it", [i for i in ids if i != chosen], max_selections=7)
    ui.set_params(run=chosen)
    run = next(r for r in runs if r.id == chosen)
    if run.status() in ("queued", "running"):
        live(run.id, others)
    else:
        detail(run, others)


@st.fragment(run_every=1.0)
def live(run_id: str, others: list[str]) -> None:
    """A run that goes on, polled until it ends."""
    run = Run(ui.workspace().runs / run_id)
    if run.status() not in ("queued", "running"):
        st.rerun()
    detail(run, others)


def detail(run: Run, others: list[str]) -> None:
    """One run: how it stands, what can be done, its curves and settings."""
    status, ended = run.status(), run.exit()
    with st.container(border=True):
        st.markdown(f"#### {ui.status_label(run)}")
        if ended and ended.sentence:
            st.markdown(ui.inert(ended.sentence))
        if status == "lost":
            ui.show_error("The worker was lost: killed, possibly out of memory.", "Resume it from its last checkpoint.")
        if status in ("queued", "running"):
            ui.progress_bar(run.events())
        _buttons(run, status)
    _figures(run)
    _curves(run, others)
    _settings(run, others)
    with st.expander("Log", icon=":material/terminal:", expanded=status == "failed"):
        st.code(jobs.log_tail(run) or "Nothing was logged yet.", language=None, wrap_lines=True)


def _buttons(run: Run, status: str) -> None:
    task = ui.task_param()
    first, second, third, _ = st.columns(4)
    if status in ("queued", "running"):
        if first.button("Stop and save", icon=":material/stop_circle:", key="stop"):
            run.request_stop()
            ui.flash("It will save and stop")
            st.rerun()
        return
    if status == "done" and first.button("Compare", type="primary", icon=":material/arrow_forward:", key="compare"):
        query = {**task, "dataset": run.recipe.data.dataset, "run": run.id}
        st.switch_page("views/compare.py", query_params=query)
    if status in ("stopped", "failed", "lost") and first.button("Resume", type="primary", key="resume"):
        with ui.sentences():
            jobs.resume_training(run)
            st.rerun()
    if second.button("Clone and change", icon=":material/content_copy:", key="clone"):
        st.switch_page("views/train.py", query_params={**task, "dataset": run.recipe.data.dataset})
    if third.button("Delete", icon=":material/delete:", key="delete"):
        _delete(run)


def _delete(run: Run) -> None:
    """Move a run to the workspace's trash, from where it can be taken back."""
    if run.status() in ("queued", "running"):
        raise RunError(f"{run.id} is running.", "Stop it first.")
    trash = ui.workspace().path / "trash"
    trash.mkdir(parents=True, exist_ok=True)
    shutil.move(run.path, trash / run.id)
    ui.flash(f"{run.id} is in the workspace's trash folder")
    ui.set_params(run=None)
    st.rerun()


def _figures(run: Run) -> None:
    figures = last_figures(run)
    for column, (label, value) in zip(st.columns(max(1, len(figures))), figures, strict=False):
        column.metric(label, value)


def _curves(run: Run, others: list[str]) -> None:
    runs = [run, *(Run(ui.workspace().runs / name) for name in others)]
    frames = {key: frame for key in CURVES if not (frame := curve_frame(runs, key)).empty}
    if not frames:
        st.caption("Curves appear after the first steps.")
        return
    for position, (key, frame) in enumerate(frames.items()):
        if position % 2 == 0:
            columns = st.columns(2)
        with columns[position % 2]:
            st.markdown(f"**{CURVES[key]}**")
            st.line_chart(frame, color=list(ui.PALETTE[: frame.shape[1]]), x_label="step", height=220)


def _settings(run: Run, others: list[str]) -> None:
    with st.expander("Recipe", icon=":material/description:"):
        st.code(dump_recipe(run.recipe, comments=False), language="yaml")
    for name in others:
        differences = recipe_diff(run.recipe, Run(ui.workspace().runs / name).recipe)
        st.markdown(f"**{ui.inert(run.id)} → {ui.inert(name)}**")
        st.markdown("\n".join(f"- {ui.inert(d)}" for d in differences) or "No setting differs.")


st.title("Runs")
with ui.sentences():
    history()
