"""`smolstudio judge COMPARISON`: let a model judge the free-text answers of a finished comparison, in both orders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from studio.cli import consent
from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of


def judge(
    comparison: Annotated[str, typer.Argument(help="Id of a comparison")],
    model: Annotated[str, typer.Option(help="Judge model, as the endpoint calls it")],
    base_url: Annotated[str, typer.Option(help="Endpoint address; OPENAI_BASE_URL when empty")] = "",
    api_key_env: Annotated[str, typer.Option(help="Environment variable that holds the key")] = "OPENAI_API_KEY",
    labels: Annotated[Path | None, typer.Option(help="JSONL with example_id and winner, judged by people")] = None,
    limit: Annotated[int, typer.Option(help="Most pairs to judge; each is asked twice", min=2)] = 500,
    leave: consent.LeaveOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the two main systems pairwise and add the outcome to the report."""
    from evaluate.compare import render_again
    from evaluate.cost import formulas, prices
    from evaluate.judge import add
    from evaluate.predict.systems import DEFAULT_URL
    from evaluate.report import report_json
    from evaluate.report.reading import read_report
    from studio.read.results import find_report
    from synth.endpoint import Endpoint, ReplyCache, Settings
    from synth.storage import atomic_write_text

    place = workspace_of(workspace)
    path = find_report(place, comparison)
    settings = Settings(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL, model, api_key_env)
    name = read_report(path).dataset.name
    consent.require(place, [settings.base_url], name, f"Rows of {name}, with their answers,", leave)
    sheet = prices.load(workspace=place.path)
    with Endpoint(settings, ReplyCache(place.path / "cache" / "replies")) as endpoint:
        found = add(
            path,
            endpoint,
            model,
            labels,
            limit,
            write=lambda made: atomic_write_text(path, report_json.dumps(made)),
            price=lambda used: formulas.bill(used, model, sheet).usd,
        )
    render_again(path, place)
    print_json(found.model_dump(mode="json")) if as_json else print(f"{found.sentence} {path.with_name('report.html')}")
