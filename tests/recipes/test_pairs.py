"""Pairs as tokens: what of two answers is compared, for text and for pictures, and the loss that TRL is asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from recipes.models.loaded import Loaded
from recipes.recipe.options import Dpo
from recipes.recipe.schema import load_recipe
from recipes.text import text_dpo
from recipes.train.pairs import compares_first_difference, first_difference, trl_options
from recipes.train.rows import IGNORED
from recipes.vision import vision_dpo
from synth.errors import RecipeError
from synth.example import make_example, user
from synth.workspace import Workspace
from tests.tiny import tiny_tokenizer
from tests.tiny_vision import picture_dataset, tiny_processor

RIGHT, WRONG = "2 * 3 = 6\n6 + 1 = 7\nAnswer: 7", "2 * 3 = 6\n6 + 1 = 8\nAnswer: 8"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_answers_are_compared_up_to_the_first_line_in_which_they_differ(tokenizer) -> None:  # type: ignore[no-untyped-def]
    def cut(chosen: str, rejected: str) -> list[str]:
        ids = [tokenizer(text)["input_ids"] for text in (chosen, rejected)]
        return [tokenizer.decode(part) for part in first_difference(*ids, tokenizer)]

    assert cut(RIGHT, WRONG) == ["2 * 3 = 6\n6 + 1 = 7\n", "2 * 3 = 6\n6 + 1 = 8\n"]
    assert cut("Answer: 7", "Answer: 8") == ["Answer: 7", "Answer: 8"]
    assert cut("Answer: 7", "Answer: 7\nor 8") == ["Answer: 7", "Answer: 7\n"]


def test_text_pairs_carry_no_loss_on_the_prompt_and_end_at_the_mistake(tokenizer) -> None:  # type: ignore[no-untyped-def]
    example = make_example([user("How many?")], RIGHT, rejected=WRONG, family="f", template="t", scorer="math")
    work = SimpleNamespace(loaded=SimpleNamespace(tokenizer=tokenizer))
    (pair,) = text_dpo.encode([example], work)  # type: ignore[arg-type]
    assert tokenizer.decode(pair.prompt_ids).endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(pair.rejected_ids) == "2 * 3 = 6\n6 + 1 = 8\n"
    for row in pair.as_tuning():
        assert row.labels.count(IGNORED) == len(pair.prompt_ids)
        assert len(row.input_ids) <= pair.longest


def test_pairs_about_pictures_end_at_the_mistake_too(workspace: Workspace) -> None:
    dataset = picture_dataset(workspace, rows=1)
    (example,) = dataset.examples("train")
    processor = tiny_processor("SmolVLM")
    loaded = Loaded(None, processor, None)  # type: ignore[arg-type]
    pair_of = example.model_copy(update={"target": RIGHT, "rejected": WRONG})
    (pair,) = vision_dpo.encode([pair_of], SimpleNamespace(loaded=loaded), dataset)  # type: ignore[arg-type]
    assert processor.tokenizer.decode(pair.rejected_ids).strip() == "2 * 3 = 6\n6 + 1 = 8"
    assert "Answer" not in processor.tokenizer.decode(pair.chosen_ids)
    assert [Path(file).parent.name for file in pair.pictures] == ["media"]


def test_the_loss_is_what_the_recipe_says() -> None:
    plain = trl_options(Dpo())
    assert (plain["loss_type"], plain["loss_weights"], plain["precompute_ref_log_probs"]) == (["sigmoid"], [1.0], True)
    mixed = trl_options(Dpo(loss_type="ipo", sft_weight=0.2))
    assert (mixed["loss_type"], mixed["loss_weights"]) == (["ipo", "sft"], [1.0, 0.2])
    smoothed = trl_options(Dpo(label_smoothing=0.1))
    assert smoothed["loss_type"] == ["robust"], "TRL's sigmoid loss would leave the smoothing out"
    with pytest.raises(RecipeError, match="label_smoothing has no meaning with the ipo loss"):
        load_recipe({"base_model": "b", "dpo": {"loss_type": "ipo", "label_smoothing": 0.1}})


def test_the_whole_answers_of_peoples_own_pairs_are_compared(tokenizer) -> None:  # type: ignore[no-untyped-def]
    example = make_example([user("How many?")], RIGHT, rejected=WRONG, family="f", template="t", scorer="math")
    work = SimpleNamespace(loaded=SimpleNamespace(tokenizer=tokenizer))
    (pair,) = text_dpo.encode([example], work, cut=compares_first_difference(Dpo(), mined=False))  # type: ignore[arg-type]
    assert tokenizer.decode(pair.chosen_ids) == f"{RIGHT}<|im_end|>"
    assert tokenizer.decode(pair.rejected_ids) == f"{WRONG}<|im_end|>"
    assert compares_first_difference(Dpo(), mined=True)
    assert compares_first_difference(Dpo(compare="first_difference"), mined=False)
    assert not compares_first_difference(Dpo(compare="whole"), mined=True)
