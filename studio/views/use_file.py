"""Use, answer a file: upload new rows, get every row back with the model's answer and its confidence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st

from studio.read.history import RunFacts
from studio.serving.answer_file import first_rows
from studio.state import uploads
from studio.views.data_import import TABLES
from studio.widgets import following, ui
from synth.errors import DataError
from synth.importing.detect import detect
from synth.importing.preview import columns_of, guess_roles
from synth.modality import Modality, modality

SHOWN = 200


def render(run: RunFacts) -> None:
    """The tab."""
    if made := following.outcome("answered"):
        _answers(made)
        return
    kind = modality(run.recipe.modality)
    if kind.part is None:
        _table(run)
    else:
        _media(run, kind)


def _kept(files: list[tuple[str, bytes]]) -> Path:
    """The uploaded files in a folder of their own, the same folder for the same files."""
    mark = hashlib.sha256(b"".join(name.encode("utf-8", "replace") + data for name, data in files)).hexdigest()
    folders: dict[str, Path] = st.session_state.setdefault("use.folders", {})
    if mark not in folders or not folders[mark].is_dir():
        folders[mark] = uploads.keep(ui.workspace(), files)
    return folders[mark]


def _table(run: RunFacts) -> None:
    st.markdown("A table of new texts comes back whole, with answer, confidence and a note for each row.")
    given = st.file_uploader("Upload a table", TABLES, key="use.table")
    if given is None:
        return
    source = _kept([(given.name, given.getvalue())]) / Path(given.name).name
    guess = detect(source, "text")
    columns = list(dict.fromkeys(str(key) for row in guess.sample for key in row))
    if not columns:
        raise DataError(f"{given.name} has no columns.", "Save it as a table with a header.", "answer.columns")
    learned = _question_column(run)
    if learned not in columns:  # numbers and dates are asked about by nobody
        learned = guess_roles([c for c in columns_of(source) if c.name in columns], guess.mapping).get(
            "question", columns[0]
        )
    preset = columns.index(learned)
    column = st.selectbox("Column with the text", columns, preset)
    if st.button("Answer them", type="primary", icon=":material/play_arrow:"):
        following.start(
            "answered", "answer", {"run": run.id, "sources": [str(source)], "column": column, "question": ""}, run.id
        )


def _question_column(run: RunFacts) -> str:
    """The column that the run's dataset was imported from, when it was."""
    from studio.read.glance import dataset_cards

    card = next((one for one in dataset_cards(ui.workspace()) if one.name == run.recipe.data.dataset), None)
    return str((card.spec.get("mapping") or {}).get("question") or "question") if card else ""


def _media(run: RunFacts, kind: Modality) -> None:
    st.markdown("Each file becomes a row of a table, with answer, confidence and a note.")
    given = st.file_uploader(f"Upload files: {kind.title.lower()}", kind.uploads, accept_multiple_files=True)
    question = st.text_input("Question about each", placeholder=kind.hint) if kind.asks else ""
    if st.button("Answer them", type="primary", icon=":material/play_arrow:"):
        if not given or (kind.asks and not question.strip()):
            raise DataError("There is nothing to answer yet.", "Upload files, and ask a question where there is one.")
        folder = _kept([(file.name, file.getvalue()) for file in given])
        sources = [str(folder / file.name) for file in given]
        arguments = {"run": run.id, "sources": sources, "column": "", "question": question.strip()}
        following.start("answered", "answer", arguments, run.id)


def _answers(made: dict[str, object]) -> None:
    """What came of it, the first rows, and the file."""
    file = Path(str(made["file"]))
    noted = f" · {made['with_note']:,} with a note that says what is wrong" if made["with_note"] else ""
    said = f"{made['rows']:,} rows, {made['answered']:,} answered{noted}."
    if made["answered"]:
        st.success(said, icon=":material/check_circle:")
    else:
        st.warning(f"{said} See the notes; another column may hold the texts.", icon=":material/warning:")
    line = st.container(horizontal=True)
    if file.is_file():
        line.download_button(
            "Download answers", file.read_bytes(), "answers.csv", "text/csv", icon=":material/download:"
        )
    if line.button("Answer another file", icon=":material/upload:"):
        ui.set_params(answered=None)
        st.rerun()
    if not file.is_file():
        ui.show_error("The answers are no longer there.", "Answer the file again.")
        return
    st.dataframe(first_rows(file, SHOWN), hide_index=True)
    st.caption(
        f"The first {SHOWN} rows at most. **Confidence** is the mean probability of the answer's words as the model "
        "saw it, from 0 to 1: it ranks rows for a second look, and is no probability of being right."
    )
