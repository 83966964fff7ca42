"""`smolstudio ui`, `serve`, `record`, `stub-endpoint` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import consent
from studio.cli.options import JsonOption, WorkspaceOption, key_values, print_json, workspace_of

SERVED = "served questions"
"""What stands for a dataset in the agreement about a cascade's questions; names of datasets have no blanks."""
NameOption = Annotated[
    list[str] | None,
    typer.Option(help="Host name by which others reach it, such as one of a reverse proxy; may be repeated"),
]


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command()(ui)
    app.command()(serve)
    app.command()(record)
    app.command(name="stub-endpoint")(stub_endpoint)
    app.command()(doctor)


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine")] = 8501,
    share: Annotated[bool, typer.Option("--share", help="Let other machines in; needs SMOLSTUDIO_PASSWORD")] = False,
    name: NameOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Open the studio in a browser; on this machine only, unless it is shared."""
    from studio.serving.server import run_ui

    run_ui(workspace_of(workspace), port, share, name or ())


def serve(
    model: Annotated[str, typer.Argument(help="Starter, hub id, folder or run id")],
    adapter: Annotated[str, typer.Option(help="Run id or adapter folder")] = "",
    host: str = "127.0.0.1",
    port: int = 8000,
    engine: Annotated[str, typer.Option(help="transformers, or vllm on a machine with a GPU")] = "transformers",
    cascade: Annotated[
        list[str] | None,
        typer.Option(
            help="from=COMPARISON, or large=ENDPOINT threshold=…: ask that endpoint where the model is unsure"
        ),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Further settings of --cascade")] = None,
    name: NameOption = None,
    leave: consent.LeaveOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Serve a base or tuned model behind an OpenAI-compatible HTTP endpoint."""
    from studio.serving.serve import ENGINES
    from studio.serving.serve import serve as serve_model
    from synth.errors import ModelError, RecipeError

    if engine not in ENGINES:
        raise ModelError(f"There is no engine '{engine}'.", f"Choose one of {', '.join(ENGINES)}.", "model.engine")
    place, wanted = workspace_of(workspace), [*(cascade or ()), *(more or ())]
    if more and not cascade:
        raise RecipeError(
            f"'{more[0]}' belongs to no option.", "Put --cascade before its settings.", "cascade.settings"
        )
    if wanted and engine != "transformers":
        message = f"The engine {engine} tells no confidences, by which a cascade decides."
        raise ModelError(message, "Serve the cascade without --engine.", "cascade.model")
    found = None
    if wanted:
        from studio.serving.cascade.settings import resolved

        found = resolved(key_values(wanted), model, adapter or None, place)
        what = f"What the clients of {adapter or model} ask, where it is unsure,"
        consent.require(place, [found.large.base_url], SERVED, what, leave)
    serve_model(model, adapter or None, place, host=host, port=port, names=name or (), engine=engine, cascade=found)


def record(
    upstream: Annotated[str, typer.Option(help="Base address of the endpoint, such as https://api.openai.com/v1")],
    journal: Annotated[
        Path | None, typer.Option(help="JSONL file to append to [default: recordings/HOST.jsonl of the workspace]")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 8400,
    deadline: Annotated[float, typer.Option(help="Seconds that a request may take in all", min=1)] = 600.0,
    max_request_mib: Annotated[int, typer.Option(help="Largest body of a request, in MiB", min=1)] = 64,
    name: NameOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Stand between your program and an endpoint, and record its traffic as data to import; keys are never stored."""
    from studio.serving.proxy import Limits
    from studio.serving.record import default_journal
    from studio.serving.record import record as record_traffic

    place = workspace_of(workspace)
    chosen = journal or default_journal(upstream, place)
    limits = Limits(deadline, max_request_mib << 20)
    record_traffic(upstream, chosen, place, host=host, port=port, given=name or (), limits=limits)


def stub_endpoint(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 8001,
    answers: Annotated[Path | None, typer.Option(help="JSONL of prompt and answer, or a split of a dataset")] = None,
    accuracy: Annotated[float, typer.Option(help="Share of known prompts that are answered correctly")] = 1.0,
    skill: Annotated[
        float | None, typer.Option(help="Play a teacher for pipelines, right in this share of its answers")
    ] = None,
    latency_ms: Annotated[float, typer.Option(help="Wait before each answer")] = 0.0,
    faults: Annotated[
        list[str] | None, typer.Option(help="fault=share, such as 429=0.1 or reset=0.05; may be repeated")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="JSONL file of requests")] = None,
) -> None:
    """Run an OpenAI-compatible stub for tests and rehearsals; every answer says that it is one."""
    from studio.stub.endpoint import StubSettings, run
    from synth.strict import validated

    values = {
        "answers": answers,
        "accuracy": accuracy,
        "skill": skill,
        "latency_sec": latency_ms / 1000,
        "faults": key_values(faults or []),
        "log": log,
    }
    print(f"A stub, not a model, at http://{host}:{port}/v1 - stop it with Ctrl-C.")
    run(host, port, validated(StubSettings, values, "stub settings"))


def doctor(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check this installation and machine; exit code 1 when something would stop the work."""
    from studio.doctor import examine

    findings = examine(workspace_of(workspace))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.found}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
