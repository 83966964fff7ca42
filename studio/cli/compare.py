"""`smolstudio compare`, `smolstudio report`, `smolstudio judge` and `smolstudio prices …`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import consent
from studio.cli.judge import judge
from studio.cli.options import (
    AddressOption,
    EngineOption,
    JsonOption,
    WorkspaceOption,
    print_json,
    workspace_of,
)

if TYPE_CHECKING:
    from evaluate.plan import Plan
    from synth.workspace import Workspace

prices_app = typer.Typer(no_args_is_help=True, help="The dated price sheet.")


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command()(compare)
    app.command()(report)
    app.command()(judge)
    app.add_typer(prices_app, name="prices")


def compare(
    plan: Annotated[Path, typer.Argument(help="plan.yaml: dataset, systems, prices")],
    comparison_id: Annotated[str, typer.Option("--id", help="Name of the comparison; the same name resumes it")] = "",
    fail_if: Annotated[
        list[str] | None, typer.Option(help='Exit code 1 when true, such as "delta_lower < -0.02"; may be repeated')
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the --fail-if outcome as a JUnit file")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what the endpoints would cost")] = False,
    leave: consent.LeaveOption = False,
    engine: EngineOption = "",
    address: AddressOption = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let every system answer the same rows, and write the report."""
    if estimate:
        _estimate(plan, workspace, as_json)
        return
    from evaluate.compare import run_comparison
    from evaluate.plan import load_plan
    from evaluate.report import gate
    from evaluate.report.reading import read_report
    from studio.cli.terminal import ProgressLine
    from studio.engines import rows
    from studio.read.results import headline
    from synth.storage import atomic_write_text

    asked, place = load_plan(plan), workspace_of(workspace)
    _consent(asked, place, leave)
    with rows.opened(place, engine, address) as cluster:
        path = run_comparison(asked, place, ProgressLine(), comparison_id=comparison_id or None, engine=cluster)
    found = read_report(path)
    print_json({"report": str(path)}) if as_json else print(headline(found, path))
    checks = gate.check(found, fail_if or [])
    if junit:
        atomic_write_text(junit, gate.junit(found, checks))
    for outcome in checks:
        print(outcome.sentence, file=sys.stderr)
    if any(outcome.failed for outcome in checks):
        raise typer.Exit(1)


def _consent(plan: Plan, workspace: Workspace, agreed: bool) -> None:
    """Raise EndpointError where rows would be sent to an endpoint elsewhere and nobody agreed."""
    from evaluate.predict.systems import url_of
    from synth.dataset import open_dataset

    urls = [url_of(one) for one in plan.systems if one.kind == "endpoint"]
    if urls:
        name = open_dataset(plan.dataset, workspace.datasets).name
        consent.require(workspace, urls, name, f"Rows of {name}", agreed)


def _estimate(plan: Path, workspace: Path | None, as_json: bool) -> None:
    from evaluate.forecast import estimate
    from evaluate.plan import load_plan
    from studio.cli.terminal import table

    found = estimate(load_plan(plan), workspace_of(workspace))
    if as_json:
        print_json([{**one._asdict(), "usage": one.usage.model_dump()} for one in found])
        return
    rows = [[e.system, str(e.requests), "unpriced" if e.usd is None else f"{e.usd:.4f}", e.note] for e in found]
    print(table(["system", "requests", "usd", "note"], rows) if rows else "No endpoint is asked: nothing to pay.")


def report(
    comparison: Annotated[str, typer.Argument(help="Id of a comparison")],
    reprice: Annotated[
        bool, typer.Option("--reprice", help="Use today's price sheet instead of the stored one")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print a comparison's report again, re-priced if asked, and write its HTML and Markdown anew."""
    from evaluate.compare import render_again
    from evaluate.report.reading import read_report
    from studio.read.results import find_report, headline

    path = find_report(workspace_of(workspace), comparison)
    render_again(path, workspace_of(workspace), reprice=reprice)
    print(headline(read_report(path), path))


@prices_app.command(name="list")
def list_(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Print the price sheet with dates and sources."""
    from evaluate.cost import prices
    from studio.cli.terminal import table

    sheet = prices.load(workspace=workspace_of(workspace).path)
    if as_json:
        print_json([row.model_dump(mode="json") for row in sheet.rows])
        return
    rows = [[r.model, r.unit, f"{r.price:g}", str(r.confirmed), sheet.source_of(r)[:60]] for r in sheet.rows]
    print(table(["model", "unit", "usd", "checked", "source"], rows))


@prices_app.command()
def check(workspace: WorkspaceOption = None) -> None:
    """Name the prices that are old, assumed, or known from one source only."""
    import datetime as dt

    from evaluate.cost import prices

    found = prices.check(prices.load(workspace=workspace_of(workspace).path), dt.date.today())
    print("\n".join(f"{f.row.model} ({f.row.unit}): {f.what}" for f in found) or "Every price is recent.")


@prices_app.command(name="set")
def set_(
    model: str,
    unit: str,
    usd: float,
    source: Annotated[str, typer.Option(help="Where the price was read")] = "set by hand",
    workspace: WorkspaceOption = None,
) -> None:
    """Set a price for this workspace, dated today."""
    from evaluate.cost.prices import set_price

    set_price(workspace_of(workspace).path, model, unit, usd, source)
    print(f"{model} {unit}: {usd} USD, from today on, in this workspace.")
