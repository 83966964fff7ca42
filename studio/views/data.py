"""Data: what there is, generate, import, browse, task, real rows, quality. A tab is an address (`?tab=…&dataset=…`)."""

from __future__ import annotations

import contextlib
from datetime import datetime

import streamlit as st

from studio.read.glance import dataset_cards
from studio.views import data_browse, data_generate, data_import, data_quality, data_real, data_task
from studio.views.data_plan import SPLIT_TITLES
from studio.widgets import address, manage, ui
from synth.dataset import Card

PAGE = {"title": "Data", "icon": ":material/database:", "order": 20}

TABS = {
    "list": "Datasets",
    "generate": "Generate",
    "import": "Import",
    "browse": "Browse",
    "task": "Task",
    "real": "Real rows",
    "quality": "Quality",
}
LISTED = 12
# Tabs that each dataset of the list links to.
LINKS = {
    "browse": ":material/table_rows:",
    "task": ":material/assignment:",
    "real": ":material/fact_check:",
    "quality": ":material/verified:",
}


def _moment(said: str) -> datetime | None:
    with contextlib.suppress(ValueError):  # nothing, or what somebody else wrote there
        return datetime.fromisoformat(said)
    return None


def listing() -> None:
    """All datasets of the workspace."""
    cards = dataset_cards(ui.workspace())
    manage.undo("datasets")
    manage.show_erased()
    if not cards:
        ui.empty(
            "No dataset yet",
            "A dataset is a set of questions with right answers, split into rows to learn from and rows to test on. "
            "**Generate** one from a description, or **import** your own file.",
        )
        manage.bin_of("datasets")
        return
    st.dataframe(
        [
            {
                "Dataset": manage.shown("datasets", card.name),
                "Modality": card.modality,
                "Made by": card.generator or "import",
                **{title: card.splits.get(split, 0) for split, title in SPLIT_TITLES.items()},
                "Rejected": sum(card.rejected.values()),
                "Created": _moment(card.created),
            }
            for card in cards
        ],
        hide_index=True,
        column_config={"Created": st.column_config.DatetimeColumn(format="distance")},
    )
    _lines(cards[:LISTED])
    older = cards[LISTED:]
    if older and (box := ui.fold(f"{len(older):,} older", "datasets.older", ":material/history:")):
        with box:
            _lines(older)
    manage.bin_of("datasets")


def _lines(cards: list[Card]) -> None:
    """Of each dataset the ways to its tabs and to training, and what can be done with it."""
    for card in cards:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{ui.inert(manage.shown('datasets', card.name))}**")
            for tab, icon in LINKS.items():
                address_of = {"tab": tab, "dataset": card.name}
                st.page_link("views/data.py", label=TABS[tab], icon=icon, query_params=address_of)
            st.page_link(
                "views/train.py", label="Train", icon=":material/model_training:", query_params={"dataset": card.name}
            )
            manage.menu("datasets", card.name)


st.title("Data")
ui.steps("data")
tab = address.tabs("View", list(TABS), "tab", TABS.__getitem__)
render = {
    "list": listing,
    "generate": data_generate.render,
    "import": data_import.render,
    "browse": data_browse.render,
    "task": data_task.render,
    "real": data_real.render,
    "quality": data_quality.render,
}[tab]
with ui.sentences():
    render()
