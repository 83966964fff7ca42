"""Settings: endpoints and their keys (never shown), the engine for rows, prices, the workspace, the machine."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from evaluate.cost import prices
from studio.doctor import examine
from studio.state.endpoints import load_endpoints
from studio.views import settings_endpoints, settings_engine, settings_storage
from studio.widgets import ui

PAGE = {"title": "Settings", "icon": ":material/settings:", "order": 70}

OWN_MACHINE = "this machine"
# Units of a price, each as a person says it.
UNITS: dict[str, str] = {
    "input_mtok": "million tokens of input",
    "cached_mtok": "million tokens of input, cached",
    "cached_audio_mtok": "million tokens of audio input, cached",
    "cache_write_mtok": "million tokens, written to a cache",
    "cache_write_1h_mtok": "million tokens, written to a cache for an hour",
    "output_mtok": "million tokens of output",
    "audio_input_mtok": "million tokens of audio input",
    "audio_output_mtok": "million tokens of audio output",
    "audio_minute": "minute of audio",
    "batch_factor": "in batches, times",
    "batch_cache_factor": "in batches and cached, times",
    "hour": "hour of the machine",
    "kwh": "kilowatt hour",
    "watts": "watts that it draws",
}


def price_sheet() -> None:
    """Prices with their dates, and forms to set one for this workspace."""
    place = ui.workspace()
    sheet = prices.load(workspace=place.path)
    st.dataframe(
        [
            {
                "Model": row.model,
                "Per": UNITS[row.unit],
                "USD": row.price,
                "Up to input tokens": row.up_to_input_tokens,
                "From": sheet.source_of(row),
                "Checked": row.checked,
                "Also in": sheet.sources.get(row.second, row.second),
                "Checked there": row.second_checked,
                "Note": row.note,
            }
            for row in sheet.rows
        ],
        hide_index=True,
        height=320,
        placeholder="",
    )
    left, right = st.columns(2)
    with left.form("machine"):
        st.markdown("**A machine's hour**")
        machines = list(dict.fromkeys([OWN_MACHINE, *(row.model for row in sheet.rows if row.unit == "hour")]))
        machine = st.selectbox("Machine", machines, accept_new_options=True)
        hourly = st.number_input("USD per hour", 0.0, value=sheet.price(OWN_MACHINE, "hour") or 0.0, format="%g")
        if st.form_submit_button("Set price of an hour", icon=":material/save:"):
            _set_price(machine, "hour", hourly)
    with right.form("price"):
        st.markdown("**A model's price**")
        models = sorted({row.model for row in sheet.rows} | {e.model for e in load_endpoints(place)})
        model = st.selectbox("Model, as its endpoint calls it", models, accept_new_options=True)
        first, second = st.columns(2)
        unit = first.selectbox("Per", get_args(prices.Unit), format_func=UNITS.__getitem__)
        price = second.number_input("USD", 0.0, format="%g")
        if st.form_submit_button("Set price", icon=":material/save:"):
            _set_price(model, unit, price)


def _set_price(model: str, unit: str, price: float) -> None:
    with ui.sentences():
        prices.set_price(ui.workspace().path, model, unit, price)
        ui.flash(f"{model}: {price:g} USD ({UNITS[unit]})")
        st.rerun()


def doctor() -> None:
    """Findings about this installation."""
    for finding in examine(ui.workspace()):
        icon = ":material/check_circle:" if finding.ok else ":material/error:"
        st.markdown(f"{icon} **{ui.inert(finding.what)}** {ui.inert(finding.found)}")


st.title("Settings")
with ui.sentences():
    st.markdown("### Endpoints")
    settings_endpoints.render()
    st.markdown("### Keys")
    settings_endpoints.key_form()
    st.markdown("### Engine for rows")
    settings_engine.render()
    st.markdown("### Prices")
    st.caption("What is set here is kept in this workspace's `prices.yaml` and used by every comparison made in it.")
    price_sheet()
    st.markdown("### Workspace")
    settings_storage.render()
    st.markdown("### Theme")
    st.caption("Light, dark, or as your system has it: the menu at the top right, **Settings**.")
    st.markdown("### This machine")
    if st.button("Examine it", icon=":material/health_and_safety:"):
        doctor()
