from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import sums_dataset, tiny_llama
from workers import losses, tiny_run

from recipes.decode.sampling import Answer
from recipes.models.files import resolve
from recipes.models.loading import load_processor
from recipes.recipe.options import Data
from recipes.run.directory import DISCARDED, Run
from recipes.text import rows, text_sft
from recipes.text.chat import chat_messages
from recipes.train import samples, training
from recipes.train.head import FastHead
from recipes.train.repeatable import Batches, random_state, restore_random_state, untouched_randomness
from recipes.train.rows import IGNORED
from recipes.train.work import load_rows, prepare
from synth.dataset import DatasetDir
from synth.errors import DataError, RunError
from synth.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sums_dataset(tmp_path_factory.mktemp("data") / "sums", train=32)


@pytest.fixture
def run_of(workspace: Workspace, model: Path, dataset: Path) -> Any:
    return lambda **choices: tiny_run(workspace, model, dataset, **{"max_steps": 4, **choices})


def trainer_of(run: Run) -> Any:
    work = prepare(run, run.recipe)
    learned, _ = load_rows(work)
    return text_sft.build_trainer(work, rows.encode(learned, work.loaded.tokenizer, run.recipe.data), None)


@pytest.mark.parametrize("weights", ["packed", "rounded"])
@pytest.mark.parametrize("bf16", [False, True])
def test_every_adapter_tensor_moves_and_no_frozen_one(run_of: Any, weights: str, bf16: bool) -> None:
    run = run_of(quant={"weights": weights}, bf16=bf16, lora_dropout=0.0)
    trainer = trainer_of(run)
    network = trainer.work.loaded.model
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    learned = set(trainer.trainable())
    result = training.fit(trainer)
    assert result.steps == 4 and result.tokens > 0
    for name, parameter in network.named_parameters():
        same = torch.equal(parameter, before[name])
        assert same != (name in learned), name


def test_the_loss_is_trls_loss(run_of: Any) -> None:
    from trl import SFTTrainer

    trainer = trainer_of(run_of(lora_dropout=0.0))
    batch = next(iter(trainer.get_train_dataloader()))
    ours = trainer.compute_loss(trainer.model, dict(batch))
    theirs = SFTTrainer.compute_loss(trainer, trainer.model, dict(batch))
    torch.testing.assert_close(ours, theirs)


def test_only_the_target_and_its_end_carry_loss(run_of: Any) -> None:
    run = run_of()
    work = prepare(run, run.recipe)
    example = next(iter(work.dataset.examples("train")))
    (row,) = rows.encode([example], work.loaded.tokenizer, run.recipe.data)
    learned = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
    assert work.loaded.tokenizer.decode(learned) == f"{example.target}<|im_end|>"
    asked = row.input_ids[: len(row.input_ids) - len(learned)]
    messages = chat_messages(example)
    assert work.loaded.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"] == asked


def test_a_tokenizer_without_an_end_token_is_refused(model: Path, dataset: Path) -> None:
    tokenizer = load_processor(resolve(str(model)))
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="names no end token"):
        rows.encode(list(DatasetDir(dataset).examples("train")), tokenizer, Data())


@pytest.mark.parametrize("weights", ["packed", "rounded"])
def test_evaluation_and_answers_at_any_time_never_change_what_is_learned(run_of: Any, weights: str) -> None:
    def train(eval_steps: int, before: bool, sample_steps: int = 0) -> tuple[dict[int, float], bytes]:
        run = run_of(quant={"weights": weights}, eval_steps=eval_steps, sample_steps=sample_steps)
        if before:
            trainer = trainer_of(run)
            with untouched_randomness():
                trainer.evaluate(trainer.train_dataset)
            training.fit(trainer)
        else:
            text_sft.train(run, run.recipe)
        assert len(run.events("eval")) == (4 // eval_steps if eval_steps and not before else before)
        assert [e["step"] for e in run.events("samples")] == ([*range(1, 5)] if sample_steps else [])
        assert not run.events("warning")
        return losses(run), (run.adapter / "adapter_model.safetensors").read_bytes()

    never = train(0, before=False)
    assert train(1, before=False) == never
    assert train(2, before=False) == never
    assert train(0, before=True) == never
    assert train(0, before=False, sample_steps=1) == never
    assert train(2, before=False, sample_steps=1) == never


def test_answers_during_training_are_told_with_gold_and_verdict(run_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(sample_steps=3, sample_rows=2, bf16=True)
    rows_asked = [e.id for e in run.dataset().examples("val")][::4]
    real = samples.report_of

    def first_is_right(row: Any, answer: Answer) -> dict[str, Any]:
        return real(row, Answer(f"…so\nAnswer: {row.answer}", True) if row.id == rows_asked[0] else answer)

    monkeypatch.setattr(samples, "report_of", first_is_right)
    text_sft.train(run, run.recipe)
    assert [e["step"] for e in run.events("samples")] == [3, 4]  # every third step, and the last
    for event in run.events("samples"):
        assert [row["id"] for row in event["rows"]] == rows_asked
        assert [row["right"] for row in event["rows"]] == [True, False]
        assert all("what is" in row["question"] and "Answer:" in row["gold"] for row in event["rows"])


def test_answers_that_fail_are_told_once_and_training_goes_on(run_of: Any) -> None:
    run = run_of(sample_steps=1, val_split="")
    text_sft.train(run, run.recipe)
    (warning,) = run.events("warning")
    assert "no validation rows" in warning["sentence"]
    assert len(run.events("step")) == 4


def test_a_discarded_run_stops_at_once_and_keeps_nothing(run_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.__main__ import work

    run = run_of(save_steps=1)
    emit = run.emit

    def discard_at_two(kind: str, **fields: Any) -> None:
        emit(kind, **fields)
        if kind == "step" and fields["step"] == 2:
            run.request_stop(discard=True)

    monkeypatch.setattr(run, "emit", discard_at_two)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with run.hold():
        assert work(run) == 3
    ended = run.exit()
    assert ended is not None and (ended.verdict, ended.code) == ("stopped", DISCARDED)
    assert len(run.events("step")) == 3 and run.checkpoint() is None
    assert not run.adapter.exists()
    assert "was discarded" in run.resume_blocker()


def test_the_last_step_is_told_even_between_two_logged_ones(run_of: Any) -> None:
    from studio.engines.jobs import progress_of

    run = run_of(logging_steps=3)
    text_sft.train(run, run.recipe)
    told = [progress for event in run.events("step") if (progress := progress_of(event))]
    assert [(p.done, p.total) for p in told] == [(3, 4), (4, 4)]


def test_a_loss_that_is_not_a_number_halts_before_saving(run_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(save_steps=1)
    real = FastHead.compute_loss

    def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        return real(self, *args, **kwargs) * (float("nan") if self.state.global_step == 2 else 1.0)

    monkeypatch.setattr(FastHead, "compute_loss", breaking)
    with pytest.raises(RunError, match="The loss stopped being a number at step 3") as caught:
        text_sft.train(run, run.recipe)
    assert caught.value.code == "run.nan"
    saved = run.checkpoint()
    assert saved is not None and saved.step == 2
    assert not run.adapter.exists()


def test_rows_longer_than_max_length_are_refused_before_training(run_of: Any) -> None:
    run = run_of(max_length=20)
    with pytest.raises(RunError, match="would cut the target of 32 of 32 rows"):
        text_sft.train(run, run.recipe)


def test_a_run_killed_after_its_last_step_only_writes_the_adapter(run_of: Any) -> None:
    run = run_of()
    first = text_sft.train(run, run.recipe)
    weights = (run.adapter / "adapter_model.safetensors").read_bytes()
    (run.adapter / "adapter_model.safetensors").unlink()
    again = text_sft.train(run, run.recipe)
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == weights
    assert (again.steps, again.final_loss, again.tokens) == (first.steps, first.final_loss, first.tokens)


def test_batches_hold_every_row_once_follow_the_seed_and_waste_little_padding() -> None:
    lengths = [10 + (i * 37) % 91 for i in range(1003)]
    order = Batches(lengths, 16, seed=3, group=True)
    first = list(order)
    assert sorted(i for batch in first for i in batch) == list(range(1003))
    assert list(Batches(lengths, 16, seed=3, group=True)) == first
    order.epoch = 1
    assert list(order) != first
    padded = sum(len(b) * max(lengths[i] for i in b) for b in first)
    assert padded < 1.1 * sum(lengths)
    assert len(first) == len(order) == 63


def test_random_state_survives_json() -> None:
    import json
    import random

    import numpy as np

    tensors, plain = random_state()
    drawn = (random.random(), np.random.rand(), torch.rand(1).item())
    restore_random_state(tensors, json.loads(json.dumps(plain)))
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn


@pytest.mark.parametrize("weights", ["packed", "rounded"])
def test_building_the_trainer_leaves_the_adapter_exactly_as_it_was_in_fp32(run_of: Any, weights: str) -> None:
    run = run_of(quant={"weights": weights}, bf16=True)
    work = prepare(run, run.recipe)
    before = {n: p.detach().clone() for n, p in work.loaded.model.named_parameters() if p.requires_grad}
    learned, _ = load_rows(work)
    trainer = text_sft.build_trainer(work, rows.encode(learned, work.loaded.tokenizer, run.recipe.data), None)
    after = trainer.trainable()
    assert before.keys() == after.keys()
    assert all(p.dtype == torch.float32 and torch.equal(p, before[n]) for n, p in after.items())
