"""The memory estimate: what it is made of, what it says of networks that are not here, and of GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from recipes.models import catalogue, estimate, fitting
from recipes.models.estimate import CUDA, KNOWN, PROCESSOR, Batch, Choices, Estimate, Network, Stack, network_in, tuning
from recipes.models.files import STARTERS
from recipes.models.gpus import find
from recipes.recipe.schema import load_recipe

SMOL = KNOWN["text"][""][0]
SHORT = Batch(rows=8, tokens=128, learned=32)


def llama(width: int, layers: int, vocabulary: int, parameters: int) -> Network:
    return Network(parameters, Stack(layers, width, 3 * width, width // 64), vocabulary)


def siglip(width: int, layers: int, side: int, pieces: int = 1) -> Network:
    tower = Stack(layers, width, 4 * width, width // 64, gated=False)
    text = llama(256, 6, 512, 16_000_000)
    patches = (side // 16) ** 2
    return text._replace(tower=tower, patches=patches, merged=4, pieces=pieces, tower_name="vision_model")


MIB = 2**20
# Peaks of tests/bench/bench_memory.py in MiB (x86-64 with bf16 instructions, one thread, torch 2.11).
PEAKS: list[tuple[Network, Batch, float]] = [
    (llama(256, 6, 512, 4_849_664), Batch(16, 50, 16), 807),
    (llama(256, 6, 512, 4_849_664), Batch(16, 242, 56), 1351),
    (llama(256, 6, 512, 4_849_664), Batch(32, 242, 56), 2186),
    (llama(256, 6, 512, 4_849_664), Batch(8, 1010, 64), 1827),
    (llama(256, 6, 49_152, 17_301_504), Batch(16, 114, 64), 1551),
    (llama(512, 8, 512, 25_427_968), Batch(16, 114, 32), 1560),
    (llama(512, 8, 512, 25_427_968), Batch(16, 242, 56), 2617),
    (siglip(384, 6, 256), Batch(8, 155, 32), 1414),
    (network_in(STARTERS / "starter-vision") or SMOL, Batch(16, 80, 24), 960),
    (network_in(STARTERS / "starter-vision") or SMOL, Batch(48, 80, 24), 1353),
    (network_in(STARTERS / "starter-audio") or SMOL, Batch(16, 28, 24, 4.0), 831),
    (network_in(STARTERS / "starter-audio") or SMOL, Batch(48, 36, 32, 8.0), 1467),
    (KNOWN["audio"][""][0], Batch(8, 36, 32, 5.0), 1262),
    (KNOWN["audio"][""][0], Batch(16, 52, 48, 10.0), 2310),
    (KNOWN["audio"][""][0], Batch(4, 68, 64, 30.0), 1760),
    (KNOWN["audio"][""][1], Batch(8, 52, 48, 6.0), 1864),
]


@pytest.mark.parametrize(("network", "batch", "peak"), PEAKS)
def test_the_estimate_is_within_15_percent_of_real_peaks(network: Network, batch: Batch, peak: float) -> None:
    forked = tuning(network, batch, Choices(16), PROCESSOR).total - estimate.LIBRARY_FILES_BYTES
    assert forked / MIB == pytest.approx(peak, rel=0.15)


# What `smolstudio train … --preflight` measured in the training's own process: 8 rows of 74 and of 243 tokens.
OWN = [
    (SMOL, Batch(8, 74, 3), 2_631_098_368),
    (Network(90_624, Stack(2, 64, 128, 4), 259), Batch(8, 243, 8), 1_074_028_544),
]


@pytest.mark.parametrize(("network", "batch", "measured"), OWN)
def test_the_estimate_is_within_15_percent_of_what_a_training_of_its_own_process_takes(
    network: Network, batch: Batch, measured: int
) -> None:
    assert tuning(network, batch, Choices(16), PROCESSOR).total == pytest.approx(measured, rel=0.15)


def told(network: Network = SMOL, batch: Batch = SHORT, **choices: Any) -> Estimate:
    return tuning(network, batch, Choices(**{"rank": 16, **choices}), PROCESSOR)


def test_rows_of_twice_the_length_keep_more_than_twice_as_much_and_recomputing_little() -> None:
    short, long = told(), told(batch=SHORT._replace(tokens=256))
    assert 2 * short.activations < long.activations < 4 * short.activations
    assert short.weights == long.weights and short.logits == long.logits
    assert told(checkpointing=True).activations < 0.25 * short.activations


def test_pictures_and_seconds_of_speech_cost_what_towers_keep_and_a_tower_without_adapters_hardly_anything() -> None:
    tiles = Batch(2, 500, 32)
    one, five = siglip(768, 12, 256), siglip(768, 12, 256, pieces=5)
    assert told(five, tiles).activations > told(one, tiles).activations + 1.2e9
    assert told(five, tiles, tower=False).activations < told(one, tiles).activations
    whisper = KNOWN["audio"][""][0]
    brief, long = (told(whisper, Batch(8, 40, 32, seconds)).activations for seconds in (10.0, 20.0))
    assert 1.6 * brief < long < 2 * brief


def test_a_gpu_holds_weights_in_4_bits_and_a_card_without_bf16_keeps_twice_as_much() -> None:
    big = KNOWN["text"][""][-1]
    held = tuning(big, SHORT, Choices(16), CUDA)
    table = 2 * big.vocabulary * big.text.width
    assert held.weights < 0.4 * told(big).weights
    assert held.weights == pytest.approx(table + 0.516 * (big.parameters - table / 2), rel=0.05)
    assert tuning(big, SHORT, Choices(16, in_4bit=False), CUDA).weights == 2 * big.parameters
    ada, turing = (fitting.on(find(name)) for name in ("RTX 4090", "T4"))
    assert fitting.parts(big, SHORT, Choices(16), turing).activations == 2 * held.activations
    assert "no bf16 arithmetic (compute capability 7.5" in turing.sentence and "optim.bf16=false" in turing.sentence
    assert "not measured" in ada.sentence and "no bf16" not in ada.sentence


def test_weights_are_held_as_the_recipe_says_and_the_sentence_says_it_too() -> None:
    big = KNOWN["text"][""][-1]
    ada, turing = (fitting.on(find(name)) for name in ("RTX 4090", "T4"))
    rounded, plain = Choices(16, weights="rounded"), Choices(16, in_4bit=False)
    for full in (rounded, plain):
        assert fitting.parts(big, SHORT, full, ada).weights == 2 * big.parameters
        assert "weights in 16 bits, as the recipe says" in ada.sentence_of(full)
    assert ada.sentence_of(Choices(16)) == ada.sentence
    assert "weights in 4 bits" in ada.sentence
    packed = Choices(16, weights="packed")
    assert fitting.parts(big, SHORT, packed, fitting.Room(64.0, PROCESSOR)).weights < big.parameters
    wide = Choices(16, bf16=False)
    assert "activations in 32 bits" in ada.sentence_of(wide) and "set optim" not in turing.sentence_of(wide)


def test_the_verdict_follows_from_the_room() -> None:
    room = fitting.on(find("RTX 3060"))
    assert [fitting.verdict(needed, room) for needed in (8.0, 9.0, 13.0)] == ["fits", "tight", "does not fit"]


def test_a_processor_short_of_memory_packs_the_weights_as_the_training_would() -> None:
    big = KNOWN["text"][""][-1]
    wide, narrow = (fitting.Room(gib, PROCESSOR) for gib in (64.0, 16.0))
    assert fitting.parts(big, SHORT, Choices(16), wide).weights == 2 * big.parameters
    assert fitting.parts(big, SHORT, Choices(16), narrow).weights < big.parameters


def test_a_model_that_is_not_here_is_taken_for_the_known_one_nearest_in_size() -> None:
    assert estimate.typical("", "text", 340_000_000)._replace(parameters=0) == KNOWN["text"][""][1]._replace(
        parameters=0
    )
    needed = [entry.memory.tune_gib for entry in catalogue.entries().values() if entry.id.startswith("qwen3-")][:3]
    assert needed == sorted(needed)
    assert all(entry.memory.tune_gib < 24 for entry in catalogue.entries().values())


def test_a_recipe_that_leaves_the_tower_alone_says_so_by_the_name_that_the_class_gives_it() -> None:
    recipe = load_recipe("smolvlm-256m-instruct")
    smolvlm, qwen = (catalogue.entry(name).network for name in ("smolvlm-256m", "qwen3-vl-2b"))
    assert not catalogue.choices_of(recipe, smolvlm).tower
    assert catalogue.choices_of(recipe, qwen).tower  # its tower is `visual`, which the recipe's expression is not


def test_the_configurations_of_the_starters_say_what_they_are() -> None:
    text, seeing, hearing = (network_in(STARTERS / f"starter-{kind}") for kind in ("text", "vision", "audio"))
    assert text and seeing and hearing and text.tower is None
    assert (seeing.patches, seeing.picture_tokens, seeing.pieces) == (64, 16, 1)
    assert hearing.rate == 25 and hearing.text.crossed and hearing.tower
    assert catalogue.computed(text).tune_gib < 1.2 < catalogue.computed(SMOL).tune_gib
