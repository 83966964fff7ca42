"""Slot decoding gives what transformers' own generate gives, whatever the slots, lengths and shared prefixes."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

from recipes.decode.decoder import Sampling, SlotDecoder, fits, generate_batches, shared_prefix, slots_for

pytestmark = pytest.mark.slow

END = {1, 2, 3, 4}  # several end tokens, so that random models end rows at differing lengths
SHAPE: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
}


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()


def prompts(count: int, prefix: int = 0) -> list[list[int]]:
    rng = random.Random(count)
    head = [rng.randrange(5, 48) for _ in range(prefix)]
    return [head + [rng.randrange(5, 48) for _ in range(rng.randrange(1, 30))] for _ in range(count)]


def reference(model: Any, prompt: list[int], new: int) -> list[int]:
    ids = torch.tensor([prompt])
    out = model.generate(ids, max_new_tokens=new, do_sample=False, eos_token_id=sorted(END), pad_token_id=0)
    tokens = out[0, len(prompt) :].tolist()
    return tokens[: next((i for i, t in enumerate(tokens) if t in END), len(tokens))]


def test_a_long_prompt_among_many_short_ones_changes_no_answer_and_leaves_the_model_as_it_was(model: Any) -> None:
    asked = [*prompts(40), prompts(1, 150)[0]]
    before = model.config._attn_implementation
    found = {g.place: g.tokens for g in SlotDecoder(model, END, 64, 24).run(asked)}
    assert [found[i] for i in range(len(asked))] == [reference(model, prompt, 24) for prompt in asked]
    assert model.config._attn_implementation == before == "sdpa"


@pytest.mark.parametrize("slots", [1, 3, 8, 64])
@pytest.mark.parametrize("prefix", [0, 17])
def test_slots_give_the_tokens_of_generate(model: Any, slots: int, prefix: int) -> None:
    asked = prompts(20, prefix)
    found = {g.place: g for g in SlotDecoder(model, END, slots, 24).run(asked)}
    assert sorted(found) == list(range(20))
    for place, prompt in enumerate(asked):
        assert found[place].tokens == reference(model, prompt, 24)
    assert {g.ended for g in found.values()} == {True, False}


def test_plain_attention_gives_the_same_tokens_behind_a_shared_prefix(model: Any) -> None:
    asked = prompts(20, 17)
    fused = {g.place: g.tokens for g in SlotDecoder(model, END, 8, 24).run(asked)}
    model.set_attn_implementation("eager")
    try:
        assert {g.place: g.tokens for g in SlotDecoder(model, END, 8, 24).run(asked)} == fused
    finally:
        model.set_attn_implementation("sdpa")


def test_slots_that_wait_empty_keep_the_shared_prefix(model: Any) -> None:
    asked = prompts(90, 17)
    one = {g.place: g.tokens for g in SlotDecoder(model, END, 1, 12).run(asked)}
    assert {g.place: g.tokens for g in SlotDecoder(model, END, 40, 12).run(asked)} == one


def test_the_fallback_gives_the_same_tokens_and_confidence(model: Any) -> None:
    asked = prompts(12)
    slots = {g.place: g for g in SlotDecoder(model, END, 4, 16).run(asked)}
    plain = {g.place: g for g in generate_batches(model, END, 5, 16, 0, asked)}
    for place in range(12):
        assert slots[place].tokens == plain[place].tokens
        assert slots[place].confidence == pytest.approx(plain[place].confidence, rel=1e-4)
        assert slots[place].ended == plain[place].ended


@pytest.mark.parametrize("slots", [1, 4, 64])
def test_sampled_tokens_follow_the_models_distribution(model: Any, slots: int) -> None:
    prompt = [7, 8, 9]
    with torch.inference_mode():
        expected = (model(torch.tensor([prompt])).logits[0, -1] / 2.0).softmax(-1)
    found = list(SlotDecoder(model, set(), slots, 1, sampling=Sampling(2.0, 3)).run([prompt] * 600))
    shares = torch.bincount(torch.tensor([g.tokens[0] for g in found]), minlength=48) / 600
    assert (shares - expected).abs().max() < 4 * (0.25 / 600) ** 0.5


def test_sampling_repeats_by_its_seed_and_leaves_the_random_state(model: Any) -> None:
    asked, state = prompts(10), torch.get_rng_state()
    for run in (
        lambda seed: SlotDecoder(model, END, 4, 16, sampling=Sampling(1.0, seed)).run(asked),
        lambda seed: generate_batches(model, END, 4, 16, 0, asked, Sampling(1.0, seed)),
    ):
        first, same, other = ({g.place: g.tokens for g in run(seed)} for seed in (1, 1, 2))
        assert first == same != other
    assert torch.equal(torch.get_rng_state(), state)


def test_no_row_outgrows_the_models_positions(model: Any) -> None:
    found = list(SlotDecoder(model, set(), 4, 50, limit=40).run(prompts(10)))
    assert all(len(prompts(10)[g.place]) + len(g.tokens) <= 40 for g in found)


def test_equal_prompts_and_a_single_prompt_work(model: Any) -> None:
    twins = [[7, 8, 9]] * 5
    found = list(SlotDecoder(model, END, 2, 8).run(twins))
    assert len({tuple(g.tokens) for g in found}) == 1
    assert len(list(SlotDecoder(model, END, 2, 8).run([[7]]))) == 1
    assert list(SlotDecoder(model, END, 2, 8).run([])) == []


def test_the_shared_prefix_leaves_every_prompt_a_token() -> None:
    assert shared_prefix([[1, 2, 3], [1, 2, 4]]) == [1, 2]
    assert shared_prefix([[1, 2], [1, 2, 4]]) == [1]
    assert shared_prefix([[1, 2]]) == []
    assert shared_prefix([[1, 2], [3]]) == []


def test_models_with_windows_do_not_fit_the_slots(model: Any) -> None:
    assert fits(model)
    assert fits(Qwen2ForCausalLM(Qwen2Config(**SHAPE)))
    assert not fits(MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=8)))
    assert not fits(
        Qwen2ForCausalLM(Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=8, max_window_layers=1))
    )


def test_slots_shrink_to_the_memory(model: Any) -> None:
    per_slot = 2 * 2 * 2 * 8 * 100 * 4
    assert slots_for(model, 100, 10 * per_slot, 64) == 10
    assert slots_for(model, 100, 1, 64) == 1
    assert slots_for(model, 100, 1 << 40, 64) == 64
