"""Data: what there is, generate, import, browse, quality. Each tab is an address (`?tab=…&dataset=…`)."""

from __future__ import annotations

import streamlit as st

from studio import ui
from studio.glance import dataset_cards
from studio.views import data_browse, data_generate, data_import, data_quality

TABS = {
    "list": "Datasets",
    "generate": "Generate",
    "import": "Import",
    "browse": "Browse",
    "quality": "Quality",
}


def listing() -> None:
    """All datasets of the workspace."""
    cards = dataset_cards(ui.workspace())
    if not cards:
        ui.empty(
            "No dataset yet",
            "A dataset is a set of questions with right answers, split into rows to learn from and rows to test on. "
            "**Generate** one from a description, or **import** your own file.",
        )
        return
    st.dataframe(
        [
            {
                "dataset": card.name,
                "modality": card.modality,
                "made by": card.generator or "import",
                **{split: card.splits.get(split, 0) for split in ("train", "val", "test", "test_ood")},
                "rejected": sum(card.rejected.values()),
                "created": card.created,
            }
            for card in cards
        ],
        hide_index=True,
    )
    for card in cards[:12]:
        label = f"Browse {card.name}"
        st.page_link("views/data.py", label=ui.inert(label), query_params={"tab": "browse", "dataset": card.name})


st.title("Data")
ui.steps("data")
tab = ui.param("tab") if ui.param("tab") in TABS else "list"
chosen = st.segmented_control(
    "View", list(TABS), default=tab, format_func=TABS.__getitem__, label_visibility="collapsed"
)
if chosen and chosen != tab:
    ui.set_params(tab=chosen)
    st.rerun()
render = {
    "list": listing,
    "generate": data_generate.render,
    "import": data_import.render,
    "browse": data_browse.render,
    "quality": data_quality.render,
}[tab or "list"]
with ui.sentences():
    render()
