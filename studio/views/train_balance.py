"""Part of Train: how many rows there are of each answer of a classification, before anything learns them."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from studio.read.rows import answers_of
from studio.widgets import ui
from synth.dataset import Card
from synth.folds import POOL

SHOWN = 12
FEW = 10
MOST_SHARE = 0.8
"""Of one answer, from which a model that always gives it looks good."""


def show(dataset: Card, in_folds: bool) -> None:
    """The counts in a line, and what is out of balance in another; nothing for other kinds of tasks.

    in_folds: every row is learned, by the model of all rows at the latest.
    """
    if dataset.task is None or dataset.task.kind != "classification":
        return
    folder = ui.workspace().datasets / dataset.name
    counts: Counter[str] = Counter()
    for split in POOL if in_folds else ("train",):
        counts.update(answers_of(folder / f"{split}.jsonl"))
    if not counts:
        return
    listed = sorted(counts.items(), key=lambda item: -item[1])
    parts = [f"{answer} {count:,}" for answer, count in listed[:SHOWN]]
    rest = len(listed) - SHOWN
    more = f" and {rest} other answer{'' if rest == 1 else 's'}" if rest > 0 else ""
    st.caption(ui.inert(f"Training rows by answer: {' · '.join(parts)}{more}"))
    most, count = listed[0]
    if (share := count / sum(counts.values())) >= MOST_SHARE:
        said = f"“{most}” is the answer of {share:.0%} of the training rows: always saying it would look that good."
        st.caption(ui.inert(f"{said} Read recall and macro-F1 beside accuracy."))
    if rare := [answer for answer, count in listed if count < FEW]:
        names = ", ".join(f"“{answer}”" for answer in rare[:SHOWN])
        st.caption(ui.inert(f"Fewer than {FEW} rows of {names}: label more of them, or expect them to be missed."))
