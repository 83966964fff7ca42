"""Cross-validation from the terminal and the Train page: one run a fold, then all rows; stopped and gone on with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evaluate.compare import run_comparison
from evaluate.plan import Plan
from evaluate.report.reading import read_report
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.cli import app as cli
from studio.engines import crossval, jobs
from studio.engines.engine import Work
from studio.engines.local import LocalEngine
from studio.views import train_folds
from synth.curation.amend import add_real
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import RecipeError, RunError
from synth.example import Example, Origin, Split
from synth.jobdir import JobDir
from synth.progress import silent
from synth.task import TaskCard
from synth.workspace import Workspace
from tests.labelled import imported, labelled_row
from tests.studio.test_views import page, press, text
from tests.tiny import tiny_llama
from tests.workers import losses

pytestmark = pytest.mark.slow

KEPT = {1: 2, 2: 4, 3: 3}  # the step with the lowest validation loss, of ten in two epochs


def row(number: int, split: Split) -> Example:
    label = ("high", "low")[number % 2]
    return labelled_row(f"{number} message {number * 7} {label}", label, split, f"t{number}")


def messages(workspace: Workspace, rows: int = 60) -> DatasetDir:
    task = TaskCard(kind="classification", instruction="How urgent?", labels={"high": "", "low": ""})
    drawn = (row(number, ("val", "test")[number % 2] if number >= rows - 12 else "train") for number in range(rows))
    return imported(workspace, drawn, task)


class Pretends(LocalEngine):
    """Trains in no time; `fails` names a run that a worker is stopped in once."""

    def __init__(self, stops: str = "") -> None:
        self.stops, self.trained = stops, list[str]()

    def submit(self, work: Work) -> None:
        if work.module != jobs.TRAINING:
            return
        run = Run(work.directory.path)
        with run.hold():
            if run.id == self.stops:
                self.stops = ""
                run.finish("stopped", "Stopped after step 3; resume continues from there.", "run.stopped", step=3)
                return
            fold = run.recipe.data.fold
            run.note_environment(run.fingerprint(""), 1)
            run.emit("plan", rows=40, epochs=2.0, steps=10, eval_steps=1)
            for step in range(1, 6) if fold else ():
                run.emit("eval", step=step, loss=0.1 if step == KEPT[fold] else 1.0)
            run.finish("done", "Trained 10 steps.", steps=10, seconds=1.0)
        run.adapter.mkdir()
        (run.adapter / "adapter_config.json").write_text("{}")
        self.trained.append(run.id)


def recipe() -> object:
    fitted = ["eval_steps=auto", "early_stopping_patience=3", "load_best_model_at_end=true"]
    return load_recipe("starter-text-sft", ["data.dataset=messages", *fitted])


def test_folds_are_trained_first_and_all_rows_last_for_as_long_as_the_folds_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages(workspace)
    engine = Pretends()
    monkeypatch.setattr(jobs, "ENGINE", engine)
    made = crossval.cross_validate(workspace, recipe(), "urgency", 3, silent)  # type: ignore[arg-type]
    assert engine.trained == ["urgency-fold1", "urgency-fold2", "urgency-fold3", "urgency"]
    assert (made.final, made.runs) == ("urgency", tuple(engine.trained[:3]))
    folds = [Run(workspace.runs / name) for name in made.runs]
    tested = [{one.id for one in run.dataset().examples("test")} for run in folds]
    assert sum(map(len, tested)) == len(set.union(*tested)) == 60
    final = Run(workspace.runs / "urgency")
    assert final.dataset().count("train") == 60
    assert final.recipe.optim.num_train_epochs == 0.6, "two epochs of ten steps: the median of steps 2, 3 and 4"
    assert (final.recipe.eval_steps, final.recipe.load_best_model_at_end) == (0, False)


def test_what_was_stopped_goes_on_and_what_is_done_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages(workspace)
    engine = Pretends(stops="urgency-fold2")
    monkeypatch.setattr(jobs, "ENGINE", engine)
    with pytest.raises(RunError, match=r"stopped at fold 2 of 3 \(urgency-fold2\); what was trained is kept") as error:
        crossval.cross_validate(workspace, recipe(), "urgency", 3, silent)  # type: ignore[arg-type]
    assert error.value.code == "run.stopped"
    assert engine.trained == ["urgency-fold1"]
    crossval.cross_validate(workspace, recipe(), "urgency", 3, silent)  # type: ignore[arg-type]
    assert engine.trained == ["urgency-fold1", "urgency-fold2", "urgency-fold3", "urgency"]


def test_a_name_that_other_settings_have_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    messages(workspace)
    monkeypatch.setattr(jobs, "ENGINE", Pretends())
    crossval.cross_validate(workspace, recipe(), "urgency", 3, silent)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="There is a run urgency-fold1 already, with other settings"):
        crossval.cross_validate(
            workspace, load_recipe("starter-text-sft", ["data.dataset=messages"]), "urgency", 3, silent
        )


def test_the_terminal_trains_them_and_prints_what_a_plan_needs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    messages(workspace)
    monkeypatch.setattr(jobs, "ENGINE", Pretends())
    arguments = ["crossval", "starter-text-sft", "data.dataset=messages", "--folds", "3", "--id", "urgency"]
    cli(arguments, standalone_mode=False)
    said = capsys.readouterr().out
    assert "urgency learned all rows; 3 models that each left out a part are beside it" in said
    assert "folds: 3" in said and "adapter: urgency}" in said
    cli([*arguments, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["fold_runs"] == ["urgency-fold1", "urgency-fold2", "urgency-fold3"]


@pytest.mark.parametrize("change", ["adapter=earlier", "data.max_examples=20"])
def test_what_would_let_a_fold_know_its_rows_or_leave_some_out_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    messages(workspace)
    engine = Pretends()
    monkeypatch.setattr(jobs, "ENGINE", engine)
    chosen = load_recipe("starter-text-sft", ["data.dataset=messages", change])
    with pytest.raises(RecipeError, match="cross-validation"):
        crossval.cross_validate(workspace, chosen, "urgency", 3, silent)
    assert not engine.trained


@pytest.mark.parametrize(("rows", "hinted"), [(60, True), (150, False)])
def test_an_ordinary_training_on_few_rows_names_the_better_way(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: int,
    hinted: bool,
) -> None:
    messages(workspace, rows)
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    cli(["train", "starter-text-sft", "data.dataset=messages", "--detach"], standalone_mode=False)
    assert ("`smolstudio crossval` with the same words tests all" in capsys.readouterr().err) is hinted


def test_the_run_of_a_fold_says_which_model_to_use(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    crossed(workspace, monkeypatch)
    seen = text(page("runs", run="urgency-fold2")).replace("\\", "")
    assert "Fold 2 of 3: it leaves out a part of the rows" in seen
    assert "The model to use is urgency, which learns all rows" in seen
    app = page("runs", run="urgency-fold2")
    assert not {"Compare", "Use it"} & {button.label for button in app.button}


def test_a_clone_is_tested_as_its_own_rows_ask_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, started: list[Work]
) -> None:
    crossed(workspace, monkeypatch)
    app = page("train", dataset="messages", clone="urgency-fold2")
    assert next(b for b in app.segmented_control if b.label == "Tested by").value == train_folds.IN_FOLDS
    press(app, "Start training")
    asked = jobs.task_of(JobDir(started[-1].directory.path))["arguments"]
    assert (asked["folds"], asked["recipe"]["data"]["folds"], asked["recipe"]["data"]["fold"]) == (5, 0, 0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    found: list[Work] = []
    monkeypatch.setattr(jobs.ENGINE, "submit", found.append)
    return found


def test_below_150_own_rows_the_train_page_begins_with_folds(workspace: Workspace, started: list[Work]) -> None:
    messages(workspace, 120)
    app = page("train", dataset="messages")
    assert not app.exception, app.exception
    assert next(b for b in app.segmented_control if b.label == "Tested by").value == train_folds.IN_FOLDS
    assert "6 trainings: 5 that each leave out a part of the 120 rows" in text(app).replace("\\", "")
    assert "auto: 30 epochs for the about 84 rows that each fold learns, 180 steps" in text(app)
    (counted,) = re.findall(r"^Training rows by answer: (.+)$", text(app).replace("\\", ""), re.MULTILINE)
    assert sum(map(int, re.findall(r"\d+", counted))) == 120, "all of them are learned from"
    press(app, "Start training")
    (work,) = started
    asked = jobs.task_of(JobDir(work.directory.path))
    assert (asked["kind"], asked["arguments"]["folds"]) == ("crossval", 5)
    assert re.fullmatch(r".+-[0-9a-f]{6}-[0-9a-f]{6}-cv", asked["arguments"]["name"])


def test_from_150_rows_on_the_test_split_tests_and_folds_can_be_chosen(
    workspace: Workspace, started: list[Work]
) -> None:
    messages(workspace, 150)
    app = page("train", dataset="messages")
    how = next(b for b in app.segmented_control if b.label == "Tested by")
    assert how.value == train_folds.OWN_SPLIT
    press(app, "Start training")
    assert [work.module for work in started] == [jobs.TRAINING]
    app = page("train", dataset="messages")
    next(b for b in app.segmented_control if b.label == "Tested by").set_value(train_folds.IN_FOLDS).run()
    press(app, "Start training")
    assert started[-1].module == jobs.TASK


def test_fewer_folds_are_said_on_the_page(workspace: Workspace) -> None:
    dataset = messages(workspace)
    writer = DatasetWriter(workspace.datasets / "rare")
    writer.path.mkdir()
    for one in dataset.examples("train"):
        writer.keep(one)
    for number in (900, 901):
        writer.keep(row(number, "train").model_copy(update={"target": "rare", "answer": "rare"}))
    writer.finish(Card(name="rare", generator="import", task=TaskCard(kind="classification")))
    app = page("train", dataset="rare")
    assert "2 folds instead of 5: “rare” has 2 rows" in text(app).replace("\\", "")


def crossed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    messages(workspace)
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "ENGINE", Pretends())
        crossval.cross_validate(workspace, recipe(), "urgency", 3, silent)  # type: ignore[arg-type]


def asked_of(app: object, started: list[Work]) -> dict[str, object]:
    press(app, "Compare")  # type: ignore[arg-type]
    plan: dict[str, object] = jobs.task_of(JobDir(started[-1].directory.path))["arguments"]["plan"]
    return plan


def test_the_compare_page_asks_the_models_of_the_folds_and_offers_none_of_them_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, started: list[Work]
) -> None:
    crossed(workspace, monkeypatch)
    app = page("compare", dataset="messages", run="urgency")
    assert not app.exception, app.exception
    systems = next(m for m in app.multiselect if m.label == "Systems")
    assert [one for one in systems.options if one.startswith("Tuned")] == ["Tuned: urgency"]
    plan = asked_of(app, started)
    assert (plan["folds"], plan["max_rows"]) == (3, None)


def test_thirty_real_rows_are_a_better_test_than_folds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, started: list[Work]
) -> None:
    crossed(workspace, monkeypatch)
    real = [row(1000 + 2 * n, "test_real") for n in range(30)]
    add_real(DatasetDir(workspace.datasets / "messages"), real, Origin(kind="real"))
    plan = asked_of(page("compare", dataset="messages", run="urgency"), started)
    assert (plan["folds"], plan["splits"]) == (0, ["test_real"])


@pytest.mark.slow
def test_a_tiny_model_is_cross_validated_by_workers_as_any_training(workspace: Workspace, tmp_path: Path) -> None:
    messages(workspace, 40)
    chosen = load_recipe(
        {
            "base_model": str(tiny_llama(tmp_path / "llama")),
            "data": {"dataset": "messages", "task": True},
            "lora": {"r": 4},
            "optim": {"num_train_epochs": 2, "per_device_train_batch_size": 8, "torch_compile": "off"},
            "eval_steps": 2,
            "load_best_model_at_end": True,
            "logging_steps": 1,
        }
    )
    made = crossval.cross_validate(workspace, chosen, "tiny", 2, silent)
    for name in (*made.runs, made.final):
        run = Run(workspace.runs / name)
        assert run.status() == "done" and losses(run)
    assert not Run(workspace.runs / "tiny").events("eval")
    systems = [{"id": "tuned", "model": chosen.base_model, "adapter": "tiny"}]
    plan = Plan.model_validate({"dataset": "messages", "folds": 2, "systems": systems, "speed_rounds": 0})
    report = read_report(run_comparison(plan, workspace))
    assert report.small_system.splits["test"].n == 40
    assert not report.small_system.error_reasons
    assert {"tuned.fold1/adapter", "tuned.fold2/adapter", "tuned/adapter"} <= set(report.provenance.hashes)
