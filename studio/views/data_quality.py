"""Quality: leakage between splits, lengths, families, diversity and signs of collapse."""

from __future__ import annotations

from itertools import islice

import streamlit as st

from studio import ui
from studio.views.data_browse import pick_dataset
from synth.dataset import DatasetDir
from synth.example import text_of
from synth.leakage import check_dataset
from synth.quality import by_source

MEASURED_ROWS = 2000


@st.cache_data(max_entries=16, show_spinner="Comparing the splits …")
def _leakage(path: str, sha256: str) -> dict[str, object]:
    from pathlib import Path

    return check_dataset(DatasetDir(Path(path))).model_dump(mode="json")


@st.cache_data(max_entries=16, show_spinner="Measuring diversity …")
def _diversity(path: str, sha256: str) -> list[dict[str, object]]:
    """One line of measures for each generator or teacher of the training rows."""
    from pathlib import Path

    dataset = DatasetDir(Path(path))
    rows = list(islice(dataset.examples(dataset.splits()[0]), MEASURED_ROWS))
    key = "teacher" if any("teacher" in row.source for row in rows) else "generator"
    return [
        {
            "made by": name or "imported",
            "rows": quality.texts,
            "different words": f"{quality.distinct[0]:.1%}",
            "different 3-word runs": f"{quality.distinct[2]:.1%}",
            "compression": f"{quality.compression:.1f}x",
            "Self-BLEU": "–" if quality.self_bleu is None else f"{quality.self_bleu:.2f}",
            "repeat 8 words": f"{quality.repeated:.0%}",
            "worn phrases per 10,000 words": f"{quality.proxy_rate:.1f}",
        }
        for name, quality in by_source(rows, key).items()
    ]


def _show_diversity(dataset: DatasetDir) -> None:
    st.markdown("##### How varied are the answers?")
    st.dataframe(_diversity(str(dataset.path), str(sorted(dataset.card.sha256.items()))), hide_index=True)
    st.caption(
        "Worked arithmetic repeats itself by nature. For texts by a language model, rising compression, Self-BLEU "
        "or worn phrases from one generation to the next are early signs of collapse."
    )


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
    _show_diversity(dataset)
    if card.rejected:
        st.markdown("##### Why rows were rejected")
        st.dataframe([{"reason": r, "rows": n} for r, n in card.rejected.items()], hide_index=True)
