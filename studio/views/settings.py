"""Settings: endpoints (keys by environment variable only), prices, the workspace, and what the doctor says."""

from __future__ import annotations

import streamlit as st

from evaluate import prices
from studio import ui
from studio.doctor import examine
from studio.endpoints import Endpoint, load_endpoints, save_endpoints
from synth.strict import validated


def endpoints() -> None:
    """The workspace's endpoints and a form for another."""
    known = load_endpoints(ui.workspace())
    if not known:
        ui.empty(
            "No endpoint yet",
            "Add the large model that you prompt today, to compare with it. The key stays in your environment.",
        )
    for endpoint in known:
        left, right = st.columns([5, 1], vertical_alignment="center")
        key = "key is set" if endpoint.has_key else f"set {endpoint.api_key_env} and restart the studio"
        facts = " · ".join(ui.inert(text) for text in (endpoint.model, endpoint.base_url, key))
        left.markdown(f"**{ui.inert(endpoint.name)}** · {facts}")
        if right.button("Remove", key=f"remove.{endpoint.name}"):
            save_endpoints(ui.workspace(), [e for e in known if e.name != endpoint.name])
            st.rerun()
    with st.form("endpoint", clear_on_submit=True):
        first, second, third, fourth = st.columns(4)
        values = {
            "name": first.text_input("Name"),
            "base_url": second.text_input("Address", placeholder="https://…/v1"),
            "model": third.text_input("Model"),
            "api_key_env": fourth.text_input("Variable with the key", "OPENAI_API_KEY"),
        }
        if st.form_submit_button("Add"):
            added = validated(Endpoint, values, "endpoint")
            save_endpoints(ui.workspace(), [*[e for e in known if e.name != added.name], added])
            st.rerun()


def price_sheet() -> None:
    """Prices with their dates; a form to set one for this workspace."""
    place = ui.workspace()
    sheet = prices.load(workspace=place.path)
    st.dataframe([row.model_dump(mode="json", exclude_none=True) for row in sheet.rows], hide_index=True, height=320)


def doctor() -> None:
    """Findings about this installation."""
    for finding in examine(ui.workspace()):
        icon = ":material/check_circle:" if finding.ok else ":material/error:"
        st.markdown(f"{icon} **{ui.inert(finding.what)}** {ui.inert(finding.found)}")


st.title("Settings")
with ui.sentences():
    st.markdown("### Endpoints")
    endpoints()
    st.markdown("### Prices")
    price_sheet()
    st.markdown("### Workspace")
    st.code(str(ui.workspace().path), language=None)
    st.caption("Change it with `smolstudio ui --workspace FOLDER`. Light or dark: the menu at the top right.")
    st.markdown("### This machine")
    if st.button("Examine it", icon=":material/health_and_safety:"):
        doctor()
