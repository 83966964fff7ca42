"""Use: a tuned model at work: try it, answer a file, export it, serve it, share its verdict. `?run=…&way=…`."""

from __future__ import annotations

import streamlit as st

from studio.read.history import tuned
from studio.views import use_file, use_model
from studio.widgets import address, manage, ui

PAGE = {"title": "Use", "icon": ":material/rocket_launch:", "order": 55}

WAYS = {"file": "Answer a file", "export": "Export", "serve": "Serve", "share": "Share"}
FORGET = ("answered", "exported", "served")  # tasks in the address that belong to the run


def page() -> None:
    """The whole page."""
    runs = {run.id: run for run in tuned(ui.workspace())}
    if not runs:
        ui.empty("No tuned model yet", "A run that ended well is a model: it can be tried, served and taken along.")
        st.page_link("views/train.py", label="Train a model", icon=":material/model_training:")
        return
    wanted = ui.param("run")
    if wanted and wanted not in runs:
        ui.show_error(f"There is no finished run '{wanted}' in this workspace.", "Choose another one below.")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        chosen = runs[address.menu("Tuned model", list(runs), "run", FORGET, manage.all_shown("runs"))]
    if right.button("Try it", icon=":material/chat:", width="stretch"):
        where = {"run": chosen.id, "modality": chosen.recipe.modality}
        st.switch_page("views/playground.py", query_params=where)
    st.caption(ui.inert(f"{chosen.recipe.base_model}, tuned on {chosen.recipe.data.dataset}"))
    way = address.tabs("Way", list(WAYS), "way", WAYS.__getitem__)
    with ui.sentences():
        {"file": use_file.render, "export": use_model.export, "serve": use_model.serve, "share": use_model.share}[way](
            chosen
        )


st.title("Use")
with ui.sentences():
    page()
