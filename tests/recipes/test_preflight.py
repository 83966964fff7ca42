"""Preflight: what it measures, what it refuses, and that it leaves no trace."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipes.train.preflight import preflight
from recipes.train.probe import Subject, layers_without_adapter, probe
from recipes.train.report import read_report
from recipes.train.row_checks import check_known, check_rows, check_template
from recipes.train.rows import TokenRow
from synth.errors import RunError

ROWS = [TokenRow([1, 2, 3, 4, 5], [-100, -100, -100, 4, 5]), TokenRow([1, 2, 3, 4, 5, 6, 7], [-100] * 4 + [5, 6, 7])]


def tiny_lora(seed: int = 0) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.1)
    return get_peft_model(LlamaForCausalLM(config), lora)


def subject(model: Any, loss: Callable[[Any], Any] | None = None, **more: Any) -> Subject:
    batch = torch.arange(1, 41).reshape(2, 20)
    facts: dict[str, Any] = {"longest_tokens": 40, "mean_tokens": 20.0, "learning_rate": 1e-3, "steps": 100, **more}
    return Subject(model, loss or (lambda ids: model(input_ids=ids, labels=ids).loss), batch, **facts)


def test_every_adapter_tensor_learns_and_cost_is_projected() -> None:
    model = tiny_lora()
    found = probe(subject(model))
    assert found.problems == ()
    assert found.memory_bytes > 50_000_000
    assert found.projected_sec == pytest.approx(found.seconds_per_step * 50, abs=0.06)
    assert found.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_probe_puts_weights_and_random_state_back_bit_for_bit() -> None:
    model = tiny_lora()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    probe(subject(model, accumulation=2))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]
    assert np.array_equal(np.random.get_state()[1], state[2])
    assert model.training


def test_probe_restores_also_after_a_failing_step() -> None:
    model = tiny_lora()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    calls = []

    def loss(ids: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError
        return model(input_ids=ids, labels=ids).loss

    with pytest.raises(MemoryError):
        probe(subject(model, loss))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_adapter_without_gradient_is_found_as_in_the_packing_trap() -> None:
    model = tiny_lora()
    layer = model.base_model.model.model.layers[1].mlp.down_proj

    def dead(ids: Any) -> Any:
        # What a packed 4-bit layer does: it computes, but passes nothing back to what lies before it.
        handle = layer.register_forward_hook(lambda module, inputs, output: output.detach())
        try:
            return model(input_ids=ids, labels=ids).loss
        finally:
            handle.remove()

    (problem,) = probe(subject(model, dead)).problems
    assert "adapter tensors do not learn" in problem
    assert "layers.1.mlp" in problem


def test_first_step_alone_would_not_move_lora_a() -> None:
    model = tiny_lora()
    moved: list[set[str]] = []
    start = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def loss(ids: Any) -> Any:
        now = dict(model.named_parameters())
        moved.append({name for name, value in start.items() if not torch.equal(now[name], value)})
        return model(input_ids=ids, labels=ids).loss

    probe(subject(model, loss))
    assert moved[0] == set()
    assert {name.split(".")[-3] for name in moved[1]} == {"lora_B"}


def test_frozen_tensor_that_moves_is_found() -> None:
    model = tiny_lora()

    def leaky(ids: Any) -> Any:
        with torch.no_grad():
            model.base_model.model.model.norm.weight.add_(0.01)
        return model(input_ids=ids, labels=ids).loss

    (problem,) = probe(subject(model, leaky)).problems
    assert "frozen tensors changed" in problem
    assert "norm.weight" in problem


def test_loss_that_is_not_a_number_is_found() -> None:
    model = tiny_lora()
    problems = probe(subject(model, lambda ids: model(input_ids=ids, labels=ids).loss * float("nan"))).problems
    assert "not a number" in problems[0]


def test_layer_without_adapter_is_found_where_its_sisters_have_one() -> None:
    trainable = ["m.layers.0.q.lora_A.default.weight", "m.layers.2.q.lora_A.default.weight"]
    frozen = [f"m.layers.{i}.q.base_layer.weight" for i in range(3)] + ["vision.layers.0.q.weight"]
    assert layers_without_adapter(trainable, frozen) == ["m.layers.1"]


def test_nothing_to_train_is_a_sentence() -> None:
    model = tiny_lora().requires_grad_(False)
    with pytest.raises(RunError, match="No tensor"):
        probe(subject(model))


def test_cut_and_empty_targets_are_refused_with_counts() -> None:
    assert check_rows(ROWS, 7) == []
    (cut,) = check_rows(ROWS, 6)
    assert "1 of 2 rows" in cut
    assert "7 or more" in cut
    (empty,) = check_rows([*ROWS, TokenRow([1], [-100])], None)
    assert "1 of 3 rows have nothing to learn (first: row 3)" in empty
    assert check_rows([], None) == ["There are no rows to learn from."]


def test_tokens_that_the_model_does_not_know_are_a_problem() -> None:
    highest = max(max(row.input_ids) for row in ROWS)
    assert check_known(ROWS, highest + 1) == check_known(ROWS, None) == []
    (beyond,) = check_known(ROWS, highest)
    assert f"writes token {highest}, but the model knows {highest}" in beyond


class Template:
    """A tokenizer's template side: `good`, or with the prompt's end rendered otherwise when an answer follows."""

    chat_template = "x"
    eos_token = "<end>"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def apply_chat_template(self, messages: Any, add_generation_prompt: bool = False, tokenize: bool = True) -> str:
        end = "" if self.kind == "endless" else "<end>"
        text = "".join(f"<{m['role']}>{m['content']}{end}" for m in messages)
        if self.kind == "broken" and messages[-1]["role"] == "assistant":
            text = text.replace("<user>", "<human>")
        return text + ("<assistant>" if add_generation_prompt else "")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("good", ""), ("broken", "differently with an answer in 1 of 1"), ("endless", "never learn to stop")],
)
def test_chat_template_must_extend_the_prompt_and_end_the_answer(kind: str, words: str) -> None:
    problems = check_template(Template(kind), [([{"role": "user", "content": "2 + 2?"}], "4")])
    assert words in " ".join(problems)
    assert bool(problems) == bool(words)


def test_report_shows_the_masked_part_and_is_kept_in_the_run_folder(tmp_path: Path) -> None:
    def decode(ids: Any) -> str:
        return " ".join(map(str, ids))

    report = preflight(tmp_path, subject(tiny_lora()), ROWS, decode, max_length=16)
    assert report.ok
    assert report.sample_text in ("⟦1 2 3⟧4 5", "⟦1 2 3 4⟧5 6 7")
    assert (report.tokens.rows, report.tokens.longest, report.tokens.learned) == (2, 7, 0.4167)
    assert read_report(tmp_path) == report
    report.refuse()
    assert read_report(tmp_path / "elsewhere") is None


def test_report_with_problems_refuses_the_training_and_takes_no_step(tmp_path: Path) -> None:
    def never(ids: Any) -> Any:
        raise AssertionError("no step may be taken on faulty rows")

    report = preflight(tmp_path, subject(tiny_lora(), never), ROWS, str, max_length=6, problems=["Bad picture."])
    assert not report.ok
    with pytest.raises(RunError, match=r"\(1\) Bad picture. \(2\) optim.max_length = 6 would cut"):
        report.refuse()
