"""Import: upload or name a file, map its columns, see which lines are faulty, keep the good ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from studio import ui
from studio.importing import import_rows
from synth.errors import DataError
from synth.import_rows import ROLES
from synth.importers import detect
from synth.pipeline import check_name

SUFFIXES = ["jsonl", "json", "csv", "tsv"]


def _source() -> Path | None:
    """The file to import: uploaded (kept in a private temp folder) or a path on this machine."""
    upload = st.file_uploader("Upload a file", SUFFIXES, help="JSONL, JSON, CSV or TSV")
    typed = st.text_input("… or a file or folder on this machine", placeholder="/data/questions.csv")
    if upload is not None:
        folder = Path(st.session_state.setdefault("upload.folder", tempfile.mkdtemp(prefix="smolstudio-")))
        file = folder / f"upload{Path(upload.name).suffix.lower()}"
        if not file.exists() or file.stat().st_size != upload.size:
            file.write_bytes(upload.getvalue())
        return file
    if typed.strip():
        path = Path(typed.strip()).expanduser()
        if not path.exists():
            raise DataError(f"There is nothing at {path}.", "Check the path.")
        return path
    return None


def _mapping(columns: list[str], guess: dict[str, str]) -> dict[str, str]:
    """Which column plays which role."""
    st.markdown("##### Which column is what?")
    mapping = {}
    for place, role in zip(st.columns(len(ROLES)), ROLES, strict=True):
        options = ["", *columns]
        preset = options.index(guess[role]) if guess.get(role) in options else 0
        if column := place.selectbox(role, options, preset, key=f"map.{role}"):
            mapping[role] = column
    return mapping


def _report(report: object, name: str) -> None:
    kept, rejected = getattr(report, "kept", 0), list(getattr(report, "rejected", []))
    st.success(f"{ui.inert(name)}: {kept:,} rows kept, {len(rejected):,} set aside.", icon=":material/check_circle:")
    if rejected:
        st.markdown("##### Lines that were set aside")
        st.dataframe([{"line": str(line), "reason": reason} for line, reason in rejected[:1000]], hide_index=True)
    if st.button("Train on it", type="primary", icon=":material/arrow_forward:"):
        st.switch_page("views/train.py", query_params={"dataset": name, "task": "own"})


def render() -> None:
    """The tab."""
    st.markdown(
        "Rows with a question and its right answer. Faulty lines are set aside with their numbers; nothing is lost."
    )
    modality = st.radio("Kind", ["text", "vision", "audio"], horizontal=True)
    source = _source()
    if source is None:
        ui.empty(
            "What it can read",
            "JSONL, JSON, CSV and TSV; chats (`messages`), prompt and completion, question and answer.",
        )
        return
    mapping: dict[str, str] = {}
    if modality == "text":
        guess = detect(source)
        st.caption(ui.inert(f"Looks like: {guess.format}"))
        if guess.columns:
            mapping = _mapping(list(guess.columns), dict(guess.mapping))
    name = st.text_input("Name of the dataset", "my-data")
    if st.button("Import", type="primary", icon=":material/upload:"):
        st.session_state["import.report"] = (
            import_rows(modality, source, check_name(name), ui.workspace(), mapping or None),
            name,
        )
    if done := st.session_state.get("import.report"):
        _report(*done)
