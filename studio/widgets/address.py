"""Widgets whose value is in the page's address, so that a link or a second tab shows the same; a change writes it.

The address is the truth: the widget is set from it in every run. A value that is only passed as a widget's default
would be lost at the second change, because another default makes another widget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from studio.widgets import ui


def _key(param: str, value: Any, forget: Sequence[str]) -> dict[str, Any]:
    """The widget's key, set to `value`, and what a change does: write the address, without the params to forget."""
    key = f"address.{param}"
    st.session_state[key] = value

    def changed() -> None:
        chosen = st.session_state[key]
        ui.set_params(**dict.fromkeys(forget), **{param: str(chosen) if chosen not in ("", None) else None})

    return {"key": key, "on_change": changed}


def menu(
    label: str, options: Sequence[str], param: str, forget: Sequence[str] = (), show: Callable[[str], str] = str
) -> str:
    """A menu; the first option when the address names none of them."""
    wanted = ui.param(param)
    value = wanted if wanted in options else options[0]
    return str(st.selectbox(label, options, format_func=show, **_key(param, value, forget)))


def tabs(label: str, options: Sequence[str], param: str, show: Callable[[str], str] = str, default: str = "") -> str:
    """Options side by side, without their label; `default`, or else the first, when the address names none of them."""
    value = next((wanted for wanted in (ui.param(param), default) if wanted in options), options[0])
    bound = _key(param, value, ())
    return str(
        st.segmented_control(label, options, required=True, format_func=show, label_visibility="collapsed", **bound)
    )


def text(label: str, param: str, forget: Sequence[str] = (), placeholder: str = "") -> str:
    """A line of text, without outer white space."""
    typed = st.text_input(label, placeholder=placeholder, **_key(param, ui.param(param) or "", forget))
    return str(typed).strip()


def number(label: str, low: int, high: int, param: str) -> int:
    """A whole number from `low` to `high`; `low` when the address has none, the nearer end when it is outside."""
    wanted = ui.param(param) or ""
    value = min(max(int(wanted), low), high) if wanted.isdecimal() else low
    return int(st.number_input(label, low, high, step=1, **_key(param, value, ())))


def several(label: str, options: Sequence[str], param: str, most: int, show: Callable[[str], str] = str) -> list[str]:
    """Several of `options`, none of which may hold a comma; those of the address that exist."""
    key = f"address.{param}"
    wanted = (ui.param(param) or "").split(",")
    st.session_state[key] = [option for option in options if option in wanted][:most]

    def changed() -> None:
        ui.set_params(**{param: ",".join(st.session_state[key]) or None})

    return st.multiselect(label, options, format_func=show, key=key, on_change=changed, max_selections=most)
