"""GPUs by the names that people give them."""

from __future__ import annotations

import pytest

from recipes.models.gpus import find, gib_of, named, names
from synth.errors import ModelError


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("4090", "RTX 4090 (24 GiB)"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090 (24 GiB)"),
        ("rtx4090 24GB", "RTX 4090 (24 GiB)"),
        ("RTX 4090 Laptop GPU", "RTX 4090 Laptop (16 GiB)"),
        ("3060ti", "RTX 3060 Ti (8 GiB)"),
        ("4060 Ti 16 GB", "RTX 4060 Ti (16 GiB)"),
        ("a100-80gb", "A100 (80 GiB)"),
        ("NVIDIA A100-SXM4-40GB", "A100 (40 GiB)"),
        ("NVIDIA H100 80GB HBM3", "H100 (80 GiB)"),
        ("Tesla T4 16GB", "T4 (15 GiB)"),
        ("L4 24GB", "L4 (22 GiB)"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada (48 GiB)"),
        ("rtx a6000", "RTX A6000 (48 GiB)"),
        ("24GiB", "a GPU (24 GiB)"),
        ("24576 MiB", "a GPU (24 GiB)"),
        ("24 GB", "a GPU (22.4 GiB)"),
    ],
)
def test_a_card_is_found_by_any_usual_name(said: str, meant: str) -> None:
    assert named(said).label == meant


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("RX 7900 XTX", "No GPU 'RX 7900 XTX' is known here"),
        ("RTX 4091", r"did you mean 'RTX 4090'\?"),
        ("", "No GPU ''"),
        ("A100", "comes with 40 or 80 GiB"),
        ("RTX 4090 48GB", "has 24 GiB here, not 48"),
    ],
)
def test_another_name_is_answered_with_how_to_say_it(said: str, answer: str) -> None:
    with pytest.raises(ModelError, match=answer) as refused:
        find(said)
    assert refused.value.code == "model.gpu" and (
        "--memory 24GiB" in refused.value.remedy or "80GB" in refused.value.remedy
    )


@pytest.mark.parametrize("said", ["1070", "980", "1660", "4050", "24576"])
def test_a_number_beyond_any_memory_is_a_card_that_is_not_known_and_not_so_many_gib(said: str) -> None:
    with pytest.raises(ModelError, match=f"No GPU '{said}' is known here"):
        named(said)


def test_every_name_that_is_offered_is_known_and_memory_is_read_in_both_units() -> None:
    assert all(find(name) for name in names()) and len(names()) == len(set(names()))
    assert gib_of("24 GB") == pytest.approx(22.35, abs=0.01)
    for wrong in ("much", "0", "-3", "24 bananas", "24576", "1070"):
        with pytest.raises(ModelError, match="no amount of memory"):
            gib_of(wrong)
