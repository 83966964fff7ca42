"""How a row and its media are shown: question with picture or player, target and facts. All of its text is inert."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from studio.widgets import ui
from synth.errors import UserError
from synth.example import Example, media_parts

ReadMedia = Callable[[str], bytes]
SMALL_PX = 256


def show_medium(path: str, read: ReadMedia) -> None:
    """A picture or a player; a sentence when the file is gone or broken."""
    try:
        show_content(read(path), Path(path).suffix)
    except (OSError, UserError):
        st.caption("Its picture or recording is no longer there.")


def show_content(content: bytes, suffix: str) -> None:
    """A player for FLAC, or a picture, a small one at twice its size. Raises OSError for what is no picture."""
    from PIL import Image

    if suffix == ".flac":
        st.audio(content, format="audio/flac")
        return
    with Image.open(io.BytesIO(content)) as picture:
        width = picture.width
    st.image(content, width=2 * width if width < SMALL_PX else "content", alt="Picture")


def show_example(example: Example, read: ReadMedia, details: bool = False) -> DeltaGenerator:
    """A row in a frame, which is returned; `read` gives the bytes of a medium by its relative path."""
    frame = st.container(border=True)
    with frame:
        st.caption(f"{ui.inert(example.family)} · {ui.inert(example.split)} · {ui.inert(example.template)}")
        for part in media_parts(example):
            show_medium(part.path, read)
        for message in example.prompt:
            if message.text:
                st.text(message.text)
        st.code(example.target, language=None, wrap_lines=True)
        if example.rejected is not None:
            st.caption("rejected")
            st.code(example.rejected, language=None, wrap_lines=True)
        if details:
            with st.expander("Where it comes from", icon=":material/account_tree:"):
                rest = dict(example.source)
                show_lineage(rest.pop("lineage", []), example.id)
                st.json({"id": example.id, "scorer": example.scorer, "answer": example.answer, **rest})
    return frame


def show_lineage(lineage: Any, key: str) -> None:
    """The steps that a row came through, one click each: what was asked, what was answered, what a check found."""
    steps = [entry for entry in lineage if isinstance(entry, dict)] if isinstance(lineage, list) else []
    if not steps:
        return
    names = [f"{place}. {entry.get('step', '')}" for place, entry in enumerate(steps, start=1)]
    chosen = st.pills("How it came to be", names, key=f"lineage.{key}")
    if chosen is None:
        return
    rest = dict(steps[names.index(chosen)])
    if model := rest.pop("model", ""):
        st.caption(f"Asked: {ui.inert(str(model))}")
    for text in (rest.pop("prompt", None), *_texts(rest.pop("answers", None))):
        if isinstance(text, str):
            st.code(text, language=None, wrap_lines=True)
    rest.pop("step", None)
    if rest:
        st.json(rest, expanded=1)


def _texts(answers: Any) -> list[Any]:
    return answers if isinstance(answers, list) else []
