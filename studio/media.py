"""How a row is shown: its question with picture or player, its target and its facts. All of its text is inert."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from studio import ui
from synth.example import AudioPart, Example, ImagePart, media_parts

ReadMedia = Callable[[str], bytes]


def show_example(example: Example, read: ReadMedia, details: bool = False) -> DeltaGenerator:
    """A row in a frame, which is returned; `read` gives the bytes of a medium by its relative path."""
    frame = st.container(border=True)
    with frame:
        st.caption(f"{ui.inert(example.family)} · {ui.inert(example.split)} · {ui.inert(example.template)}")
        for part in media_parts(example):
            if isinstance(part, ImagePart):
                st.image(read(part.path), width="content")
            elif isinstance(part, AudioPart):
                st.audio(read(part.path), format="audio/flac")
        for message in example.prompt:
            if message.text:
                st.text(message.text)
        st.code(example.target, language=None, wrap_lines=True)
        if example.rejected is not None:
            st.caption("rejected")
            st.code(example.rejected, language=None, wrap_lines=True)
        if details:
            with st.expander("Where it comes from", icon=":material/account_tree:"):
                st.json({"id": example.id, "scorer": example.scorer, "answer": example.answer, **example.source})
    return frame
