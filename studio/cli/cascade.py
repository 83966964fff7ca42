"""`smolstudio cascade COMPARISON`: what handing unsure answers to the large model would give and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of

if TYPE_CHECKING:
    from evaluate.cascade import Estimate, Forecast


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(cascade)


def cascade(
    comparison: Annotated[str, typer.Argument(help="Id of a comparison that answered val rows too")],
    threshold: Annotated[
        float | None, typer.Option(help="Confidence below which the large model answers [default: chosen on val]")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast a cascade: the small model answers, the large one where the small one is unsure."""
    from evaluate.cascade import forecast
    from studio.read.results import find_report

    place = workspace_of(workspace)
    find_report(place, comparison)
    found = forecast(place, comparison, threshold)
    print_json(found.model_dump(mode="json")) if as_json else print(_summary(found, chosen=threshold is None))


def _summary(found: Forecast, chosen: bool) -> str:
    from studio.cli.terminal import table

    rows = sorted(
        {point.threshold: point for point in (*found.points, found.chosen)}.values(), key=lambda p: p.threshold
    )
    lines = [
        [
            f"{point.threshold:.6f}" + (" *" if point.threshold == found.chosen.threshold else ""),
            _percent(point.handed_on),
            _percent(point.score),
            _dollars(point.large_usd),
            _dollars(point.usd),
        ]
        for point in rows
    ]
    how = f"chosen on {found.n_val} val rows" if chosen else "as given"
    alone = f"{found.small} alone costs {_each(found.small_usd)}, {found.large} alone {_each(found.large_usd)}."
    return "\n".join([
        table(["threshold", "handed on, %", f"{found.metric}, %", "large per 1,000", "per 1,000"], lines),
        "",
        f"* {how}; all figures are of {found.n} rows of {found.split}, with 95 % intervals. {alone}",
        f"Serve it: smolstudio serve MODEL --cascade from={found.comparison}",
    ])  # fmt: skip


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _dollars(found: Estimate | None) -> str:
    from evaluate.report.wording import usd

    if found is None:
        return "unpriced"
    return f"{usd(1000 * found.value)} [{usd(1000 * found.low)}, {usd(1000 * found.high)}]"


def _each(value: float | None) -> str:
    from evaluate.report.wording import usd

    return "an unknown sum" if value is None else f"{usd(1000 * value)} per 1,000 answers"
