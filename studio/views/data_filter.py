"""A learned filter for a dataset: its settings, what it would drop and how good it is, and the dataset without."""

from __future__ import annotations

from typing import Any

import streamlit as st

from studio.read.glance import dataset_cards
from studio.views.data_review import reader
from studio.widgets import following, forms, ui
from studio.widgets.media import show_example
from synth.dataset import DatasetDir
from synth.example import Example
from synth.filtering.filtering import Filter
from synth.strict import validated

WAYS = {
    "rubric": "Points of a teacher, learned",
    "ngrams": "Words of good rows against bad ones",
    "ensemble": "All that are given, by rank",
}
FIELDS = {
    "rubric": ("ratings", "at_least", "features", "text"),
    "ngrams": ("good", "bad", "percent", "text"),
    "ensemble": ("ratings", "good", "bad", "combine", "from_bin", "features", "text"),
}
RATERS = ("pipeline:rate-rows", "pipeline:rate-documents")


def render(dataset: DatasetDir) -> None:
    """The form, what was seen, and the button that makes the dataset."""
    st.markdown("##### Filter it by a learned score")
    st.caption(
        "A score learned from a teacher's points, or from good rows against bad ones, is given to every row of train "
        "and val; the tests stay as they are. Looking changes nothing."
    )
    chosen = _form()
    if st.button("See what the filter would drop", icon=":material/filter_alt:"):
        _start(dataset, validated(Filter, chosen, "filter").model_dump(), "", "sifted")
    if seen := following.outcome("sifted"):
        if seen["dataset"] != dataset.name:
            return
        _seen(dataset, seen)
        if seen["filter"] != validated(Filter, chosen, "filter").model_dump():
            st.caption("The settings were changed since; look again before you filter.")
        elif seen["dropped"]:
            name = st.text_input("Name of the filtered dataset", f"{dataset.name}-best")
            if st.button("Make filtered dataset", type="primary", icon=":material/filter_alt:"):
                _start(dataset, seen["filter"], ui.free_name(name), "filtered")
    if made := following.outcome("filtered"):
        following.ready(str(made["dataset"]))


def _form() -> dict[str, Any]:
    """The settings that the way needs; datasets of ratings are offered by name."""
    way = st.radio("How rows are told apart", list(WAYS), format_func=WAYS.__getitem__, key="filter.way")
    values: dict[str, Any] = {"way": way}
    for name in FIELDS[way]:
        info = Filter.model_fields[name]
        if name == "ratings":
            values[name] = _ratings(several=way == "ensemble")
        else:
            values[name] = forms.field(name, info, forms.default_of(info), "filter")
    return values


def _ratings(several: bool) -> str:
    """Datasets that the pipelines `rate-rows` and `rate-documents` made, or a file that is named."""
    known = [card.name for card in dataset_cards(ui.workspace()) if card.generator in RATERS]
    about = "A dataset that the method Points for rows (Write rows) made. A head learns from it."
    if several:
        picked = st.multiselect("Ratings", known, known[:1], help=about, key="filter.ratings.several")
    else:
        picked = [one] if (one := st.selectbox("Ratings", known, help=about, key="filter.ratings")) else []
    about = "A file on this machine with text and rating."
    path = st.text_input("… or a table of ratings", help=about, key="filter.file").strip()
    return ",".join([*(picked if several or not path else []), *([path] if path else [])])


def _start(dataset: DatasetDir, chosen: dict[str, Any], name: str, param: str) -> None:
    following.start(param, "filter", {"dataset": dataset.name, "filter": chosen, "name": name}, name or dataset.name)


def _seen(dataset: DatasetDir, seen: dict[str, Any]) -> None:
    """Kept and dropped rows, the figures of each scorer, what to beware of, and the worst rows."""
    kept = ", ".join(f"{count:,} {split}" for split, count in seen["kept"].items())
    st.markdown(f"It would keep {kept} rows and drop **{sum(seen['dropped'].values()):,}**.")
    notes = seen["notes"]
    for warning in notes["warnings"]:
        st.warning(ui.inert(warning), icon=":material/warning:")
    for name, figures in notes.items():
        if isinstance(figures, dict) and "thresholds" in figures:
            _head(name, figures, notes.get("kept_share_at") or {})
        elif isinstance(figures, dict) and "auc" in figures:
            st.caption(
                f"{figures['good']:,} good and {figures['bad']:,} bad texts; on texts that it did not see: "
                f"AUC {figures['auc']:.3f}, F1 {figures['f1']:.2f}."
            )
    for answer, share in notes["kept_share_by_answer"].items():
        st.caption(f"Of “{ui.inert(answer)}” {share:.0%} stay.")
    if seen["samples"]:
        with st.expander("The rows that it puts lowest"):
            for score, row in seen["samples"]:
                st.caption(f"Score {score:.2f}")
                show_example(Example.model_validate(row), reader(dataset))


def _head(name: str, figures: dict[str, Any], kept: dict[str, float]) -> None:
    twice = "too few were rated twice"
    if figures["kappa"] is not None:
        twice = f"{figures['rated_twice']:,} of them twice, Cohen's kappa {figures['kappa']:.2f}"
    st.caption(f"{ui.inert(name)}: {figures['rated']:,} rated, {twice}; {figures['error']:.2f} points off on average.")
    rows = [
        {
            "points": f"≥ {one['at_least']}",
            "kept": f"{kept[str(one['at_least'])]:.0%}" if kept else "–",
            "F1 against the teacher": f"{one['f1']:.2f} [{one['f1_range'][0]:.2f}, {one['f1_range'][1]:.2f}]",
            "F1 of keeping all": f"{one['f1_of_all']:.2f}",
        }
        for one in figures["thresholds"]
    ]
    st.dataframe(rows, hide_index=True)
