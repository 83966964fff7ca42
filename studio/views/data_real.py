"""Real rows: paste, upload or label rows that no generator made; they are tested on and never trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from evaluate.report import basis, prices_said
from studio.presets import bases
from studio.state import uploads
from studio.views import data_label
from studio.views.data_browse import pick_dataset
from studio.views.data_plan import FIRST_ROLES
from studio.widgets import address, ui
from synth.curation.amend import RealImport, add_real_file
from synth.curation.recorded import recorded_reading
from synth.dataset import Card, DatasetDir
from synth.errors import DataError
from synth.example import OriginKind
from synth.importing.pasted import read_pasted
from synth.importing.preview import columns_of, guess_roles, half_width_points
from synth.modality import modality

WAYS = {"paste": "Paste rows", "upload": "Upload a file", "label": "Label lines"}
USUAL = (30, 200)
ORIGIN_TITLES: dict[OriginKind, str] = {
    "real": "They come from the work itself",
    "hand": "They were written by hand for this test",
}
LISTED = 100
PASTE_HINT = "I need my prescription again → prescription\nWhen is my appointment? → appointment"


def _standing(dataset: DatasetDir) -> None:
    """How many real rows there are, and what verdict that makes possible."""
    card = dataset.card
    rows, low, high = card.splits.get("test_real", 0), *USUAL
    few, many = half_width_points(low), half_width_points(high)
    usual = (
        f"{low} to {high} are usual: with {low}, an accuracy of 80 % is known to ± {few:.0f} points, with {high} to "
        f"± {many:.0f}."
    )
    if rows:
        so = f"± {half_width_points(rows):.0f} points"
        st.markdown(
            f"{ui.inert(dataset.name)} has **{_rows(card)}**. The verdict is about them: an accuracy of 80 % "
            f"is known to {so}. {usual}"
        )
        return
    test = sum(card.splits.get(split, 0) for split in ("test", "test_ood"))
    said = (
        f"{test:,} imported test rows only: it is about your work as far as your file is. Newer rows, which nobody "
        "chose or corrected for it, show whether that holds."
        if bases.is_own(card)
        else f"{test:,} generated test rows only, and the report says so: it is no promise about your own work."
    )
    name = ui.inert(dataset.name)
    st.markdown(f"{name} has **no real row**. Without them a verdict is possible on its {said} {usual}")


def _rows(card: Card) -> str:
    """'30 real and 6 hand-written rows': what the rows kept as real are."""
    count = card.splits.get("test_real", 0)
    origins = card.origins.get("test_real") or {"real": count}
    parts = [f"{n:,} {basis.NAMES.get(kind, 'generated')}" for kind, n in origins.items()]
    return f"{prices_said.joined(parts)} {'row' if count == 1 else 'rows'}"


def _origin(key: str) -> tuple[OriginKind, str]:
    """Where the rows come from, and a note that is shown wherever they are counted."""
    left, right = st.columns(2)
    kinds = list(ORIGIN_TITLES)
    kind = left.radio("Where are they from?", kinds, format_func=ORIGIN_TITLES.__getitem__, key=f"origin.{key}")
    said = right.text_input(
        "What are they? (shown beside the verdict)", placeholder="messages of two weeks in May", key=f"said.{key}"
    )
    return kind, said.strip()


def _add(dataset: DatasetDir, source: Path, mapping: Mapping[str, str], origin: tuple[OriginKind, str]) -> RealImport:
    several: list[str] = list(dataset.card.spec.get("answer_columns") or []) if mapping.get("answer") == "" else []
    chosen = {role: column for role, column in mapping.items() if column}
    try:
        return add_real_file(dataset, source, origin[0], chosen or None, origin[1], several)
    finally:
        uploads.forget(ui.workspace(), source)


def _mapping(dataset: DatasetDir, source: Path) -> dict[str, str]:
    """Role → column: as the dataset was imported where the columns are the same, else guessed. "" where the dataset's
    answers are made of several columns.
    """
    kind = modality(dataset.card.modality)
    guess = kind.detect(source)
    if not guess.columns:
        return {}
    if recorded := recorded_reading(dataset.card, source):
        return {**recorded.mapping, **({"answer": ""} if recorded.answer_columns else {})}
    if kind.part is not None:
        return {}
    found = guess_roles(columns_of(source), guess.mapping)
    found.pop("split", None)
    return found


def _outcome(dataset: DatasetDir, found: RealImport) -> None:
    report = found.report
    ui.set_params(upload=None)
    added = "1 row was" if report.added == 1 else f"{report.added:,} rows were"
    sentence = f"{added} added; {ui.inert(dataset.name)} has {_rows(DatasetDir(dataset.path).card)} now."
    refused = [{"Rows": n, "Reason": reason} for reason, n in report.refused.items()]
    lines = [(str(n), why) for n, why in found.unread[:LISTED]]
    st.session_state["real.outcome"] = (sentence, refused, lines, found.said)
    st.rerun()


def _show_outcome(dataset: DatasetDir) -> None:
    """What the last addition did; once."""
    if not (said := st.session_state.pop("real.outcome", None)):
        return
    sentence, refused, unread, read_as = said
    st.success(sentence, icon=":material/check_circle:")
    for remark in read_as:
        st.caption(ui.inert(remark))
    if refused:
        st.markdown("Refused, because a model may have been trained on them, or because they cannot be tested:")
        st.dataframe(refused, hide_index=True)
    if unread:
        st.markdown("Lines that could not be read:")
        st.dataframe([{"line": line, "reason": reason} for line, reason in unread], hide_index=True)
    st.page_link(
        "views/compare.py", label="Compare on them", icon=":material/balance:", query_params={"dataset": dataset.name}
    )


def _paste(dataset: DatasetDir) -> None:
    text = st.text_area(
        "Rows, one a line: “text → answer”, JSON lines, or a table with its header",
        height=100,
        placeholder=PASTE_HINT,
        key=f"paste.{dataset.name}",
    )
    origin = _origin("paste")
    if st.button("Add the rows", type="primary", icon=":material/add:"):
        pasted = read_pasted(text)
        folder = uploads.keep(ui.workspace(), [(f"pasted{pasted.suffix}", pasted.text.encode("utf-8", "replace"))])
        source = folder / f"pasted{pasted.suffix}"
        found = _add(dataset, source, _mapping(dataset, source), origin)
        del st.session_state[f"paste.{dataset.name}"]
        _outcome(dataset, found)


def _upload(dataset: DatasetDir) -> None:
    from studio.views.data_import import uploaded

    kind = modality(dataset.card.modality)
    source = uploaded(kind)
    if source is None:
        st.caption(ui.inert(kind.import_help))
        return
    mapping = _mapping(dataset, source)
    if kind.part is None and mapping.get("answer") != "":
        columns = ["", *dict.fromkeys([*kind.detect(source).columns, *filter(None, mapping.values())])]
        if len(columns) > 1:
            for place, role in zip(st.columns(2), ("question", "answer"), strict=True):
                preset = columns.index(mapping[role]) if mapping.get(role) in columns else 0
                mapping[role] = str(
                    place.selectbox(
                        FIRST_ROLES[role],
                        columns,
                        preset,
                        format_func=lambda c: c or "no column",
                        key=f"real.{source}.{role}",
                    )
                )
            mapping = {role: column for role, column in mapping.items() if column}
    origin = _origin("upload")
    if st.button("Add the rows", type="primary", icon=":material/add:"):
        _outcome(dataset, _add(dataset, source, mapping, origin))


def _label(dataset: DatasetDir) -> None:
    if modality(dataset.card.modality).part is not None:
        raise DataError("Only lines of text can be labelled here.", "Upload a table with its pictures or recordings.")
    lines = data_label.render(dataset.name, list(dataset.task.labels))
    if lines is None:
        return
    origin = _origin("label")
    count = lines.count("\n")
    if st.button("Add 1 row" if count == 1 else f"Add {count:,} rows", type="primary", icon=":material/add:"):
        folder = uploads.keep(ui.workspace(), [("labelled.jsonl", lines.encode("utf-8", "replace"))])
        found = _add(dataset, folder / "labelled.jsonl", {}, origin)
        data_label.forget(dataset.name)
        _outcome(dataset, found)


def render() -> None:
    """The tab."""
    dataset = pick_dataset()
    if dataset is None:
        return
    _standing(dataset)
    _show_outcome(dataset)
    way = address.tabs(
        "How",
        list(WAYS),
        "way",
        WAYS.__getitem__,
        "paste" if modality(dataset.card.modality).part is None else "upload",
    )
    with ui.sentences():
        {"paste": _paste, "upload": _upload, "label": _label}[way](dataset)
