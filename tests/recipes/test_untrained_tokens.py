"""Tokens that training never met can be told apart, so that tuning can teach them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.models.files import STARTERS, starters
from recipes.starters.making.untrained_tokens import main, separate_vectors, untrained


def table() -> torch.Tensor:
    """200 tokens that were learned, and 50 that were pushed to one place."""
    torch.manual_seed(0)
    known = torch.randn(200, 64)
    return torch.cat([known, 2 * torch.randn(64) + 0.05 * torch.randn(50, 64)])


def test_tokens_in_one_place_get_places_of_their_own_and_no_other_moves() -> None:
    before, after = table(), table()
    assert separate_vectors(after) == 50
    assert torch.equal(after[:200], before[:200])
    alike = torch.nn.functional.normalize(after, dim=1)
    alike = (alike @ alike.T).fill_diagonal_(0)
    assert float(alike.max()) < 0.95
    assert separate_vectors(after) == 0


def test_a_table_whose_tokens_were_all_learned_stays() -> None:
    known = table()[:200]
    assert separate_vectors(known) == 0


def test_the_file_of_weights_is_rewritten_and_everything_else_in_it_stays(tmp_path: Path) -> None:
    weights = {"model.embed_tokens.weight": table(), "model.norm.weight": torch.ones(64)}
    save_file(weights, tmp_path / "model.safetensors")
    main(tmp_path)
    found = load_file(tmp_path / "model.safetensors")
    assert not untrained(found["model.embed_tokens.weight"]).any()
    assert torch.equal(found["model.norm.weight"], weights["model.norm.weight"])


@pytest.mark.parametrize("name", starters())
def test_no_starter_that_ships_takes_two_words_for_one(name: str) -> None:
    tables = [
        weight
        for file in sorted((STARTERS / name).glob("*.safetensors"))
        for key, weight in load_file(file).items()
        if key.endswith("embed_tokens.weight")
    ]
    assert len(tables) == 1
    assert not untrained(tables[0]).any()
