"""What a model answered to a few validation rows while it was trained, beside the right answers."""

from __future__ import annotations

import streamlit as st

from recipes.run.directory import Run
from studio.read.curves import answers
from studio.widgets.media import show_medium
from synth.storage import JsonDict

MARKS = {
    True: ":green[:material/check_circle: right]",
    False: ":orange[:material/cancel: not right]",
    None: ":gray[:material/help: no rule can tell]",
}


def show_answers(run: Run, going: bool) -> None:
    """The answers after the newest step, or after the one that is chosen; how to get some when there are none."""
    by_step = answers(run)
    if not by_step:
        if going and run.recipe.sample_steps:
            st.caption(f"The model's own answers appear after step {run.recipe.sample_steps}.")
        elif going and run.recipe.objective == "sft":
            st.caption("To read the model's own answers while it trains, set **Show answers every** in its recipe.")
        return
    steps = list(by_step)
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    step = left.selectbox("Answers after step", steps, len(steps) - 1)
    rows = by_step[step]
    judged = [row["right"] for row in rows if row["right"] is not None]
    if judged:
        right.caption(
            f"{sum(judged)} of {len(judged)} right. Greedy answers to validation rows: to read, not to count."
        )
    for column, row in zip(st.columns(len(rows)), rows, strict=True):
        with column, st.container(border=True):
            _row(run, row)


def _row(run: Run, row: JsonDict) -> None:
    st.markdown(MARKS[row["right"]])
    for relative in row["media"]:
        show_medium(relative, lambda path: run.dataset().media_path(path).read_bytes())
    if row["question"]:
        st.text(row["question"])
    st.caption("Answer" if row["finished"] else "Answer, cut off")
    st.code(row["answer"] or " ", language=None, wrap_lines=True)
    st.caption("Right answer")
    st.code(row["gold"], language=None, wrap_lines=True)
