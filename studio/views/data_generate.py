"""Generate: a form made from the generator's own fields, its YAML, a live preview, and the detached work."""

from __future__ import annotations

from itertools import count
from typing import Any

import streamlit as st
import yaml

from studio.presets.cards import settings_for
from studio.read.glance import dataset_cards
from studio.widgets import address, following, forms, ui
from studio.widgets.media import show_example
from synth.build import preview_rows
from synth.generators import GENERATORS, generator, parse_spec

PREVIEW_ROWS = 3


def _settings(key: str) -> dict[str, Any]:
    """The settings by form or as YAML; both show the same draft."""
    info = generator(key)
    model = info.spec_class()
    draft = st.session_state.setdefault(f"draft.spec.{key}", settings_for(key))
    how = st.segmented_control("Settings as", ["Form", "YAML"], default="Form", key=f"how.{key}")
    if how == "YAML":
        full = parse_spec(info, draft).model_dump(mode="json")
        text = st.text_area("Settings", yaml.safe_dump(full, sort_keys=False), height=340, key=f"yaml.{key}")
        values = forms.read_yaml(text, "The text")
        st.download_button("Download YAML", text, f"{key}.yaml")
    else:
        values = forms.form(model, draft, f"spec.{key}")
    parse_spec(info, values)
    st.session_state[f"draft.spec.{key}"] = values
    return values


def _preview(key: str, values: dict[str, Any]) -> None:
    media: dict[str, bytes] = {}

    def keep(data: bytes, suffix: str) -> str:
        name = f"media/{len(media)}{suffix}"
        media[name] = data
        return name

    small = {**values, **{s: min(int(values.get(s) or 0), 8) for s in ("val", "test", "test_ood")}, "train": 8}
    for example in preview_rows(key, small, PREVIEW_ROWS, keep):
        show_example(example, media.__getitem__)


def _start(key: str, values: dict[str, Any]) -> None:
    taken = {card.name for card in dataset_cards(ui.workspace())}
    free = next(name for number in count(1) if (name := f"{key}-{number}") not in taken)
    name = st.text_input("Name of the dataset", free, key=f"name.{key}")
    total = sum(int(values.get(s) or 0) for s in ("train", "val", "test", "test_ood"))
    st.caption(f"{total:,} rows. Generating costs machine time only: no endpoint is asked.")
    if st.button("Generate", type="primary", key=f"generate.{key}", icon=":material/play_arrow:"):
        arguments = {"generator": key, "settings": values, "name": ui.free_name(name)}
        following.start("job", "synth", arguments, name)


def render() -> None:
    """The tab."""
    key = address.tabs("Kind", list(GENERATORS), "task", lambda k: GENERATORS[k].title)
    st.caption(GENERATORS[key].about)
    left, right = st.columns([3, 2], gap="large")
    values: dict[str, Any] | None = None
    with left:
        start = st.container()  # above the settings: with its defaults a generator is started without scrolling
        with ui.sentences():
            values = _settings(key)
            with start:
                _start(key, values)
        if made := following.outcome("job"):
            following.ready(str(made["dataset"]))
    with right:
        st.markdown("##### What it will look like")
        with ui.sentences():
            if values is not None:
                _preview(key, values)
