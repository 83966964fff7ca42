"""The studio's navigation: `smolstudio ui` serves this file. Pages are in `studio/views`."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder first on the path, where our module names would hide others'.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

import streamlit as st

from studio.widgets.gatekeeper import admitted
from studio.widgets.ui import show_flash

st.set_page_config(page_title="smolstudio", page_icon=":material/experiment:", layout="wide")
# Streamlit leaves a tenth of a small screen empty above each page, and more beside it.
st.html("<style>.stMainBlockContainer {padding: 4.5rem clamp(1rem, 4vw, 4rem) 3rem}</style>")

VIEWS = Path(__file__).parent / "views"
PAGES = [
    st.Page(VIEWS / "start.py", title="Start", icon=":material/home:", url_path="start", default=True),
    st.Page(VIEWS / "data.py", title="Data", icon=":material/database:", url_path="data"),
    st.Page(VIEWS / "train.py", title="Train", icon=":material/model_training:", url_path="train"),
    st.Page(VIEWS / "runs.py", title="Runs", icon=":material/monitoring:", url_path="runs"),
    st.Page(VIEWS / "compare.py", title="Compare", icon=":material/balance:", url_path="compare"),
    st.Page(VIEWS / "playground.py", title="Playground", icon=":material/chat:", url_path="playground"),
    st.Page(VIEWS / "settings.py", title="Settings", icon=":material/settings:", url_path="settings"),
]

page = st.navigation(PAGES, position="top")  # leaves the page its whole width; a menu on a phone
if admitted():
    show_flash()
    page.run()
