"""Import: upload or name a file, see what would be made of it (`data_plan`), keep the good rows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from studio.state import titles, uploads
from studio.views import data_plan
from studio.views.data_plan import Plan
from studio.widgets import address, following, ui
from synth.errors import DataError, UserError
from synth.modality import MODALITIES, Modality

TABLES = (
    *("jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow", "feather", "xlsx", "txt"),
    *("gz", "bz2", "xz", "zst", "zip", "tar", "tgz"),
)


def uploaded(kind: Modality) -> Path | None:
    """The uploaded table, in a folder of its own with what was uploaded beside it.

    The address names it, so that a refresh, and files dropped on Start, find it again.
    """
    several = bool(kind.uploads)
    types = [*TABLES, *kind.uploads]
    given = st.file_uploader(
        "Upload a table and its files" if several else "Upload a file", types, accept_multiple_files=several
    )
    files = given if isinstance(given, list) else [given] if given else []
    if not files:
        return _of_address()
    key = ".".join(sorted(file.file_id for file in files))
    folders: dict[str, Path] = st.session_state.setdefault("upload.folders", {})
    if key not in folders or not folders[key].is_dir():
        folders[key] = uploads.keep(ui.workspace(), [(file.name, file.getvalue()) for file in files])
    table = uploads.table_of(folders[key], TABLES)
    ui.set_params(upload=f"{folders[key].name}/{table.name}")
    return table


def _of_address() -> Path | None:
    """What the address says was uploaded; None without it, and when it is gone."""
    name = ui.param("upload")
    found = uploads.kept(ui.workspace(), name) if name else None
    if name and found is None:
        st.info("The uploaded file is no longer here. Upload it again.", icon=":material/info:")
    elif found is not None:
        st.caption(f"Uploaded: {ui.inert(found.name)}")
    return found


def _source(kind: Modality) -> Path | None:
    """The file or folder to import: uploaded, or a path on this machine."""
    if upload := uploaded(kind):
        return upload
    typed = address.text("… or a file or folder on this machine", "path", placeholder="/data/questions.csv")
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
    title, name = name.strip(), titles.folder_name(name)
    ui.free_name(name)
    arguments = {
        "modality": kind.key,
        "source": str(source.absolute()),
        "name": name,
        "title": title if title != name else "",
        "mapping": plan.mapping or None,
        "group_by": plan.group_by,
        "shares": plan.shares,
        "answer_columns": list(plan.answer_columns),
        "question": plan.question,
        "split_near_duplicates": plan.split_near_duplicates,
        "task": plan.task.model_dump() if plan.task else None,
    }
    following.start("imported", "import", arguments, name)


def _offer(kind: Modality, source: Path, plan: Plan) -> None:
    """The name and the button, with the reasons for which it cannot be pressed."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    usual = plan.form.preset("name", "my-data")
    name = left.text_input("Name of the dataset", usual, help="In any script.", key=plan.form.key("name"))
    refused = bool(plan.refusals)
    pressed = right.button("Import", type="primary", icon=":material/upload:", disabled=refused, width="stretch")
    for sentence in plan.refusals:
        st.error(ui.inert(sentence), icon=":material/error:")
    plan.form.keep()
    if pressed:
        _start(kind, source, name, plan)


def _planned(kind: Modality, source: Path) -> None:
    """The plan; above it what starts it, or why nothing can be made of the rows."""
    top = st.container()
    try:
        plan = data_plan.render(kind, source)
    except UserError as error:
        with top:
            ui.show_error(error.message, error.remedy)
        return
    with top, ui.sentences():
        _offer(kind, source, plan)


def render() -> None:
    """The tab."""
    if made := following.outcome("imported"):
        ui.set_params(upload=None, said=None, path=None)  # it was forgotten when its rows were in the dataset
        _report(made)
        if st.button("Import another file", icon=":material/upload:"):
            ui.set_params(imported=None)
            st.rerun()
        return
    st.markdown(
        "Rows with a question and its right answer. Faulty lines are set aside with their numbers; nothing is lost."
    )
    card = ui.chosen_card()
    names = {key: found.rows_title for key, found in MODALITIES.items()}
    kind = MODALITIES[address.tabs("Kind", list(names), "modality", names.__getitem__, card.modality if card else "")]
    with ui.sentences():
        source = _source(kind)
        if source is None:
            ui.empty("What it can read", kind.import_help)
        else:
            _planned(kind, source)
