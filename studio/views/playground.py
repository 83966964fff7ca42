"""Playground: ask several models the same thing, side by side."""

from __future__ import annotations

import streamlit as st

from studio import ui

st.title("Playground")
ui.empty("Soon", "x")
