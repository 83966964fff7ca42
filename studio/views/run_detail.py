"""One run: how it stands, what can be done with it, its notes, answers, curves and settings."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from recipes.recipe.schema import differences, dump_recipe
from recipes.run.directory import Run
from recipes.run.folds import fold_run
from studio.cli.terminal import duration
from studio.engines import jobs
from studio.read.curves import CURVES, curve_frame, events, last_figures, phases, ranks
from studio.state.notes import read_notes, write_notes
from studio.views.run_samples import show_answers
from studio.widgets import line_chart, manage, ui
from synth.jobdir import Status


def detail(run: Run, others: Sequence[Run]) -> None:
    """Everything of a run but its notes, with `others` laid over its curves and beside its settings."""
    status, ended = run.status(), run.exit()
    with st.container(border=True):
        st.markdown(f"#### {ui.status_label(run)}")
        if ended and ended.sentence:
            st.markdown(ui.inert(ended.sentence))
        _fold(run)
        if status == "lost":
            ui.show_error(jobs.LOST, "Resume it from its last checkpoint.")
        _phases(run, status)
        if status == "queued":
            st.caption(jobs.ENGINE.waiting)
        elif status == "running":
            ui.progress_bar(events(run))
        _buttons(run, status)
    for warning in (event["sentence"] for event in events(run) if event["kind"] == "warning"):
        st.warning(ui.inert(warning), icon=":material/warning:")
    _figures(run)
    _curves([run, *others])
    ui.words("Loss", "Validation rows", "Learning rate", "Epoch", "Token", "Early stopping", "Adapter")
    show_answers(run, status in ui.ACTIVE)
    _settings(run, others)
    if log := ui.fold("Log", f"log.{run.id}.{status}", ":material/terminal:", status == "failed"):
        log.code(jobs.log_tail(run) or "Nothing was logged yet.", language=None, wrap_lines=True)


def _fold(run: Run) -> None:
    """What a run of a cross-validation is there for."""
    data = run.recipe.data
    if data.fold:
        home = ui.inert(run.id.removesuffix(fold_run("", data.fold)))
        st.caption(
            f"Fold {data.fold} of {data.folds}: it leaves out a part of the rows and is asked that part. The model to "
            f"use is {home}, which learns all rows."
        )
    elif data.folds:
        st.caption(f"Learns all rows; the {data.folds} models of its folds are asked in its place when it is compared.")


def _phases(run: Run, status: Status) -> None:
    """Named parts of the training with their times; the present one stands out."""
    going = status == "running"
    passed = phases(run, time.time() if going else None)
    parts = [f"{ui.inert(phase.name)} {duration(phase.seconds)}" for phase in passed]
    if parts and going:
        parts[-1] = f"**{parts[-1]}**"
    if parts:
        st.markdown(" :gray[→] ".join(parts))


def _buttons(run: Run, status: Status) -> None:
    task = ui.task_param()
    line = st.container(horizontal=True)
    if status in ui.ACTIVE:
        if line.button("Stop and save", icon=":material/stop_circle:", key="stop"):
            jobs.ENGINE.cancel(run)
            ui.flash("It will save and stop")
            st.rerun()
        with line.popover("Discard", icon=":material/delete_sweep:"):
            st.markdown("Stop without saving, and forget the checkpoints. This cannot be undone.")
            if st.button("Stop and discard", key="discard"):
                jobs.ENGINE.cancel(run, discard=True)
                ui.flash("It will stop and be discarded")
                st.rerun()
        return
    dataset = {"dataset": run.recipe.data.dataset}
    whole = not run.recipe.data.fold  # of a cross-validation nobody uses the model of one fold
    if (
        status == "done"
        and whole
        and line.button("Compare", type="primary", icon=":material/arrow_forward:", key="compare")
    ):
        st.switch_page("views/compare.py", query_params={**task, **dataset, "run": run.id})
    if status == "done" and whole and line.button("Use it", icon=":material/rocket_launch:", key="use"):
        st.switch_page("views/use.py", query_params={**task, "run": run.id})
    if status in ("stopped", "failed", "lost"):
        _resume(run, line)
    if line.button("Clone and change", icon=":material/content_copy:", key="clone"):
        st.switch_page("views/train.py", query_params={**task, **dataset, "clone": run.id})
    with line:
        manage.menu("runs", run.id)


@st.cache_data(ttl=10, max_entries=64, show_spinner=False)
def _resume_blocker(path: str, ended_at: float) -> str:
    from pathlib import Path

    return Run(Path(path)).resume_blocker()


def _resume(run: Run, place: st.delta_generator.DeltaGenerator) -> None:
    """The button, or why there is no going on."""
    why = _resume_blocker(str(run.path), run.path.stat().st_mtime)
    if place.button("Resume", type="primary", key="resume", disabled=bool(why), icon=":material/play_arrow:"):
        with ui.sentences():
            jobs.resume_training(run)
            st.rerun()
    if why:
        st.caption(f"{ui.inert(why)} Clone it to start anew.")


def notes(run: Run, known_tags: Sequence[str]) -> None:
    """The note and tags of a run, shown and edited."""
    manage.about("runs", run.id)
    written = read_notes(run.path)
    if written.tags:
        st.markdown(" ".join(f":blue-badge[{ui.inert(tag)}]" for tag in written.tags))
    if written.note:
        st.text(written.note)
    box = ui.fold("Edit note and tags", f"notes.{run.id}", ":material/edit_note:")
    if box is None:
        return
    with box, st.form(f"notes.{run.id}", border=False):
        options = list(dict.fromkeys([*written.tags, *known_tags]))
        tags = st.multiselect("Tags", options, written.tags, accept_new_options=True, help="Type a new one and Enter.")
        note = st.text_area("Note", written.note, placeholder="What was tried, and what came of it")
        if st.form_submit_button("Save note", icon=":material/save:"):
            with ui.sentences():
                write_notes(run, note, tags)
                ui.flash("Note saved")
                st.rerun()


def _figures(run: Run) -> None:
    with st.container(horizontal=True, gap="large"):  # as many beside each other as there is room for
        for label, value in last_figures(run):
            st.metric(label, value, width="content")
    if several := ranks(run):
        machines = len({one.machine for one in several})
        where = "on one machine" if machines == 1 else f"on {machines} machines"
        st.caption(f"{len(several)} processes {where} train it together; the first one writes.")
        st.dataframe(
            [
                {"Rank": rank, "Machine": one.machine, "Device": one.device, "Memory (MiB)": one.memory_mb}
                for rank, one in enumerate(several)
            ],
            hide_index=True,
        )


def _curves(runs: Sequence[Run]) -> None:
    frames = {key: frame for key in CURVES if not (frame := curve_frame(runs, key)).empty}
    if not frames:
        st.caption("Curves appear after the first steps.")
        return
    for position, (key, frame) in enumerate(frames.items()):
        if position % 2 == 0:
            columns = st.columns(2)
        with columns[position % 2]:
            st.markdown(f"**{CURVES[key]}** :gray[by step]")
            drawn = [
                line_chart.Line(str(name), place, column.index, column.to_numpy())
                for place, (name, whole) in enumerate(frame.items())
                if not (column := whole.dropna()).empty
            ]
            line_chart.show(drawn, f"{CURVES[key]} by step", f"curve.{key}")


def _settings(run: Run, others: Sequence[Run]) -> None:
    if others:
        runs = [run, *others]
        differing = differences([each.recipe for each in runs])
        st.markdown("**Settings that differ**")
        if differing:
            cells = {each.id: [str(values[i]) for values in differing.values()] for i, each in enumerate(runs)}
            st.dataframe({"setting": list(differing), **cells}, hide_index=True)
        else:
            st.caption("None: these runs were asked for the same thing.")
    if box := ui.fold("Recipe", f"recipe.{run.id}", ":material/description:"):
        box.code(dump_recipe(run.recipe, comments=False), language="yaml")
