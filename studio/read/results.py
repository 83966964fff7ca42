"""A comparison's report in the terminal: the headline sentence and one line per system."""

from __future__ import annotations

from pathlib import Path

from evaluate.report import prices_said
from evaluate.report.basis import title
from evaluate.report.parts import SplitSummary
from evaluate.report.schema import Report
from evaluate.report.wording import scored, usd
from studio.cli.terminal import table
from synth.errors import DataError, did_you_mean
from synth.workspace import Workspace


def find_report(workspace: Workspace, comparison: str) -> Path:
    """The report.json of a comparison. Raises DataError with the nearest id."""
    path = workspace.comparisons / comparison / "report.json"
    if path.is_file():
        return path
    known = [p.parent.name for p in workspace.comparisons.glob("[!.]*/report.json")]
    hint = did_you_mean(comparison, known)
    raise DataError(
        f"There is no finished comparison '{comparison}'{hint}.",
        f"Choose one of {', '.join(known)}." if known else "Make one with `smolstudio compare`.",
    )


def _rate(entry: SplitSummary | None) -> str:
    if entry is None or entry.value is None:
        return "unscored"
    if not entry.has_interval:
        return scored(entry, 1)
    interval = f" [{100 * entry.ci95[0]:.0f}, {100 * entry.ci95[1]:.0f}]" if entry.ci95 else ""
    return f"{100 * entry.value:.1f} %{interval}"


def headline(report: Report, path: Path) -> str:
    """The report as a few lines of text that end in the paths of its files."""
    splits = list(dict.fromkeys(split for system in report.systems for split in system.splits))
    header = ["system", *(title(s, report.basis.kinds[s]) for s in splits), "requests/s", "per 1,000"]
    rows = [
        [
            system.label,
            *(_rate(system.splits.get(s)) for s in splits),
            prices_said.speed(system),
            prices_said.per_1k(system),
        ]
        for system in report.systems
    ]
    if report.human_usd_per_answer is not None:
        rows.append(["A person", *["not asked"] * len(splits), "-", usd(1000 * report.human_usd_per_answer)])
    notes = (report.real_rows_note, report.overlap_note, report.margin_note, report.stand_in_note)
    said = [report.headline, report.verdict.sentence, *(note for note in notes if note)]
    return "\n".join([table(header, rows), "", *said, "", f"Report: {path.with_suffix('.html')}", f"        {path}"])
