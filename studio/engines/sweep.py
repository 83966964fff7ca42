"""A sweep: trainings of one recipe with other values, the hopeless ended early, the best repeated with other seeds.

    asked = Asked(recipe, space, trials=12, seeds=3, metric="")
    found = sweep(workspace, "invoices-sweep", asked, on_progress, stop)

Trials are ordinary runs, one after another, scored by the task's own metric on rows of val. What is done is kept and
what was open goes on: the same call again takes up where a stopped or killed one was. Nothing here looks at test.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.recipe.space import Space, as_json, combinations, with_values
from recipes.run.sweeps import ASKED, RESULT, Member, members, note_run, seed_run, trial_run
from studio.engines import jobs
from studio.engines.study import Study, Trial
from studio.state.notes import LONGEST_TAG, write_notes
from synth.build import check_name
from synth.dataset import open_dataset
from synth.errors import RecipeError, RunError
from synth.progress import Progress, ProgressFn
from synth.storage import DirLock, read_json, write_json
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.recipe.schema import Recipe
    from recipes.run.directory import Run

LOSS = "loss"
ROWS_SCORED = 100
FAILURES = 3  # in a row, after which a sweep ends: the fault is not in the values
DISCARDED = "run.discarded"

Stop = Callable[[], bool]


class Asked(NamedTuple):
    """What is searched. `metric`: "" is the task's own; `seeds`: how often the best is repeated."""

    recipe: Recipe
    space: Space
    trials: int
    seeds: int
    metric: str = ""


class Objective(NamedTuple):
    """What trials are compared by, on rows of val."""

    metric: str
    lower_is_better: bool


class Repeat(NamedTuple):
    """The winner with another seed, and its value on val."""

    run: str
    seed: int
    value: float | None


class Swept(NamedTuple):
    """What a sweep found: its metric, trials, the best one, and its repetitions."""

    name: str
    objective: Objective
    trials: tuple[Trial, ...]
    best: Trial
    repeats: tuple[Repeat, ...]
    importance: dict[str, float]


def prepared(asked: Asked, workspace: Workspace) -> tuple[Recipe, Objective]:
    """The recipe as its trials are trained, and what they are compared by. Refuses what cannot be searched.

    Raises RecipeError and DataError before anything is trained.
    """
    from recipes.recipe.schema import load_recipe
    from recipes.train.scores import metric_of, scored_rows

    size = combinations(asked.space)
    if size is not None and asked.trials > size:
        message = f"{asked.trials} trials are asked for, and the space holds {size} different recipes."
        raise RecipeError(message, f"Set --trials to {size}, or widen the space.", "recipe.space")
    if asked.recipe.data.folds:
        message = "A sweep compares trials on rows of val, and a cross-validation shares those out."
        raise RecipeError(message, "Leave data.folds at 0.", "recipe.space")
    raw = asked.recipe.model_dump(mode="json")
    recipe = load_recipe(
        {**raw, "eval_steps": raw["eval_steps"] or "auto", "score_rows": raw["score_rows"] or ROWS_SCORED}
    )
    dataset = open_dataset(recipe.data.dataset, workspace.datasets)
    if asked.metric != LOSS:
        metric = metric_of(scored_rows(recipe, dataset), dataset.name)
        if asked.metric not in ("", metric.name):
            message = f"Validation rows of {dataset.name} give {metric.name}, not {asked.metric}; nothing was trained."
            raise RecipeError(message, f"Leave out --metric, or set it to {metric.name} or {LOSS}.", "recipe.metric")
        return recipe, Objective(metric.name, metric.lower_is_better)
    if recipe.objective != "sft" or "base_model" in asked.space or not dataset.count(recipe.data.val_split or "val"):
        message = "Trials cannot be compared by the validation loss here; nothing was trained."
        remedy = "It needs a *_sft method, one base_model and rows of val: leave out --metric otherwise."
        raise RecipeError(message, remedy, "recipe.metric")
    return load_recipe({**recipe.model_dump(mode="json"), "score_rows": 0}), Objective("validation loss", True)


def sweep(workspace: Workspace, name: str, asked: Asked, on_progress: ProgressFn, stop: Stop = lambda: False) -> Swept:
    """Try, compare, repeat. Raises RecipeError, DataError, RunError; code run.stopped when `stop` says so."""
    recipe, objective = prepared(asked, workspace)
    folder = workspace.sweeps / check_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    with DirLock(folder):
        _keep_asked(folder, asked, recipe, objective)
        study = Study(folder, asked.space, asked.trials, recipe.seed, objective.lower_is_better)
        work = _Sweep(workspace, folder, recipe, objective, study, on_progress, stop, asked.trials)
        failures: list[str] = []
        while (trial := study.next()) is not None:
            fault = work.try_out(trial)
            failures = [*failures, fault] if fault else []
            work.keep_result(())
            if len(failures) >= FAILURES:
                message = f"{len(failures)} trials in a row failed; the last: {failures[-1]}"
                raise RunError(message, "Correct the recipe or the space, and give the sweep another name with --id.")
        best = study.best()
        if best is None:
            raise RunError(f"No trial of {name} came to its end.", "Narrow the space, or raise --trials.")
        repeats = work.repeat(best, asked.seeds)
        work.keep_result(repeats)
        return Swept(name, objective, tuple(study.trials()), best, repeats, study.importance())


def _keep_asked(folder: Path, asked: Asked, recipe: Recipe, objective: Objective) -> None:
    """Write down what is searched. Raises RunError when the name belongs to another search; trials may be added."""
    wanted = {
        "recipe": recipe.model_dump(mode="json"),
        "space": as_json(asked.space),
        "objective": list(objective),
        "trials": asked.trials,
        "seeds": asked.seeds,
    }
    file = folder / ASKED
    if file.is_file():
        before = read_json(file)
        fixed = ("recipe", "space", "objective")
        differing = [key for key in fixed if _plain(before.get(key)) != _plain(wanted[key])]
        if differing:
            what = " and ".join(differing)
            message = f"There is a sweep {folder.name} already, with another {what}; nothing was trained."
            raise RunError(message, "Give this one another name with --id.", "run.changed")
    write_json(file, wanted)


def _plain(value: object) -> object:
    return json.loads(json.dumps(value))


class _Sweep(NamedTuple):
    workspace: Workspace
    folder: Path
    recipe: Recipe
    objective: Objective
    study: Study
    on_progress: ProgressFn
    stop: Stop
    trials: int

    def try_out(self, trial: Trial) -> str:
        """Train a trial to its end, or to where it is hopeless; returns why it failed, "" when it did not."""
        name = trial_run(self.folder.name, trial.number)
        label = f"trial {trial.number} of {self.trials}"
        recipe = with_values(self.recipe, trial.values)
        run = self._begun(recipe, Member(name, trial.number, recipe.seed))

        def hopeless() -> bool:
            looks = looks_of(run, self.objective)
            return any(self.study.report(trial, look, value) for look, value in enumerate(looks, start=1))

        status = self._followed(run, label, hopeless)
        ended = run.exit()
        if ended and ended.code == DISCARDED:
            self.study.tell(trial, "pruned")
            return ""
        value = value_of(run, self.objective) if status == "done" else None
        if value is None:
            self.study.tell(trial, "failed")
            why = jobs.how_it_ended(run) if status != "done" else "its metric was not measured"
            return f"{run.id} {status}: {why}"
        hopeless()  # what was told since the last look belongs to the record
        self.study.tell(trial, "done", value)
        return ""

    def repeat(self, best: Trial, seeds: int) -> tuple[Repeat, ...]:
        """The winner trained again with the seeds after the recipe's own: the best of many is partly luck."""
        found: list[Repeat] = []
        recipe = with_values(self.recipe, best.values)
        for seed in range(recipe.seed + 1, recipe.seed + 1 + seeds):
            again = recipe.model_copy(update={"seed": seed})
            run = self._begun(again, Member(seed_run(self.folder.name, best.number, seed), best.number, seed))
            status = self._followed(run, f"seed {seed}", lambda: False)
            if status != "done":
                message = f"{run.id}, which repeats the best trial, {status}: {jobs.how_it_ended(run)}"
                remedy = f"Delete it with `smolstudio runs delete {run.id}`, then start the sweep again."
                raise RunError(message, remedy)
            found.append(Repeat(run.id, seed, value_of(run, self.objective)))
        return tuple(found)

    def keep_result(self, repeats: Sequence[Repeat]) -> None:
        """Write down what is known so far, for pages and reports."""
        best = self.study.best()
        trials = [{**t._asdict(), "run": trial_run(self.folder.name, t.number)} for t in self.study.trials()]
        write_json(
            self.folder / RESULT,
            {
                **self.objective._asdict(),
                "trials": trials,
                "best": best.number if best else None,
                "importance": self.study.importance(),
                "repeats": [one._asdict() for one in repeats],
            },
        )

    def _begun(self, recipe: Recipe, member: Member) -> Run:
        """The run of that id: new, or as it was left. Raises RunError when it is another one."""
        from recipes.recipe.schema import recipe_hash
        from recipes.run.directory import Run

        run = Run(self.workspace.runs / member.run)
        if run.path.exists():
            if member not in members(self.folder) or recipe_hash(run.recipe) != recipe_hash(recipe):
                message = f"There is a run {run.id} already, which is not of this sweep; nothing was trained."
                raise RunError(message, "Give the sweep another name with --id.", "run.changed")
            ended = run.exit()
            if run.status() in ("stopped", "lost") and not (ended and ended.code == DISCARDED):
                jobs.resume_training(run)
            return run
        note_run(self.folder, member)
        jobs.start_training(self.workspace, recipe, run.id)
        what = "The best trial with another seed" if member.seed != self.recipe.seed else f"Trial {member.trial}"
        write_notes(run, f"{what} of the sweep {self.folder.name}.", [self.folder.name[:LONGEST_TAG]])
        return run

    def _followed(self, run: Run, label: str, hopeless: Callable[[], bool]) -> str:
        """Wait for the run's end, asking it to end when it is hopeless. Raises RunError, code run.stopped."""
        asked, offset, revived = "", jobs.events_end(run), False
        while True:
            status = run.status()
            events, offset = jobs.read_new(run.path / "events.jsonl", offset)
            for progress in filter(None, map(jobs.progress_of, events)):
                self.on_progress(Progress(label, *progress[1:]))
            if not asked and self.stop():
                asked = "stop"
                jobs.ENGINE.cancel(run)
            elif not asked and events and status == "running" and hopeless():
                asked = "pruned"
                jobs.ENGINE.cancel(run, discard=True)
            if status == "lost" and not revived:
                revived = True
                jobs.resume_training(run)
            elif status not in ("queued", "running"):
                break
            time.sleep(jobs.POLL_SEC)
        if asked == "stop" or (status == "stopped" and (run.exit() or ("", "", ""))[1] != DISCARDED):
            message = f"The sweep was stopped at {label} ({run.id}); what was trained is kept."
            raise RunError(message, "The same command again goes on.", "run.stopped")
        return status


def looks_of(run: Run, objective: Objective) -> list[float]:
    """What was seen of a run while it was trained, in order; a step that was done twice counts once."""
    found: dict[int, float] = {}
    for event in run.events():
        if event["kind"] == "eval" and objective.metric == "validation loss" and event.get("loss") is not None:
            found[event["step"]] = float(event["loss"])
        elif event["kind"] == "score" and not event["final"] and event["metric"] == objective.metric:
            found[event["step"]] = float(event["value"])
    return list(found.values())


def value_of(run: Run, objective: Objective) -> float | None:
    """What the adapter that a run kept is worth; None where it was not measured."""
    from recipes.train.scores import finals

    if objective.metric == "validation loss":
        losses = looks_of(run, objective)
        return (min(losses) if run.recipe.load_best_model_at_end else losses[-1]) if losses else None
    final = finals(run)
    return final.value if final and final.metric == objective.metric else None
