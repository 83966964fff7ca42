"""What the pages share: the workspace, addresses, errors as sentences, the steps from a domain to a verdict."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import streamlit as st

from studio.presets.cards import StartCard, card
from synth.errors import RecipeError, UserError
from synth.jobdir import JobDir, Status
from synth.workspace import Workspace, resolve_workspace

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

STATUS_ICON: dict[Status, str] = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/progress_activity:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "stopped": ":material/stop_circle:",
    "lost": ":material/help:",
}
ACTIVE: tuple[Status, ...] = ("queued", "running")
STEPS = (("data", "1 · Data"), ("train", "2 · Train"), ("compare", "3 · Compare"))
# Okabe and Ito's, in the order of use: grey instead of black, and orange, sky blue and yellow dark enough for a white
# page, so that each stands out by 3:1 on a light page and on a dark one. Where eight are too alike, lines are dashed.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B87A00", "#2B93CC", "#8C8400", "#8A8A8A")
LINK_CHARACTERS = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]()#+-.!|<>~$:&"})


def workspace() -> Workspace:
    """The workspace that the server was started with."""
    return resolve_workspace()


def param(name: str) -> str | None:
    """A value of the page's address."""
    return st.query_params.get(name)


def task_param() -> dict[str, str]:
    """The task, to be handed on to the next page's address."""
    task = param("task")
    return {"task": task} if task else {}


def set_params(**values: str | None) -> None:
    """Put values into the page's address; None removes one.

    All at once, and only what somebody did: each change of an address is a press of the browser's Back.
    """
    now = st.query_params.to_dict()
    wanted = {name: value for name, value in {**now, **values}.items() if value is not None}
    if wanted != now:
        st.query_params.from_dict(wanted)


def inert(text: object, limit: int = 2000) -> str:
    """Any text as Markdown that shows itself and does nothing: no markup, links, directives or control characters."""
    clean = "".join(c if c.isprintable() else " " for c in str(text)[:limit])
    return clean.translate(LINK_CHARACTERS) + ("…" if len(str(text)) > limit else "")


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Show a UserError of the block as a sentence with its remedy, in place."""
    try:
        yield
    except UserError as error:
        show_error(error.message, error.remedy)


def show_error(message: str, remedy: str = "") -> None:
    """An error box: what happened, then what to do."""
    st.error(f"{inert(message)}\n\n{inert(remedy)}" if remedy else inert(message), icon=":material/error:")


def flash(text: str) -> None:
    """A toast that survives the rerun or page change that follows."""
    st.session_state["flash"] = text


def show_flash() -> None:
    """Show the toast that the page before left."""
    if text := st.session_state.pop("flash", None):
        st.toast(inert(text), icon=":material/check:")


def chosen_card() -> StartCard | None:
    """The task in the page's address."""
    return card(param("task"))


def steps(here: str) -> None:
    """Where the user is on the way from a domain to a verdict."""
    labels = [f"**{label}**" if key == here else f":gray[{label}]" for key, label in STEPS]
    st.markdown("  :gray[→]  ".join(labels))


def empty(title: str, text: str) -> None:
    """An empty state that says what would be here and how it comes about."""
    with st.container(border=True):
        st.markdown(f"##### {title}")
        st.markdown(text)


def words(*terms: str) -> None:
    """Words of the glossary, each a link to what it means; it opens in another tab, so that no draft is lost."""
    links = (f"[{term}](glossary?term={quote(term)})" for term in terms)
    st.caption(f"What the words mean: {' · '.join(links)}")


def fold(label: str, key: str, icon: str, opened: bool = False) -> DeltaGenerator | None:
    """A fold to draw in, from the first time that somebody opens it; None before, so that a page begins with less.

    It is drawn in from then on, also when it is closed again: what is entered there lives as long as the page.
    """
    box, seen = st.expander(label, expanded=opened, key=f"fold.{key}", icon=icon, on_change="rerun"), f"seen.{key}"
    if box.open:
        st.session_state[seen] = True
    return box if st.session_state.get(seen) else None


def free_name(name: str) -> str:
    """The name, for a new dataset. Raises RecipeError when it is none, or taken."""
    from synth.build import check_name

    if (workspace().datasets / check_name(name)).exists():
        raise RecipeError(f"There is already a dataset '{name}'.", "Choose another name.")
    return name


def draft_token(key: str) -> str:
    """An id for what this form will start, the same until `new_draft`: two clicks or tabs start one thing."""
    return str(st.session_state.setdefault(f"token.{key}", secrets.token_hex(3)))


def new_draft(key: str) -> None:
    """Begin a new draft after something was started."""
    st.session_state.pop(f"token.{key}", None)


def status_label(job: JobDir) -> str:
    """Icon and word of a job's status."""
    status = job.status()
    return f"{STATUS_ICON[status]} {status}"


def progress_bar(events: list[dict[str, Any]]) -> None:
    """The latest progress event as a bar with rate and ETA."""
    from studio.cli.terminal import describe
    from studio.engines.jobs import progress_of

    latest = next((p for e in reversed(events) if (p := progress_of(e))), None)
    if latest is None:
        st.progress(0.0, text="Starting …")
        return
    share = min(1.0, latest.done / latest.total) if latest.total else 0.0
    st.progress(share, text=inert(describe(latest)))
