"""One run of a pipeline: its folder, its teachers, its money, and the dataset that it ends in.

    <workspace>/pipelines/<name>/  run.json accepted.jsonl rejected/<step>.jsonl counts.json paid.jsonl exit.json (last)

A run that ended early (stopped, killed, at its cap, out of seeds) is resumed under its name: the steps begin anew, each
answer that was paid comes from the workspace's reply cache, and only what is missing or was changed is asked.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from synth.build import check_name, now_utc
from synth.context import Context, Ledger
from synth.dataset import DatasetDir
from synth.endpoint import Endpoint, Purse, ReplyCache, Settings
from synth.errors import RunError, StorageError, UserError
from synth.jobdir import JobDir
from synth.pipeline import output
from synth.pipeline.asking import Spending, Teacher
from synth.pipeline.candidate import Candidate, Rejected
from synth.pipeline.engine import PipelineEngine
from synth.pipeline.plan import Outside, PriceOf, RunPlan
from synth.pipeline.routing import Route, Routes, contestants, decide
from synth.pipeline.spec import Pipeline, find_pipeline
from synth.pipeline.step import MAIN, Env
from synth.pipeline.steps.ask import NO_ANSWER
from synth.progress import Meter
from synth.storage import Journal, read_json, write_json
from synth.strict import validated
from synth.usage import Usage
from synth.workspace import Workspace

RUN = "run.json"
DEADLINE_ATTEMPTS = 2.5
"""A question with all its retries may take so many times as long as one answer."""
GIVE_UP_AFTER = 200
"""Candidates that were asked about in a row and none accepted, after which a run ends before it spends more."""


@contextlib.contextmanager
def opened(plan: RunPlan, outside: Outside, spending: Spending) -> Iterator[dict[str, Teacher]]:
    """The teachers of a run; they share one cap and the workspace's reply cache."""
    purse = Purse(plan.cap_usd, spending.at_most_usd)
    cache = ReplyCache(outside.workspace.path / "cache" / "replies")
    with contextlib.ExitStack() as stack:
        teachers = {}
        for name, one in plan.teachers.items():
            settings = Settings(one.base_url, one.model, one.api_key_env, one.concurrency)
            deadline_sec = DEADLINE_ATTEMPTS * one.timeout_sec
            settings = settings._replace(attempt_sec=one.timeout_sec, deadline_sec=deadline_sec)
            price = _price(outside.price, one.price_model or one.model)
            teachers[name] = Teacher(name, Endpoint(settings, cache, price, purse, outside.send), price, spending)
            stack.callback(teachers[name].close)
        yield teachers


def _price(price: PriceOf, model: str) -> Callable[[Usage], float | None]:
    return lambda usage: price(usage, model)


def engine_of(
    pipeline: Pipeline,
    plan: RunPlan,
    teachers: Mapping[str, Teacher],
    outside: Outside,
    on_rejected: Callable[[str, Rejected], None],
    media: Path,
    route: Route | None = None,
) -> PipelineEngine:
    """The engine of a run; pictures are kept in `media`. Raises RecipeError for faults of pipeline or inputs."""
    inputs = pipeline.read_inputs(plan.inputs)
    context = Context(output.media_in(media), lambda name: Random(f"{plan.seed}/{name}"), outside.stop)
    env = Env(context, inputs, pipeline.path.parent, teachers, media=media, route=route)
    return PipelineEngine(pipeline.bind(inputs), env, plan.rows, on_rejected)


def start(name: str, plan: RunPlan, outside: Outside) -> DatasetDir:
    """Run a pipeline under a new name. Raises RecipeError, EndpointError, RunError (ended early), StorageError."""
    job = JobDir(outside.workspace.pipelines / check_name(name))
    if (job.path / RUN).exists():
        remedy = f"Go on with it (`smolstudio pipeline resume {name}`), or choose another name."
        raise StorageError(f"There is a run of a pipeline named '{name}' already.", remedy, "pipeline.exists")
    pipeline = find_pipeline(plan.pipeline)
    steps = pipeline.bind(pipeline.read_inputs(plan.inputs))  # every fault is told before anything is made
    if plan.route is not None:
        contestants(plan, steps)
    _refuse_taken(name, outside.workspace)
    return _work(job, plan, outside)


def resume(name: str, outside: Outside, **changes: Any) -> DatasetDir:
    """Go on with a run; `changes` are values of its plan, such as `cap_usd`. Raises as `start`."""
    job, plan = read_run(name, outside.workspace)
    _refuse_taken(name, outside.workspace)
    return _work(job, validated(RunPlan, {**plan.model_dump(), **changes}, "run"), outside)


def take(name: str, workspace: Workspace) -> DatasetDir:
    """The dataset of what a run that ended early has accepted. Raises RunError when that is nothing."""
    job, plan = read_run(name, workspace)
    _refuse_taken(name, workspace)
    with job.hold():
        made = output.write_dataset(job.path, plan, find_pipeline(plan.pipeline), workspace)
        job.finish("done", f"{made.card.rows_in} candidates, {sum(made.card.splits.values())} rows.")
    return made


def read_run(name: str, workspace: Workspace) -> tuple[JobDir, RunPlan]:
    """The folder and plan of a run. Raises StorageError when there is none of that name."""
    job = JobDir(workspace.pipelines / check_name(name))
    if not (job.path / RUN).is_file():
        raise StorageError(f"There is no run of a pipeline named '{name}'.", "See `smolstudio pipeline runs`.")
    return job, validated(RunPlan, read_json(job.path / RUN), "run")


def _refuse_taken(name: str, workspace: Workspace) -> None:
    if (workspace.datasets / name).exists():
        raise StorageError(f"There is a dataset '{name}' already.", "Choose another name, or delete it first.")


def _work(job: JobDir, plan: RunPlan, outside: Outside) -> DatasetDir:
    with job.hold():
        write_json(job.path / RUN, plan.model_dump(mode="json"))
        ledger = Ledger(job.path / output.PAID, durable=False)  # the answers themselves are in the reply cache
        try:
            with contextlib.closing(ledger):
                _collect(job, plan, outside, Spending(ledger))
            made = output.write_dataset(job.path, plan, find_pipeline(plan.pipeline), outside.workspace)
        except UserError as error:
            job.finish("stopped" if error.code == "run.stopped" else "failed", str(error), error.code)
            raise
        except KeyboardInterrupt:
            job.finish("stopped", "The pipeline was interrupted; answers on disk are kept.", "run.stopped")
            raise
        job.finish("done", f"{sum(made.card.splits.values())} rows.")
        return made


def _collect(job: JobDir, plan: RunPlan, outside: Outside, spending: Spending) -> None:
    """Ask until the target is reached; accepted and rejected candidates go to the run's folder."""
    pipeline = find_pipeline(plan.pipeline)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(contextlib.closing(_Files(job.path)))
        teachers = stack.enter_context(opened(plan, outside, spending))
        routes = _routes(pipeline, plan, teachers, outside, job.path)
        route = routes.teacher if routes else None
        engine = engine_of(pipeline, plan, teachers, outside, files.reject, job.path, route)
        meter = Meter(f"pipeline {job.id}", plan.rows, "rows", outside.on_progress)
        watch = _Watch(engine, meter, spending)
        files.on_rejected = watch.rejected
        try:
            for candidate in engine.rows():
                files.accept(candidate, pipeline.file.coverage)
                watch.accepted()
        except UserError as error:
            raise _ended(job.id, error, engine, spending) from error
        finally:
            counts = [count.model_dump() for count in engine.counts()]
            seconds = round(time.monotonic() - started, 3)
            record = {"steps": counts, "seconds": seconds, "asked": spending.asked, "ended": now_utc()}
            record |= {"routes": routes.model_dump()} if routes else {}
            write_json(job.path / output.COUNTS, record)
    if engine.exhausted and plan.rows is not None and engine.accepted < plan.rows:
        raise _ended(job.id, _exhausted(engine), engine, spending)


def _exhausted(engine: PipelineEngine) -> RunError:
    """Why the seeds did not suffice: there were too few, or most of them met a teacher that does not answer."""
    ended = engine.accepted + engine.reasons().total()
    if 2 * engine.reasons()[NO_ANSWER] > ended:
        message = "The seeds ran out, most of them because the teacher did not answer."
        return RunError(message, "See that it answers at its address.", "pipeline.exhausted")
    return RunError("The seeds ran out.", "Give more of them.", "pipeline.exhausted")


def _routes(
    pipeline: Pipeline, plan: RunPlan, teachers: dict[str, Teacher], outside: Outside, media: Path
) -> Routes | None:
    """Who writes what, by a trial of each teacher; None where one writes all. Its answers are kept for the run."""
    if plan.route is None:
        return None
    names = contestants(plan, pipeline.bind(pipeline.read_inputs(plan.inputs)))
    teachers.setdefault(MAIN, teachers[names[0]])
    endless = plan.model_copy(update={"rows": None})

    def make(route: Route, on_rejected: Callable[[str, Rejected], None]) -> PipelineEngine:
        return engine_of(pipeline, endless, teachers, outside, on_rejected, media, route)

    purpose = output.task_card(pipeline, plan).instruction or pipeline.file.about
    return decide(plan.route, names, teachers, make, purpose, outside.stop)


class _Watch:
    """Shows how far a run is, and ends one that spends without accepting anything."""

    def __init__(self, engine: PipelineEngine, meter: Meter, spending: Spending) -> None:
        self._engine, self._meter, self._spending = engine, meter, spending
        self._in_a_row = 0

    def accepted(self) -> None:
        self._in_a_row = 0
        self._meter.update(self._engine.accepted, note_of(self._engine, self._spending))

    def rejected(self, rejected: Rejected) -> None:
        self._in_a_row += rejected.candidate.asked()
        self._meter.update(self._engine.accepted, note_of(self._engine, self._spending))
        if self._in_a_row >= GIVE_UP_AFTER:
            raise RunError(
                f"None of the last {self._in_a_row} candidates was accepted ({_top(self._engine)}).",
                "Look at them, and change the prompt, the check or the teacher.",
                "pipeline.nothing_accepted",
            )


def note_of(engine: PipelineEngine, spending: Spending) -> str:
    """Rejected and money, in few words."""
    parts = [f"{engine.reasons().total()} rejected" + (f" ({_top(engine)})" if engine.reasons() else "")]
    usd = spending.usd
    if usd is None:
        return " · ".join([*parts, "unpriced"])
    per_row = f" · ${usd / engine.accepted:.5f} a row" if engine.accepted else ""
    return " · ".join([*parts, f"${usd:.4f}{per_row}"])


def _top(engine: PipelineEngine) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in engine.reasons().most_common(2))


def _ended(name: str, error: UserError, engine: PipelineEngine, spending: Spending) -> UserError:
    """What happened, what is kept, and how to go on."""
    usd = spending.usd
    paid = "nothing is priced" if usd is None else f"${usd:.4f} paid"
    target = f" of {engine.target}" if engine.target else ""
    kept = f"{engine.accepted}{target} rows are accepted, {paid}; answers on disk are kept."
    if engine.reasons() and error.code != "pipeline.nothing_accepted":  # which names them
        kept = f"{kept} Rejected: {_top(engine)}."
    message = error.message if error.code != "run.stopped" else "The pipeline was stopped."
    further = "" if error.code in ("endpoint.budget", "run.stopped") else f" {error.remedy}"
    return type(error)(f"{message}{further} {kept}", _how_to_go_on(name, error, engine), error.code)


def _how_to_go_on(name: str, error: UserError, engine: PipelineEngine) -> str:
    """What was accepted may be taken; what was answered and not accepted should be read first."""
    cap = " --cap USD" if error.code == "endpoint.budget" else ""
    resume = f"`smolstudio pipeline resume {name}{cap}` goes on"
    if engine.accepted:
        return f"{resume}; `pipeline take {name}` makes the dataset of what there is."
    if engine.reasons().total() == engine.reasons()[NO_ANSWER]:
        return f"{resume}."
    return (
        f"Read the answers that were rejected (pipelines/{name}/{output.REJECTED}), and change the prompt, the check "
        f"or the teacher; {resume}."
    )


class _Files:
    """Accepted and rejected candidates of a run, written anew in each session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.on_rejected: Callable[[Rejected], None] = lambda rejected: None
        shutil.rmtree(folder / output.REJECTED, ignore_errors=True)
        (folder / output.ACCEPTED).unlink(missing_ok=True)
        self._journals: dict[str, Journal] = {}

    def _journal(self, name: str) -> Journal:
        if name not in self._journals:
            self._journals[name] = Journal(self._folder / name, durable=False)
        return self._journals[name]

    def accept(self, candidate: Candidate, coverage: tuple[str, ...]) -> None:
        self._journal(output.ACCEPTED).append(output.accepted_record(candidate, coverage))

    def reject(self, step: str, rejected: Rejected) -> None:
        record = {"reason": rejected.reason, "detail": rejected.detail, **rejected.candidate.record()}
        self._journal(f"{output.REJECTED}/{step}.jsonl").append(record)
        self.on_rejected(rejected)

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()
