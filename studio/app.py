"""The studio's navigation: `smolstudio ui` serves this file. Pages are in `studio/views`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from studio.views import pages
from studio.widgets.ui import show_flash

st.set_page_config(page_title="smolstudio", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
# Streamlit leaves a tenth of a small screen empty above each page, and more beside it; its captions are too pale,
# its links do not show that the keyboard is on them, and links to the page itself look pressed. On a phone,
# where columns stand below each other, the one that holds what starts the work comes first.
st.html(
    "<style>.stMainBlockContainer {padding: 4.5rem clamp(1rem, 4vw, 4rem) 3rem}"
    ' [data-testid="stCaptionContainer"] {color: inherit; opacity: 0.8}'
    ' [data-testid="stCaptionContainer"] p {color: inherit}'
    " a:focus-visible, button:focus-visible {outline: 2px solid #1F78B4 !important; outline-offset: 2px}"
    ' [data-testid="stPageLink-NavLink"]:not(:hover) {background: none}'
    ' [data-testid="stPageLink-NavLink"] * {font-weight: 400 !important}'
    " @media (max-width: 640px) {.stColumn:has(.st-key-first-on-phone) {order: -1}"
    " .stColumn:not(:has(.stElementContainer)) {display: none}}"
    ' [data-variant="segmented_control"][data-selected="true"] {color: inherit !important}</style>'
)

page = st.navigation([st.Page(**each) for each in pages()], position="top")  # a menu on a phone
show_flash()
page.run()
