"""Browse: filter, search and page through a split of any size; rejected rows with their reasons; lineage of a row."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from studio import ui
from studio.glance import dataset_cards
from studio.media import show_example
from studio.rows import page_of, row_offsets
from synth.dataset import DatasetDir, open_dataset
from synth.example import Example

PAGE = 20


def pick_dataset() -> DatasetDir | None:
    """The dataset of the address, or chosen from a menu; None, and an empty state, when there is none."""
    names = [card.name for card in dataset_cards(ui.workspace())]
    if not names:
        ui.empty("No dataset yet", "**Generate** or **import** one first; its rows are shown here.")
        return None
    wanted = ui.param("dataset")
    if wanted and wanted not in names:
        ui.show_error(f"There is no dataset '{wanted}' in this workspace.", "Choose another one below.")
    chosen = st.selectbox("Dataset", names, names.index(wanted) if wanted in names else 0)
    ui.set_params(dataset=chosen)
    return open_dataset(chosen, ui.workspace().datasets)


def _rows(dataset: DatasetDir, split: str, query: str) -> None:
    file = dataset.path / f"{split}.jsonl"
    offsets = row_offsets(file, query)
    pages = max(1, -(-len(offsets) // PAGE))
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    page = left.number_input("Page", 1, pages, 1, key=f"page.{dataset.name}.{split}.{query}")
    right.caption(f"{len(offsets):,} rows{' match' if query else ''} · page {page} of {pages}")
    for value in page_of(file, offsets, int(page) - 1, PAGE):
        if split == "rejected":
            with st.container(border=True):
                st.markdown(f":material/block: **{ui.inert(value.get('reason', ''))}**")
                st.json(value.get("row", {}), expanded=False)
        else:
            show_example(Example.model_validate(value), lambda p: dataset.media_path(p).read_bytes(), details=True)


def render() -> None:
    """The tab."""
    dataset = pick_dataset()
    if dataset is None:
        return
    card = dataset.card
    splits = [*dataset.splits(), *(["rejected"] if card.rejected else [])]
    counts = {**card.splits, "rejected": sum(card.rejected.values())}
    for column, split in zip(st.columns(max(1, len(splits))), splits, strict=False):
        column.metric(split, f"{counts[split]:,}")
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    split = left.selectbox("Split", splits)
    query = middle.text_input("Search", placeholder="text in question, answer, family or id")
    if right.button("Train on it", type="primary", icon=":material/arrow_forward:"):
        st.switch_page("views/train.py", query_params={"dataset": dataset.name})
    if split:
        _rows(dataset, split, query.strip())
    _download(dataset.path / f"{split}.jsonl")


def _download(file: Path) -> None:
    if file.is_file() and file.stat().st_size < 64 * 2**20:
        st.download_button(f"Download {file.name}", file.read_bytes(), file.name, icon=":material/download:")
