"""Opens a report.json of this or an earlier version as a `Report`; writes and computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluate.report.schema import VERSION, Report
from synth.errors import DataError
from synth.storage import read_json

REMEDY = "Run `smolstudio compare` again; answers that were given are kept."


def read_report(path: Path) -> Report:
    """The report at `path`. Raises DataError for a file that is none, or of a version that this program cannot read."""
    return opened(read_json(path))


def opened(value: Any) -> Report:
    """A report from its JSON value. Raises DataError as `read_report` does."""
    if not isinstance(value, Mapping):
        raise DataError("This file is no report.json of a comparison.", REMEDY, "report.broken")
    version = value.get("version")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        remedy = "Update smolstudio." if newer else REMEDY
        raise DataError(f"This report has version {version!r}; this smolstudio reads up to {VERSION}.", remedy)
    try:
        return Report.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(map(str, first["loc"])) or "the top"
        message = f"This report.json was made by another version of smolstudio: {first['msg'].lower()} at {place}."
        raise DataError(message, REMEDY, "report.shape") from error
