"""Import: upload or name a file, map its columns, see which lines are faulty, keep the good ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from studio.state import uploads
from studio.widgets import address, following, ui
from synth.errors import DataError
from synth.modality import MODALITIES, Modality

TABLES = ("jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow", "xlsx", "txt", "gz", "zst", "zip")
ROLES_A_LINE = 4


def _uploaded(kind: Modality) -> Path | None:
    """The uploaded table, in a folder of its own with what was uploaded beside it."""
    several = bool(kind.uploads)
    types = [*TABLES, *kind.uploads]
    given = st.file_uploader(
        "Upload a table and its files" if several else "Upload a file", types, accept_multiple_files=several
    )
    files = given if isinstance(given, list) else [given] if given else []
    if not files:
        return None
    tables = [file for file in files if Path(file.name).suffix.lower().lstrip(".") in TABLES]
    if len(tables) != 1:
        raise DataError(f"There are {len(tables)} tables among the files.", "Upload one table, and what it names.")
    key = ".".join(sorted(file.file_id for file in files))
    folders: dict[str, Path] = st.session_state.setdefault("upload.folders", {})
    if key not in folders or not folders[key].is_dir():
        folders[key] = uploads.keep(ui.workspace(), [(file.name, file.getvalue()) for file in files])
    return folders[key] / Path(tables[0].name).name


def _source(kind: Modality) -> Path | None:
    """The file or folder to import: uploaded, or a path on this machine."""
    upload = _uploaded(kind)
    typed = st.text_input("… or a file or folder on this machine", placeholder="/data/questions.csv")
    if upload is not None:
        return upload
    if typed.strip():
        path = Path(typed.strip()).expanduser()
        if not path.exists():
            raise DataError(f"There is nothing at {path}.", "Check the path.")
        return path
    return None


def _mapping(kind: Modality, source: Path) -> dict[str, str]:
    """Which column plays which role; empty for a format that needs no mapping."""
    guess = kind.detect(source)
    st.caption(ui.inert(f"Looks like: {guess.format}"))
    if not guess.columns:
        return {}
    st.markdown("##### Which column is what?")
    roles, options = kind.roles(), ["", *guess.columns]
    mapping = {}
    if guess.sample:
        st.dataframe([{str(k): str(v)[:500] for k, v in row.items()} for row in guess.sample], hide_index=True)
    for start in range(0, len(roles), ROLES_A_LINE):
        for place, role in zip(st.columns(ROLES_A_LINE), roles[start : start + ROLES_A_LINE], strict=False):
            preset = options.index(guess.mapping[role]) if guess.mapping.get(role) in options else 0
            key = f"map.{kind.key}.{source}.{role}"
            mapping[role] = str(
                place.selectbox(role, options, preset, format_func=lambda column: column or "no column", key=key)
            )
    return mapping if kind.names_unmapped else {role: column for role, column in mapping.items() if column}


def _group(kind: Modality, source: Path) -> str:
    """The key whose rows stay in one split; "" for none. Nothing is preset: a column is never taken by its name."""
    guess = kind.detect(source)
    keys = list(guess.columns) or list(dict.fromkeys(str(key) for row in guess.sample for key in row))
    return str(
        st.selectbox(
            "Keep rows together in one split by",
            ["", *keys],
            format_func=lambda key: key or "nothing: each prompt by itself",
            key=f"group.{kind.key}.{source}",
        )
    )


def _report(made: dict[str, Any]) -> None:
    following.ready(str(made["dataset"]))
    st.markdown(f"{made['kept']:,} rows kept, {made['set_aside']:,} set aside.")
    for sentence in made.get("said", []):
        st.caption(ui.inert(sentence))
    if made["faults"]:
        st.markdown("##### Lines that were set aside")
        st.dataframe([{"line": str(line), "reason": reason} for line, reason in made["faults"]], hide_index=True)


def _start(kind: Modality, source: Path, name: str, mapping: dict[str, str], group_by: str) -> None:
    ui.free_name(name)
    arguments = {
        "modality": kind.key,
        "source": str(source.absolute()),
        "name": name,
        "mapping": mapping or None,
        "group_by": group_by,
    }
    following.start("imported", "import", arguments, name)


def render() -> None:
    """The tab."""
    st.markdown(
        "Rows with a question and its right answer. Faulty lines are set aside with their numbers; nothing is lost."
    )
    card = ui.chosen_card()
    titles = {key: found.rows_title for key, found in MODALITIES.items()}
    kind = MODALITIES[address.tabs("Kind", list(titles), "modality", titles.__getitem__, card.modality if card else "")]
    with ui.sentences():
        source = _source(kind)
        if source is None:
            ui.empty("What it can read", kind.import_help)
        else:
            mapping = _mapping(kind, source)
            group_by = _group(kind, source)
            name = st.text_input("Name of the dataset", "my-data")
            if st.button("Import", type="primary", icon=":material/upload:"):
                _start(kind, source, name, mapping, group_by)
    if made := following.outcome("imported"):
        _report(made)
