"""Claims about comparisons in folds: nobody is asked a row that it learned or was shown, and the report says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from evaluate import answering
from evaluate.compare import run_comparison
from evaluate.forecast import estimate
from evaluate.plan import Plan, SystemPlan
from evaluate.predict.prediction import Facts, Prediction, Stop
from evaluate.predict.prompts import Question
from evaluate.report.reading import read_report
from evaluate.report.schema import Report
from recipes.recipe.schema import Recipe, load_recipe
from recipes.run.directory import Run
from recipes.run.folds import final_recipe, fold_recipe
from studio.read import plain
from synth.curation.amend import add_real
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RecipeError, UserError
from synth.example import Example, Origin, Split
from synth.folds import FoldedDataset
from synth.strict import validated
from synth.task import TaskCard
from synth.workspace import Workspace
from tests.labelled import imported, labelled_row

pytestmark = pytest.mark.slow
FOLDS = 3
WORDS = {"bill": ("invoice", "charged"), "login": ("password", "locked"), "ship": ("parcel", "courier")}


def message(number: int, split: Split) -> Example:
    label = list(WORDS)[number % 3]
    return labelled_row(
        f"{number} {WORDS[label][number // 3 % 2]} {number * 7} help {number * 13}", label, split, f"t{number}"
    )


@pytest.fixture
def dataset(workspace: Workspace) -> DatasetDir:
    splits: tuple[Split, ...] = ("train", "train", "train", "train", "val", "test")
    task = TaskCard(kind="classification", instruction="Say what it is about.", labels=dict.fromkeys(WORDS, ""))
    return imported(workspace, [message(number, splits[number // 3 % 6]) for number in range(60)], task)


def trained(workspace: Workspace, run_id: str, recipe: Recipe) -> Run:
    """A run as a training leaves it, with an adapter of its own that no model reads."""
    run = Run.create(workspace, recipe, run_id)
    with run.hold():
        run.note_environment(run.fingerprint(""), 1)
        run.emit("plan", rows=40, epochs=2.0, steps=10, eval_steps=1)
        run.finish("done", "Trained.", steps=10, seconds=5.0)
    run.adapter.mkdir()
    (run.adapter / "adapter_config.json").write_text("{}")
    (run.adapter / "adapter_model.safetensors").write_bytes(run_id.encode())
    return run


def crossed(workspace: Workspace, name: str = "tuned-1", dataset: str = "messages") -> None:
    recipe = load_recipe("starter-text-sft", [f"data.dataset={dataset}"])
    for fold in range(1, FOLDS + 1):
        trained(workspace, f"{name}-fold{fold}", fold_recipe(recipe, FOLDS, fold))
    trained(workspace, name, final_recipe(recipe, FOLDS, [2.0]))


class Asked(NamedTuple):
    system: str
    adapter: str | None
    row: str
    shown: tuple[str, ...]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, dataset: DatasetDir) -> list[Asked]:
    """Every question that a system was asked. All answer right, but the untuned model; no model is loaded."""
    found: list[Asked] = []
    gold = {one.id: one.target for split in dataset.splits() for one in dataset.examples(split)}

    class Knows:
        def __init__(self, plan: SystemPlan) -> None:
            self.plan = plan

        def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]:
            for one in questions:
                shown = tuple(m.text for m in one.messages[:-1] if m.role == "user")
                found.append(Asked(self.plan.id, self.plan.adapter, one.example_id, shown))
                known = self.plan.adapter or self.plan.prompting == "few_shot"
                yield Prediction(example_id=one.example_id, text=gold.get(one.example_id, "") if known else "bill")

        def facts(self) -> Facts:
            return Facts()

        def close(self) -> None:
            pass

    monkeypatch.setattr(answering, "open_system", lambda plan, context, spent: Knows(plan))
    return found


def plan(**more: object) -> Plan:
    systems = [
        {"id": "plain", "kind": "endpoint", "model": "m"},
        {"id": "shots", "kind": "endpoint", "model": "m", "prompting": "few_shot", "shots": 3},
        {"id": "tuned", "model": "starter-text", "adapter": "tuned-1"},
    ]
    fields = {"dataset": "messages", "folds": FOLDS, "systems": systems, "large": "plain", "speed_rounds": 0, **more}
    return validated(Plan, fields, "plan")


def compared(workspace: Workspace, **more: object) -> Report:
    return read_report(run_comparison(plan(**more), workspace, comparison_id="folds"))


def test_every_row_is_answered_once_by_the_model_that_did_not_learn_it(
    workspace: Workspace, dataset: DatasetDir, asked: list[Asked]
) -> None:
    crossed(workspace)
    report = compared(workspace)
    by_fold = {f"tuned-1-fold{fold}": FoldedDataset(dataset.path, FOLDS, fold) for fold in range(1, FOLDS + 1)}
    for adapter, part in by_fold.items():
        rows = {one.row for one in asked if one.adapter == adapter}
        assert rows == {row.id for row in part.examples("test")}
        assert not rows & {row.id for split in ("train", "val") for row in part.examples(split)}  # type: ignore[arg-type]
    assert sum(one.system == "tuned" for one in asked) == 60, "no row twice, and none by the final model"
    assert report.dataset.splits == {"test": 60}
    assert report.small_system.splits["test"].n == 60
    assert report.small_system.adapter == "tuned-1"


def test_worked_examples_and_baselines_come_from_outside_the_fold(
    workspace: Workspace, dataset: DatasetDir, asked: list[Asked]
) -> None:
    crossed(workspace)
    report = compared(workspace)
    texts = {row.id: row.prompt[-1].text for split in dataset.splits() for row in dataset.examples(split)}
    folds = [FoldedDataset(dataset.path, FOLDS, fold) for fold in range(1, FOLDS + 1)]
    fold_of = {row.id: place for place, part in enumerate(folds) for row in part.examples("test")}
    by_text = {text: fold_of[row] for row, text in texts.items()}
    shown = [one for one in asked if one.system == "shots"]
    assert len(shown) == 60
    assert all(len(one.shown) == 3 and fold_of[one.row] not in {by_text[text] for text in one.shown} for one in shown)
    assert {one.id for one in report.systems} >= {"baseline-majority", "baseline-tfidf"}
    assert all(one.splits["test"].n == 60 for one in report.systems)


def test_the_report_says_that_answers_are_out_of_fold_and_what_is_taken_home(
    workspace: Workspace, asked: list[Asked]
) -> None:
    crossed(workspace)
    report = compared(workspace)
    notes = " ".join(report.notes)
    assert "out-of-fold answers of 3 models; each of the 60 rows was answered by the one that had not learned" in notes
    assert "the model you take home, tuned-1, is trained on all rows" in notes
    assert "60 imported rows (out of fold)" in report.headline
    assert "The model you take home is trained on all rows" in plain.sentence(report)
    assert report.dataset.folds == FOLDS


def test_the_fixed_cost_has_every_fold_and_the_final_run(workspace: Workspace, asked: list[Asked]) -> None:
    crossed(workspace)
    report = compared(workspace)
    trainings = [line.label for line in report.fixed_costs.items if line.kind == "training"]
    assert trainings == [
        "Training tuned-1",
        *(f"Training tuned-1-fold{fold}" for fold in range(1, FOLDS + 1)),
    ]


def test_of_ways_to_ask_the_large_model_the_best_on_the_same_rows_is_compared_and_that_is_said(
    workspace: Workspace, asked: list[Asked]
) -> None:
    crossed(workspace)
    report = compared(workspace)
    assert report.large == "shots"
    assert report.prompt_choice is not None
    assert (report.prompt_choice.on, report.prompt_choice.rows) == ("test", 60)
    assert any("which favours it" in note for note in report.notes)


def test_a_second_comparison_asks_nobody_again(workspace: Workspace, asked: list[Asked]) -> None:
    crossed(workspace)
    compared(workspace)
    before = len(asked)
    run_comparison(plan(), workspace, comparison_id="again")
    assert len(asked) == before


def test_the_model_of_all_rows_is_never_asked_test_rows_without_folds(workspace: Workspace, asked: list[Asked]) -> None:
    crossed(workspace)
    for adapter in ("tuned-1", "tuned-1-fold1"):
        systems = [{"id": "tuned", "model": "starter-text", "adapter": adapter}]
        with pytest.raises(DataError, match="has learned rows that this plan tests") as error:
            compared(workspace, folds=0, systems=systems, large="")
        assert "Set folds: 3" in error.value.remedy
        assert not asked


def test_it_may_be_asked_real_rows_that_nobody_learned(
    workspace: Workspace, dataset: DatasetDir, asked: list[Asked]
) -> None:
    crossed(workspace)
    add_real(dataset, [message(100 + n, "test_real") for n in range(6)], Origin(kind="real"))
    systems = [{"id": "tuned", "model": "starter-text", "adapter": "tuned-1"}]
    report = compared(workspace, folds=0, splits=["test_real"], systems=systems, large="")
    assert report.dataset.splits == {"test_real": 6}


def test_a_model_that_learned_rows_in_another_way_is_refused_in_folds(workspace: Workspace, asked: list[Asked]) -> None:
    crossed(workspace)
    trained(workspace, "ordinary", load_recipe("starter-text-sft", ["data.dataset=messages"]))
    systems = [{"id": "tuned", "model": "starter-text", "adapter": "ordinary"}]
    with pytest.raises(DataError, match="trained with no folds, and the plan says 3"):
        compared(workspace, systems=systems, large="")
    assert not asked


@pytest.mark.parametrize("loss", ["a fold is gone", "rows changed", "another base"])
def test_folds_that_are_not_those_of_the_rows_are_refused(
    workspace: Workspace, dataset: DatasetDir, asked: list[Asked], loss: str
) -> None:
    import shutil

    crossed(workspace)
    second = workspace.runs / "tuned-1-fold2"
    if loss == "a fold is gone":
        shutil.rmtree(second)
    elif loss == "rows changed":
        env = json.loads((second / "env.json").read_text())
        env["data"]["train.jsonl"] = "0" * 64
        (second / "env.json").write_text(json.dumps(env))
    else:
        file = second / "recipe.yaml"
        file.write_text(file.read_text().replace("base_model: starter-text", "base_model: starter-text-large"))
    with pytest.raises(DataError) as error:
        compared(workspace)
    assert "tuned-1-fold2" in error.value.message
    assert "crossval" in error.value.remedy
    assert not asked


def test_an_adapter_of_other_data_with_the_same_rows_is_refused_in_folds(
    workspace: Workspace, dataset: DatasetDir, asked: list[Asked]
) -> None:
    import shutil

    shutil.copytree(dataset.path, workspace.datasets / "copy")
    trained(workspace, "elsewhere", load_recipe("starter-text-sft", ["data.dataset=copy"]))
    systems = [{"id": "tuned", "model": "starter-text", "adapter": "elsewhere"}]
    with pytest.raises(DataError, match="has learned rows that are tested, through elsewhere"):
        compared(workspace, systems=systems, large="")


def test_a_forecast_counts_every_row_of_every_fold(workspace: Workspace, dataset: DatasetDir) -> None:
    assert {one.system: one.requests for one in estimate(plan(), workspace)} == {"plain": 60, "shots": 60}


def test_plans_that_folds_cannot_serve_are_refused() -> None:
    for fields, said in (({"folds": 1}, "one fold"), ({"prompt_search": 2}, "val rows apart")):
        with pytest.raises(RecipeError, match=said):
            plan(**fields)


def test_folds_that_the_labels_do_not_allow_are_refused_with_the_number(
    workspace: Workspace, dataset: DatasetDir, asked: list[Asked]
) -> None:
    crossed(workspace)
    writer = DatasetWriter(workspace.datasets / "rare")
    writer.path.mkdir()
    for number in range(30):
        writer.keep(message(number, "train"))
    for number in (90, 91):
        writer.keep(message(number, "train").model_copy(update={"target": "rare", "answer": "rare"}))
    writer.finish(Card(name="rare", generator="import", task=TaskCard(kind="classification")))
    with pytest.raises(UserError) as error:
        compared(workspace, dataset="rare", systems=[{"id": "plain", "kind": "endpoint", "model": "m"}], large="")
    assert "Set folds: 2" in error.value.remedy
