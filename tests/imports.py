"""Importing a file in a test: the report, and the rows in the order in which they stood in the file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synth.dataset import DatasetDir
from synth.example import Example
from synth.importing.importer import Options, import_data
from synth.importing.report import ImportReport
from synth.workspace import Workspace


def bring(path: Path, workspace: Workspace, name: str = "d", **options: Any) -> tuple[ImportReport, list[Example]]:
    """Import; rows in are kept or rejected."""
    report = import_data(path, name, workspace, Options(**options))
    dataset = DatasetDir(workspace.datasets / name)
    assert dataset.card.rows_in == report.kept + report.rejected_rows
    rows = [e for split in dataset.splits() for e in dataset.examples(split)]
    return report, sorted(rows, key=lambda e: e.source.get("line", 0))


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
