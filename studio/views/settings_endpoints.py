"""Settings, endpoints: what is known, testing a connection, adding one, and its key: keyring, memory or environment."""

from __future__ import annotations

import streamlit as st

from evaluate.report.wording import usd
from studio.serving import probe
from studio.state.endpoints import Endpoint, is_here, load_endpoints, place_of, save_endpoints
from studio.widgets import ui
from synth.endpoint import keys
from synth.errors import EndpointError
from synth.strict import validated

FOUND = {
    keys.ENVIRONMENT: ":material/key: key from the environment",
    keys.KEYRING: ":material/key: key from the keyring",
    keys.MEMORY: ":material/key: key in memory until the studio stops",
    None: ":material/key_off: no key found",
}
DEFAULT_KEY = "OPENAI_API_KEY"
REMOVED = "endpoint.removed"
"""Of the session: what was removed last."""


def _key_line(endpoint: Endpoint) -> str:
    """Where its key is; a server of this machine needs none, so that a missing one is no alarm."""
    source = keys.key_source(endpoint.api_key_env)
    if source is None and is_here(endpoint.base_url):
        return ":material/computer: on this machine, needs no key"
    return FOUND[source]


def render() -> None:
    """The workspace's endpoints and a form for another."""
    known = load_endpoints(ui.workspace())
    if not known:
        ui.empty(
            "No endpoint yet",
            "Add the large model that you prompt today, to compare with it. Its key is never written into a file.",
        )
    _undo(known)
    for endpoint in known:
        _line(endpoint, known)
    with st.container(border=True):
        st.markdown("**Add an endpoint**")
        _add(known)


def _line(endpoint: Endpoint, known: list[Endpoint]) -> None:
    left, middle, right = st.columns([4, 1, 1], vertical_alignment="center")
    scheme, _, rest = endpoint.base_url.partition("://")  # without its scheme it does not become a link
    facts = " · ".join(ui.inert(text) for text in (endpoint.model, rest, endpoint.api_key_env))
    if scheme == "http" and not is_here(endpoint.base_url):
        facts += " · :material/lock_open: not encrypted on its way"
    cap = f" · at most {ui.inert(usd(endpoint.spend_cap_usd))} a comparison" if endpoint.spend_cap_usd else ""
    left.markdown(f"**{ui.inert(endpoint.name)}** · {facts} · {_key_line(endpoint)}{cap}")
    if middle.button(f"Test {ui.inert(endpoint.name)}", key=f"test.{endpoint.name}", icon=":material/network_check:"):
        with ui.sentences():
            found = probe.models(endpoint.base_url, endpoint.api_key_env)
            if found and endpoint.model not in found:
                said = f"{place_of(endpoint.base_url)} answers, but has no model “{endpoint.model}”."
                raise EndpointError(said, f"Choose one that it has: {', '.join(found[:10])}.", probe.CODE)
            st.success(f"{ui.inert(place_of(endpoint.base_url))} answers.", icon=":material/check_circle:")
    with right:
        _manage(endpoint, known)
    if endpoint.about:
        st.text(endpoint.about)


def _manage(endpoint: Endpoint, known: list[Endpoint]) -> None:
    """A menu to rename, describe, cap and remove it."""
    name = endpoint.name
    with st.popover(f"Manage {ui.inert(name)}", icon=":material/more_horiz:"):
        called = st.text_input("Name shown", name, key=f"called.{name}")
        about = st.text_area("What it is", endpoint.about, key=f"said.{name}", height=90, max_chars=500)
        cap = st.number_input(f"Spend cap of {name}, USD", 0.0, None, endpoint.spend_cap_usd, 1.0, key=f"capped.{name}")
        line = st.container(horizontal=True)
        if line.button(f"Save {ui.inert(name)}", key=f"save.{name}", icon=":material/save:"):
            with ui.sentences():
                values = {"name": called.strip(), "about": about.strip(), "spend_cap_usd": cap or None}
                changed = validated(Endpoint, {**endpoint.model_dump(), **values}, "endpoint")
                if changed.name != name and any(other.name == changed.name for other in known):
                    raise EndpointError(f"There is already an endpoint '{changed.name}'.", "Choose another name.")
                save_endpoints(ui.workspace(), [changed if e.name == name else e for e in known])
                ui.flash("Saved")
                st.rerun()
        if line.button(f"Remove {ui.inert(name)}", key=f"remove.{name}", icon=":material/delete:"):
            save_endpoints(ui.workspace(), [e for e in known if e.name != name])
            st.session_state[REMOVED] = endpoint
            st.rerun()


def _undo(known: list[Endpoint]) -> None:
    """The way back right after a removal."""
    gone = st.session_state.get(REMOVED)
    if gone is None or any(endpoint.name == gone.name for endpoint in known):
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.info(f"{ui.inert(gone.name)} was removed. Its key is still where it was.", icon=":material/delete:")
    if right.button("Undo", icon=":material/undo:", key="undo.endpoint"):
        save_endpoints(ui.workspace(), [*known, st.session_state.pop(REMOVED)])
        st.rerun()


def _add(known: list[Endpoint]) -> None:
    """Address first; a test of it finds the models to choose from."""
    draft = ui.draft_token("endpoint")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    address = left.text_input("Address", placeholder="https://…/v1", key=f"address.{draft}").strip()
    tested, found = f"models.{draft}", f"models.{draft}.{address}"
    if right.button("Test connection", icon=":material/network_check:", width="stretch"):
        st.session_state[tested] = True
        st.session_state.pop(found, None)
    first, second, third, fourth = st.columns(4)
    key = second.text_input("Name of the key", DEFAULT_KEY, help="As environment variable.", key=f"key.{draft}")
    if address and st.session_state.pop(tested, False):
        with ui.sentences():
            st.session_state[found] = probe.models(address, key.strip())
    offered: list[str] = st.session_state.get(found, [])
    if offered:
        count = "1 model" if len(offered) == 1 else f"{len(offered):,} models"
        st.success(f"{ui.inert(place_of(address))} answers and offers {count}.", icon=":material/check_circle:")
        model = first.selectbox("Model", offered, accept_new_options=True, key=f"offered.{draft}")
    else:
        model = first.text_input("Model", key=f"model.{draft}", help="**Test connection** lists them.")
    name = third.text_input("Name", placeholder="the model's name", help="Shown in lists.", key=f"name.{draft}")
    help_cap = "A comparison stops asking before its bill passes this. It needs a price, see Prices below."
    cap = fourth.number_input("Spend cap, USD", 0.0, None, None, 1.0, help=help_cap, key=f"cap.{draft}")
    if st.button("Add", icon=":material/add:", type="primary"):
        values = {
            "name": (name.strip() or str(model or ""))[:60],
            "base_url": address,
            "model": str(model or "").strip(),
            "api_key_env": key.strip() or DEFAULT_KEY,
            "spend_cap_usd": cap or None,
        }
        with ui.sentences():
            if not (values["base_url"] and values["model"]):
                raise EndpointError("An endpoint needs its address and a model.", "Test connection lists the models.")
            added = validated(Endpoint, values, "endpoint")
            save_endpoints(ui.workspace(), [*[e for e in known if e.name != added.name], added])
            ui.new_draft("endpoint")
            ui.flash(f"{added.name} was added")
            st.rerun()


def key_form() -> None:
    """Save a key in the system's keyring or in memory, or forget it."""
    keyring = keys.keyring_name()
    st.caption(
        f"Keys are looked up in the environment first, then in {ui.inert(keyring)}. They are never shown again."
        if keyring
        else "This system has no keyring to keep keys in. Keep the key in memory until the studio stops, or set it as "
        "an environment variable, such as `OPENAI_API_KEY`, before you start smolstudio."
    )
    names = list(dict.fromkeys([*(e.api_key_env for e in load_endpoints(ui.workspace())), DEFAULT_KEY]))
    with st.form("key", clear_on_submit=True):
        left, right = st.columns(2)
        name = left.selectbox("Key", names)
        # Another widget after each save, so that the session forgets the secret too.
        secret = right.text_input("Secret", type="password", autocomplete="off", key=ui.draft_token("secret"))
        line = st.container(horizontal=True)
        saved = bool(keyring) and line.form_submit_button("Save in the keyring", icon=":material/key:")
        kept = line.form_submit_button("Keep in memory", icon=":material/memory:")
        forgotten = line.form_submit_button("Forget it", icon=":material/key_off:")
    with ui.sentences():
        if (saved or kept) and secret.strip():
            (keys.store_key if saved else keys.remember_key)(name, secret.strip())
            ui.new_draft("secret")
            ui.flash(f"{name} is in the keyring" if saved else f"{name} is kept until the studio stops")
            st.rerun()
        if forgotten:
            keys.forget_key(name)
            ui.flash(f"{name} is forgotten")
            st.rerun()
