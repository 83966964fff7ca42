"""What a comparison measured of an adapter, for the card of its export: a section, and results for a model hub.

    measured = of_workspace(workspace)              # the newest comparison of exactly this adapter, if there is one
    measured = of_report(workspace, "first-vs-big") # that comparison, or a report.json, and no other

A report counts where one of its systems had this adapter's bytes on this base's bytes, both by SHA-256: a name says
nothing, since a run may be trained anew under it. The models of a cross-validation are others than the adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluate.report.reading import opened
from evaluate.report.schema import Report, SystemPart
from evaluate.report.wording import scored, usd
from recipes.export.exporter import Measured, Tuned
from recipes.export.model_card import Figures
from recipes.models.files import weights_sha256
from synth.errors import ModelError, UserError
from synth.example import ORIGINS
from synth.storage import JsonDict, read_json
from synth.workspace import Workspace

TASKS = {"text": "text-generation", "audio": "automatic-speech-recognition", "vision": "image-text-to-text"}
"""Modalities as model hubs call their tasks."""


def of_workspace(workspace: Workspace) -> Measured:
    """The newest comparison of the workspace that measured the adapter; reports that cannot be read are passed over."""

    def measured(tuned: Tuned) -> Figures | None:
        found = [
            (str(value["provenance"]["created"]), path, value)
            for path in sorted(workspace.comparisons.glob("[!.]*/report.json"))
            for value in _read(path)
            if _systems(value, tuned)
        ]
        for _, _, value in sorted(found, key=lambda one: one[:2], reverse=True):
            try:
                return _figures(opened(value), tuned)
            except UserError:
                continue
        return None

    return measured


def of_report(workspace: Workspace, named: str) -> Measured:
    """That comparison, by its id or the path of its report.json. It raises ModelError where it measured others."""

    def measured(tuned: Tuned) -> Figures:
        inside = workspace.comparisons / named / "report.json"
        value = read_json(inside if "/" not in named and inside.is_file() else Path(named).expanduser())
        report = opened(value)
        if not _systems(value, tuned):
            message = f"The report '{named}' measured no system of {tuned.run} with the weights that it has now."
            raise ModelError(message, "Compare this run, or leave the report out.", "export.report")
        return _figures(report, tuned)

    return measured


def _read(path: Path) -> Iterator[JsonDict]:
    try:
        value = read_json(path)
    except UserError:
        return
    if isinstance(value, dict) and isinstance(value.get("provenance"), dict) and "created" in value["provenance"]:
        yield value


def _systems(value: JsonDict, tuned: Tuned) -> list[str]:
    """Ids of the report's systems that are this adapter on this base."""
    hashes = value.get("provenance", {}).get("hashes")
    if not isinstance(hashes, dict):
        return []
    adapter, base = weights_sha256(tuned.adapter), weights_sha256(tuned.ref.path)
    return [
        name
        for name in (key.removesuffix("/adapter") for key, hash_ in hashes.items() if hash_ == adapter)
        if hashes.get(f"{name}/model") == base and not any(key.startswith(f"{name}.fold") for key in hashes)
    ]


def _figures(report: Report, tuned: Tuned) -> Figures:
    own = _systems({"provenance": report.provenance.model_dump()}, tuned)
    measured = [one for one in report.systems if one.id in own]
    if not measured:
        raise ModelError("The report lacks the system.", "Compare this run again.", "export.report")
    return Figures(_section(report, own), [one for system in measured for one in _results(report, system, tuned)])


def _section(report: Report, own: list[str]) -> str:
    splits = [name for name in report.dataset.splits if any(name in one.splits for one in report.systems)]
    made, name = report.provenance.created, report.provenance.comparison_id
    rows = "; ".join(f"{split}: {report.dataset.splits[split]:,} rows, {_kind(report, split)}" for split in splits)
    lines = [
        f"By the comparison `{name}` of {made}, on the dataset `{report.dataset.name}` ({rows}). In bold: this adapter "
        "on its base, as tuned and not as exported; what the export itself answers is said above where it was asked.",
        "",
        f"> {_plain(report.verdict.sentence)}" if report.verdict.sentence else "",
        "",
        f"| system | asked | {' | '.join(splits)} | cost of 1,000 answers |",
        f"|---|---|{'---|' * len(splits)}---|",
    ]
    for one in report.systems:
        label = f"**{_plain(one.label)}**" if one.id in own else _plain(one.label)
        cells = [f"{one.splits[split].metric} {scored(one.splits[split], 1)}" if split in one.splits else "–"
                 for split in splits]  # fmt: skip
        asked = one.prompting.replace("_", " ")
        lines.append(f"| {label} | {asked} | {' | '.join(cells)} | {usd(one.cost.usd_per_1k)} |")
    said = "Brackets hold 95 % intervals."
    said += " For error rates, less is better." if not all(one.higher_is_better for one in report.systems) else ""
    return "\n".join([*lines, "", said, *([_plain(report.real_rows_note)] if report.real_rows_note else [])])


def _kind(report: Report, split: str) -> str:
    kind = report.basis.kinds.get(split, "")
    return {str(key): title for key, title in ORIGINS.items()}.get(kind, "of unknown origin")


def _results(report: Report, system: SystemPart, tuned: Tuned) -> Iterator[JsonDict]:
    """Entries of `model-index`: one a split, its interval beside the value in the metric's name."""
    for split, found in system.splits.items():
        if found.value is None:
            continue
        value, ends = round(found.value, 6), found.ci95 if found.has_interval else None
        interval = f", 95 % interval {ends[0]:.4f} to {ends[1]:.4f}" if ends else ""
        metric: dict[str, Any] = {"type": found.metric, "value": value, "name": f"{found.metric}{interval}"}
        yield {
            "task": {"type": TASKS[tuned.ref.modality]},
            "dataset": {"name": report.dataset.name, "type": report.dataset.name, "split": split},
            "metrics": [{**metric, "verified": False}],
        }


def _plain(text: str) -> str:
    """On one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")
