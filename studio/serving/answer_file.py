"""A tuned model's answers to a file of new rows: every row comes back, with answer, confidence and a note.

    answer_table(workspace, run, Path("new.csv"), "message", out, progress, stop)     texts
    answer_media(workspace, run, [Path("a.jpg")], "What is the total?", out, progress, stop)     pictures, recordings

Rows are asked as the model was tuned: the dataset's own system message, or its task where the recipe says so. Nothing
is judged: there is no right answer to compare with. `confidence` is the mean probability of the answer's tokens.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from evaluate.answering import answer_limit
from evaluate.plan import SystemPlan
from evaluate.predict.prediction import Prediction
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from recipes.recipe.schema import load_recipe
from synth.dataset import DatasetDir, open_dataset
from synth.errors import DataError, RunError
from synth.example import Message, Part, system, user
from synth.importing.files import read_rows
from synth.importing.raw import MAX_CELL
from synth.modality import modality
from synth.progress import Meter, ProgressFn
from synth.scoring import label, names
from synth.storage import atomic_write_text, sha256_bytes
from synth.workspace import Workspace

MOST_ROWS = 50_000
ADDED = ("answer", "confidence", "note")
OTHER_PARTS = ("input", "history", "messages", "choices")
"""Roles of an import that a single column cannot stand for."""
LIMIT_ROWS = 2000
"""Training rows by which the longest answer is known."""
# At a sign, spreadsheets begin a formula; text after a bullet or a dash calls nothing unless it has one of these.
_FORMULA = re.compile(r"\s*(?:[=@]|[+-].*[(|!])", re.DOTALL)


class Answered(NamedTuple):
    """What became of the rows: all of them are in `file`, in their order."""

    file: Path
    rows: int
    answered: int
    with_note: int


class Asked(NamedTuple):
    """How the model of a run is asked: what stands before each question, its labels, and the system that answers."""

    before: tuple[Message, ...]
    labels: list[str]
    plan: SystemPlan


def answer_table(
    workspace: Workspace, run: str, source: Path, column: str, out: Path, progress: ProgressFn, stop: Callable[[], bool]
) -> Answered:
    """Answers to one column of a table, as CSV in `out`. Raises DataError before anything is asked."""
    dataset, asked = asked_as(workspace, run)
    other = [role for role in OTHER_PARTS if (dataset.card.spec.get("mapping") or {}).get(role)]
    if other:
        message = f"Rows of {dataset.name} are made of several columns ({', '.join(other)}), not of one."
        raise DataError(message, "Serve the model, and send it whole requests.", "answer.columns")
    rows: list[tuple[dict[str, Any], str, str]] = []  # values, text, fault
    for raw in read_rows(source):
        if len(rows) >= MOST_ROWS:
            raise DataError(f"{source.name} has more than {MOST_ROWS:,} rows.", "Split it.", "answer.rows")
        values = raw.value or {}
        text = "" if values.get(column) is None else str(values[column]).strip()
        fault = raw.fault or ("" if text else f"no {column}")
        rows.append((values or {column: raw.text}, text, fault))
    if not any(column in values for values, _, _ in rows):
        known = ", ".join(str(key) for key in (rows[0][0] if rows else {}))
        raise DataError(
            f"{source.name} has no column '{column}'.", f"Choose one of its columns: {known}.", "answer.column"
        )
    questions = {
        str(n): Question(str(n), (*asked.before, user(text)), source.parent)
        for n, (_, text, fault) in enumerate(rows)
        if not fault
    }
    found = _predictions(workspace, asked.plan, questions, progress, stop)
    columns = list(dict.fromkeys(str(key) for values, _, _ in rows for key in values))
    lines = [
        (values, *(("", "", fault) if fault else _cells(found.get(str(n)), asked.labels)))
        for n, (values, _, fault) in enumerate(rows)
    ]
    return _write(out, columns, lines)


def answer_media(
    workspace: Workspace,
    run: str,
    files: Sequence[Path],
    question: str,
    out: Path,
    progress: ProgressFn,
    stop: Callable[[], bool],
) -> Answered:
    """Answers to one question about each picture, or the transcript of each recording, as CSV in `out`."""
    dataset, asked = asked_as(workspace, run)
    kind = modality(dataset.card.modality)
    if kind.part is None:
        raise DataError(f"{run} was tuned on text.", "Upload a table.", "answer.kind")
    faults: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="smolstudio-answer-") as folder:
        questions: dict[str, Question] = {}
        for n, file in enumerate(files):
            try:
                stored = kind.to_stored(file.read_bytes())
            except DataError as error:
                faults[str(n)] = error.message
                continue
            name = f"{n}{kind.suffix}"
            Path(folder, name).write_bytes(stored)
            part: Part = kind.part(path=name, sha256=sha256_bytes(stored))
            words = [question] if kind.asks and question else []
            questions[str(n)] = Question(str(n), (*asked.before, user(part, *words)), Path(folder))
        found = _predictions(workspace, asked.plan, questions, progress, stop)
    lines = [
        (
            {"file": file.name},
            *(("", "", faults[str(n)]) if str(n) in faults else _cells(found.get(str(n)), asked.labels)),
        )
        for n, file in enumerate(files)
    ]
    return _write(out, ["file"], lines)


def first_rows(answered: Path, count: int) -> list[dict[str, str]]:
    """The first rows of what `answer_table` or `answer_media` wrote."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL + 1))  # by default shorter than a row may be
    with answered.open(newline="", encoding="utf-8") as lines:
        return list(islice(csv.DictReader(lines), count))


def asked_as(workspace: Workspace, run: str) -> tuple[DatasetDir, Asked]:
    """The dataset of a run and how its model is asked. Raises DataError where it is gone or holds dialogues."""
    recipe = load_recipe(workspace.runs / run / "recipe.yaml")
    dataset = open_dataset(recipe.data.dataset, workspace.datasets)
    rows = dataset.draw("train", LIMIT_ROWS, 0)
    turns = [tuple(message.role for message in row.prompt) for row in rows]
    if any(one not in (("user",), ("system", "user")) for one in turns):
        message = f"Rows of {dataset.name} are conversations, not single questions."
        raise DataError(message, "Serve the model, and send it whole requests.", "answer.turns")
    own = {row.prompt[0].text for row in rows if row.prompt[0].role == "system"}
    if len(own) > 1:
        message = f"Rows of {dataset.name} have {len(own)} system messages, so none can be taken for a new row."
        raise DataError(message, "Serve the model, and send it whole requests.", "answer.turns")
    said = [*own, *([dataset.task.in_words()] if recipe.data.task and not own else [])]
    plan = SystemPlan(id="answers", model=recipe.base_model, revision=recipe.revision, adapter=run)
    plan = plan.model_copy(update={"max_new_tokens": answer_limit(plan, rows)})
    labelled = any(row.scorer == names.LABEL for row in rows)
    before = tuple(system(text) for text in said if text)
    return dataset, Asked(before, list(dataset.task.labels) if labelled else [], plan)


def _predictions(
    workspace: Workspace,
    plan: SystemPlan,
    questions: Mapping[str, Question],
    progress: ProgressFn,
    stop: Callable[[], bool],
) -> dict[str, Prediction]:
    meter, found = Meter("answer", len(questions), "rows", progress), {}
    answering = open_system(plan, Context(workspace))
    try:
        for prediction in answering.answer(list(questions.values()), stop) if questions else ():
            found[prediction.example_id] = prediction
            meter.update(len(found))
    finally:
        answering.close()
    if stop():
        raise RunError("Answering was stopped; nothing was kept.", "Start it again.", "run.stopped")
    return found


def _cells(found: Prediction | None, labels: Sequence[str]) -> tuple[str, str, str]:
    """(answer, confidence, note) of one row. A label is written as the task card has it; no label is no answer."""
    if found is None or found.error:
        return "", "", (found.error if found else "no answer came")
    sure = "" if found.confidence is None else f"{found.confidence:.3f}"
    if found.truncated:
        return found.text, sure, "cut off at the longest answer of training"
    if labels:
        named = label.read(found.text, labels)
        if len(named) != 1:
            return "", sure, f"no label of the task: {found.text[:200]}"
        return named[0], sure, ""
    if _FORMULA.match(found.text) and not _is_number(found.text):
        return f"'{found.text}", sure, "behind an apostrophe, because a spreadsheet would take it for a formula"
    return found.text, sure, "" if found.text else "the answer is empty"


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("% "))
    except ValueError:
        return False
    return True


def _write(out: Path, columns: Sequence[str], lines: Sequence[tuple[Mapping[str, Any], str, str, str]]) -> Answered:
    """Every row as it was, and what was added, whose names give way to columns of the file."""
    added = [name if name not in columns else _free(f"model {name}", columns) for name in ADDED]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*columns, *added])
    for values, *more in lines:
        writer.writerow([*("" if values.get(c) is None else values[c] for c in columns), *more])
    atomic_write_text(out, text.getvalue())
    noted = sum(bool(note) for *_, note in lines)
    return Answered(out, len(lines), sum(bool(answer) for _, answer, _, _ in lines), noted)


def _free(name: str, taken: Sequence[str]) -> str:
    options: Iterator[str] = (name if not n else f"{name} {n + 1}" for n in range(len(taken) + 1))
    return next(one for one in options if one not in taken)
