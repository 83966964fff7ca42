"""Label lines: unlabelled lines of text get an answer each, by a button for every class or by typing.

What is answered so far is kept in the workspace (`studio.state.drafts`), so that a refresh loses nothing; whoever asked
for the form adds the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from studio.state import drafts
from studio.state.drafts import Draft
from studio.widgets import ui
from synth.importing.pasted import row

MAX_LINES = 2000
BUTTONS_A_LINE = 4


def forget(name: str) -> None:
    """Throw the draft of this dataset away."""
    drafts.forget(ui.workspace(), name)


def _answer(name: str, value: str | None) -> None:
    if draft := drafts.load(ui.workspace(), name):
        drafts.save(ui.workspace(), name, draft._replace(answers=(*draft.answers, value)))


def _typed(name: str, widget: str) -> None:
    if text := str(st.session_state.get(widget, "")).strip():
        _answer(name, text)
        st.session_state[widget] = ""


def _undo(name: str) -> None:
    if draft := drafts.load(ui.workspace(), name):
        drafts.save(ui.workspace(), name, draft._replace(answers=draft.answers[:-1]))


def render(name: str, labels: Sequence[str]) -> str | None:
    """The form; the answered rows as JSON lines, None while there is none."""
    draft = drafts.load(ui.workspace(), name)
    if draft is None:
        text = st.text_area(
            "Your own lines without answers, one a line",
            height=200,
            key=f"lines.{name}",
            placeholder="One message a line",
        )
        lines = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        if st.button("Label them", type="primary", icon=":material/label:", disabled=not lines):
            drafts.save(ui.workspace(), name, Draft(lines[:MAX_LINES]))
            st.rerun()
        if len(lines) > MAX_LINES:
            st.caption(f"The first {MAX_LINES:,} of {len(lines):,} lines are taken.")
        return None
    done, count = len(draft.answers), len(draft.lines)
    answered = [(line, said) for line, said in zip(draft.lines, draft.answers, strict=False) if said is not None]
    st.progress(done / count, text=f"{done:,} of {count:,} lines · {len(answered):,} answered")
    if done < count:
        with st.container(border=True):
            st.text(draft.lines[done])
        _answers(name, labels)
    line = st.container(horizontal=True)
    line.button("Undo", icon=":material/undo:", disabled=not done, on_click=_undo, args=(name,))
    if done < count:
        line.button("Skip", icon=":material/skip_next:", on_click=_answer, args=(name, None))
    line.button("Start over", icon=":material/restart_alt:", on_click=forget, args=(name,))
    if done:
        last = draft.answers[-1]
        st.caption(f"The line before: {'skipped' if last is None else ui.inert(last, 60)}")
    return "".join(row(text, said) for text, said in answered) or None


def _answers(name: str, labels: Sequence[str]) -> None:
    """A button for each class (its number on the keyboard presses it); a field where there are no classes."""
    if not labels:
        widget = f"typed.{name}"
        st.text_input("Its answer (Enter takes it)", key=widget, on_change=_typed, args=(name, widget))
        return
    for start in range(0, len(labels), BUTTONS_A_LINE):
        part = labels[start : start + BUTTONS_A_LINE]
        for place, (offset, label) in zip(st.columns(BUTTONS_A_LINE), enumerate(part), strict=False):
            number = start + offset + 1
            place.button(
                ui.inert(label, 60),
                key=f"class.{name}.{number}",
                on_click=_answer,
                args=(name, label),
                shortcut=str(number) if number < 10 else None,
                width="stretch",
            )
