"""Quality: leakage between splits, lengths, families, diversity and signs of collapse; and cleaning by rules."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from studio.views import data_filter
from studio.views.data_browse import pick_dataset
from studio.views.data_review import reader
from studio.widgets import following, forms, ui
from studio.widgets.media import show_example
from synth.curation.collapse import CollapseReport, check_collapse
from synth.curation.curate import Rules
from synth.curation.leakage import EXTRACTS, check_dataset
from synth.curation.quality import by_source
from synth.dataset import DatasetDir
from synth.example import Example, text_of
from synth.strict import validated

MEASURED_ROWS = 2000
CHART_PX = 240
FEW_FAMILIES = 6


@st.cache_data(max_entries=16, show_spinner="Comparing the splits …")
def _leakage(path: str, sha256: str) -> dict[str, object]:
    return check_dataset(DatasetDir(Path(path))).model_dump(mode="json")


@st.cache_data(max_entries=16, show_spinner="Measuring diversity …")
def _diversity(path: str, sha256: str) -> list[dict[str, object]]:
    """One line of measures for each generator or teacher of the training rows."""
    dataset = DatasetDir(Path(path))
    rows = list(islice(dataset.examples(dataset.splits()[0]), MEASURED_ROWS))
    return [
        {
            "made by": name or "imported",
            "rows": quality.texts,
            "different words": f"{quality.distinct[0]:.1%}",
            "different 3-word runs": f"{quality.distinct[2]:.1%}",
            "compression": f"{quality.compression:.1f}x",
            "Self-BLEU": "–" if quality.self_bleu is None else f"{quality.self_bleu:.2f}",
            "repeat 8 words": f"{quality.repeated:.0%}",
            "stock phrases per 10,000 words": f"{quality.proxy_rate:.1f}",
        }
        for name, quality in by_source(rows).items()
    ]


@st.cache_data(max_entries=16, show_spinner="Looking for signs of collapse …")
def _variety(path: str, sha256: str) -> CollapseReport:
    return check_collapse(DatasetDir(Path(path)))


def _show_diversity(dataset: DatasetDir) -> None:
    st.markdown("##### How varied are the answers?")
    if dataset.task.kind == "classification":
        st.caption(f"They are {len(dataset.task.labels)} labels. Browse filters by them; Train counts them.")
    else:
        st.dataframe(_diversity(str(dataset.path), str(sorted(dataset.card.sha256.items()))), hide_index=True)
        st.caption(
            "Worked arithmetic repeats itself by nature. For texts by a language model, rising compression, Self-BLEU "
            "or stock phrases from one generation to the next are early signs of collapse."
        )
    variety = _variety(str(dataset.path), str(sorted(dataset.card.sha256.items())))
    for fault in variety.faults:
        ui.show_error(fault, "Look at the rows; ask another teacher, or with more seeds, topics and styles.")
    for note in variety.notes:
        st.caption(ui.inert(note))
    if variety.groups:
        st.caption(f"{variety.real_share:.0%} of the training rows were not written by a model.")


def _bars(bins: dict[int, int]) -> None:
    """Rows by the words of their question. `st.bar_chart` would bind its scales, of which Vega complains."""
    encoding = {
        "x": {"field": "words", "type": "ordinal", "title": "words", "axis": {"labelAngle": 0, "labelOverlap": True}},
        "y": {
            "field": "rows",
            "type": "quantitative",
            "title": "rows",
            "scale": {"domain": [0, max(bins.values(), default=0) or 1]},
        },
    }
    data = {"words": list(bins), "rows": list(bins.values())}
    spec = {"mark": {"type": "bar", "color": ui.PALETTE[0]}, "encoding": encoding, "height": CHART_PX}
    st.vega_lite_chart(data, spec)


def render() -> None:
    """The tab. What takes longest on a large dataset stands first and is worked out last."""
    dataset = pick_dataset()
    if dataset is None:
        return
    leaks = st.container()
    leaks.markdown("##### Is anything of the tests in the training rows?")
    left, right = st.columns(2)
    with left:
        st.markdown("##### Words in a question")
        lengths = [len(text_of(e).split()) for e in islice(dataset.examples(dataset.splits()[0]), MEASURED_ROWS)]
        bins = dict.fromkeys(range(0, max(lengths, default=0) + 5, 5), 0)
        for length in lengths:
            bins[length // 5 * 5] += 1
        _bars(bins)
    with right:
        st.markdown("##### Rows by family")
        families = dataset.card.families.get(dataset.splits()[0], {})
        bar = st.column_config.ProgressColumn(format="%d", max_value=max(families.values(), default=1))
        rows = [{"Family": family, "Rows": count} for family, count in families.items()]
        height: int | Literal["content"] = "content" if len(rows) <= FEW_FAMILIES else CHART_PX
        st.dataframe(rows, hide_index=True, height=height, column_config={"Rows": bar})
    _show_diversity(dataset)
    if dataset.card.rejected:
        st.markdown("##### Why rows were rejected")
        st.dataframe([{"Reason": r, "Rows": n} for r, n in dataset.card.rejected.items()], hide_index=True)
    ui.words("Leakage", "Near-duplicate", "Family", "Unseen families", "Self-BLEU")
    with ui.sentences():
        _clean(dataset)
    with ui.sentences():
        data_filter.render(dataset)
    with leaks:
        _show_leakage(dataset)


def _show_leakage(dataset: DatasetDir) -> None:
    card = dataset.card
    report = card.notes.get("leakage") or _leakage(str(dataset.path), str(sorted(card.sha256.items())))
    faults, notes = report["faults"], report["notes"]
    if isinstance(faults, list) and faults:
        for fault in faults:
            ui.show_error(str(fault), "Clean the dataset below, or generate with another seed.")
    else:
        st.success("No prompt, near-duplicate or unseen family's template is shared.", icon=":material/check_circle:")
    for note in [*(notes if isinstance(notes, list) else []), card.notes.get(EXTRACTS, {}).get("said")]:
        if note:
            st.caption(ui.inert(note))


def _clean(dataset: DatasetDir) -> None:
    """Rules, what they would drop, and the dataset without those rows."""
    st.markdown("##### Clean it by rules")
    st.caption("Looking changes nothing. Cleaning makes a new dataset that keeps the dropped rows, with their reasons.")
    rules = validated(Rules, forms.form(Rules, {}, "curate"), "rules").model_dump()
    if st.button("See what it would drop", icon=":material/search:"):
        _start(dataset, rules, "", "look")
    seen = following.outcome("look")
    if seen and seen["dataset"] == dataset.name:
        _preview(dataset, seen)
        if seen["rules"] != rules:
            st.caption("The rules were changed since; look again before you clean.")
        elif seen["dropped"] or seen["redacted"]:
            _offer(dataset, rules)
    if made := following.outcome("made"):
        following.ready(str(made["dataset"]))


def _start(dataset: DatasetDir, rules: dict[str, Any], name: str, param: str) -> None:
    arguments = {"dataset": dataset.name, "rules": rules, "name": name}
    following.start(param, "curate", arguments, name or dataset.name)


def _preview(dataset: DatasetDir, seen: dict[str, Any]) -> None:
    kept = ", ".join(f"{count:,} {split}" for split, count in seen["kept"].items())
    dropped = sum(seen["dropped"].values())
    st.markdown(f"It would keep {kept} rows and drop **{dropped:,}**.")
    for kind, count in seen["redacted"].items():
        st.caption(f"{count:,} of them redacted · {ui.inert(kind)}")
    for reason, count in seen["dropped"].items():
        with st.expander(f"{count:,} · {ui.inert(reason)}"):
            for value in seen["samples"].get(reason, []):
                show_example(Example.model_validate(value), reader(dataset))


def _offer(dataset: DatasetDir, rules: dict[str, Any]) -> None:
    name = st.text_input("Name of the cleaned dataset", f"{dataset.name}-clean")
    if st.button("Make cleaned dataset", type="primary", icon=":material/cleaning_services:"):
        _start(dataset, rules, ui.free_name(name), "made")
