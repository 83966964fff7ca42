"""The memory estimate: what it is made of, and what it says of networks that are not here."""

from __future__ import annotations

import pytest

from recipes.models import catalogue, estimate
from recipes.models.estimate import KNOWN, Shape, tuning

HOW = {"rank": 16, "batch": 8, "tokens": 128, "learned": 32, "plain_attention": True}
# Peaks of tests/bench/bench_memory.py in bytes (x86-64 with bf16 instructions, one thread, torch 2.11): sizes, batch,
# longest row, learned tokens.
PEAKS = [
    (Shape(4_849_664, 6, 256, 768, 4, 512), 16, 50, 16, 845_971_456),
    (Shape(4_849_664, 6, 256, 768, 4, 512), 16, 242, 56, 1_416_404_992),
    (Shape(4_849_664, 6, 256, 768, 4, 512), 32, 242, 56, 2_292_568_064),
    (Shape(4_849_664, 6, 256, 768, 4, 512), 8, 1010, 64, 1_916_096_512),
    (Shape(17_301_504, 6, 256, 768, 4, 49_152), 16, 114, 64, 1_626_468_352),
    (Shape(25_427_968, 8, 512, 1536, 8, 512), 16, 114, 32, 1_636_245_504),
    (Shape(25_427_968, 8, 512, 1536, 8, 512), 16, 242, 56, 2_744_475_648),
]


@pytest.mark.parametrize(("shape", "batch", "tokens", "learned", "peak"), PEAKS)
def test_the_estimate_is_within_15_percent_of_real_peaks(
    shape: Shape, batch: int, tokens: int, learned: int, peak: int
) -> None:
    how = {"rank": 16, "batch": batch, "tokens": tokens, "learned": learned, "plain_attention": tokens <= 320}
    forked = tuning(shape, **how).total - estimate.LIBRARY_FILES_BYTES
    assert forked == pytest.approx(peak, rel=0.15)


# What `smolstudio train … --preflight` measured in the training's own process: 8 rows of 74 and of 243 tokens.
OWN = [(KNOWN[0], 74, 3, 2_631_098_368), (Shape(90_624, 2, 64, 128, 4, 259), 243, 8, 1_074_028_544)]


@pytest.mark.parametrize(("shape", "tokens", "learned", "measured"), OWN)
def test_the_estimate_is_within_15_percent_of_what_a_training_of_its_own_process_takes(
    shape: Shape, tokens: int, learned: int, measured: int
) -> None:
    told = tuning(shape, **{**HOW, "tokens": tokens, "learned": learned}).total
    assert told == pytest.approx(measured, rel=0.15)


def test_rows_of_twice_the_length_keep_more_than_twice_as_much() -> None:
    short, long = (tuning(KNOWN[0], **{**HOW, "tokens": tokens}) for tokens in (128, 256))
    assert 2 * short.activations < long.activations < 4 * short.activations
    assert short.weights == long.weights and short.logits == long.logits


def test_a_model_that_is_not_here_is_taken_for_the_known_one_nearest_in_size() -> None:
    assert estimate.typical(340_000_000)._replace(parameters=0) == KNOWN[1]._replace(parameters=0)
    needed = [entry.memory.tune_gib for entry in catalogue.entries().values() if entry.id.startswith("qwen3-")][:3]
    assert needed == sorted(needed)


def test_the_starters_config_says_how_small_it_is() -> None:
    config = {"num_hidden_layers": 6, "hidden_size": 256, "intermediate_size": 704, "num_attention_heads": 4}
    own = catalogue.computed(5_000_000, "text", {**config, "vocab_size": 1536})
    assert own.tune_gib < 1.2 < catalogue.computed(5_000_000, "text").tune_gib
