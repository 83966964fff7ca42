"""Import: upload or name a file, see what would be made of it (`data_plan`), keep the good rows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from studio.state import uploads
from studio.views import data_plan
from studio.views.data_plan import Plan
from studio.widgets import address, following, ui
from synth.errors import DataError
from synth.modality import MODALITIES, Modality

TABLES = ("jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow", "xlsx", "txt", "gz", "zst", "zip")


def uploaded(kind: Modality) -> Path | None:
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
    if upload := uploaded(kind):
        return upload
    typed = st.text_input("… or a file or folder on this machine", placeholder="/data/questions.csv")
    if typed.strip():
        path = Path(typed.strip()).expanduser()
        if not path.exists():
            raise DataError(f"There is nothing at {path}.", "Check the path.")
        return path
    return None


def _report(made: dict[str, Any]) -> None:
    following.ready(str(made["dataset"]))
    st.markdown(f"{made['kept']:,} rows kept, {made['set_aside']:,} set aside.")
    for sentence in made.get("said", []):
        if not sentence.startswith("--"):  # what to write on a command line
            st.caption(ui.inert(sentence))
    if made["faults"]:
        st.markdown("##### Lines that were set aside")
        st.dataframe([{"line": str(line), "reason": reason} for line, reason in made["faults"]], hide_index=True)


def _start(kind: Modality, source: Path, name: str, plan: Plan) -> None:
    ui.free_name(name)
    arguments = {
        "modality": kind.key,
        "source": str(source.absolute()),
        "name": name,
        "mapping": plan.mapping or None,
        "group_by": plan.group_by,
        "shares": plan.shares,
        "answer_columns": list(plan.answer_columns),
        "task": plan.task.model_dump() if plan.task else None,
    }
    following.start("imported", "import", arguments, name)


def render() -> None:
    """The tab."""
    if made := following.outcome("imported"):
        _report(made)
        if st.button("Import another file", icon=":material/upload:"):
            ui.set_params(imported=None)
            st.rerun()
        return
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
            plan = data_plan.render(kind, source)
            left, right = st.columns([3, 1], vertical_alignment="bottom")
            name = left.text_input("Name of the dataset", "my-data")
            if right.button("Import", type="primary", icon=":material/upload:", disabled=plan.refused, width="stretch"):
                _start(kind, source, name, plan)
