"""Follow detached work on a page: progress while it runs, a sentence when it failed, its outcome when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import streamlit as st

from studio.engines import jobs
from studio.widgets import manage, ui
from synth.jobdir import EXIT, JobDir
from synth.storage import JsonDict, read_json

REAL_ROWS = "30 or more rows from your own work make the verdict one about it. They are tested on, never trained on."
AGAIN = "~"  # between the id of a task and how often it was tried again


@st.fragment(run_every=2.0)
def _watch(task_id: str) -> None:
    job = JobDir(ui.workspace().tasks / task_id)
    if job.status() in ui.ACTIVE:
        ui.progress_bar(job.events("progress"))
        if st.button("Stop", key=f"stop.{task_id}", icon=":material/stop_circle:"):
            jobs.ENGINE.cancel(job)
    else:
        st.rerun()


def start(param: str, kind: str, arguments: dict[str, Any], name: str) -> NoReturn:
    """Start a task once for this draft, however often that is clicked, and follow it under `param` of the address."""
    job = jobs.start_task(ui.workspace(), kind, arguments, f"{kind}-{name}-{ui.draft_token(param)}")
    ui.new_draft(param)
    ui.set_params(**{param: job.id})
    st.rerun()


def outcome(param: str) -> JsonDict | None:
    """What the task named in the address came to; None while it runs or after it failed, which is shown."""
    task_id = ui.param(param)
    if not task_id:
        return None
    job = JobDir(ui.workspace().tasks / task_id)
    if Path(task_id).name != task_id or not job.path.is_dir():
        ui.show_error(f"There is no task '{task_id}' in this workspace.", "Start it again.")
        return None
    if job.status() in ui.ACTIVE:
        _watch(task_id)
        return None
    ended = job.exit()
    if ended is None or ended.verdict != "done":
        ui.show_error(jobs.how_it_ended(job), "Change the settings if need be, and start again.")
        _offer_again(param, job)
        return None
    found: JsonDict = read_json(job.path / EXIT)
    return found


def _offer_again(param: str, job: JobDir) -> None:
    """A button that gives the same task to another worker, which takes up what the first one finished."""
    if not (job.path / jobs.TASK_FILE).is_file():
        return
    line = st.container(horizontal=True)
    if line.button("Change it", key=f"change.{param}", icon=":material/edit:", help="Back to the form."):
        ui.set_params(**{param: None})
        st.rerun()
    if line.button("Try again", key=f"again.{param}", icon=":material/refresh:", help="What is done already is kept."):
        asked = jobs.task_of(job)
        base, _, count = job.id.partition(AGAIN)
        # The id follows from that of the task that failed, so two tabs that try again start one.
        made = jobs.start_task(ui.workspace(), asked["kind"], asked["arguments"], f"{base}{AGAIN}{int(count or 0) + 1}")
        ui.set_params(**{param: made.id})
        st.rerun()


def ready(dataset: str) -> None:
    """Say that a dataset was made, with the ways to its rows and on to training."""
    st.success(f"{ui.inert(manage.shown('datasets', dataset))} is ready.", icon=":material/check_circle:")
    line = st.container(horizontal=True)
    task = ui.task_param()
    if line.button("Look at the rows", icon=":material/table_rows:"):
        st.switch_page("views/data.py", query_params={**task, "tab": "browse", "dataset": dataset})
    if line.button("Add real rows", icon=":material/fact_check:", help=REAL_ROWS):
        st.switch_page("views/data.py", query_params={**task, "tab": "real", "dataset": dataset})
    if line.button("Train on it", type="primary", icon=":material/arrow_forward:", key="ready.train"):
        st.switch_page("views/train.py", query_params={**task, "dataset": dataset})
