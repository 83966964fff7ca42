"""`smolstudio demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(demo)


def demo(
    modality: Annotated[str, typer.Option(help="text, vision or audio; text by default")] = "",
    task: Annotated[str, typer.Option(help="math, issues, urgency, attributes, charts or dictation")] = "",
    base: Annotated[str, typer.Option(help="A published model instead of the starter, such as smollm2-135m")] = "",
    seed: Annotated[int, typer.Option(help="Seed of data and training")] = 0,
    seeds: Annotated[int, typer.Option(help="Train this many times, with seeds from --seed on")] = 1,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate, tune, compare and report: on a starter in minutes without a network, on a published model in longer."""
    from evaluate.report.reading import read_report
    from studio.cli.terminal import ProgressLine, duration
    from studio.presets.demo import choose, run_demo
    from studio.read.results import headline

    every = list(range(seed, seed + seeds))
    say = (lambda _: None) if as_json else print
    result = run_demo(choose(modality, base, task), every, workspace_of(workspace), ProgressLine(), say)
    if as_json:
        print_json({"report": str(result.report), "seconds": round(result.seconds, 1)})
        return
    print(f"\n{headline(read_report(result.report), result.report)}\n\nThe demo took {duration(result.seconds)}.")
