"""Follow detached work on a page: progress while it runs, a sentence when it failed, its outcome when it is done."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from studio import ui
from synth.jobdir import EXIT, JobDir
from synth.storage import JsonDict, read_json

ACTIVE = ("queued", "running")


@st.fragment(run_every=1.0)
def _watch(task_id: str) -> None:
    job = JobDir(ui.workspace().tasks / task_id)
    if job.status() in ACTIVE:
        ui.progress_bar(job.events("progress"))
        if st.button("Cancel", key=f"cancel.{task_id}"):
            job.request_stop()
    else:
        st.rerun()


def outcome(param: str) -> JsonDict | None:
    """What the task named in the address came to, or None; progress or a sentence is shown meanwhile."""
    task_id = ui.param(param)
    if not task_id:
        return None
    job = JobDir(ui.workspace().tasks / task_id)
    if Path(task_id).name != task_id or not job.path.is_dir():
        ui.show_error(f"There is no task '{task_id}' in this workspace.", "Start it again.")
        return None
    if job.status() in ACTIVE:
        _watch(task_id)
        return None
    ended = job.exit()
    if ended is None or ended.verdict != "done":
        message = ended.sentence if ended else "The worker was lost: killed, possibly out of memory."
        ui.show_error(message, "Change the settings if need be, and start again.")
        return None
    found: JsonDict = read_json(job.path / EXIT)
    return found


def ready(dataset: str) -> None:
    """Say that a dataset was made, with the ways to its rows and on to training."""
    st.success(f"{ui.inert(dataset)} is ready.", icon=":material/check_circle:")
    left, right = st.columns(2)
    task = ui.task_param()
    if left.button("Look at the rows", icon=":material/table_rows:"):
        st.switch_page("views/data.py", query_params={**task, "tab": "browse", "dataset": dataset})
    if right.button("Train on it", type="primary", icon=":material/arrow_forward:", key="ready.train"):
        st.switch_page("views/train.py", query_params={**task, "dataset": dataset})
