"""What can be done with any dataset, run or comparison: name it, describe it, delete it and take that back, erase."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from studio.state import erase, titles, trash
from studio.state.titles import Kind, Title
from studio.widgets import ui
from synth.errors import UserError

# What the address names of each kind.
PARAMS: dict[Kind, str] = {"datasets": "dataset", "runs": "run", "comparisons": "comparison"}


def shown(kind: Kind, name: str) -> str:
    """What people call it, with its name."""
    return titles.shown(ui.workspace(), kind, name)


def all_shown(kind: Kind) -> Callable[[str], str]:
    """`shown` for a menu of many."""
    return titles.all_shown(ui.workspace(), kind)


def about(kind: Kind, name: str) -> None:
    """Its title and description, where somebody wrote them."""
    found = titles.title_of(ui.workspace(), kind, name)
    if found.title:
        st.markdown(f"**{ui.inert(found.title)}**")
    if found.about:
        st.text(found.about)


def menu(kind: Kind, name: str) -> None:
    """A menu to name, describe and delete it; datasets can be erased too."""
    noun = trash.NOUNS[kind]
    with st.popover(f"Manage {ui.inert(name)}", icon=":material/more_horiz:"):
        found = titles.title_of(ui.workspace(), kind, name)
        title = st.text_input("Name shown", found.title, key=f"title.{kind}.{name}", placeholder=name)
        words = st.text_area("What it is", found.about, key=f"about.{kind}.{name}", height=90)
        line = st.container(horizontal=True)
        if line.button(f"Save {ui.inert(name)}", key=f"save.{kind}.{name}", icon=":material/save:"):
            with ui.sentences():
                titles.set_title(ui.workspace(), kind, name, Title(title, words))
                ui.flash("Saved")
                st.rerun()
        help_text = "It goes to the trash of this workspace; you can undo that."
        if line.button(
            f"Delete {noun} {ui.inert(name)}", key=f"delete.{kind}.{name}", icon=":material/delete:", help=help_text
        ):
            with ui.sentences():
                gone = trash.delete(ui.workspace(), kind, name)
                ui.set_params(**{PARAMS[kind]: None}, job=None, deleted=gone)  # the job that made it leads to it too
                st.rerun()
        if kind == "datasets" and st.toggle("Erase it for good …", key=f"erase.{name}"):
            _erase(name)


def _erase(name: str) -> None:
    """What would go, and the button, once the name was typed."""
    found = erase.look(ui.workspace(), name)
    st.markdown("Nothing of this can be taken back. Removed from this workspace:")
    for part in found.parts:
        count = f"{len(part.paths):,} x " if len(part.paths) > 1 else ""
        st.markdown(f"- {ui.inert(part.what)}: {count}{part.size_bytes / 2**20:,.1f} MiB")
    if found.unread:
        names = ", ".join(f"{path.parent.name}/{path.name}" for path in found.unread)
        st.warning(f"Cannot be read, and so stays, whether it is of this dataset or not: {ui.inert(names)}")
    st.caption("Copies that were downloaded, exported to another place or backed up are not known here.")
    typed = st.text_input(f"Type {ui.inert(name)} to confirm", key=f"confirm.{name}")
    if st.button("Erase for good", key=f"erase.now.{name}", icon=":material/delete_forever:"):
        if typed.strip() != name:
            st.warning("The name typed is not that of the dataset, so nothing was erased.")
            return
        with ui.sentences():
            left = erase.erase(ui.workspace(), found)
            kinds = "; ".join(f"{part.what} ({len(part.paths):,})" for part in found.parts)
            said = f"{name} was erased. Removed: {kinds}."
            st.session_state["erased"] = f"{said} Not removed: {', '.join(left)}." if left else said
            ui.set_params(dataset=None)
            st.rerun()


def show_erased() -> None:
    """What the last erasure removed; once."""
    if said := st.session_state.pop("erased", None):
        st.success(ui.inert(said), icon=":material/delete_forever:")


def undo(kind: Kind) -> None:
    """The way back right after a deletion."""
    name = ui.param("deleted")
    if not name or name not in trash.deleted(ui.workspace(), kind):
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.info(f"{ui.inert(trash.before(name))} is in the trash.", icon=":material/delete:")
    if right.button("Undo", icon=":material/undo:", key=f"undo.{kind}"):
        _put_back(kind, name)


def bin_of(kind: Kind) -> None:
    """What was deleted, to be put back or removed for good."""
    names = trash.deleted(ui.workspace(), kind)
    if not names:
        return
    with st.expander(f"Trash ({len(names)})", icon=":material/delete:"):
        name = st.selectbox(f"Deleted {trash.NOUNS[kind]}", names, format_func=trash.before)
        left, right, _ = st.columns([1, 1, 2])
        if left.button("Put back", icon=":material/undo:", key=f"restore.{kind}"):
            _put_back(kind, name)
        if right.button("Remove for good", icon=":material/delete_forever:", key=f"destroy.{kind}"):
            trash.destroy(ui.workspace(), kind, name)
            st.rerun()


def _put_back(kind: Kind, name: str) -> None:
    try:
        back = trash.restore(ui.workspace(), kind, name)
    except UserError as error:
        ui.show_error(error.message, error.remedy)
        return
    ui.set_params(**{PARAMS[kind]: back}, deleted=None)
    st.rerun()
