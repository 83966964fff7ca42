"""Start, follow, stop and list long work. The terminal and the UI both call this; neither does the work itself.

An engine does it (`studio.engines.engine`), in directories that tell how they stand (`synth.jobdir`). Trainings are
`runs/<id>`; generation, import and comparison are `tasks/<id>`. No Streamlit here.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.engines.engine import Engine, Work
from studio.engines.local import LocalEngine
from synth import temporary
from synth.errors import RunError, StorageError, did_you_mean
from synth.jobdir import LOG, STOP, Exit, JobDir
from synth.progress import Progress, ProgressFn
from synth.storage import JsonDict, atomic_dir, read_json, write_json
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.recipe.schema import Recipe
    from recipes.run.directory import Run
    from studio.engines.launched import Launch

ENGINE: Engine = LocalEngine()
TRAINING = "studio.engines.training"
TASK = "studio.engines.task"
TASK_FILE = "task.json"
POLL_SEC = 0.2
LOST = "The worker was lost: killed, possibly out of memory."


def start_training(
    workspace: Workspace,
    recipe: Recipe,
    run_id: str | None = None,
    check_only: bool = False,
    launch: Launch | None = None,
    engine: Engine | None = None,
) -> Run:
    """Create a run and set a worker to it; if `run_id` exists already, that run is returned instead of a second one.

    Raises RunError where that one has another recipe.
    With `check_only` the worker ends after the preflight; `resume_training` then trains. `launch` has several processes
    train it, and it resumes so.
    """
    from recipes.run.directory import Run

    if launch:
        from studio.engines import launched

        launched.check(recipe, launch)
    if run_id and (workspace.runs / run_id).exists():
        return _same(Run(workspace.runs / run_id), recipe)
    temporary.sweep(workspace)
    try:
        run = Run.create(workspace, recipe, run_id=run_id)
    except StorageError:
        if run_id and (workspace.runs / run_id).exists():  # another tab was quicker
            return _same(Run(workspace.runs / run_id), recipe)
        raise
    if launch:
        launched.choose(run, launch)
    (engine or ENGINE).submit(Work(run, TRAINING, ("--check",) if check_only else ()))
    return run


def _same(run: Run, recipe: Recipe) -> Run:
    from recipes.recipe.schema import recipe_hash

    if recipe_hash(run.recipe) != recipe_hash(recipe):
        message = f"There is a run {run.id} already, with other settings; nothing was trained."
        remedy = f"Choose another name, or delete that one with `smolstudio runs delete {run.id}`."
        raise RunError(message, remedy, "run.changed")
    return run


def resume_training(run: Run, engine: Engine | None = None) -> None:
    """Set a worker to a run that ended early. Raises RunError when it runs or is complete."""
    status = run.status()
    if status in ("running", "queued"):
        raise RunError(f"{run.id} is {status}.", "Stop it first, or wait.")
    if status == "done":
        raise RunError(f"{run.id} is complete; there is nothing to resume.", "Start a new run, or clone this one.")
    if why := run.resume_blocker():
        raise RunError(why, "Put it back as it was, or clone this run and start anew.", "run.changed")
    (run.path / STOP).unlink(missing_ok=True)  # of the stop before, which would end it again while it waits
    (engine or ENGINE).submit(Work(run, TRAINING, ("--resume",)))


def start_task(workspace: Workspace, kind: str, arguments: dict[str, Any], task_id: str | None = None) -> JobDir:
    """Start generation, import or comparison in the background; `kind` is a key of `studio.engines.task.KINDS`."""
    chosen = task_id or f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    job = JobDir(workspace.tasks / chosen)
    temporary.sweep(workspace)
    try:
        with atomic_dir(job.path) as made:
            write_json(made / TASK_FILE, {"kind": kind, "arguments": arguments, "workspace": str(workspace.path)})
    except StorageError:
        if task_id and job.path.exists():
            return job
        raise
    ENGINE.submit(Work(job, TASK))
    return job


def list_runs(workspace: Workspace) -> list[Run]:
    """Runs, the last changed first. What lists show of many runs at once is in `studio.read.history`."""
    from recipes.run.directory import RECIPE, Run

    return [Run(p) for p in _newest(workspace.runs, RECIPE)]


def find_run(workspace: Workspace, run_id: str) -> Run:
    """The run of that id, or whose id begins so, when only one does. Raises RunError with the nearest one."""
    from recipes.run.directory import Run

    runs = [run.id for run in list_runs(workspace)]
    matches = [r for r in runs if r == run_id] or [r for r in runs if r.startswith(run_id)]
    if len(matches) == 1:
        return Run(workspace.runs / matches[0])
    if matches:
        raise RunError(f"'{run_id}' fits several runs: {', '.join(matches[:5])}.", "Give more of the id.")
    raise RunError(f"There is no run '{run_id}'{did_you_mean(run_id, runs)}.", "See `smolstudio runs list`.")


def read_new(path: Path, offset: int) -> tuple[list[JsonDict], int]:
    """Objects of a growing JSONL file after `offset` (bytes), torn lines left out, and the offset after them."""
    if not path.is_file():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return [value for line in data[:end].splitlines() if (value := _object(line))], offset + end


def _object(line: bytes) -> JsonDict | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def follow(job: JobDir, on_event: Callable[[JsonDict], None], since: int = 0) -> Exit:
    """Hand each new event to `on_event` until the work ends. Raises RunError when its worker was lost."""
    offset = since
    while True:
        status = job.status()
        events, offset = read_new(job.path / "events.jsonl", offset)
        for event in events:
            on_event(event)
        if status not in ("queued", "running"):
            break
        time.sleep(POLL_SEC)
    ended = job.exit()
    if ended is None:
        raise RunError(
            f"The worker of {job.id} was lost: killed, possibly out of memory.",
            f"See the log at {job.path / LOG}; resume it with `smolstudio runs resume {job.id}`.",
            "run.lost",
        )
    return ended


def events_end(job: JobDir) -> int:
    """The size of the event file: where a follower of only what comes begins."""
    file = job.path / "events.jsonl"
    return file.stat().st_size if file.is_file() else 0


def progress_of(event: JsonDict) -> Progress | None:
    """The Progress that an event carries: of any phase, or the training steps of a run; else None."""
    if event.get("kind") == "progress":
        fields = (event["phase"], event["done"], event.get("total"), event["unit"], event["seconds"])
        return Progress(*fields, event.get("note", ""))
    if event.get("kind") == "step":
        note = f"loss {event['loss']:.3f}, {event['tokens_per_s']:,.0f} tokens/s"
        return Progress("train", event["step"], event["total_steps"], "steps", event["seconds"], note)
    return None


def emit_progress(job: JobDir) -> ProgressFn:
    """A ProgressFn that writes to the job's events."""

    def on_progress(progress: Progress) -> None:
        job.emit("progress", **{k: (round(v, 3) if isinstance(v, float) else v) for k, v in progress._asdict().items()})

    return on_progress


def how_it_ended(job: JobDir) -> str:
    """The worker's own sentence, or that it was lost."""
    ended = job.exit()
    return ended.sentence if ended else LOST


def raise_unless_done(job: JobDir, ended: Exit) -> None:
    """Raise RunError with the worker's own sentence unless the work was completed."""
    if ended.verdict != "done":
        raise RunError(ended.sentence or f"{job.id} {ended.verdict}.", f"Details: {job.path / LOG}.", ended.code)


def log_tail(job: JobDir, lines: int = 40) -> str:
    """The last lines of the worker's log."""
    file = job.path / LOG
    if not file.is_file():
        return ""
    with file.open("rb") as handle:
        handle.seek(max(0, file.stat().st_size - 64 * lines * 8))
        return "\n".join(handle.read().decode("utf-8", "replace").splitlines()[-lines:])


def task_of(job: JobDir) -> JsonDict:
    """What a task was asked to do: kind, arguments, workspace. Raises StorageError."""
    asked = read_json(job.path / TASK_FILE)
    if not (isinstance(asked, dict) and "kind" in asked and isinstance(asked.get("arguments"), dict)):
        raise StorageError(f"{job.path / TASK_FILE} does not say what was asked.", "Start it anew.", "storage.task")
    return asked


def tasks(workspace: Workspace) -> Iterator[tuple[JobDir, JsonDict]]:
    """Tasks with what they were asked to do, newest first."""
    for folder in _newest(workspace.tasks, TASK_FILE):
        with contextlib.suppress(StorageError):  # one that is torn hides no other
            yield JobDir(folder), task_of(JobDir(folder))


def _newest(place: Path, file: str) -> list[Path]:
    """Folders that hold such a file, the last changed first, without one that is deleted meanwhile."""
    found = []
    for folder in place.glob("[!.]*"):
        with contextlib.suppress(OSError):
            if (folder / file).is_file():
                found.append((folder.stat().st_mtime, folder))
    return [folder for _, folder in sorted(found, reverse=True)]
