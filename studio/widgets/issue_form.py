"""A record with a title as the form of a new issue: its fields to be corrected, and a link that opens it filled in.

Nothing is sent: the link leads to the repository's own form, where a person decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from studio.widgets import ui

DRAFT = "playground.issue"
LONGEST_URL = 8000  # GitHub refuses longer ones
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def take(record: Mapping[str, Any]) -> None:
    """Make a record the draft, if it is an issue."""
    if isinstance(record.get("title"), str):
        st.session_state[DRAFT] = {str(key): written(value) for key, value in record.items()}
        for key in record:
            st.session_state.pop(_field(str(key)), None)


def show() -> None:
    """The draft as a form, where there is one."""
    draft: dict[str, str] | None = st.session_state.get(DRAFT)
    if not draft:
        return
    with st.container(border=True):
        st.markdown("**As an issue**")
        fields = {
            key: st.text_area(ui.inert(key), text, height="content", key=_field(key)) for key, text in draft.items()
        }
        repository = st.text_input("Repository", placeholder="owner/name", key="issue.repository").strip()
        url = link(repository, fields)
        if repository and not url:
            st.info("Write the repository as owner/name.", icon=":material/info:")
        elif len(url) > LONGEST_URL:
            st.info("The text is too long for a link: shorten a field.", icon=":material/info:")
        elif url:
            st.link_button("Open as a new issue", url, icon=":material/open_in_new:")
            st.caption("Nothing is sent: the link opens the repository's own form, filled in.")


def link(repository: str, fields: Mapping[str, str]) -> str:
    """The address of GitHub's form of a new issue with these fields in it; empty for what is no owner/name."""
    if not _REPOSITORY.fullmatch(repository):
        return ""
    body = "\n\n".join(f"**{key}**\n{text}" for key, text in fields.items() if key != "title" and text.strip())
    query = urlencode({"title": fields["title"], "body": body})
    return f"https://github.com/{repository}/issues/new?{query}"


def written(value: Any) -> str:
    """A field as text; what is missing is empty, a list is numbered."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(f"{number}. {written(one)}" for number, one in enumerate(value, 1))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _field(key: str) -> str:
    return f"issue.field.{key}"
