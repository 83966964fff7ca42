"""Sweeps: what is refused before anything trains, trials as ordinary runs, pruning, a kill, three seeds, the page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from evaluate import lineage
from recipes.recipe.schema import Recipe, load_recipe
from recipes.recipe.space import parse_space
from recipes.run.directory import DISCARDED, Run
from recipes.run.sweeps import members, seed_run, trial_run
from studio.cli import app as cli
from studio.cli.sweep import spread
from studio.engines import jobs
from studio.engines import sweep as sweeps
from studio.engines.engine import Work
from studio.engines.local import LocalEngine
from studio.engines.study import Study
from studio.engines.sweep import Asked, Swept
from studio.read.history import history
from studio.widgets import ui
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError, RecipeError, RunError
from synth.example import make_example, user
from synth.jobdir import JobDir
from synth.progress import silent
from synth.workspace import Workspace
from tests.studio.test_views import page, text
from tests.tiny import sums_dataset

pytestmark = pytest.mark.slow

LOOKS = 5
SPACE = ["optim.learning_rate=1e-4:5e-3:log", "lora.r=8,16,32"]


class Killed(BaseException):
    """The sweep's own process is gone."""


class Pretends(LocalEngine):
    """Trains in no time: the nearer the rate is to 1e-3, the better every look. `kills` ends the sweep's process when
    that many runs had begun, in the middle of the last one."""

    def __init__(self, kills: int = 0) -> None:
        self.kills, self.begun, self.resumed = kills, list[str](), list[str]()

    def submit(self, work: Work) -> None:
        run = Run(work.directory.path)
        resumed = "--resume" in work.options
        (self.resumed if resumed else self.begun).append(run.id)
        killed = not resumed and len(self.begun) == self.kills
        with run.hold():
            for look in range(1, LOOKS + 1):
                run.emit("score", step=10 * look, final=False, **self.scored(run.recipe, look))
                if killed and look == 2:
                    run.finish("stopped", "Stopped after step 20; resume continues from there.", "run.stopped")
                    raise Killed
            run.emit("score", step=10 * LOOKS, final=True, **self.scored(run.recipe, LOOKS))
            run.finish("done", "Trained 50 steps.", steps=50, seconds=1.0, final_loss=0.1)

    def scored(self, recipe: Recipe, look: int) -> dict[str, Any]:
        value = look / LOOKS - abs(math.log10(recipe.optim.learning_rate) + 3) / 2 + recipe.seed / 1000
        return {"metric": "accuracy", "value": value, "rows": 8, "lower_is_better": False}


@pytest.fixture
def engine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Pretends:
    sums_dataset(workspace.datasets / "sums")
    made = Pretends()
    monkeypatch.setattr(jobs, "ENGINE", made)
    return made


def base(*more: str) -> Recipe:
    return load_recipe("starter-text-sft", ["data.dataset=sums", *more])


def search(workspace: Workspace, trials: int = 6, name: str = "found", **more: Any) -> Swept:
    recipe = more.pop("recipe", base())
    asked = Asked(recipe, parse_space(recipe, more.pop("space", SPACE)), trials, more.pop("seeds", 3), **more)
    return sweeps.sweep(workspace, name, asked, silent)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optim.learning_rat=1e-4:1e-3"], "did you mean 'optim.learning_rate'"),
        (["lora.r=32:8"], "The range of lora.r is empty"),
        (["lora.r=8:8"], "The range of lora.r is empty"),
        (["optim.learning_rate=0:1e-3:log"], "zero and less have no logarithm"),
        (["optim.learning_rate=-1:1e-3:log"], "zero and less have no logarithm"),
        (["optim.learning_rate=fast:slow"], "The bound 'fast' of optim.learning_rate is no number"),
        (["optim.learning_rate=1e-4:1e-3:1e-2"], "is no range"),
        (["lora.r=0,8"], "lora.r=0: "),
        (["lora.r=8.5:16"], "lora.r=8.5: "),
        (["lora.r=8"], "fewer than two values"),
        (["lora.r=8,16,8"], "a value twice"),
        (["lora.r=8,16", "r=4,8"], "names lora.r twice"),
        (["lora.r"], "names no values"),
        (["lora.r=8,,16"], "The values of lora.r cannot be read"),
        (["lora.target_modules=[[q_proj],[v_proj]"], "cannot be read"),
        (["quant.load_in_4bit=true,false", "quant.weights=auto,packed"], "4bit=False and quant.weights=packed"),
        (["seed=1:9"], "seed cannot be searched"),
        (["data.val_split=val,train"], "data.val_split cannot be searched"),
        (["optim.bf16=0:1"], "optim.bf16 is no number"),
        ([], "no space to search"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_in_a_sentence(words: list[str], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        parse_space(base(), words)
    assert said in str(refused.value)
    assert refused.value.remedy and refused.value.code == "recipe.space"


def test_one_space_takes_several_words_up_to_the_next_option() -> None:
    words = ["r.yaml", "a=1", "--space", "b=1:2", "c=3,4", "--trials", "5"]
    assert spread(words) == ["r.yaml", "a=1", "--space", "b=1:2", "--space", "c=3,4", "--trials", "5"]


@pytest.mark.parametrize(("keeps", "worth"), [(True, 1.5), (False, 1.2)])
def test_a_sweep_by_loss_tells_the_loss_of_the_adapter_that_is_kept_not_the_lowest(
    workspace: Workspace, engine: Pretends, keeps: bool, worth: float
) -> None:
    """The recipe chooses by the task's score, which is best after step 10, where the loss is not the lowest."""
    recipe = base("metric_for_best_model=task", "score_rows=8", f"load_best_model_at_end={keeps}", "eval_steps=10")

    def submit(work: Work) -> None:
        run = Run(work.directory.path)
        with run.hold():
            assert run.recipe.score_rows == 8 and run.recipe.metric_for_best_model == "task"
            for step, loss in ((10, 1.5), (20, 1.0), (30, 1.2)):
                run.emit("eval", step=step, loss=loss)
            run.emit("validation", best_step=10, last_step=30, falling=False, sentence="Scored best.")
            run.finish("done", "Trained 30 steps.", steps=30, seconds=1.0, final_loss=0.1)

    engine.submit = submit  # type: ignore[method-assign]
    found = search(workspace, trials=2, seeds=1, recipe=recipe, metric="loss")
    assert found.objective.metric == "validation loss"
    assert [trial.value for trial in found.trials] == [worth, worth]
    assert [one.value for one in found.repeats] == [worth]


def unscored(workspace: Workspace, name: str, rows_in_val: int) -> None:
    folder = workspace.datasets / name
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number in range(20 + rows_in_val):
        split = "val" if number >= 20 else "train"
        made = make_example([user(f"Tell of {number}.")], "A tale.", family="f", template="t", scorer="free_text")
        writer.keep(made.model_copy(update={"split": split}))
    writer.finish(Card(name=name))


@pytest.mark.parametrize(
    ("dataset", "metric", "said"),
    [
        ("tales", "", "No rule can score answers to the validation rows of tales"),
        ("empty", "", "empty has no validation rows"),
        ("empty", "loss", "cannot be compared by the validation loss"),
        ("sums", "wer", "give accuracy, not wer; nothing was trained"),
    ],
)
def test_a_metric_that_val_does_not_give_is_refused_before_anything_trains(
    workspace: Workspace, engine: Pretends, dataset: str, metric: str, said: str
) -> None:
    unscored(workspace, "tales", 4)
    unscored(workspace, "empty", 0)
    with pytest.raises((DataError, RecipeError)) as refused:
        search(workspace, recipe=base(f"data.dataset={dataset}"), metric=metric)
    assert said in str(refused.value) and refused.value.remedy
    assert refused.value.code in ("data.no_metric", "recipe.metric")
    assert not engine.begun and not workspace.sweeps.exists()


def test_more_trials_than_a_space_holds_are_refused_and_none_is_trained_twice(
    workspace: Workspace, engine: Pretends
) -> None:
    with pytest.raises(RecipeError, match=r"4 trials are asked for, and the space holds 3 different recipes"):
        search(workspace, 4, space=["lora.r=8,16,32"])
    found = search(workspace, 3, space=["lora.r=8,16,32"], seeds=0)
    assert sorted(trial.values["lora.r"] for trial in found.trials) == [8, 16, 32]


def test_trials_are_ordinary_runs_and_the_best_is_repeated_with_three_seeds(
    workspace: Workspace, engine: Pretends
) -> None:
    found = search(workspace)
    names = [trial_run("found", number) for number in range(1, 7)]
    repeats = [seed_run("found", found.best.number, seed) for seed in (1, 2, 3)]
    assert engine.begun == [*names, *repeats] == [one.run for one in members(workspace.sweeps / "found")]
    assert {run.id for run in history(workspace)} == {*names, *repeats}
    assert all(run.notes.tags == ("found",) for run in history(workspace))
    winner = Run(workspace.runs / trial_run("found", found.best.number)).recipe
    again = [Run(workspace.runs / name).recipe for name in repeats]
    assert [one.seed for one in again] == [winner.seed + n for n in (1, 2, 3)]
    assert all(one.model_copy(update={"seed": winner.seed}) == winner for one in again)
    assert winner.score_rows == 100 and winner.eval_steps
    done = [t for t in found.trials if t.state == "done"]
    assert found.best.value == max(t.value or 0.0 for t in done)
    assert all(1e-4 <= t.values["optim.learning_rate"] <= 5e-3 and t.values["lora.r"] in (8, 16, 32) for t in done)


def test_a_trial_is_ended_from_its_third_look_on_and_the_fourth_trial_on(tmp_path: Path) -> None:
    space = parse_space(load_recipe("starter-text-sft", ["data.dataset=rows"]), SPACE)
    study = Study(tmp_path, space, 9, 0, lower_is_better=False)
    for value in (0.1, 0.8, 0.7, 0.1):
        trial = study.next()
        assert trial
        hopeless = [study.report(trial, look, value) for look in (1, 2, 3)]
        assert hopeless == [False, False, trial.number == 4]
        study.tell(trial, "done", value)


def test_a_trial_that_falls_behind_ends_early_and_keeps_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, engine: Pretends
) -> None:
    """Each trial is worse than the one before: from the fourth on the median of the others is better."""

    class Slowly(Pretends):
        def submit(self, work: Work) -> None:
            run, number = Run(work.directory.path), len(self.begun)
            self.begun.append(run.id)
            run.path.joinpath("lock").touch()
            self.going = run.hold()
            self.going.__enter__()
            for look in range(1, 4):
                value = {"metric": "accuracy", "value": 0.9 - 0.1 * number, "rows": 8, "lower_is_better": False}
                run.emit("score", step=look, final=False, **value)
            if number < 3:
                run.emit("score", step=3, final=True, **value)
                self.end(run, "done", "")

        def end(self, run: Run, verdict: Any, code: str) -> None:
            run.finish(verdict, "It ended.", code)
            self.going.__exit__(None, None, None)

        def cancel(self, job: JobDir, discard: bool = False) -> None:
            assert discard
            self.end(Run(job.path), "stopped", DISCARDED)

    slow = Slowly()
    monkeypatch.setattr(jobs, "ENGINE", slow)
    monkeypatch.setattr(jobs, "events_end", lambda job: 0)
    monkeypatch.setattr(jobs, "POLL_SEC", 0.01)
    found = search(workspace, 4, seeds=0)
    assert [trial.state for trial in found.trials] == ["done", "done", "done", "pruned"]
    assert found.best.number == 1


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 3, 8])
def test_a_killed_sweep_goes_on_as_if_it_had_not_been_and_repeats_nothing_but_the_open_trial(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, engine: Pretends, kills: int
) -> None:
    whole = search(workspace, name="whole")
    killing = Pretends(kills)
    monkeypatch.setattr(jobs, "ENGINE", killing)
    with pytest.raises(Killed):
        search(workspace, name="killed")
    going_on = Pretends()
    monkeypatch.setattr(jobs, "ENGINE", going_on)
    found = search(workspace, name="killed")
    assert [(t.values, t.state, t.value) for t in found.trials] == [(t.values, t.state, t.value) for t in whole.trials]
    assert [one.value for one in found.repeats] == [one.value for one in whole.repeats]
    assert going_on.resumed == [killing.begun[-1]]
    assert not {*killing.begun} & {*going_on.begun} and len(killing.begun) + len(going_on.begun) == 9
    calm = Pretends()
    monkeypatch.setattr(jobs, "ENGINE", calm)
    search(workspace, name="killed")
    assert not calm.begun and not calm.resumed, "a finished sweep trains nothing more"


def test_a_kill_between_the_choice_of_values_and_the_run_loses_no_trial(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, engine: Pretends
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    for space in (SPACE, ["lora.r=8,16,32", "lora.lora_alpha=16,32"]):
        name = f"early{len(engine.begun)}"
        with monkeypatch.context() as broken:
            broken.setattr(jobs, "start_training", killed)
            with pytest.raises(Killed):
                search(workspace, name=name, space=space)
        found = search(workspace, name=name, space=space)
        assert [trial.state for trial in found.trials] == ["done"] * 6


def test_a_name_that_another_search_has_is_refused(workspace: Workspace, engine: Pretends) -> None:
    search(workspace, 3, seeds=0)
    with pytest.raises(RunError, match="There is a sweep found already, with another space; nothing was trained"):
        search(workspace, 3, space=["lora.r=8,16,32"])
    found = search(workspace, 5, seeds=0)
    assert len(found.trials) == 5 and len(engine.begun) == 5, "trials can be added"


def test_three_failures_in_a_row_end_a_sweep_and_one_does_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, engine: Pretends
) -> None:
    class Fails(Pretends):
        def submit(self, work: Work) -> None:
            if len(self.begun) in self.at:
                run = Run(work.directory.path)
                self.begun.append(run.id)
                with run.hold():
                    run.finish("failed", "The loss stopped being a number at step 20.", "run.nan")
            else:
                super().submit(work)

        at: set[int] = {1}

    failing = Fails()
    monkeypatch.setattr(jobs, "ENGINE", failing)
    assert [t.state for t in search(workspace, 4, seeds=0).trials].count("failed") == 1
    failing = Fails()
    failing.at = {0, 1, 2}
    monkeypatch.setattr(jobs, "ENGINE", failing)
    with pytest.raises(RunError, match=r"3 trials in a row failed; the last: .*stopped being a number"):
        search(workspace, 6, name="broken")


def test_who_uses_the_winner_pays_for_the_whole_sweep(workspace: Workspace, engine: Pretends) -> None:
    """Also where the winner is compared on other data, and runs on those are all that the ledger would see."""
    found = search(workspace, 4)
    other = sums_dataset(workspace.datasets / "other", train=2, val=1)
    winner = workspace.runs / found.repeats[0].run
    from evaluate.plan import Plan, SystemPlan
    from synth.dataset import DatasetDir

    plan = Plan(dataset="other", systems=(SystemPlan(id="a", model="m", kind="endpoint"),))
    origins = {"tuned": lineage.Origin(run=winner, adapter_name=winner.name)}
    items = [i for i in lineage.ledger(plan, DatasetDir(other), [], origins, workspace) if i.kind == "training"]
    assert {item.run_id for item in items} == {*engine.begun}
    import shutil

    shutil.rmtree(workspace.runs / trial_run("found", 2))
    items = [i for i in lineage.ledger(plan, DatasetDir(other), [], origins, workspace) if i.kind == "training"]
    assert [i.label for i in items if i.seconds is None and "not in this workspace" in i.label], "unknown, not zero"


def test_the_terminal_tells_trials_winner_and_what_a_plan_needs(
    workspace: Workspace, engine: Pretends, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "starter-text-sft", "data.dataset=sums", "--space", *SPACE, "--trials", "6", "--id", "found"]
    cli(words, standalone_mode=False)
    said = capsys.readouterr().out
    assert "The best of many is partly luck" in said and "seed_group: found}" in said
    assert said.count("train_seed") == 3 and "by 6 trials that came to their end" in said
    cli([*words, "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert (
        len(told["trials"]) == 6
        and len(told["repeats"]) == 3
        and set(told["importance"])
        == {
            "optim.learning_rate",
            "lora.r",
        }
    )


@pytest.mark.slow
def test_the_runs_page_shows_what_went_with_which_result(workspace: Workspace, engine: Pretends) -> None:
    found = search(workspace)
    app = page("runs", sweep="found")
    (colours,) = {
        str(layer["encoding"]["color"]["scale"])
        for chart in app.get("vega_lite_chart")
        for layer in json.loads(chart.proto.spec).get("layer", [])
    }
    assert all(ui.PALETTE[place] in colours for place in (0, 1)), "seen on a light page and on a dark one"
    seen = text(app).replace("\\", "")
    assert not app.exception, app.exception
    assert "6 of 6 trials" in seen and f"Best: {trial_run('found', found.best.number)}" in seen
    assert "With 3 other seeds" in seen and "Importance" in seen and "It rests on 6 trials" in seen.replace("it", "It")
    table = next(frame.value for frame in app.dataframe if "Ended" in frame.value)
    assert list(table["Run"]) == [trial_run("found", number) for number in range(1, 7)]
    (workspace.sweeps / "torn").mkdir()
    (workspace.sweeps / "torn" / "result.json").write_text("{}")
    assert "6 of 6 trials" in text(page("runs", sweep="found")).replace("\\", ""), "a torn one hides no other"
