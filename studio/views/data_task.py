"""Task: what a dataset asks of a model, shown and edited; saved into the dataset's card."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from studio.read.task_uses import Uses, uses
from studio.views.data_browse import pick_dataset
from studio.widgets import ui
from studio.widgets.task_form import task_form
from synth.curation.amend import restore_task, set_task
from synth.curation.task_history import versions
from synth.dataset import DatasetDir
from synth.modality import modality
from synth.task import TaskCard, kinds_for

CHANGES = (
    "**What a change does:** models that were not tuned are given this text before every question, in Compare and in "
    "the Playground; a model is trained with it where the recipe says so. Rows and splits stay as they "
    "are, and so do finished runs and reports: a new comparison gives the new text."
)


def render() -> None:
    """The tab."""
    dataset = pick_dataset()
    if dataset is None:
        return
    card = dataset.task
    st.markdown(CHANGES)
    key = f"card.{dataset.name}.{card.sha256()[:8]}"
    kinds = kinds_for(modality(dataset.card.modality).part)
    edited = task_form(card, key, kinds, lambda: card.labels or _labels(str(dataset.path), str(dataset.card.sha256)))
    with st.expander("As a model is given it", icon=":material/chat:"):
        st.code(edited.in_words() or "Nothing is said before the question.", language=None, wrap_lines=True)
    changed = [TaskCard.model_fields[n].title or n for n in TaskCard.model_fields if _differs(card, edited, n)]
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Save the task", type="primary", icon=":material/save:", disabled=not changed):
            set_task(dataset, **edited.model_dump())
            ui.flash("The task was saved.")
            st.rerun()
        said = f"Changed: {', '.join(changed)}" if changed else "Nothing was changed."
        st.caption(said, width="content")
    _versions(dataset)


@st.cache_data(max_entries=16, show_spinner="Reading the answers …")
def _labels(folder: str, state: str) -> list[str]:
    return list(DatasetDir(Path(folder)).labels_in_rows())


def _versions(dataset: DatasetDir) -> None:
    """Earlier versions with their dates and who was given them; one can be made the present one."""
    known = versions(dataset)
    if len(known) < 2:
        return
    used = uses(ui.workspace(), dataset.name)
    with st.expander(f"Versions ({len(known)})", icon=":material/history:"):
        for one in reversed(known):
            present = one is known[-1]
            since = one.since[:16].replace("T", " ") if one.since else "time unknown"
            given = used.get(one.sha256, Uses()).sentence()
            st.markdown(f"**Version {one.number}**{' · the present one' if present else ''} · {ui.inert(since)}")
            st.caption(f"Given to: {ui.inert(given)}")
            st.code(one.task.in_words() or "Nothing is said before the question.", language=None, wrap_lines=True)
            label = f"Restore version {one.number}"
            if not present and st.button(label, key=f"restore.{dataset.name}.{one.number}", icon=":material/restore:"):
                restore_task(dataset, one.number)
                ui.flash(f"Version {one.number} of the task is the present one again.")
                st.rerun()


def _differs(before: TaskCard, after: TaskCard, name: str) -> bool:
    if name == "labels":  # their order counts as well: it is the order in which a model reads them
        return list(before.labels.items()) != list(after.labels.items())
    return bool(getattr(before, name) != getattr(after, name))
