"""Settings: the bucket that this workspace shares its folders through, what differs there, and pushing and pulling."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from studio.widgets import ui
from synth.bucket import address
from synth.shared import Shared
from synth.standing import Standing, known_address, standing

SAID = {
    "equal": "Equal",
    "only here": "Only here: push it",
    "only there": "Only there: pull it",
    "changed here": "Changed here: push it",
    "changed there": "Changed there: pull it",
    "changed on both sides": "Changed on both sides: choose with `smolstudio storage`",
    "busy": "Being written: wait for its end",
}


def render() -> None:
    """The address, when folders were last equal to what is there, and the buttons."""
    place = ui.workspace()
    st.code(str(place.path), language=None)
    st.caption("Change it with `smolstudio ui --workspace FOLDER`.")
    known = known_address(place)
    text = st.text_input(
        "Bucket that its folders are shared through",
        str(known or ""),
        max_chars=300,
        placeholder="s3://team/models",
        help="Datasets, runs and comparisons, for machines without a common disk. Keys come from the environment: "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL.",
    ).strip()
    if not text:
        st.caption("Shared with nobody: everything stays on this machine.")
        return
    with ui.sentences():
        shared = Shared(place, address(text))
        _last(shared)
        see, push, pull = st.columns(3)
        if see.button("See what differs", key="storage.see", icon=":material/compare:", width="stretch"):
            _show(shared)
        if push.button("Push what is new here", key="storage.push", icon=":material/cloud_upload:", width="stretch"):
            _do(shared, shared.publish_made, "Everything here is published already.")
        if pull.button("Pull what is new there", key="storage.pull", icon=":material/cloud_download:", width="stretch"):
            _do(shared, shared.fetch_new, "Nothing new is published.")


def _last(shared: Shared) -> None:
    times = [(at, item) for item in shared.here() if (at := shared.equal_at(item)) is not None]
    if not times:
        st.caption("Nothing was pushed there or pulled from there yet.")
        return
    at, item = max(times)
    waits = sum(shared.changed(one) for one in shared.here())
    folders = "1 folder here is" if waits == 1 else f"{waits:,} folders here are"
    left = f"{folders} new or changed since." if waits else "Nothing changed here since."
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    st.caption(f"Last push or pull: {when}, {ui.inert(item)}. {left}")


def _show(shared: Shared) -> None:
    with st.spinner("Looking at the bucket …"):
        found = standing(shared)
    if not found:
        st.info("There is nothing to share here, and nothing is published there.", icon=":material/inbox:")
        return
    st.dataframe([_row(one) for one in sorted(found, key=lambda one: one.state == "equal")], hide_index=True)


def _row(one: Standing) -> dict[str, str]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.at)) if one.at else "never"
    return {"Folder": str(one.item), "How it stands": SAID[one.state], "Last equal": when}


def _do(shared: Shared, work: Callable[[Callable[[str], None]], None], nothing: str) -> None:
    said: list[str] = []
    try:
        with st.spinner("A folder at a time, each whole or not at all …"):
            work(said.append)
            shared.know()
    finally:
        for line in said:
            st.write(ui.inert(line))
    if not said:
        st.write(nothing)
