"""Browse: filter, search and page through a split of any size; rejected rows with their reasons; rows to review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from studio.read.glance import dataset_cards
from studio.read.rejected import lines_of
from studio.read.rows import Rows, read_at, rows_of
from studio.views import data_review
from studio.widgets import address, following, manage, ui
from studio.widgets.media import show_example, show_lineage
from synth.curation.review import STATES, Reviews, states
from synth.dataset import DatasetDir, open_dataset
from synth.example import Example
from synth.strict import validated

PAGE = 20
STANDINGS = {"": "All rows", "open": "Not reviewed", **{state: state.capitalize() for state in STATES}}
SHOWN_AS = {"cards": "Cards", "table": "Table"}
ROW_PARAMS = ("row", "page")


def pick_dataset() -> DatasetDir | None:
    """The dataset of the address, or chosen from a menu; None, and an empty state, when there is none."""
    names = [card.name for card in dataset_cards(ui.workspace())]
    if not names:
        ui.empty("No dataset yet", "**Generate** or **import** one first; its rows are shown here.")
        return None
    wanted = ui.param("dataset")
    if wanted and wanted not in names:
        ui.show_error(f"There is no dataset '{wanted}' in this workspace.", "Choose another one below.")
    forget = (*ROW_PARAMS, "split", "q", "label", "standing", "made")
    chosen = address.menu("Dataset", names, "dataset", forget, manage.all_shown("datasets"))
    return open_dataset(chosen, ui.workspace().datasets)


def _matching(file: Path, query: str, answer: str, standing: str, reviews: Reviews) -> Rows:
    """The rows that hold the query, have that answer and stand so."""
    rows = rows_of(file, query, answer)
    if standing == "open":
        return rows.only(lambda row_id: not states(reviews.trail(row_id)))
    return rows.only(lambda row_id: standing in states(reviews.trail(row_id))) if standing else rows


def _page(dataset: DatasetDir, split: str, rows: Rows, filtered: bool, reviews: Reviews) -> None:
    file = dataset.path / f"{split}.jsonl"
    pages = max(1, -(-len(rows.ids) // PAGE))
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    with left:
        page = address.number("Page", 1, pages, "page")
    right.caption(f"{len(rows.ids):,} rows{' match' if filtered else ''} · page {page} of {pages}")
    offsets = rows.offsets[(page - 1) * PAGE : page * PAGE]
    if split == "rejected":
        for offset, value in zip(offsets, read_at(file, offsets), strict=True):
            with st.container(border=True):
                st.markdown(f":material/block: **{ui.inert(value.get('reason', ''))}**")
                row = value["row"] if isinstance(value.get("row"), dict) else {}
                for name, text in lines_of(row):
                    st.caption(ui.inert(name))
                    st.code(text, language=None, wrap_lines=True)
                show_lineage(row.get("lineage"), f"rejected.{offset}")
        return
    found: list[Example] = []
    for offset in offsets:
        with ui.sentences():  # a row that somebody broke hides no other
            found.append(validated(Example, read_at(file, [offset])[0], "row"))
    if address.tabs("Show as", list(SHOWN_AS), "as", SHOWN_AS.__getitem__) == "table":
        _table(dataset, found, reviews)
        return
    for place, example in enumerate(found):
        _row(dataset, example, reviews, f"open.{place}")


def _table(dataset: DatasetDir, rows: list[Example], reviews: Reviews) -> None:
    """The rows as a table; the one that is clicked stands beside it, whole."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        picked: Any = st.dataframe(
            [
                {
                    "Question": " ".join(message.text for message in row.prompt)[:300],
                    "Answer": (row.answer or row.target)[:200],
                    "Reviewed": ", ".join(states(reviews.trail(row.id))),
                }
                for row in rows
            ],
            hide_index=True,
            on_select="rerun",
            selection_mode="single-row",
            key=f"table.{dataset.name}",
        )
    with right:
        chosen = picked["selection"]["rows"]
        if chosen and chosen[0] < len(rows):
            _row(dataset, rows[chosen[0]], reviews, "open.table")
        else:
            st.caption("Tick a row to see it whole.")


def _row(dataset: DatasetDir, original: Example, reviews: Reviews, key: str) -> None:
    trail = reviews.trail(original.id)
    frame = show_example(data_review.current(original, trail).row, data_review.reader(dataset), details=True)
    with frame, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(data_review.standing_line(trail), width="content")
        icon = ":material/rate_review:"
        st.button(f"Review {original.id[:8]}", key=key, icon=icon, on_click=ui.set_params, kwargs={"row": original.id})


def render() -> None:
    """The tab."""
    dataset = pick_dataset()
    if dataset is None:
        return
    card, row_id = dataset.card, ui.param("row")
    splits = [*dataset.splits(), *(["rejected"] if card.rejected else [])]
    if not splits:
        ui.empty("No row", "This dataset holds neither kept nor rejected rows.")
        return
    counts = {**card.splits, "rejected": sum(card.rejected.values())}
    labels = list(dataset.task.labels)
    left, middle, fourth, right = st.columns([2, 3, 2, 2], vertical_alignment="bottom")
    with left:
        split = address.menu("Split", splits, "split", ROW_PARAMS, lambda name: f"{name}: {counts[name]:,} rows")
    with middle:
        query = address.text("Search", "q", ROW_PARAMS, "text in question, answer, family or id")
    standing = answer = ""
    with fourth:
        if labels and split != "rejected":
            answer = address.menu("Answer", ["", *labels], "label", ROW_PARAMS, lambda label: label or "any")
    with right:
        if split != "rejected":
            standing = address.menu("Reviewed", list(STANDINGS), "standing", ROW_PARAMS, STANDINGS.__getitem__)
    reviews = data_review.reviews_of(dataset)
    file = dataset.path / f"{split}.jsonl"
    rows = _matching(file, query, answer, standing, reviews)
    if row_id and split != "rejected":
        data_review.render(dataset, split, rows, row_id, reviews)
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        line = f"{data_review.counts_line(dataset, reviews)} · open a row with **Review** to decide about it"
        st.caption(line, width="content")
        if st.button("Train on it", type="primary", icon=":material/arrow_forward:"):
            st.switch_page("views/train.py", query_params={**ui.task_param(), "dataset": dataset.name})
    if made := following.outcome("made"):
        following.ready(str(made["dataset"]))
    data_review.summary(dataset, reviews)
    _page(dataset, split, rows, bool(query or answer or standing), reviews)
    _download(file)


def _download(file: Path) -> None:
    if file.is_file() and file.stat().st_size < 64 * 2**20:
        # Read when it is pressed: else tens of megabytes would be read and hashed in every run of the page.
        st.download_button(f"Download {file.name}", file.read_bytes, file.name, icon=":material/download:")
