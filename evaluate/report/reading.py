"""Opens a report.json of this or an earlier version as a `Report`; writes and computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluate.report import basis
from evaluate.report.schema import VERSION, Report
from evaluate.report.sentences import with_sentences
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
    if version == 1:
        return _from_version_1(dict(value))
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        remedy = "Update smolstudio." if newer else REMEDY
        raise DataError(f"This report has version {version!r}; this smolstudio reads up to {VERSION}.", remedy)
    try:
        return _without_withheld(Report.model_validate(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(map(str, first["loc"])) or "the top"
        raise _lacking(f"{first['msg'].lower()} at {place}") from error


def _without_withheld(report: Report) -> Report:
    """Reports were once written with prices at speeds that do not hold; those are withheld as in a report of today."""
    systems = tuple(
        one.model_copy(update={"cost": one.cost.withhold(one.speed.reason)})
        if one.speed is not None and not one.speed.holds and one.cost.kind == "machine"
        else one
        for one in report.systems
    )
    if systems == report.systems:
        return report
    start, unpriced = report.what_if, {one.id for one in systems if one.cost.kind == "withheld"}
    sides = [side for side, name in (("small", start.small), ("large", start.large)) if name in unpriced]
    gone = {f"{side}_usd_per_request": None for side in sides} | {f"{side}_kind": "withheld" for side in sides}
    found = report.model_copy(update={"systems": systems, "what_if": start.model_copy(update=gone)})
    if not sides or found.cascade is None:
        return found
    unknown = {"usd_per_request": None}
    curve = tuple(point.model_copy(update=unknown) for point in found.cascade.curve)
    chosen = found.cascade.chosen and found.cascade.chosen.model_copy(update=unknown)
    return found.model_copy(update={"cascade": found.cascade.model_copy(update={"curve": curve, "chosen": chosen})})


def _from_version_1(value: dict[str, Any]) -> Report:
    """Its figures are kept; what is said of them is said anew: version 1 did not know whose rows it had tested."""
    try:
        kind = basis.kind_of_dataset(value["dataset"]["generator"])
        kinds = dict.fromkeys(value["dataset"]["splits"], kind)
        primary = basis.primary(kinds)
        return with_sentences({**value, "version": VERSION, "kinds": kinds, "primary_split": primary})
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise _lacking(f"a figure is missing ({error!s:.80})") from error


def _lacking(what: str) -> DataError:
    message = f"This report.json was made by another version of smolstudio: {what}."
    return DataError(message, REMEDY, "report.shape")
