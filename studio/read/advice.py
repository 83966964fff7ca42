"""What to do after a weak result, each piece of advice with the figure that it follows from.

Rules over what the run, the dataset and the report wrote down; nothing is measured here, and no gain is promised.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from evaluate.report import basis
from evaluate.report.schema import Report
from recipes.run.directory import Run
from studio.read import mistakes
from synth.dataset import DatasetDir, open_dataset
from synth.errors import UserError
from synth.example import Split
from synth.folds import POOL, is_small
from synth.workspace import Workspace

GOOD = 0.95
"""Share of right answers from which nothing needs advice, unless the verdict is against it."""
FEW_OF_A_CLASS = 30
WEAK_RECALL = 0.8
NOTHING_LEFT = 0.005
"""A validation loss below which longer training has nothing to gain."""
STILL_FALLING = 0.02
"""Of the validation loss, from one look to the last one."""


class Advice(NamedTuple):
    """What to do and why; `page` and `where` are the way to it."""

    text: str
    page: str = ""
    where: dict[str, str] = {}


def advise(report: Report, workspace: Workspace, scores: Path) -> list[Advice]:
    """The advice that the figures support, the most useful first; none after a good result."""
    summary = report.small_system.splits.get(report.primary_split)
    value = summary.value if summary else None
    good = value is not None and (value >= GOOD if report.small_system.higher_is_better else value <= 1 - GOOD)
    if good and basis.bare(report.verdict.word) in ("BETTER", "NOT WORSE"):
        return []
    dataset = _dataset(report, workspace)
    found = [
        *_every_row(report, dataset),
        *_longer(report, workspace),
        *_more_of(report, dataset),
        *_mislabelled(report, scores),
        *_form(report),
    ]
    return [*found, *_instruction(report, dataset), *_real(report)]


def _dataset(report: Report, workspace: Workspace) -> DatasetDir | None:
    try:
        return open_dataset(report.dataset.name, workspace.datasets)
    except UserError:
        return None


def _every_row(report: Report, dataset: DatasetDir | None) -> list[Advice]:
    """A test split of so few rows tells hardly anything: test all of them."""
    if dataset is None or report.dataset.folds or not report.small_system.adapter:
        return []
    if report.basis.kind != "imported" or not is_small(dataset.card.splits):
        return []
    rows = sum(dataset.count(split) for split in POOL)
    text = f"Test every row: cross-validation tests all {rows}, of which {report.basis.rows} were tested."
    return [Advice(text, "views/train.py", {"dataset": report.dataset.name})]


def _longer(report: Report, workspace: Workspace) -> list[Advice]:
    """Train longer, where the validation loss was still falling when it ended."""
    adapter = report.small_system.adapter
    if not adapter or not (workspace.runs / adapter).is_dir():
        return []
    losses = [e["loss"] for e in Run(workspace.runs / adapter).events("eval") if isinstance(e.get("loss"), float)]
    if len(losses) < 2 or losses[-1] > min(losses) or losses[-1] > (1 - STILL_FALLING) * losses[-2]:
        return []
    if losses[-2] < NOTHING_LEFT:
        return []
    text = f"Train longer: the validation loss was still falling when it ended, {losses[-2]:.3f} to {losses[-1]:.3f}."
    return [Advice(text, "views/train.py", {"dataset": report.dataset.name, "clone": adapter})]


def _more_of(report: Report, dataset: DatasetDir | None) -> list[Advice]:
    """Label more rows of classes that are missed and of which there were few to learn from."""
    if report.by_class is None or dataset is None or report.small not in report.by_class.systems:
        return []
    splits: tuple[Split, ...] = POOL if report.dataset.folds else ("train",)
    learned = Counter(row.answer or row.target for split in splits for row in dataset.examples(split))
    if not learned.total() or not any(learned[one.label] for one in report.by_class.systems[report.small].classes):
        return []  # not the rows that it learned from
    weak = [
        one
        for one in report.by_class.systems[report.small].classes
        if one.recall < WEAK_RECALL and learned[one.label] < FEW_OF_A_CLASS
    ]
    weak.sort(key=lambda one: one.recall)
    return [
        Advice(
            f"Label about {_rows(FEW_OF_A_CLASS - learned[one.label])} of “{one.label}”: there were "
            f"{learned[one.label]} to learn from, and {one.gold - one.right} of {one.gold} were missed.",
            "views/data.py",
            {"tab": "import"},
        )
        for one in weak[:3]
    ]


def _rows(count: int) -> str:
    return "1 more row" if count == 1 else f"{count} more rows"


def _mislabelled(report: Report, scores: Path) -> list[Advice]:
    """Rows whose label the models doubt together."""
    found = mistakes.suspects(scores, report) if scores.is_file() else []
    if not found:
        return []
    count = "1 row looks" if len(found) == 1 else f"{len(found)} rows look"
    text = f"Look at {'it' if len(found) == 1 else 'them'}: {count} mislabelled, because the models agree on another."
    comparison = report.provenance.comparison_id
    return [Advice(text, "views/compare.py", {"comparison": comparison, "part": "mistakes"})]


def _form(report: Report) -> list[Advice]:
    """Right answers that could not be read."""
    summary = report.small_system.splits.get(report.primary_split)
    if summary is None or not summary.format_faults:
        return []
    text = f"State the form of the answer in the task: {summary.format_faults} right answers could not be read."
    return [Advice(text, "views/data.py", {"tab": "task", "dataset": report.dataset.name})]


def _instruction(report: Report, dataset: DatasetDir | None) -> list[Advice]:
    """The rival was not told the task."""
    large = report.large_system
    if large is None or large.adapter or large.stand_in or dataset is None or dataset.task.in_words():
        return []
    text = f"Write down the task: “{large.label}” was told nothing before the questions, so the contest is not fair."
    return [Advice(text, "views/data.py", {"tab": "task", "dataset": report.dataset.name})]


def _real(report: Report) -> list[Advice]:
    """No row of the user's own work was tested."""
    if not report.basis.qualifier:
        return []
    text = "Add 30 or more rows from your own work: the verdict is about other rows until then."
    return [Advice(text, "views/data.py", {"tab": "real", "dataset": report.dataset.name})]
