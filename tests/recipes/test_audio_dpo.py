"""Preference tuning of tiny speech models, and our encoder-decoder loss against TRL's where both apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes.audio import audio_answers, audio_dpo, audio_sft
from recipes.audio.backends import audio_backend, saved_window
from recipes.models.loading import load_for_inference
from recipes.recipe.options import Dpo
from recipes.run.directory import Run
from recipes.train import preference
from recipes.train.pairs import trl_options
from recipes.train.rows import TokenRow
from synth.errors import DataError
from synth.workspace import Workspace
from tests.tiny import tiny_llama
from tests.tiny_audio import EVERY_LINEAR, tiny_speech_model, tiny_whisper, tone, tones_dataset
from tests.tiny_runs import assert_same_training, short_run, stop_after

pytestmark = pytest.mark.slow

TENSORS = {"multilingual": 64, "english_only": 64, "moonshine": 64, "qwen3_asr": 52}  # A and B of each linear layer


@pytest.fixture(scope="module", params=list(TENSORS))
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech_model(request.param, tmp_path_factory.mktemp("base") / str(request.param))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("base") / "multilingual")


def make_run(workspace: Workspace, base: Path, run_id: str, **changes: Any) -> Run:
    recipe = {
        "method": "audio_dpo",
        "data": {"dataset": "pairs"},
        "lora": {"target_modules": EVERY_LINEAR},
        "optim": {"warmup_ratio": 0.0},
    }
    return short_run(workspace, base, run_id, recipe, changes)


def train(run: Run, method: Any = audio_dpo) -> Any:
    with run.hold():
        return method.train(run, run.recipe)


def test_margins_grow_from_zero_and_every_adapter_tensor_moves(workspace: Workspace, base: Path) -> None:
    tones_dataset(workspace.datasets / "pairs", train=16, wrong=True)
    run = make_run(workspace, base, "dpo", eval_steps=4)
    result = train(run)
    steps = run.events("step")
    assert result.steps == len(steps) == 8
    assert abs(steps[0]["rewards/margins"]) < 1e-4, "at the start the model is its reference"
    assert steps[-1]["rewards/margins"] > steps[0]["rewards/margins"] + 0.02
    assert all("rewards/margins" in event for event in run.events("eval"))
    weights = load_file(run.adapter / "adapter_model.safetensors")
    assert len(weights) == TENSORS[base.name]
    assert all(w.abs().sum() > 0 for w in weights.values())


def test_both_transcripts_get_the_log_probabilities_of_an_ordinary_forward_pass(base: Path) -> None:
    backend = audio_backend(load_for_inference(str(base)))
    sounds = backend.prepare([tone(300, 0.9), tone(420, 1.6)])
    rows = [
        TokenRow([*s.head, *ids, backend.end], [-100] * len(s.head) + [*ids, backend.end])
        for s, ids in zip([*sounds, *sounds], ([40, 41, 42], [43, 44], [45], [46, 47, 48, 49]), strict=True)
    ]
    batcher = audio_dpo.audio_rows.Batcher(backend, 0, lambda: 0)
    tokens = batcher.tokens(rows)
    with torch.no_grad():
        found = torch.cat(audio_dpo.pair_logps(backend, {**backend.tensors(sounds), **tokens}))
        labels = tokens.pop("labels")
        logits = backend.network(**backend.ready({**backend.tensors([*sounds, *sounds]), **tokens})).logits
    assert torch.allclose(found, audio_dpo.transcript_logps(logits, labels), atol=1e-4)
    assert len(set(found.tolist())) == 4


def test_dpo_holds_the_tuned_adapter_as_reference_and_keeps_its_window(workspace: Workspace, whisper: Path) -> None:
    tones_dataset(workspace.datasets / "pairs", train=8, longest=2.7, wrong=True)
    sft = make_run(workspace, whisper, "sft", method="audio_sft", **{"optim.max_steps": 3})
    train(sft, audio_sft)
    tones_dataset(workspace.datasets / "short", train=8, longest=0.9, wrong=True)
    run = make_run(workspace, whisper, "dpo", adapter="sft", **{"optim.max_steps": 2, "data.dataset": "short"})
    train(run)
    assert saved_window(run.adapter) == 3.0
    before = load_file(sft.adapter / "adapter_model.safetensors")
    after = load_file(run.adapter / "adapter_model.safetensors")
    assert all(not torch.equal(before[name], after[name]) for name in before)
    tones_dataset(workspace.datasets / "long", train=5, longest=3.6, wrong=True)
    more = make_run(workspace, whisper, "more", adapter="sft", **{"data.dataset": "long"})
    with pytest.raises(DataError, match="exceed the model's window of 3 s"):
        train(more)


def test_a_stopped_run_resumes_with_identical_losses_and_weights(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones_dataset(workspace.datasets / "pairs", train=16, wrong=True)
    whole = make_run(workspace, base, "whole")
    train(whole)
    parted = stop_after(4, make_run(workspace, base, "parted"), train, monkeypatch)
    train(parted)
    assert_same_training(whole, parted)


def test_mined_pairs_hold_the_true_transcript_against_the_models_own_mistake(
    workspace: Workspace, whisper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones_dataset(workspace.datasets / "plain", train=6, val=2)
    asked = []

    def heard(_backend: Any, sounds: Any, *how: Any) -> list[audio_answers.Transcript]:
        asked.append((len(sounds), *how[:-1]))
        return [audio_answers.Transcript("Pitch one", 3, True, 0.5) for _ in sounds]

    monkeypatch.setattr(audio_answers, "transcribe", heard)
    monkeypatch.setattr(audio_answers, "sample", heard)
    run = make_run(workspace, whisper, "dpo", **{"data.dataset": "plain", "dpo.num_generations": 2})
    mined = preference.pair_dataset(run, run.recipe, lambda prompts: audio_dpo.generator(run, run.recipe, prompts))
    rows = [*mined.examples("train")]
    assert len(rows) == 6, "rows that validation watches are left alone"
    assert {row.rejected for row in rows} == {"Pitch one"}
    assert all(row.target.startswith("Pitch ") and row.target == row.answer for row in rows)
    assert asked == [(6,), (6, 0.8, (0, 1))], "once as the model is used, then sampled"
    assert all(mined.media_path(row.prompt[0].content[0].path).is_file() for row in rows)


LOSSES: tuple[tuple[Any, float], ...] = (("sigmoid", 0.0), ("hinge", 0.0), ("ipo", 0.0), ("sigmoid", 0.1))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("toy") / "llama")


@pytest.mark.parametrize(
    "dpo", [Dpo(beta=0.3, loss_type=name, label_smoothing=smoothing) for name, smoothing in LOSSES], ids=str
)
def test_our_loss_equals_trls_on_a_decoder_only_model(toy: Path, tmp_path: Path, dpo: Dpo) -> None:
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    torch.manual_seed(0)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(toy, dtype=torch.float32), LoraConfig(r=4, task_type="CAUSAL_LM")
    )
    pairs = [{"prompt": f"Say {n}.", "chosen": f" It is {n}!", "rejected": f" It is {n + 70}, no."} for n in range(4)]
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", gradient_checkpointing=False,
            **{**trl_options(dpo), "precompute_ref_log_probs": False},
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=AutoTokenizer.from_pretrained(toy),
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B.default" in name:  # TRL holds a copy, "ref", as the reference
                parameter.normal_(std=0.1)
    model.eval()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    with torch.no_grad():
        expected = trainer.compute_loss(trainer.model, dict(batch))
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)

        def logps() -> audio_dpo.Logps:
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            return audio_dpo.Logps(*audio_dpo.transcript_logps(logits, labels).chunk(2))

        policy = logps()
        with model.disable_adapter():
            reference = logps()
        lengths = audio_dpo.Logps(*(labels != -100).sum(1).chunk(2))
        ours = audio_dpo.preference_loss(policy, reference, lengths, dpo).mean()
    assert abs(float(policy.chosen[0] - reference.chosen[0])) > 1e-3, "the adapter must matter for this comparison"
    assert float(ours) == pytest.approx(float(expected), abs=1e-5)
