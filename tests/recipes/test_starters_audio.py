"""The audio starter's pool and batches: the same whoever makes them, whole or not there, and within the window."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest

from recipes.starters.audio_data import UNION, sentences
from recipes.starters.making import audio, audio_model, audio_pool
from recipes.starters.making.team import Team
from recipes.starters.making.text_training import Plan
from synth.audio import domains

pytestmark = pytest.mark.slow


def test_shards_are_spoken_side_by_side_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_pool, "SHARD_ROWS", 2)
    audio_pool.build(tmp_path, 3, workers=2)
    rows = audio_pool.load(tmp_path)
    assert [folder.name for folder in sorted(tmp_path.iterdir())] == ["shard-0000", "shard-0001"]
    assert len(rows) == 3
    assert all(row.text and 0 < len(row.mel) <= audio_pool.WINDOW_FRAMES for row in rows)
    assert len({row.text for row in rows}) == 3
    written = (tmp_path / "shard-0000" / "mel.npy").stat().st_mtime_ns
    audio_pool.build(tmp_path, 3)
    assert (tmp_path / "shard-0000" / "mel.npy").stat().st_mtime_ns == written


def test_a_batch_follows_from_seed_and_step_and_fits_window_and_decoder(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    rows = [
        audio_pool.Row((chance.normal(size=(90, 80)) - 3).astype(np.float16), f"Page {n} shows it.", "voice")
        for n in range(12)
    ]
    processor = audio_model.build_processor((row.text for row in rows), tmp_path)
    tokenizer = processor.tokenizer
    first, again, other = (audio_pool.batch(rows, tokenizer, 4, 0, step) for step in (5, 5, 6))
    assert np.array_equal(first.features, again.features)
    assert not np.array_equal(first.features, other.features)
    assert first.features.shape == (4, 80, audio_pool.WINDOW_FRAMES)
    assert first.labels.shape[1] <= 96
    model = audio_model.build_model(tokenizer, encoder_layers=1, decoder_layers=1)
    pair = [audio.AudioTrainer(model, processor, rows, Plan(batch=4), tmp_path, Team(rank, 2)) for rank in (0, 1)]
    for trainer in pair:
        trainer.step = 3
    read = [trainer.batch().features for trainer in pair]
    assert np.array_equal(read[0], other.features), "processes that train together share one stream of batches"
    assert not np.array_equal(read[1], other.features)


def test_growth_preserves_what_the_model_hears_and_says(tmp_path: Path) -> None:
    import torch

    tokenizer = audio_model.build_processor(["Page 4 shows it.", "Nobody moved the cat."], tmp_path).tokenizer
    torch.manual_seed(0)
    small = audio_model.build_model(tokenizer, width=64, encoder_layers=1, decoder_layers=1).eval()
    wide = audio_model.grow(small, tokenizer).eval()
    sounds, ids = torch.randn(2, 80, audio_pool.WINDOW_FRAMES), torch.randint(5, 200, (2, 12))
    with torch.inference_mode():
        said = [model(input_features=sounds, decoder_input_ids=ids).logits for model in (small, wide)]
    torch.testing.assert_close(said[1], said[0], atol=1e-4, rtol=1e-4)
    assert wide.config.d_model == 2 * small.config.d_model


def test_the_large_starter_hears_the_wards_words_in_sentences_that_no_dataset_has() -> None:
    kinds = set()
    forms = {form(pattern) for family in domains.FAMILIES for pattern in family.patterns}
    for text in islice(sentences(Random(0), UNION), 600):
        kinds.update(entity.kind for entity in text.entities)
        if text.family == "ward":
            assert not any(f in form(text.pattern) or form(text.pattern) in f for f in forms)
    assert {"drug", "dose", "reading", "date", "time", "procedure"} <= kinds
    small = {entity.kind for text in islice(sentences(Random(0)), 600) for entity in text.entities}
    assert not small & {"drug", "dose", "reading", "date", "time", "procedure"}


def form(pattern: str) -> str:
    """A pattern without case, stops and the names of its slots."""
    return re.sub(r"\{\w+\}", "_", pattern.lower()).strip(". ")
