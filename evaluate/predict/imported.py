"""Predictions made elsewhere, read from our JSONL, a provider's batch output, or CSV.

    ours    {"example_id": "…", "text": "…", "usage": {…}, "seconds": 1.2}    (text alone is enough)
    batch   {"custom_id": "…", "response": {"status_code": 200, "body": {"choices": […], "usage": {…}}}}
            {"custom_id": "…", "result": {"type": "succeeded", "message": {…}}}             (Anthropic)
            {"key": "…", "response": {"candidates": […], "usageMetadata": {…}}}             (Gemini)
    CSV     columns example_id (or id, custom_id) and text (or answer, prediction, output)

Usage may be ours or as a provider reported it. Reads files only; rows are matched to examples by id.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluate.predict.prediction import Prediction, no_predictions
from synth.endpoint.bodies import reply_of
from synth.endpoint.reported_usage import read_usage, without_empty_counts
from synth.endpoint.wire import Unreadable
from synth.errors import DataError
from synth.shelf import Shelf
from synth.storage import read_jsonl
from synth.usage import Usage

ID_COLUMNS = ("example_id", "id", "custom_id")
TEXT_COLUMNS = ("text", "answer", "prediction", "output")
MAX_CELL = 16 << 20  # characters; Python's own limit, 131,072, is shorter than some answers


def read_predictions(path: Path) -> Shelf[Prediction]:
    """Example id -> prediction, on disk. Raises DataError that names the first faulty line, or an empty file."""
    if not path.is_file():
        raise DataError(f"There is no file of predictions at {path}.", "Check `path` in the plan.")
    found = _read_csv(path) if path.suffix.lower() == ".csv" else _read_jsonl(path)
    if not found:
        raise DataError(f"{path} holds no predictions.", "Write an example id and a text in each line.")
    return found


def _read_jsonl(path: Path) -> Shelf[Prediction]:
    found = no_predictions()
    for line in read_jsonl(path):
        if line.value is None:
            raise DataError(f"{path.name}, line {line.number}: {line.fault}.", "Fix or remove the line.")
        try:
            prediction = _batch(line.value) if _is_batch(line.value) else _ours(line.value)
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            remedy = 'Write it as {"example_id": "…", "text": "…"}.'
            raise DataError(f"{path.name}, line {line.number} is no prediction ({error!r:.80}).", remedy) from error
        _keep(found, prediction, f"{path.name}, line {line.number}")
    return found


def _keep(found: Shelf[Prediction], prediction: Prediction, place: str) -> None:
    """Add it; an answer takes the place of an earlier failure. Raises DataError where two answers differ."""
    before = found.get(prediction.example_id)
    if before is not None and not before.error and not prediction.error and before.text != prediction.text:
        message = f"{place} gives {prediction.example_id} another answer than a line before it."
        raise DataError(message, "Keep one answer for each id.", "predictions.twice")
    if before is None or before.error:
        found[prediction.example_id] = prediction


def _ours(row: dict[str, Any]) -> Prediction:
    known = {key: row[key] for key in Prediction.model_fields if key in row}
    name = next(str(row[key]) for key in ID_COLUMNS if key in row) if set(ID_COLUMNS) & set(row) else row["example_id"]
    said = next((row[key] for key in TEXT_COLUMNS if key in row), None)
    if said is None and not row.get("error"):
        raise KeyError("text")
    # A number or a record as JSON value is the answer that its text would be; 0 and false are answers too.
    text = "" if said is None else said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return Prediction.model_validate({**known, "example_id": name, "text": text, "usage": _usage(row, text)})


def _usage(row: dict[str, Any], text: str) -> Usage:
    """Ours where its keys are ours, else as a provider wrote it; counts of zero are no counts where there is text."""
    given = row.get("usage")
    if given is None:
        return Usage()
    if isinstance(given, dict) and not set(given) <= set(Usage.model_fields):
        return read_usage(given, answered=bool(text))
    return without_empty_counts(Usage.model_validate(given), answered=bool(text))


def _is_batch(row: dict[str, Any]) -> bool:
    return "custom_id" in row or ("key" in row and ("response" in row or "error" in row))


def _batch(row: dict[str, Any]) -> Prediction:
    """A line of a batch. What the provider did not answer, it did not bill; an unreadable answer, it did."""
    name = str(row["custom_id"] if "custom_id" in row else row["key"])
    response, result = row.get("response") or {}, row.get("result") or {}
    body = result.get("message") or response.get("body") or ({} if "status_code" in response else response)
    if row.get("error") or not body or response.get("status_code", 200) != 200:
        why = result.get("type") or (f"HTTP {response['status_code']}" if "status_code" in response else "an error")
        return Prediction(
            example_id=name, usage=Usage(requests=0), batch=True, error=f"The batch gave no answer ({why})."
        )
    try:
        reply = reply_of(body)
    except Unreadable as unreadable:
        known = unreadable.usage
        usage = known if known is not None and known.reported else Usage(billed_retries=1)
        return Prediction(example_id=name, usage=usage, batch=True, error=f"The batch gave no answer: {unreadable}.")
    return Prediction(
        example_id=name,
        text=reply.text,
        usage=reply.usage,
        truncated=reply.finish_reason == "length",
        refused=reply.refused,
        model=reply.model,
        batch=True,
    )


def _read_csv(path: Path) -> Shelf[Prediction]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.", "Check the file.") from error
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    try:
        return _rows_of(csv.DictReader(io.StringIO(text, newline="")), path)
    except csv.Error as error:
        raise DataError(f"{path.name} cannot be read as CSV: {error}.", "Save it again.") from error


def _rows_of(reader: csv.DictReader[str], path: Path) -> Shelf[Prediction]:
    columns = reader.fieldnames or []
    name = next((column for column in ID_COLUMNS if column in columns), None)
    said = next((column for column in TEXT_COLUMNS if column in columns), None)
    if name is None or said is None:
        remedy = f"Add one of {', '.join(ID_COLUMNS)} and one of {', '.join(TEXT_COLUMNS)}."
        raise DataError(f"{path.name} lacks a column for {'the id' if name is None else 'the text'}.", remedy)
    found = no_predictions()
    for row in reader:
        place = f"{path.name}, line {reader.line_num}"
        if not row[name]:
            raise DataError(f"{place} has no id.", "Give every row the id of a row of the dataset.")
        _keep(found, Prediction(example_id=row[name], text=row[said] or ""), place)
    return found
