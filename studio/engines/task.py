"""The worker of a task: `python -m studio.engines.task TASK_DIR`. Generation, import, cleaning, comparison,
cross-validation, answering a file, export and serving away from the UI.

Its progress goes to the task's events, its end to exit.json; a failure is one sentence there, its traceback in the
log.
"""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.engines import rows, writing
from studio.engines.jobs import emit_progress, task_of
from synth.errors import RunError, StorageError, UserError
from synth.extras import missing_extra
from synth.jobdir import JobDir
from synth.progress import Progress
from synth.workspace import Workspace

Outcome = dict[str, Any]


def _synth(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from synth.build import build_dataset

    key, settings, name = arguments["generator"], arguments["settings"], arguments["name"]
    with rows.for_generation(workspace, key) as engine:
        say = emit_progress(job)
        dataset = build_dataset(key, settings, name, workspace, say, job.stop_requested, engine=engine)
    return {"dataset": dataset.name}


def _compare(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from evaluate.compare import run_comparison
    from evaluate.plan import Plan

    plan = Plan.model_validate(arguments["plan"])
    name = arguments.get("comparison_id")
    with rows.opened(workspace) as engine:
        report = run_comparison(
            plan, workspace, emit_progress(job), stop=job.stop_requested, comparison_id=name, engine=engine
        )
    return {"report": str(report), "comparison": report.parent.name}


def _import(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from studio.state import titles, uploads
    from synth.curation.amend import set_task
    from synth.dataset import open_dataset
    from synth.modality import modality

    emit = emit_progress(job)

    def on_progress(progress: Progress) -> None:
        if job.stop_requested():  # importers ask nobody, but tell how far they are several times a second
            raise RunError("The import was stopped; nothing was kept.", "Start it again.", "run.stopped")
        emit(progress)

    source = Path(arguments["source"])
    report = modality(arguments["modality"]).import_rows()(
        source,
        arguments["name"],
        workspace,
        arguments["mapping"],
        on_progress=on_progress,
        group_by=arguments.get("group_by", ""),
        **{
            name: arguments[name]
            for name in ("shares", "answer_columns", "question", "split_near_duplicates")
            if arguments.get(name)
        },
    )
    if arguments.get("title"):
        titles.set_title(workspace, "datasets", arguments["name"], titles.Title(arguments["title"]))
    if arguments.get("task"):
        set_task(open_dataset(arguments["name"], workspace.datasets), **arguments["task"])
    uploads.forget(workspace, source)
    return {
        "dataset": arguments["name"],
        "kept": report.kept,
        "set_aside": report.rejected_rows,
        "faults": report.rejected,
        "said": list(report.lines())[1:],
    }


def _curate(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    """Make the curated dataset; without a name, only say what would be dropped."""
    from studio.engines.rows import opened
    from synth.curation.curate import Rules, curate_dataset, preview_curation
    from synth.dataset import open_dataset

    source = open_dataset(arguments["dataset"], workspace.datasets)
    rules, say = Rules.model_validate(arguments["rules"]), emit_progress(job)
    with opened(workspace) as engine:
        if arguments["name"]:
            made = curate_dataset(source, arguments["name"], workspace, rules, say, job.stop_requested, engine)
            return {"dataset": made.name}
        seen = preview_curation(source, rules, on_progress=say, stop=job.stop_requested, engine=engine)
    samples = {reason: [row.model_dump(mode="json") for row in rows] for reason, rows in seen.samples.items()}
    return {**arguments, "kept": seen.kept, "dropped": seen.dropped, "redacted": seen.redacted, "samples": samples}


def _filter(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    """Make the filtered dataset; without a name, only say what would be dropped, and how good the filter is."""
    from synth.dataset import open_dataset
    from synth.filtering.filtering import Filter, filter_dataset, preview_filter

    source = open_dataset(arguments["dataset"], workspace.datasets)
    chosen, say = Filter.model_validate(arguments["filter"]), emit_progress(job)
    if arguments["name"]:
        made = filter_dataset(source, arguments["name"], workspace, chosen, say, job.stop_requested)
        return {"dataset": made.name}
    seen = preview_filter(source, chosen, workspace, on_progress=say)
    samples = [[score, row.model_dump(mode="json")] for score, row in seen.samples]
    return {**arguments, "kept": seen.kept, "dropped": seen.dropped, "notes": seen.notes, "samples": samples}


def _review(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from synth.curation.review import apply_reviews
    from synth.dataset import open_dataset

    made = apply_reviews(
        open_dataset(arguments["dataset"], workspace.datasets),
        arguments["name"],
        workspace,
        arguments["approved_only"],
        emit_progress(job),
        job.stop_requested,
    )
    return {"dataset": made.name}


def _answer(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    """Answer a table, or files one by one; the CSV lies in the task's folder, the upload is forgotten."""
    from studio.serving import answer_file
    from studio.state import uploads

    sources = [Path(source) for source in arguments["sources"]]
    say, out, run = emit_progress(job), job.path / "answers.csv", arguments["run"]
    if arguments["column"]:
        found = answer_file.answer_table(workspace, run, sources[0], arguments["column"], out, say, job.stop_requested)
    else:
        found = answer_file.answer_media(workspace, run, sources, arguments["question"], out, say, job.stop_requested)
    uploads.forget(workspace, sources[0])
    return {"file": str(found.file), **{key: getattr(found, key) for key in ("rows", "answered", "with_note")}}


def _export(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from evaluate.parity import parity_gate
    from evaluate.report.model_card import of_workspace
    from recipes.export.exporter import MANIFEST
    from recipes.export.targets import export_run
    from synth.storage import read_json

    out = workspace.path / "exports" / arguments["name"]
    emit_progress(job)(Progress(f"export {arguments['to']}", 0, None, "", 0.0))
    checks = parity_gate(workspace), of_workspace(workspace)
    folder = export_run(arguments["run"], workspace.runs, out, arguments["to"], *checks)
    card = (folder / "README.md").read_text("utf-8")
    return {"folder": str(folder), "said": read_json(folder / MANIFEST)["parity"]["said"], "card": card}


def _serve(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from studio.engines.served import serve_until_stopped

    return serve_until_stopped(job, workspace, arguments["run"], arguments["port"])


def _crossval(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    from recipes.recipe.schema import load_recipe
    from studio.engines.crossval import cross_validate

    recipe, name = load_recipe(arguments["recipe"]), arguments["name"]
    made = cross_validate(workspace, recipe, name, arguments["folds"], emit_progress(job), job.stop_requested)
    return {"run": made.final, "fold_runs": list(made.runs), "folds": made.folds.folds, "why": made.folds.why}


def _pipeline(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    return writing.write(workspace, arguments, emit_progress(job), job.stop_requested)


def _pipeline_preview(job: JobDir, workspace: Workspace, arguments: dict[str, Any]) -> Outcome:
    return writing.preview(workspace, arguments, emit_progress(job), job.stop_requested)


KINDS: dict[str, Callable[[JobDir, Workspace, dict[str, Any]], Outcome]] = {
    "synth": _synth,
    "compare": _compare,
    "import": _import,
    "crossval": _crossval,
    "curate": _curate,
    "filter": _filter,
    "pipeline": _pipeline,
    "pipeline_preview": _pipeline_preview,
    "review": _review,
    "answer": _answer,
    "export": _export,
    "serve": _serve,
}


def work(job: JobDir) -> int:
    """Do the task and write how it ended; returns the process's exit code."""
    try:
        if job.stop_requested():
            raise RunError("It was stopped before it began; nothing was made.", "Start it again.", "run.stopped")
        task = task_of(job)
        outcome = KINDS[task["kind"]](job, Workspace(Path(task["workspace"])), task["arguments"])
        return _end(job, "done", **outcome)
    except Exception as error:
        traceback.print_exc()
        fault = _fault(error)
        return _end(job, "stopped" if fault.code == "run.stopped" else "failed", str(fault), fault.code)


def _fault(error: Exception) -> UserError:
    """The sentence for whatever ended a task."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
        return missing
    if isinstance(error, MemoryError):
        return RunError("Memory ran out.", "Close other programs, or start it with fewer rows.", "run.memory")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError("The disk is full.", "Free some space and start it again.", "storage.full")
    return RunError(f"An unexpected fault: {type(error).__name__}: {error}.", "The log has the details.", "internal")


def _end(job: JobDir, verdict: Any, sentence: str = "", code: str = "", **more: Any) -> int:
    """Write exit.json; where the disk refuses even that, the log says how it ended and why nothing else does."""
    try:
        job.finish(verdict, sentence, code, **more)
    except StorageError as error:
        print(f"{verdict}. {sentence}\n{error}", file=sys.stderr)
        return 1
    return 0 if verdict == "done" else 1


def main() -> None:
    """Entry point."""
    job = JobDir(Path(sys.argv[1]))
    # A background job of a shell inherits SIGINT ignored; being asked to end always means saving and ending.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: job.request_stop())
    try:
        with job.hold():
            code = work(job)
    except StorageError as error:  # another worker has it, or the disk refuses: its directory is left as it is
        print(error, file=sys.stderr)
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
