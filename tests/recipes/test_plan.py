"""How long a training lasts, when it ends early, and which step it keeps."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import sums_dataset, tiny_llama
from workers import finish, losses, start, tiny_run, wait_for_step

from recipes.recipe.plan import EVALUATIONS, MOST_EPOCHS, TARGET_STEPS, Plan, plan
from recipes.recipe.schema import load_recipe, ready_recipes
from recipes.run.directory import Run
from recipes.text import text_sft
from recipes.train.validation import Validation
from recipes.train.work import load_rows, prepare
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError, RecipeError
from synth.example import make_example, user
from synth.scoring.scorers import SCORERS
from synth.workspace import Workspace

AUTO = {"base_model": "b", "num_train_epochs": "auto", "eval_steps": "auto", "per_device_train_batch_size": 16}
# A rate at which a tiny model soon gets worse on rows that it has not seen.
OVERFITS = {
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "lora_r": 16,
    "max_examples": 8,
    "max_steps": 60,
    "eval_steps": 2,
    "save_steps": 5,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sums_dataset(tmp_path_factory.mktemp("data") / "sums", train=32)


@pytest.mark.parametrize("rows", [1, 40, 100, 299, 500, 2_000, 4_800, 100_000])
def test_few_rows_get_as_many_steps_as_many_rows(rows: int) -> None:
    found = plan(load_recipe(AUTO), rows)
    assert (found.epochs == 1) == (rows >= 16 * TARGET_STEPS - 15)
    assert 1 <= found.epochs <= MOST_EPOCHS
    assert found.steps >= TARGET_STEPS or found.epochs == MOST_EPOCHS
    assert found.steps // found.eval_steps in range(EVALUATIONS - 2, EVALUATIONS + 6)


def test_numbers_and_steps_that_were_given_stay() -> None:
    assert plan(load_recipe(AUTO, ["num_train_epochs=2.5", "eval_steps=7"]), 64)[1:] == (2.5, 10, 7)
    assert plan(load_recipe(AUTO, ["max_steps=50"]), 64)[1:] == (12.5, 50, 5)


def test_recipes_of_real_models_fit_their_length_to_the_data_and_starters_keep_theirs() -> None:
    recipes = [load_recipe(name) for name in ready_recipes()]
    starters = [recipe for recipe in recipes if recipe.base_model.startswith("starter-")]
    real = [recipe for recipe in recipes if recipe not in starters and recipe.objective == "sft"]
    assert (len(starters), len(real)) == (7, 15)
    for recipe in real:
        assert (recipe.optim.num_train_epochs, recipe.eval_steps, recipe.data.val_split) == ("auto", "auto", "val")
        assert recipe.load_best_model_at_end and recipe.early_stopping_patience == 3
    for recipe in starters:
        assert (recipe.eval_steps, recipe.load_best_model_at_end) == (0, False)
        assert isinstance(recipe.optim.num_train_epochs, float)


@pytest.mark.slow
def test_a_run_says_how_long_auto_is(workspace: Workspace, model: Path, dataset: Path) -> None:
    run = tiny_run(workspace, model, dataset, max_steps=-1, num_train_epochs="auto", eval_steps="auto", max_examples=1)
    text_sft.train(run, run.recipe)
    (told,) = run.events("plan")
    assert (told["rows"], told["epochs"], told["steps"], told["eval_steps"]) == (1, MOST_EPOCHS, 30, 3)
    assert [event["step"] for event in run.events("eval")] == list(range(3, 31, 3))
    assert max(losses(run)) == 30


@pytest.mark.slow
def test_training_ends_early_and_keeps_the_best_step(workspace: Workspace, model: Path, dataset: Path) -> None:
    best = {"early_stopping_patience": 3, "load_best_model_at_end": True}
    run = finish(tiny_run(workspace, model, dataset, **OVERFITS, **best))
    watched = {event["step"]: event["loss"] for event in run.events("eval")}
    lowest = min(watched, key=watched.__getitem__)
    last = max(watched)
    assert lowest < last < 60
    (found,) = run.events("validation")
    assert (found["best_step"], found["last_step"]) == (lowest, last)
    ended = run.exit()
    assert ended is not None and ended.verdict == "done"
    assert f"Ended early, after step {last} of 60. The adapter is that of step {lowest}" in ended.sentence
    plain = finish(tiny_run(workspace, model, dataset, **{**OVERFITS, "save_steps": lowest, "save_total_limit": 100}))
    there = load_file(plain.path / "checkpoints" / f"step-{lowest:06d}" / "trainable.safetensors")
    kept = load_file(run.adapter / "adapter_model.safetensors")
    assert all(torch.equal(kept[name.replace(".default", "")], value) for name, value in there.items())


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [4, 15, 22])
def test_a_killed_run_ends_at_the_same_step_and_keeps_the_same_adapter(
    workspace: Workspace, model: Path, dataset: Path, killed_at: int
) -> None:
    choices = {**OVERFITS, "save_steps": 3, "early_stopping_patience": 3, "load_best_model_at_end": True}
    whole = finish(tiny_run(workspace, model, dataset, **choices))
    run = tiny_run(workspace, model, dataset, **choices)
    process = start(run)
    wait_for_step(run, killed_at, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finish(Run(run.path), "--resume")
    assert losses(run) == losses(whole)
    assert run.events("validation")[-1]["best_step"] == whole.events("validation")[-1]["best_step"]
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        whole.adapter / "adapter_model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_a_run_killed_after_it_ended_early_only_writes_the_adapter(
    workspace: Workspace, model: Path, dataset: Path
) -> None:
    choices = {**OVERFITS, "early_stopping_patience": 2, "load_best_model_at_end": True}
    run = tiny_run(workspace, model, dataset, **choices)
    first = text_sft.train(run, run.recipe)
    weights = (run.adapter / "adapter_model.safetensors").read_bytes()
    (run.adapter / "adapter_model.safetensors").unlink()
    assert text_sft.train(run, run.recipe).steps == first.steps < 60
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == weights


@pytest.mark.slow
def test_without_validation_rows_a_run_says_so_and_trains_on(workspace: Workspace, model: Path, tmp_path: Path) -> None:
    run = tiny_run(workspace, model, sums_dataset(tmp_path / "d", train=8, val=0), max_steps=2, eval_steps="auto")
    text_sft.train(run, run.recipe)
    assert [event["sentence"][:47] for event in run.events("warning")] == [
        "The recipe validates, but there are no validati"
    ]
    assert len(run.events("step")) == 2


def validated(*figures: float, patience: int = 0) -> Validation:
    found = Validation(patience, keep_best=False)
    for number, loss in enumerate(figures, start=1):
        found.add(10 * number, loss, {})
    return found


def test_advice_to_train_longer_comes_with_the_losses_that_support_it() -> None:
    told = plan(load_recipe(AUTO, ["num_train_epochs=2"]), 400)
    falling = validated(2.0, 1.5, 1.2, 1.0, 0.8).sentence(told, -1)
    assert "still falling at the end (1.000 at step 40, 0.800 at step 50)" in falling
    assert "optim.num_train_epochs=4" in falling
    assert "optim.max_steps=100" in validated(2.0, 1.5, 1.2, 1.0, 0.8).sentence(told, 50)
    flat = validated(2.0, 1.0, 0.81, 0.805, 0.80).sentence(told, -1)
    assert "train longer" not in flat
    assert "train longer" not in validated(2.0, 1.0, 1.5).sentence(told, -1)
    assert validated(2.0, float("nan"), 1.5).best_step == 30
    assert validated(1.0, 0.9995, 0.999, patience=2).exhausted, "a fall that changes no answer keeps nothing going"
    assert not validated(1.0, 0.99, 0.98, patience=2).exhausted
    assert "train longer" not in validated(2.0, 0.002, 0.001).sentence(told, -1)
    assert not validated(1.0, 2.0, 3.0).exhausted and validated(1.0, 2.0, 3.0, patience=2).exhausted


def test_rows_at_most_are_drawn_by_the_seed(workspace: Workspace, model: Path, dataset: Path) -> None:
    def learned(seed: int, most: int | None) -> list[str]:
        recipe: dict[str, Any] = {"seed": seed, "max_examples": most, "eval_steps": 1, "max_val_examples": 4}
        work = prepare(run := tiny_run(workspace, model, dataset, **recipe), run.recipe)
        rows = load_rows(work)
        assert len(rows.val) == 4
        return [row.id for row in rows.train]

    every = learned(0, None)
    assert len(every) == 32 and every == learned(1, None)
    first, other = learned(0, 8), learned(1, 8)
    assert first == learned(0, 8) != other
    assert first != every[:8] and [row for row in every if row in first] == first


SCORED = {
    **OVERFITS,
    "learning_rate": 0.02,
    "max_steps": 24,
    "save_steps": 3,
    "load_best_model_at_end": True,
    "metric_for_best_model": "task",
    "score_rows": 4,
}


def worded(folder: Path) -> Path:
    """Rows whose answers are several words, graded by how many characters are wrong."""
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number in range(14):
        words = " ".join(("up", "down", "left", "right")[(number * turn) % 4] for turn in range(1, 5))
        split = "train" if number < 8 else "val"
        row = make_example(
            [user(f"Way {number}?")], words, answer=words, scorer="cer", family="w", template="w", split=split
        )
        writer.keep(row)
    writer.finish(Card(name=folder.name))
    return folder


@pytest.mark.slow
def test_the_step_whose_answers_score_best_is_kept_and_a_killed_run_keeps_the_same(
    workspace: Workspace, model: Path, tmp_path: Path
) -> None:
    dataset = worded(tmp_path / "worded")
    whole = finish(tiny_run(workspace, model, dataset, **SCORED, save_total_limit=100))
    rates = {event["step"]: event["value"] for event in whole.events("score") if not event["final"]}
    losses_seen = {event["step"]: event["loss"] for event in whole.events("eval")}
    assert list(rates) == list(losses_seen) == list(range(2, 25, 2))
    assert len(set(rates.values())) > 1
    best = min(rates, key=lambda step: (rates[step], losses_seen[step]))
    (found,) = whole.events("validation")
    assert found["best_step"] == best
    shown = f"{100 * rates[best]:.1f} %"
    assert (
        f"whose answers to validation rows scored best (character error rate {shown}" in found["sentence"] or best == 24
    )
    kept = load_file(whole.adapter / "adapter_model.safetensors")
    held = load_file(whole.path / "checkpoints" / "step-000024" / "best.safetensors")
    assert all(torch.equal(kept[name.replace(".default", "")], value) for name, value in held.items())

    run = tiny_run(workspace, model, dataset, **SCORED)
    process = start(run)
    wait_for_step(run, 14, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finish(Run(run.path), "--resume")
    assert run.events("validation")[-1]["best_step"] == best
    assert losses(run) == losses(whole)
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        whole.adapter / "adapter_model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_looking_at_the_tasks_score_changes_nothing_that_is_learned(
    workspace: Workspace, model: Path, tmp_path: Path
) -> None:
    dataset = worded(tmp_path / "worded")
    plain = finish(tiny_run(workspace, model, dataset, **{**SCORED, "metric_for_best_model": "loss", "score_rows": 0}))
    assert losses(plain) == losses(finish(tiny_run(workspace, model, dataset, **SCORED)))


@pytest.mark.slow
def test_a_task_metric_without_rows_that_a_rule_can_score_is_refused(
    workspace: Workspace, model: Path, tmp_path: Path
) -> None:
    run = tiny_run(workspace, model, sums_dataset(tmp_path / "d", train=8, val=0), **SCORED)
    with pytest.raises(DataError, match="has no validation rows"):
        text_sft.train(run, run.recipe)
    with pytest.raises(RecipeError, match="score_rows is 0"):
        load_recipe({**AUTO, "metric_for_best_model": "task"})


def test_with_a_metric_the_highest_score_wins_and_patience_counts_scores() -> None:
    watch = Validation(patience=2, keep_best=False)
    watch.metric = SCORERS["exact"].metric
    for step, (loss, score) in enumerate([(3.0, 0.2), (2.0, 0.6), (1.0, 0.5), (0.9, 0.6)], start=1):
        watch.add(step, loss, {}, score)
    assert watch.best_step == 4, "of equals, the lower loss"
    assert watch.exhausted
    anew = Validation(patience=2, keep_best=False)
    anew.restore(watch.state(), {})
    anew.metric = watch.metric
    assert (anew.best_step, anew.exhausted) == (4, True)


def test_a_loss_that_still_falls_does_not_hide_which_step_was_kept() -> None:
    watch = Validation(patience=0, keep_best=True)
    watch.metric = SCORERS["exact"].metric
    for step, (loss, score) in enumerate([(3.0, 0.2), (2.0, 0.6), (1.0, 0.5)], start=1):
        watch.add(step, loss, {}, score)
    said = watch.sentence(Plan(rows=3, epochs=1.0, steps=3, eval_steps=1), 0)
    assert said.startswith("The adapter is that of step 2") and "still falling" in said
