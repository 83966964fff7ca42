"""A person's agreement that something leaves this machine, asked once for each address and dataset."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from studio.state.endpoints import agree, may_leave, place_of
from studio.widgets import ui


def agreed(base_urls: Iterable[str], about: str, said: str) -> bool:
    """Whether everything may be sent to these addresses; a box to tick for each that nobody agreed to yet.

    about: the dataset, or what else it is remembered under. said: what leaves, with {place} for who gets it.
    """
    found = True
    asked = set()
    for base_url in dict.fromkeys(base_urls):
        place = place_of(base_url)
        if place in asked or may_leave(ui.workspace(), base_url, about):
            continue
        asked.add(place)
        if st.checkbox(f"{said.format(place=f'**{ui.inert(place)}**')} I agree.", key=f"agree.{about}.{place}"):
            agree(ui.workspace(), base_url, about)
        else:
            found = False
    return found
