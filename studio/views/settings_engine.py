"""Settings: who makes and answers rows, and whether a Ray cluster can be reached."""

from __future__ import annotations

import streamlit as st

from studio.engines import rows
from studio.widgets import ui

NAMES = {"local": "This machine", "ray": "A Ray cluster"}


def render() -> None:
    """The choice, and a test of the connection."""
    place = ui.workspace()
    now = rows.Setting()
    with ui.sentences():  # this page is where a broken setting is made anew
        now = rows.setting(place)
    st.caption(
        "For pictures, speech, cleaning and the local models of comparisons. Endpoints, pipelines and imports work "
        "from this machine, where one spend cap holds for all requests."
    )
    engine = st.selectbox("Engine", list(NAMES), list(NAMES).index(now.engine), format_func=NAMES.__getitem__)
    address = ""
    if engine == "ray":
        address = st.text_input(
            "Address of the cluster",
            now.address,
            max_chars=200,
            placeholder="10.0.0.5:6379",
            help="What `ray start --head` prints. Empty: the cores of this machine.",
        ).strip()
    save, test = st.columns([1, 3])
    if save.button("Save", key="engine.save", icon=":material/save:"):
        rows.save(place, rows.Setting.model_validate({"engine": engine, "address": address}))
        ui.flash(f"Rows are made by: {NAMES[engine]}")
        st.rerun()
    if engine == "ray" and test.button("Test the connection", key="engine.test", icon=":material/lan:"):
        with st.spinner("Asking every machine …"):
            _show(rows.connection(place, address))


def _show(seen: list[rows.Seen]) -> None:
    st.dataframe(
        [
            {
                "Machine": one.name,
                "Cores": one.cpus,
                "GPUs": one.gpus,
                "Can take part": one.fault or "yes",
            }
            for one in seen
        ],
        hide_index=True,
    )
    if any(one.fault for one in seen):
        st.warning("Mount the workspace there under the same path, install this smolstudio, or remove the machine.")
