"""Short views of what is in a workspace, read from its files: for lists, menus and the Start page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from synth.dataset import CARD, Card
from synth.errors import UserError
from synth.storage import read_json
from synth.workspace import Workspace


class ReportHead(NamedTuple):
    """A finished comparison at a glance."""

    id: str
    headline: str
    verdict: str


def _newest_first(files: list[Path]) -> list[Path]:
    return sorted(files, key=lambda p: p.stat().st_mtime, reverse=True)


def dataset_cards(workspace: Workspace) -> list[Card]:
    """Cards of all datasets that can be read, newest first."""
    cards = []
    for file in _newest_first(list(workspace.datasets.glob(f"*/{CARD}"))):
        try:
            card = Card.model_validate_json(file.read_bytes())
        except ValueError:
            continue
        cards.append(card.model_copy(update={"name": file.parent.name}))
    return cards


def report_heads(workspace: Workspace) -> list[ReportHead]:
    """Finished comparisons, newest first."""
    heads = []
    for file in _newest_first(list(workspace.comparisons.glob("*/report.json"))):
        try:
            report = read_json(file)
            heads.append(ReportHead(file.parent.name, str(report["headline"]), str(report["verdict"]["word"])))
        except (UserError, KeyError, TypeError):
            continue
    return heads


def machine_line(workspace: Workspace) -> str:
    """Cores, memory and workspace, in one line that costs nothing to make."""
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    endpoint = os.environ.get("OPENAI_BASE_URL") or ("OpenAI" if os.environ.get("OPENAI_API_KEY") else "none set")
    free, total = memory.available / 2**30, memory.total / 2**30
    return f"{cores} cores · {free:.0f} of {total:.0f} GiB free · endpoint: {endpoint} · workspace: {workspace.path}"
