"""Short views of what is in a workspace, for lists, menus and the Start page: a file is read again when it changed."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

from evaluate.report.reading import opened
from evaluate.report.schema import VERSION
from studio.state.endpoints import load_endpoints
from synth.dataset import CARD, Card
from synth.errors import UserError
from synth.storage import read_json
from synth.workspace import Workspace

REMEMBERED = 1024


class ReportHead(NamedTuple):
    """A finished comparison at a glance."""

    id: str
    headline: str
    verdict: str


def _newest_first(files: list[Path]) -> list[Path]:
    return sorted(files, key=lambda p: p.stat().st_mtime, reverse=True)


def dataset_cards(workspace: Workspace) -> list[Card]:
    """Cards of all datasets that can be read, newest first."""
    files = _newest_first(list(workspace.datasets.glob(f"[!.]*/{CARD}")))
    return [card for file in files if (card := _card(file, file.stat().st_mtime_ns))]


@functools.lru_cache(REMEMBERED)
def _card(file: Path, changed_ns: int) -> Card | None:
    try:
        return Card.model_validate(read_json(file)).model_copy(update={"name": file.parent.name})
    except (UserError, ValueError):
        return None


def report_heads(workspace: Workspace) -> list[ReportHead]:
    """Finished comparisons, newest first."""
    files = _newest_first(list(workspace.comparisons.glob("[!.]*/report.json")))
    return [head for file in files if (head := _head(file, file.stat().st_mtime_ns))]


@functools.lru_cache(REMEMBERED)
def _head(file: Path, changed_ns: int) -> ReportHead | None:
    try:
        report = read_json(file)
        if report["version"] == VERSION:
            return ReportHead(file.parent.name, str(report["headline"]), str(report["verdict"]["word"] or "no verdict"))
        old = opened(report)  # an earlier version did not say whose rows it spoke of
        return ReportHead(file.parent.name, old.headline, old.verdict.word or "no verdict")
    except (UserError, KeyError, TypeError):
        return None


def machine_line(workspace: Workspace) -> str:
    """Cores, memory and workspace, in one line that costs nothing to make."""
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free, total = memory.available / 2**30, memory.total / 2**30
    memory_said = f"{cores} cores · {free:.0f} of {total:.0f} GiB free"
    return f"{memory_said} · {_endpoints(workspace)} · workspace: {workspace.path}"


def _endpoints(workspace: Workspace) -> str:
    """How many endpoints are known: those of Settings, and what the environment names."""
    try:
        known = [one.name for one in load_endpoints(workspace)]
    except UserError:  # Settings says what is wrong with the file
        known = []
    named = os.environ.get("OPENAI_BASE_URL") or ("OpenAI" if os.environ.get("OPENAI_API_KEY") else "")
    known += [f"{named} (environment)"] if named else []
    if not known:
        return "no endpoint set"
    return f"{len(known)} endpoint{'' if len(known) == 1 else 's'}: {', '.join(known)}"
