"""One row to decide about: approve, reject or edit it; who decided what before; and the dataset that follows from it.

Clicks are recorded in callbacks, whose arguments are those of the page as it was shown: so a decision that another tab
made meanwhile is noticed instead of overwritten.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from studio.read.rows import Rows, read_at, rows_of
from studio.widgets import following, ui
from studio.widgets.media import show_example
from synth.curation.edit import fields_of
from synth.curation.review import (
    REVIEWS,
    Action,
    Review,
    Reviews,
    as_reviewed,
    default_reviewer,
    read_reviews,
    record,
    states,
)
from synth.dataset import DatasetDir
from synth.errors import DataError, UserError
from synth.example import Example
from synth.strict import validated

REASONS = (
    "The answer is wrong",
    "The question is unclear",
    "The picture or recording does not fit",
    "Unrealistic wording",
)
ICONS = {"approved": ":material/check_circle:", "rejected": ":material/block:", "edited": ":material/edit:"}
DONE: dict[Action, str] = {"approve": "approved", "reject": "rejected", "edit": "edited", "reset": "took back all"}
HEIGHTS = {"question": 110, "answer": 68, "rationale": 140, "target": 140}
"""Of the text areas, in pixels; 68 is Streamlit's least."""
PREFIX = "review."


class Current(NamedTuple):
    """A row with its edits, and why they could not be shown."""

    row: Example
    fault: str = ""


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(path: str, size: int, changed_ns: int) -> Reviews:
    return read_reviews(DatasetDir(Path(path)))


def reviews_of(dataset: DatasetDir) -> Reviews:
    """The dataset's trail, read when it changed."""
    file = dataset.path / REVIEWS
    state = file.stat() if file.is_file() else None
    return _read(str(dataset.path), state.st_size if state else 0, state.st_mtime_ns if state else 0)


def reader(dataset: DatasetDir) -> Callable[[str], bytes]:
    """Reads media of the dataset."""
    return lambda path: dataset.media_path(path).read_bytes()


def current(original: Example, trail: tuple[Review, ...]) -> Current:
    """The row as it stands; as it was made when its edits do not fit it."""
    try:
        return Current(as_reviewed(original, trail))
    except DataError as error:
        return Current(original, str(error))


def standing_line(trail: tuple[Review, ...]) -> str:
    """How a row stands and who decided last, as inert Markdown."""
    found = states(trail)
    if not found:
        return ":material/radio_button_unchecked: not reviewed"
    shown = " · ".join(f"{ICONS[state]} {state}" for state in found)
    reason = f": {ui.inert(trail[-1].reason, 200)}" if trail[-1].reason else ""
    return f"{shown} by {ui.inert(trail[-1].by)}{reason}"


# --- the dataset -------------------------------------------------------------------------------------------------


def counts_line(dataset: DatasetDir, reviews: Reviews) -> str:
    """How far the review has come."""
    counts = ", ".join(f"{n:,} {state}" for state, n in reviews.counts().items())
    return f"{counts} of {sum(dataset.card.splits.values()):,}"


def summary(dataset: DatasetDir, reviews: Reviews) -> None:
    """What of the trail cannot be read, and the way to the reviewed dataset."""
    for fault in reviews.faults:
        ui.show_error(f"A decision cannot be read: {fault}.", f"Fix or delete that line in {dataset.path / REVIEWS}.")
    if not any(reviews.counts().values()):
        return
    with st.expander("Make reviewed dataset", icon=":material/verified:"):
        st.markdown(
            "A new dataset with your edits and without the rejected rows, which it lists with their reasons. "
            "This one stays as it is."
        )
        name = st.text_input("Name of the reviewed dataset", f"{dataset.name}-reviewed")
        only = st.toggle("Only rows that were approved or edited")
        if st.button("Make reviewed dataset", type="primary", icon=":material/verified:"):
            with ui.sentences():
                _make(dataset, name, only)


def _make(dataset: DatasetDir, name: str, approved_only: bool) -> None:
    arguments = {"dataset": dataset.name, "name": ui.free_name(name), "approved_only": approved_only}
    following.start("made", "review", arguments, name)


# --- one row -----------------------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """The row as the person sees it: what a click is about."""

    dataset: DatasetDir
    row_id: str
    texts: dict[str, str]
    seen: int
    following_id: str | None


def render(dataset: DatasetDir, split: str, rows: Rows, row_id: str, reviews: Reviews) -> None:
    """A row of the split with all that can be done about it; `rows` are those that previous and next go through."""
    file = dataset.path / f"{split}.jsonl"
    everything = rows_of(file)
    if row_id not in everything.ids:
        ui.show_error(f"There is no row '{row_id}' in {split}.", "Go back to the rows.")
        st.button("Back to the rows", on_click=ui.set_params, kwargs={"row": None}, icon=":material/arrow_back:")
        return
    following_id = _walk(dataset, rows, row_id, reviews)
    place = everything.offsets[everything.ids.index(row_id)]
    original = validated(Example, read_at(file, [place])[0], "row")
    trail = reviews.trail(row_id)
    found = current(original, trail)
    shown = Shown(dataset, row_id, fields_of(found.row), len(trail), following_id)
    _failure()
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(standing_line(trail))
        if found.fault:
            ui.show_error(found.fault, "")
        show_example(found.row, reader(dataset), details=True)
        _trail(trail)
    with right:
        _decide(shown)
        _edit(shown)


def _walk(dataset: DatasetDir, rows: Rows, row_id: str, reviews: Reviews) -> str | None:
    """Draw the way back and to the neighbours; returns the id of the next row."""
    place = rows.ids.index(row_id) if row_id in rows.ids else None
    before = rows.ids[place - 1] if place else None
    after = rows.ids[place + 1] if place is not None and place + 1 < len(rows.ids) else None
    line = st.container(horizontal=True, vertical_alignment="center")
    line.button("Back to the rows", on_click=ui.set_params, kwargs={"row": None}, icon=":material/arrow_back:")
    for label, target, icon in (
        ("Previous", before, ":material/chevron_left:"),
        ("Next", after, ":material/chevron_right:"),
    ):
        line.button(
            label, on_click=ui.set_params, kwargs={"row": target}, disabled=target is None, icon=icon, key=f"go.{label}"
        )
    where = (
        f"row {place + 1:,} of {len(rows.ids):,}" if place is not None else f"not among the {len(rows.ids):,} chosen"
    )
    line.caption(f"{where} · {counts_line(dataset, reviews)}")
    return after


def _trail(trail: tuple[Review, ...]) -> None:
    """Every decision about the row, newest first, edits as differences."""
    st.markdown("##### Who decided what")
    if not trail:
        st.caption("Nobody decided about this row yet.")
    for review in reversed(trail):
        reason = f": {ui.inert(review.reason)}" if review.reason else ""
        st.markdown(f"**{ui.inert(review.by)}** {DONE[review.action]}{reason}")
        st.caption(ui.inert(review.at))
        for field, change in review.changes.items():
            lines = difflib.unified_diff(change.before.split("\n"), change.after.split("\n"), lineterm="", n=1)
            st.code("\n".join([f"  {field}", *list(lines)[3:]]), language="diff", wrap_lines=True)
        for doubt in review.doubts:
            st.caption(f":material/warning: {ui.inert(doubt)}")


def _decide(shown: Shown) -> None:
    stored = st.session_state.setdefault("reviewer", default_reviewer())
    st.session_state.setdefault(PREFIX + "by", stored)
    st.session_state["reviewer"] = st.text_input("Your name", key=PREFIX + "by", max_chars=80)
    left, right = st.columns(2)
    key = f"{shown.row_id}.{shown.seen}"
    left.button(
        "Approve",
        type="primary",
        icon=":material/check:",
        key=f"approve.{key}",
        on_click=partial(_record, shown, "approve"),
        width="stretch",
    )
    right.button(
        "Take back",
        icon=":material/undo:",
        key=f"reset.{key}",
        disabled=not shown.seen,
        help="Takes back every decision about this row; the trail keeps them.",
        on_click=partial(_record, shown, "reset"),
        width="stretch",
    )
    with st.form(f"reject.{key}", border=True):
        st.selectbox(
            "Reason to reject",
            REASONS,
            None,
            key=f"{PREFIX}reason.{key}",
            accept_new_options=True,
            placeholder="Choose or write",
        )
        st.form_submit_button("Reject", icon=":material/block:", on_click=partial(_record, shown, "reject"))


def _edit(shown: Shown) -> None:
    """A form with the row's texts; a target that equals the answer follows it and has no field of its own."""
    key = f"{shown.row_id}.{shown.seen}"
    draft: dict[str, str] = st.session_state.get(f"{PREFIX}draft.{shown.row_id}", {})
    with st.expander("Edit", icon=":material/edit:", expanded=bool(draft)), st.form(f"edit.{key}", border=False):
        for field, text in shown.texts.items():
            if field == "target" and text == shown.texts.get("answer"):
                continue
            widget = f"{PREFIX}{field}.{key}"
            st.session_state.setdefault(widget, draft.get(field, text))
            st.text_area(field.capitalize(), key=widget, height=HEIGHTS[field])
        st.text_input("Why", key=f"{PREFIX}why.{key}", placeholder="optional")
        st.checkbox("Save it even if a check fails", key=f"{PREFIX}force.{key}")
        st.form_submit_button("Save the edit", icon=":material/save:", on_click=partial(_record, shown, "edit"))
        st.caption("An untouched target follows when it is made of the rationale and the answer.")


def _record(shown: Shown, action: Action) -> None:
    """A click: record the decision and go on to the next row, or keep what is needed to say why not."""
    state, key = st.session_state, f"{shown.row_id}.{shown.seen}"
    values = {f: str(state[w]) for f in shown.texts if (w := f"{PREFIX}{f}.{key}") in state}
    edited = {field: text for field, text in values.items() if text != shown.texts[field]}
    reason = {"reject": "reason", "edit": "why"}.get(action)
    draft = f"{PREFIX}draft.{shown.row_id}"
    try:
        record(
            shown.dataset,
            shown.row_id,
            action,
            str(state.get(PREFIX + "by") or ""),
            str(state.get(f"{PREFIX}{reason}.{key}") or "") if reason else "",
            edited,
            bool(state.get(f"{PREFIX}force.{key}")),
            shown.seen,
        )
    except UserError as error:
        state[PREFIX + "failure"] = (error.code, error.message, error.remedy)
        if action == "edit":
            state[draft] = edited
        return
    state.pop(draft, None)
    ui.flash(f"Row {shown.row_id[:8]} {DONE[action]}" if action != "reset" else "All decisions taken back")
    if action in ("approve", "reject") and shown.following_id:
        ui.set_params(row=shown.following_id)


def _failure() -> None:
    """Why the last click was not recorded."""
    code, message, remedy = st.session_state.pop(PREFIX + "failure", ("", "", ""))
    if code == "review.doubt":
        advice = "Fix it, or tick “Save it even if a check fails” and save again."
        st.warning(f"{ui.inert(message)}\n\n{advice}", icon=":material/warning:")
    elif message:
        ui.show_error(message, remedy)
