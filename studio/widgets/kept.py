"""A form that a refresh keeps: its widgets begin with what they held before, else with what is usual.

    form = Form("import /data/rows.csv")
    st.number_input("Test, %", 1, 50, form.preset("share.test", 20), key=form.key("share.test"))
    form.keep()                                      # after its widgets: what they hold now is in the workspace

Presets are read once a session, so that no widget changes its default while somebody uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from studio.state import drafts
from studio.widgets import ui


class Form:
    """The widgets of one form; `name` tells it from others, and must change with what can be chosen in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._before = st.session_state.setdefault(f"kept.{name}", drafts.recipe_of(ui.workspace(), name) or {})
        self._now: dict[str, Any] = {}

    def key(self, widget: str) -> str:
        """The key of a widget, which is kept from now on."""
        self._now[widget] = None
        return f"{widget}.{self.name}"

    def preset(self, widget: str, usual: Any) -> Any:
        """What the widget held, where that is of the usual one's type."""
        held = self._before.get(widget)
        return held if type(held) is type(usual) else usual

    def place(self, widget: str, options: Sequence[str], usual: int = 0) -> int:
        """The place of the option that the widget held."""
        held = self._before.get(widget)
        return options.index(held) if held in options else usual

    def following(self, widget: str, usual: int) -> str:
        """The key of a widget that shows what is usual, also when that changes, until a person has set another value.

        The value is in the session under that key, so the widget gets no default.
        """
        key, last = self.key(widget), f"usual.{widget}"
        shown = st.session_state.get(key, self._before.get(widget))
        if not isinstance(shown, int) or shown == st.session_state.get(f"{key}.usual", self._before.get(last)):
            shown = usual
        st.session_state[key] = shown
        st.session_state[f"{key}.usual"] = usual
        self.note(last, usual)
        return key

    def note(self, name: str, value: Any) -> None:
        """Keep something that is no widget's."""
        self._now[name] = value

    def keep(self) -> None:
        """Write what the widgets hold. Raises StorageError when the disk refuses."""
        widgets = {name: st.session_state.get(f"{name}.{self.name}", value) for name, value in self._now.items()}
        drafts.keep_recipe(ui.workspace(), self.name, widgets)
