"""The preflight card: two real optimiser steps before a training, in their own process."""

from __future__ import annotations

import json

import streamlit as st

from recipes.recipe import Recipe, dump_recipe, recipe_hash
from studio import jobs, ui
from studio.terminal import duration
from synth.jobdir import JobDir


def show_preflight(recipe: Recipe) -> None:
    """Start the preflight when it was asked for, and show what it found for this very recipe."""
    asked = st.session_state.get("preflight")
    if not asked or asked[0] != recipe_hash(recipe):
        return
    if asked[1] is None:
        job = jobs.start_task(ui.workspace(), "preflight", {"recipe": dump_recipe(recipe, comments=False)})
        st.session_state["preflight"] = (asked[0], job.id)
        asked = (asked[0], job.id)
    _watch(asked[1])


@st.fragment(run_every=1.0)
def _watch(task_id: str) -> None:
    job = JobDir(ui.workspace().tasks / task_id)
    if job.status() in ("queued", "running"):
        st.info(
            "Preflight: loading the model and taking two steps on the longest batch …", icon=":material/fact_check:"
        )
        return
    ended, file = job.exit(), job.path / "preflight.json"
    if not file.is_file():
        ui.show_error(ended.sentence if ended else "The preflight was lost.", "Mend it, and try again.")
        return
    _card(json.loads(file.read_text("utf-8")))


def _card(report: dict[str, object]) -> None:
    with st.container(border=True):
        ready = bool(report.get("ok"))
        st.markdown(f"#### {':material/check_circle: Ready' if ready else ':material/block: Not ready'}")
        problems = report.get("problems")
        for problem in problems if isinstance(problems, list) else []:
            ui.show_error(str(problem))
        figures = st.columns(3)
        figures[0].metric("Peak memory", f"{_number(report, 'memory_bytes') / 2**30:.2f} GiB")
        figures[1].metric("Projected time", duration(_number(report, "projected_sec")))
        figures[2].metric("Per step", f"{_number(report, 'seconds_per_step'):.2f} s")
        st.caption("A sample as the model gets it; what it is not taught is marked as masked.")
        st.code(str(report.get("sample", "")), language=None, wrap_lines=True)


def _number(report: dict[str, object], key: str) -> float:
    value = report.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
