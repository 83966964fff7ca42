"""`smolstudio pipeline …`: rows written by models, from a preview with its forecast to a dataset."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli.consent import LeaveOption, require
from studio.cli.options import (
    AddressOption,
    JsonOption,
    WorkspaceOption,
    describe_dataset,
    print_json,
    readable,
    workspace_of,
)

if TYPE_CHECKING:
    from synth.pipeline.forecast import Preview
    from synth.pipeline.plan import Outside, RunPlan

ALL = "all"
TWICE_SEC = 1.0
"""Signals nearer than this are one: some programs send theirs to the process and to its group."""
pipeline_app = typer.Typer(no_args_is_help=True, help="Rows written by models: verified, budgeted, resumable.")

Name = Annotated[str, typer.Argument(help="A shipped pipeline, or the path of a YAML file")]
Given = Annotated[
    list[str] | None,
    typer.Argument(
        help="input=value of the pipeline; other teachers as teachers.judge.model=… (see docs/synthesis.md)"
    ),
]
Model = Annotated[str, typer.Option(help="The teacher, as the endpoint calls it")]
BaseUrl = Annotated[str, typer.Option(help="Endpoint address; OPENAI_BASE_URL when empty")]
KeyEnv = Annotated[str, typer.Option(help="Environment variable that holds the key")]
Concurrency = Annotated[int, typer.Option(help="Requests open at once", min=1, max=256)]
Rows = Annotated[int | None, typer.Option(help="Accepted rows to stop at; without it, until the seeds end", min=1)]
PipelineEngineOption = Annotated[
    str, typer.Option("--engine", help="local, or ray: each machine of a cluster sends requests [default: local]")
]
Cap = Annotated[float | None, typer.Option(help="Hard spend cap in USD; needs a price (`smolstudio prices`)", min=0)]


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(pipeline_app, name="pipeline")


@pipeline_app.command(name="list")
def list_(as_json: JsonOption = False) -> None:
    """List the pipelines that come with smolstudio."""
    from synth.pipeline.spec import find_pipeline, shipped_pipelines

    found = [find_pipeline(name) for name in shipped_pipelines()]
    if as_json:
        print_json([{"name": one.name, "title": one.file.title, "about": one.file.about} for one in found])
        return
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name.ljust(width)}  {one.file.about}")


@pipeline_app.command()
def show(
    pipeline: Name,
    copy: Annotated[Path | None, typer.Option(help="Copy the pipeline and its prompts into this folder")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a pipeline's inputs, steps and prompts; --copy makes it your own."""
    from synth.errors import StorageError
    from synth.pipeline.prompts import PROMPTS
    from synth.pipeline.spec import find_pipeline

    found = find_pipeline(pipeline)
    if copy is not None:
        for place in (copy / found.path.name, *(copy / PROMPTS / name for name in found.prompts())):
            if place.exists():
                raise StorageError(f"{place} exists already.", "Choose another folder.")
        print(f"{found.write(copy, found.prompts())} and its prompts are yours to change.")
        return
    if as_json:
        print_json({**found.file.model_dump(mode="json"), "name": found.name, "prompts": found.prompts()})
        return
    print(f"{found.file.title}: {found.file.about}\n\nInputs:")
    for name, one in found.file.inputs.items():
        default = "must be given" if one.default is None else f"default {one.default!r}"
        print(f"  {name} ({one.kind}; {default})  {one.title}. {one.about}".rstrip())
    print(f"\n{found.path}:\n{found.path.read_text('utf-8')}")
    for name, text in found.prompts().items():
        print(f"--- {name}\n{text}\n")


@pipeline_app.command()
def steps() -> None:
    """List the kinds of steps and their settings, for whoever writes a pipeline."""
    from synth.pipeline.steps import KINDS

    for name, kind in KINDS.items():
        print(f"{name}: {kind.about}")
        for field, info in kind.settings.model_fields.items():
            default = "must be given" if info.is_required() else f"default {info.get_default()!r}"
            print(f"    {field} ({default})  {info.description or ''}".rstrip())


@pipeline_app.command()
def preview(
    pipeline: Name,
    given: Given = None,
    model: Model = "",
    base_url: BaseUrl = "",
    api_key_env: KeyEnv = "OPENAI_API_KEY",
    concurrency: Concurrency = 8,
    rows: Rows = None,
    cap: Cap = None,
    show_rows: Annotated[int, typer.Option("--preview", help="Accepted rows of the preview", min=1)] = 20,
    leave: LeaveOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the first rows for real, and say what the whole would cost and take. Their answers are kept for the run."""
    from synth.pipeline.forecast import preview as make

    plan = _plan(pipeline, given, model, base_url, api_key_env, concurrency, rows, cap)
    _consent(plan, workspace, leave)
    with _stoppable(workspace) as outside:
        seen = make(plan, outside, show_rows)
    if as_json:
        print_json(_as_json(seen))
    else:
        _print_preview(seen)


@pipeline_app.command()
def bakeoff(
    pipeline: Name,
    given: Given = None,
    model: Model = "",
    base_url: BaseUrl = "",
    api_key_env: KeyEnv = "OPENAI_API_KEY",
    concurrency: Concurrency = 8,
    cap: Cap = None,
    show_rows: Annotated[int, typer.Option("--preview", help="Accepted rows of each", min=1)] = 20,
    leave: LeaveOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Preview with each of several teachers (teachers.NAME.model=…), judged alike: what is accepted, at which price."""
    from studio.cli.terminal import table
    from synth.pipeline.forecast import bake_off

    plan = _plan(pipeline, given, model, base_url, api_key_env, concurrency, None, cap)
    _consent(plan, workspace, leave)
    with _stoppable(workspace) as outside:
        seen = bake_off(plan, outside, show_rows)
    if as_json:
        print_json({name: _as_json(one) for name, one in seen.items()})
        return
    rows = []
    for name, one in seen.items():
        found = one.forecast
        price = "unpriced" if found.usd_per_row is None else f"{found.usd_per_row:.5f}"
        rows.append([name, plan.teachers[name].model, str(found.accepted), str(found.rejected), price])
    print(table(["teacher", "model", "accepted", "rejected", "usd a row"], rows))


@pipeline_app.command()
def run(
    pipeline: Name,
    given: Given = None,
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the run and of its dataset")] = "",
    model: Model = "",
    base_url: BaseUrl = "",
    api_key_env: KeyEnv = "OPENAI_API_KEY",
    concurrency: Concurrency = 8,
    rows: Rows = None,
    cap: Cap = None,
    route: Annotated[
        str, typer.Option(help="Try each teacher (teachers.NAME.model=…), then give each value of this field to one")
    ] = "",
    trial: Annotated[int, typer.Option(help="Candidates of each teacher and value in that trial", min=5)] = 20,
    engine: PipelineEngineOption = "",
    address: AddressOption = "",
    leave: LeaveOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a dataset. Ctrl-C keeps what was paid; `resume` goes on. `--route all`: one teacher for all rows."""
    from studio.engines.writing import spread
    from synth.pipeline import work
    from synth.pipeline.plan import RouteRule

    plan = _plan(pipeline, given, model, base_url, api_key_env, concurrency, rows, cap)
    if route:
        plan = plan.model_copy(update={"route": RouteRule(by="" if route == ALL else route, trial=trial)})
    _consent(plan, workspace, leave)
    with _stoppable(workspace) as here, spread(here, engine, address) as outside:
        made = work.start(name or Path(pipeline).stem, plan, outside)
    if not as_json:
        _print_routes(made.card.notes.get("routes"))
    describe_dataset(made, as_json)


def _print_routes(routes: dict[str, Any] | None) -> None:
    """Who wrote which rows, and what the trial found of each teacher."""
    from studio.cli.terminal import table

    if not routes:
        return
    rows = []
    for value, choice in [*routes["choices"].items(), (ALL if not routes["by"] else "others", routes["others"])]:
        for name, one in choice["tried"].items():
            price = "unpriced" if one["usd_per_row"] is None else f"{one['usd_per_row']:.5f}"
            why = choice["why"] if name == choice["teacher"] else ""
            rows.append([value, name, str(one["accepted"]), str(one["rejected"]), price, why])
    print(table([routes["by"] or "rows", "teacher", "accepted", "rejected", "usd a row", "writes, because"], rows))


@pipeline_app.command()
def resume(
    name: Annotated[str, typer.Argument(help="Name of the run")],
    rows: Rows = None,
    cap: Cap = None,
    engine: PipelineEngineOption = "",
    address: AddressOption = "",
    leave: LeaveOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was stopped or killed, or that reached its cap; nothing is paid twice."""
    from studio.engines.writing import spread
    from synth.pipeline import work

    changes = {key: value for key, value in {"rows": rows, "cap_usd": cap}.items() if value is not None}
    _consent(work.read_run(name, workspace_of(workspace))[1], workspace, leave)
    with _stoppable(workspace) as here, spread(here, engine, address) as outside:
        made = work.resume(name, outside, **changes)
    describe_dataset(made, as_json)


@pipeline_app.command()
def take(
    name: Annotated[str, typer.Argument(help="Name of the run")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the dataset of the rows that a run accepted before it ended early; nobody is asked."""
    from synth.pipeline import work

    describe_dataset(work.take(name, workspace_of(workspace)), as_json)


@pipeline_app.command()
def runs(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the runs of pipelines, with their status."""
    from synth.pipeline import work

    place = workspace_of(workspace)
    files = sorted(place.pipelines.glob(f"[!.]*/{work.RUN}"))
    found = readable(files, lambda file: work.read_run(file.parent.name, place))
    rows = []
    for job, plan in found:
        ended = job.exit()
        rows.append([job.id, Path(plan.pipeline).stem, job.status(), ended.sentence if ended else ""])
    if as_json:
        print_json([dict(zip(("run", "pipeline", "status", "said"), row, strict=True)) for row in rows])
    elif not rows:
        print("No pipeline has run yet.")
    for run_name, pipeline, status, said in [] if as_json else rows:
        print(f"{run_name} · {pipeline} · {status}\n    {said}")


def _plan(
    pipeline: str,
    given: list[str] | None,
    model: str,
    base_url: str,
    api_key_env: str,
    concurrency: int,
    rows: int | None,
    cap: float | None,
) -> RunPlan:
    """The plan that the command line asks for; `teachers.NAME.key=value` are other teachers. Raises RecipeError."""
    from evaluate.predict.systems import DEFAULT_URL
    from synth.errors import RecipeError
    from synth.pipeline.plan import RunPlan
    from synth.pipeline.spec import shipped_pipelines
    from synth.pipeline.step import MAIN
    from synth.strict import validated

    url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL
    main = {"model": model, "base_url": url, "api_key_env": api_key_env, "concurrency": concurrency}
    inputs: dict[str, Any] = {}
    teachers: dict[str, dict[str, Any]] = {MAIN: main} if model else {}
    for pair in given or []:  # texts as they stand: a colon or `no` in them means nothing here
        key, equals, value = pair.partition("=")
        if not equals:
            raise RecipeError(f"'{pair}' is not a setting.", "Write settings as key=value.")
        kind, _, rest = key.partition(".")
        who, _, setting = rest.partition(".")
        if kind == "teachers" and setting:
            teachers.setdefault(who, {**main} if model else {})[setting] = value
        else:
            inputs[key] = value
    if not teachers:
        raise RecipeError("No teacher is named.", "Give --model, and --base-url where it is not OpenAI's.")
    path = pipeline if pipeline in shipped_pipelines() else str(Path(pipeline).expanduser().absolute())
    values = {"pipeline": path, "inputs": inputs, "rows": rows, "cap_usd": cap, "teachers": teachers}
    return validated(RunPlan, values, "run")


def _consent(plan: RunPlan, workspace: Path | None, agreed: bool) -> None:
    """Raise EndpointError where what the pipeline is given would be sent elsewhere and nobody agreed."""
    from studio.state.endpoints import about_pipeline

    name, urls = Path(plan.pipeline).stem, [one.base_url for one in plan.teachers.values()]
    what = f"What the pipeline {name} is given (texts, examples, documents)"
    require(workspace_of(workspace), urls, about_pipeline(name), what, agreed)


class _stoppable:
    """What a run gets from the command line; Ctrl-C asks it to end, a second one ends it at once."""

    def __init__(self, workspace: Path | None) -> None:
        self._workspace = workspace_of(workspace)
        self._asked = False
        self._since = 0.0

    def __enter__(self) -> Outside:
        from studio.cli.terminal import ProgressLine
        from studio.engines.writing import outside

        self._before = signal.signal(signal.SIGINT, self._ask)
        return outside(self._workspace, ProgressLine(), lambda: self._asked)

    def _ask(self, *_: object) -> None:
        if self._asked and time.monotonic() - self._since > TWICE_SEC:
            raise KeyboardInterrupt
        self._asked, self._since = True, self._since or time.monotonic()

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)


def _as_json(seen: Preview) -> dict[str, Any]:
    return {
        "forecast": seen.forecast._asdict(),
        "paid_usd": seen.paid_usd,
        "steps": [step.model_dump() for step in seen.steps],
        "rows": [row.model_dump(mode="json") for row in seen.rows],
        "rejected": [{"step": step, "reason": one.reason, **one.candidate.record()} for step, one in seen.rejected],
    }


def _print_preview(seen: Preview) -> None:
    from studio.cli.terminal import duration

    for row in seen.rows:
        print(f"[{row.family}]\n{row.prompt[-1].text}\n  -> " + row.target.replace("\n", "\n     ") + "\n")
    reasons: dict[str, int] = {}
    for step, one in seen.rejected:
        reasons[f"{step}: {one.reason}"] = reasons.get(f"{step}: {one.reason}", 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"rejected {count}: {reason}")
    found = seen.forecast
    print(f"{found.accepted} accepted, {found.rejected} rejected")
    if found.usd is not None and found.usd_range is not None:
        low, high = found.usd_range
        print(f"{found.rows} rows: about ${found.usd:.4f} (${low:.4f} to ${high:.4f}), this preview included")
        if found.rows_for_tenth and found.rows_for_tenth > found.accepted:
            print(f"`--preview {found.rows_for_tenth}` narrows that to about 10 %; the run uses those answers too.")
    elif found.accepted and found.usd_per_row is None:
        print("No price: `smolstudio prices set MODEL input_mtok USD`; also output_mtok, and cached_mtok where a")
        print("server reports cached tokens.")
    elif found.usd_per_row is not None:
        print(f"${found.usd_per_row:.5f} a row; with --rows, the forecast of all")
    if found.seconds is not None:
        print(f"Time: about {duration(found.seconds)}")
