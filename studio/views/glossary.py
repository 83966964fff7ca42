"""Glossary: what the words of the field mean. `?term=…` shows one first."""

from __future__ import annotations

import streamlit as st

from studio.presets.glossary import GLOSSARY
from studio.widgets import address, ui

PAGE = {"title": "Glossary", "icon": ":material/menu_book:", "order": 80}

st.title("Glossary")
st.markdown("The words that pages and reports use.")
query = address.text("Search", "find").casefold()
wanted = ui.param("term") or ""
terms = sorted(GLOSSARY, key=lambda term: (term != wanted, term.casefold()))
shown = [term for term in terms if query in f"{term} {GLOSSARY[term]}".casefold()]
if wanted and wanted not in GLOSSARY:
    ui.show_error(f"There is no word '{wanted}' here.", "Search below, or see the list.")
for term in shown:
    st.markdown(f"**{ui.inert(term)}**  \n{ui.inert(GLOSSARY[term])}")
if not shown:
    ui.empty("No such word", "Try a part of it.")
