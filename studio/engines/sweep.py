"""A sweep: trainings of one recipe with other values, the hopeless ended early, the best repeated with other seeds.

    asked = Asked(recipe, space, trials=12, seeds=3, metric="")
    found = sweep(workspace, "invoices-sweep", asked, on_progress, stop)

Trials are ordinary runs, one after another or several at once on a cluster, scored by the task's own metric on rows of
val. What is done is kept and what was open goes on: the same call again takes up where a stopped or killed one was.
Nothing here looks at test.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.recipe.space import Space, as_json, combinations, with_values
from recipes.run.sweeps import ASKED, RESULT, Member, mark_run, members, note_run, seed_run, trial_run
from studio.engines import jobs
from studio.engines.engine import Engine
from studio.engines.study import Study, Trial
from studio.state.notes import LONGEST_TAG, write_notes
from synth.build import LONGEST_NAME, check_name
from synth.dataset import open_dataset
from synth.errors import RecipeError, RunError
from synth.progress import Progress, ProgressFn
from synth.storage import DirLock, read_json, sha256_file, write_json
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.recipe.schema import Recipe
    from recipes.run.directory import Run
    from studio.engines.ray_trainings import RayTrainings

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
    scored = recipe.score_rows if recipe.metric_for_best_model == "task" else 0  # which then says what is kept
    return load_recipe({**recipe.model_dump(mode="json"), "score_rows": scored}), Objective("validation loss", True)


def sweep(
    workspace: Workspace,
    name: str,
    asked: Asked,
    on_progress: ProgressFn,
    stop: Stop = lambda: False,
    cluster: RayTrainings | None = None,
) -> Swept:
    """Try, compare, repeat. Raises RecipeError, DataError, RunError; code run.stopped when `stop` says so.

    cluster: what trains several at once; without it they are trained here, one after another.
    """
    recipe, objective = prepared(asked, workspace)
    folder = workspace.sweeps / check_name(name)
    spare = LONGEST_NAME - len(seed_run("", asked.trials, recipe.seed + asked.seeds))
    if len(name) > spare:
        message = f"'{name}' is too long for a sweep: its runs are named after it."
        raise RecipeError(message, f"Give another --id, of {spare} characters at most.", "recipe.space")
    folder.mkdir(parents=True, exist_ok=True)
    with DirLock(folder):
        _keep_asked(folder, asked, recipe, objective, workspace)
        study = Study(folder, asked.space, asked.trials, recipe.seed, objective.lower_is_better)
        work = _Sweep(workspace, folder, recipe, objective, study, on_progress, stop, asked.trials, cluster)
        work.search()
        best = study.best()
        if best is None:
            message = f"No trial of {name} came to its end; {work.last_ended()}"
            raise RunError(message, "Correct that and give the sweep another name with --id, or raise --trials.")
        repeats = work.repeat(best, asked.seeds)
        work.keep_result(repeats)
        return Swept(name, objective, tuple(study.trials()), best, repeats, study.importance())


def _keep_asked(folder: Path, asked: Asked, recipe: Recipe, objective: Objective, workspace: Workspace) -> None:
    """Write down what is searched. Raises RunError when the name belongs to another search; trials may be added."""
    data = open_dataset(recipe.data.dataset, workspace.datasets).path
    files = [data / f"{split}.jsonl" for split in (recipe.data.train_split, recipe.data.val_split or "val")]
    wanted = {
        "recipe": recipe.model_dump(mode="json"),
        "space": as_json(asked.space),
        "objective": list(objective),
        "rows": {file.name: sha256_file(file) for file in files if file.is_file()},
        "trials": asked.trials,
        "seeds": asked.seeds,
    }
    file = folder / ASKED
    if file.is_file():
        before = read_json(file)
        fixed = ("recipe", "space", "objective", "rows")  # trials on other rows cannot be compared
        differing = [key for key in fixed if key in before and _plain(before[key]) != _plain(wanted[key])]
        if differing:
            what = " and ".join("other rows" if key == "rows" else f"another {key}" for key in differing)
            message = f"There is a sweep {folder.name} already, with {what}; nothing was trained."
            raise RunError(message, "Give this one another name with --id.", "run.changed")
    write_json(file, wanted)


def _plain(value: object) -> object:
    return json.loads(json.dumps(value))


class _Open:
    """A training that was begun and whose end is waited for. trial: None where it repeats the best one."""

    def __init__(self, run: Run, label: str, seed: int, trial: Trial | None = None) -> None:
        self.run, self.label, self.seed, self.trial = run, label, seed, trial
        self.asked = ""
        self.offset = jobs.events_end(run)
        self.revived = False

    @property
    def discarded(self) -> bool:
        """Whether it ended because it was hopeless."""
        ended = self.run.exit()
        return ended is not None and ended.code == DISCARDED


class _Sweep(NamedTuple):
    workspace: Workspace
    folder: Path
    recipe: Recipe
    objective: Objective
    study: Study
    on_progress: ProgressFn
    stop: Stop
    trials: int
    cluster: RayTrainings | None

    @property
    def engine(self) -> Engine:
        """Who trains."""
        return self.cluster or jobs.ENGINE

    def search(self) -> None:
        """Train trials until there are enough. Raises RunError when several in a row fail."""
        failures: list[str] = []
        for one, status in self._ended(self._next_trial):
            fault = self._told(one, status)
            failures = [*failures, fault] if fault else []
            self.keep_result(())
            if len(failures) >= FAILURES:
                message = f"{len(failures)} trials in a row failed; the last: {failures[-1]}"
                raise RunError(message, "Correct the recipe or the space, and give the sweep another name with --id.")

    def _next_trial(self, busy: Sequence[_Open]) -> _Open | None:
        trial = self.study.next([one.trial.number for one in busy if one.trial])
        if trial is None:
            return None
        name = trial_run(self.folder.name, trial.number)
        run = self._begun(with_values(self.recipe, trial.values), Member(name, trial.number, self.recipe.seed))
        return _Open(run, f"trial {trial.number} of {self.trials}", self.recipe.seed, trial)

    def _told(self, one: _Open, status: str) -> str:
        """Say in the study how a trial ended; returns why it failed, "" when it did not."""
        run, trial = one.run, one.trial
        assert trial is not None
        if one.discarded:
            self.study.tell(trial, "pruned")
            return ""
        value = value_of(run, self.objective) if status == "done" else None
        if value is None:
            self.study.tell(trial, "failed")
            why = jobs.how_it_ended(run) if status != "done" else "its metric was not measured"
            return f"{run.id} {status}: {why}"
        self._hopeless(one)  # what was told since the last look belongs to the record
        self.study.tell(trial, "done", value)
        return ""

    def last_ended(self) -> str:
        """How the last trial ended, in words."""
        from recipes.run.directory import Run

        run = Run(self.workspace.runs / trial_run(self.folder.name, self.study.trials()[-1].number))
        return f"the last, {run.id}, {run.status()}: {jobs.how_it_ended(run)}" if run.path.is_dir() else "none is left."

    def _hopeless(self, one: _Open) -> bool:
        """Note what was seen of a trial; whether it falls behind the others."""
        if one.trial is None:
            return False
        looks = looks_of(one.run, self.objective)
        return any(self.study.report(one.trial, look, value) for look, value in enumerate(looks, start=1))

    def repeat(self, best: Trial, seeds: int) -> tuple[Repeat, ...]:
        """The winner trained again with the seeds after the recipe's own: the best of many is partly luck."""
        recipe = with_values(self.recipe, best.values)
        left = iter(range(recipe.seed + 1, recipe.seed + 1 + seeds))

        def begin(busy: Sequence[_Open]) -> _Open | None:
            seed = next(left, None)
            if seed is None:
                return None
            member = Member(seed_run(self.folder.name, best.number, seed), best.number, seed)
            return _Open(self._begun(recipe.model_copy(update={"seed": seed}), member), f"seed {seed}", seed)

        found: list[Repeat] = []
        for one, status in self._ended(begin):
            run = one.run
            if status != "done":
                message = f"{run.id}, which repeats the best trial, {status}: {jobs.how_it_ended(run)}"
                remedy = f"`smolstudio runs resume {run.id}` if its values are fine, or fewer --seeds (0: none)."
                raise RunError(message, remedy)
            found.append(Repeat(run.id, one.seed, value_of(run, self.objective)))
        return tuple(sorted(found, key=lambda repeat: repeat.seed))

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
            mark_run(run.path, self.folder)
            ended = run.exit()
            if run.status() in ("stopped", "lost") and not (ended and ended.code == DISCARDED):
                jobs.resume_training(run, self.cluster)
            return run
        note_run(self.folder, member)
        jobs.start_training(self.workspace, recipe, run.id, engine=self.cluster)
        mark_run(run.path, self.folder)
        what = "The best trial with another seed" if member.seed != self.recipe.seed else f"Trial {member.trial}"
        write_notes(run, f"{what} of the sweep {self.folder.name}.", [self.folder.name[:LONGEST_TAG]])
        return run

    def _ended(self, begin: Callable[[Sequence[_Open]], _Open | None]) -> Iterator[tuple[_Open, str]]:
        """Trainings with their status as they end, as many at once as there is room for, until `begin` has no more.

        Raises RunError, code run.stopped, when all that were open have ended.
        """
        busy: list[_Open] = []
        stopped: list[_Open] = []
        more = True
        try:
            while True:
                room = (self.cluster.at_once if self.cluster else 1) - len(busy)
                while more and room > 0 and not stopped and not (busy and self.stop()):
                    one = begin(busy)
                    more, room = one is not None, room - 1
                    busy += [one] if one else []
                if not busy:
                    break
                ended = [(one, said) for one in busy if (said := self._look(one, bool(stopped)))]
                for one, status in ended:
                    busy.remove(one)
                    if one.asked == "stop" or (status == "stopped" and not one.discarded):
                        stopped.append(one)
                    else:
                        yield one, status
                if not ended:
                    time.sleep(jobs.POLL_SEC)
        finally:
            for one in busy:
                self.engine.cancel(one.run)
        if stopped:
            which = ", ".join(f"{one.label} ({one.run.id})" for one in stopped)
            message = f"The sweep was stopped at {which}; what was trained is kept."
            raise RunError(message, "The same command again goes on.", "run.stopped")

    def _look(self, one: _Open, ending: bool) -> str:
        """Its status once it has ended, else ""; one that is hopeless, or not wanted any longer, is asked to end."""
        status = self.engine.status(one.run)
        events, one.offset = jobs.read_new(one.run.path / "events.jsonl", one.offset)
        for progress in filter(None, map(jobs.progress_of, events)):
            self.on_progress(Progress(one.label, *progress[1:]))
        if not one.asked and (ending or self.stop()):
            one.asked = "stop"
            self.engine.cancel(one.run)
        elif not one.asked and events and status == "running" and self._hopeless(one):
            one.asked = "pruned"
            self.engine.cancel(one.run, discard=True)
        if status == "lost" and not one.revived:
            one.revived = True
            jobs.resume_training(one.run, self.cluster)
            return ""
        return "" if status in ("queued", "running") else status


def looks_of(run: Run, objective: Objective) -> list[float]:
    """What was seen of a run while it was trained, in order; a step that was done twice counts once."""
    return list(_looks_by_step(run, objective).values())


def _kept_step(run: Run) -> int | None:
    """The step whose adapter a run kept, where validation chose one: by loss, or by the task's score."""
    told = run.events("validation")
    return int(told[-1]["best_step"]) if told else None


def _looks_by_step(run: Run, objective: Objective) -> dict[int, float]:
    found: dict[int, float] = {}
    for event in run.events():
        if event["kind"] == "eval" and objective.metric == "validation loss" and event.get("loss") is not None:
            found[event["step"]] = float(event["loss"])
        elif event["kind"] == "score" and not event["final"] and event["metric"] == objective.metric:
            found[event["step"]] = float(event["value"])
    return found


def value_of(run: Run, objective: Objective) -> float | None:
    """What the adapter that a run kept is worth; None where it was not measured."""
    from recipes.train.scores import finals

    if objective.metric == "validation loss":
        losses = _looks_by_step(run, objective)
        kept = _kept_step(run) if run.recipe.load_best_model_at_end else None
        return losses[kept] if kept in losses else list(losses.values())[-1] if losses else None
    final = finals(run)
    return final.value if final and final.metric == objective.metric else None
