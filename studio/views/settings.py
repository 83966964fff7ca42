"""Settings: endpoints and their keys (environment or keyring, never shown), prices, the workspace, the machine."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from evaluate.cost import prices
from studio.doctor import examine
from studio.state.endpoints import Endpoint, load_endpoints, save_endpoints
from studio.widgets import ui
from synth.endpoint import keys
from synth.strict import validated

PAGE = {"title": "Settings", "icon": ":material/settings:", "order": 70}

FOUND = {
    keys.ENVIRONMENT: ":material/key: key from the environment",
    keys.KEYRING: ":material/key: key from the keyring",
    None: ":material/key_off: no key found",
}
OWN_MACHINE = "this machine"


def endpoints() -> None:
    """The workspace's endpoints and a form for another."""
    known = load_endpoints(ui.workspace())
    if not known:
        ui.empty(
            "No endpoint yet",
            "Add the large model that you prompt today, to compare with it. Its key is never written into a file.",
        )
    for endpoint in known:
        left, right = st.columns([5, 1], vertical_alignment="center")
        facts = " · ".join(ui.inert(text) for text in (endpoint.model, endpoint.base_url, endpoint.api_key_env))
        left.markdown(f"**{ui.inert(endpoint.name)}** · {facts} · {FOUND[keys.key_source(endpoint.api_key_env)]}")
        if right.button("Remove", key=f"remove.{endpoint.name}"):
            save_endpoints(ui.workspace(), [e for e in known if e.name != endpoint.name])
            st.rerun()
    with st.form("endpoint", clear_on_submit=True):
        first, second, third, fourth = st.columns(4)
        values = {
            "name": first.text_input("Name"),
            "base_url": second.text_input("Address", placeholder="https://…/v1"),
            "model": third.text_input("Model"),
            "api_key_env": fourth.text_input("Name of the key", "OPENAI_API_KEY", help="As environment variable."),
        }
        if st.form_submit_button("Add", icon=":material/add:"):
            with ui.sentences():
                added = validated(Endpoint, values, "endpoint")
                save_endpoints(ui.workspace(), [*[e for e in known if e.name != added.name], added])
                st.rerun()


def key_form() -> None:
    """Save a key in the system's keyring, or forget one there."""
    keyring = keys.keyring_name()
    if keyring is None:
        st.info(
            "This system has no keyring to keep keys in. Set the key as an environment variable before you start "
            "smolstudio, such as `OPENAI_API_KEY`.",
            icon=":material/key:",
        )
        return
    st.caption(f"Keys are looked up in the environment first, then in {ui.inert(keyring)}. They are never shown again.")
    names = list(dict.fromkeys([*(e.api_key_env for e in load_endpoints(ui.workspace())), "OPENAI_API_KEY"]))
    with st.form("key", clear_on_submit=True):
        left, right = st.columns(2)
        name = left.selectbox("Key", names)
        # Another widget after each save, so that the session forgets the secret too.
        secret = right.text_input("Secret", type="password", autocomplete="off", key=ui.draft_token("secret"))
        save, forget, _ = st.columns([1, 1, 3])
        saved = save.form_submit_button("Save in the keyring", icon=":material/key:")
        forgotten = forget.form_submit_button("Forget it", icon=":material/key_off:")
    with ui.sentences():
        if saved and secret.strip():
            keys.store_key(name, secret.strip())
            ui.new_draft("secret")
            ui.flash(f"{name} is in the keyring")
            st.rerun()
        if forgotten:
            keys.forget_key(name)
            ui.flash(f"{name} is forgotten")
            st.rerun()


def price_sheet() -> None:
    """Prices with their dates, and forms to set one for this workspace."""
    place = ui.workspace()
    sheet = prices.load(workspace=place.path)
    st.dataframe([row.model_dump(mode="json", exclude_none=True) for row in sheet.rows], hide_index=True, height=320)
    left, right = st.columns(2)
    with left.form("machine"):
        st.markdown("**A machine's hour**")
        machines = list(dict.fromkeys([OWN_MACHINE, *(row.model for row in sheet.rows if row.unit == "hour")]))
        machine = st.selectbox("Machine", machines, accept_new_options=True)
        hourly = st.number_input("USD per hour", 0.0, value=sheet.price(OWN_MACHINE, "hour") or 0.0, format="%g")
        if st.form_submit_button("Set hour", icon=":material/save:"):
            _set_price(machine, "hour", hourly)
    with right.form("price"):
        st.markdown("**A model's price**")
        models = sorted({row.model for row in sheet.rows} | {e.model for e in load_endpoints(place)})
        model = st.selectbox("Model, as its endpoint calls it", models, accept_new_options=True)
        first, second = st.columns(2)
        unit = first.selectbox("Unit", get_args(prices.Unit), help="mtok: a million tokens.")
        price = second.number_input("USD", 0.0, format="%g")
        if st.form_submit_button("Set price", icon=":material/save:"):
            _set_price(model, unit, price)


def _set_price(model: str, unit: str, price: float) -> None:
    with ui.sentences():
        prices.set_price(ui.workspace().path, model, unit, price)
        ui.flash(f"{model}: {price:g} USD ({unit})")
        st.rerun()


def doctor() -> None:
    """Findings about this installation."""
    for finding in examine(ui.workspace()):
        icon = ":material/check_circle:" if finding.ok else ":material/error:"
        st.markdown(f"{icon} **{ui.inert(finding.what)}** {ui.inert(finding.found)}")


st.title("Settings")
with ui.sentences():
    st.markdown("### Endpoints")
    endpoints()
    st.markdown("### Keys")
    key_form()
    st.markdown("### Prices")
    st.caption("What is set here is kept in this workspace's `prices.yaml` and used by every comparison made in it.")
    price_sheet()
    st.markdown("### Workspace")
    st.code(str(ui.workspace().path), language=None)
    st.caption("Change it with `smolstudio ui --workspace FOLDER`.")
    st.markdown("### Theme")
    st.caption("Light, dark, or as your system has it: the menu at the top right, **Settings**.")
    st.markdown("### This machine")
    if st.button("Examine it", icon=":material/health_and_safety:"):
        doctor()
