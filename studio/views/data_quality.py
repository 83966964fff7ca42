"""Quality: leakage between splits, lengths, families, diversity and signs of collapse."""

from __future__ import annotations

from itertools import islice

import streamlit as st

from studio import ui
from studio.views.data_browse import pick_dataset
from synth.dataset import DatasetDir
from synth.example import text_of
from synth.leakage import check_dataset

MEASURED_ROWS = 2000


@st.cache_data(max_entries=16, show_spinner="Comparing the splits …")
def _leakage(path: str, sha256: str) -> dict[str, object]:
    from pathlib import Path

    return check_dataset(DatasetDir(Path(path))).model_dump(mode="json")


def render() -> None:
    """The tab."""
    dataset = pick_dataset()
    if dataset is None:
        return
    card = dataset.card
    report = _leakage(str(dataset.path), str(sorted(card.sha256.items())))
    faults, notes = report["faults"], report["notes"]
    st.markdown("##### Is anything of the tests in the training rows?")
    if isinstance(faults, list) and faults:
        for fault in faults:
            ui.show_error(str(fault), "Remove those rows, or generate with another seed.")
    else:
        st.success("No prompt, near-duplicate or unseen family's template is shared.", icon=":material/check_circle:")
    for note in notes if isinstance(notes, list) else []:
        st.caption(ui.inert(note))
    left, right = st.columns(2)
    with left:
        st.markdown("##### Words in a question")
        lengths = [len(text_of(e).split()) for e in islice(dataset.examples(dataset.splits()[0]), MEASURED_ROWS)]
        bins = dict.fromkeys(range(0, max(lengths, default=0) + 5, 5), 0)
        for length in lengths:
            bins[length // 5 * 5] += 1
        st.bar_chart(bins, color=ui.PALETTE[0], height=240, x_label="words", y_label="rows")
    with right:
        st.markdown("##### Rows by family")
        families = card.families.get(dataset.splits()[0], {})
        st.bar_chart(families, color=ui.PALETTE[2], height=240, horizontal=True)
    if card.rejected:
        st.markdown("##### Why rows were rejected")
        st.dataframe([{"reason": r, "rows": n} for r, n in card.rejected.items()], hide_index=True)
