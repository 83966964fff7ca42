"""The vision starter's making: what it is shown, that packing and the real processor agree, that a state goes on."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from recipes.starters import vision_data
from recipes.starters.making.text_model import Shape, export, new_model
from recipes.starters.making.text_tokenizer import starter_tokenizer
from recipes.starters.making.text_training import Plan
from recipes.starters.making.vision import answers, tally
from recipes.starters.making.vision_model import IMAGE_TOKENS, Tower, build, grow, load_tower
from recipes.starters.making.vision_model import export as export_vision
from recipes.starters.making.vision_tower import FIRST, SECOND, TowerTrainer, collate, make_reader, measure_and_save
from recipes.starters.making.vision_training import VisionTrainer, encode, pack, pictured_loss
from recipes.starters.scratch import media_file, scratch
from recipes.starters.vision_data import FAMILIES, UNION, examples, rows
from synth.vision.candidates import sample_picture
from synth.vision.canvas import COLOURS

TINY = Tower(width=48, layers=1, heads=2, inner=64)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return starter_tokenizer()


@pytest.fixture(scope="module")
def whole(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A tiny starter on a tiny text starter, and the text starter's folder."""
    folder = tmp_path_factory.mktemp("text") / "model"
    export(new_model(Shape(width=64, layers=1, heads=1, kv_heads=1, inner=64), tokenizer, 0), tokenizer, folder)
    model, processor = build(folder, tower=TINY)
    model.set_attn_implementation("eager")
    return model, processor, folder


def test_the_stream_shows_only_the_starters_families_and_never_sideways_bars() -> None:
    stream = rows(Random(3), 0.3)
    drawn = [next(stream) for _ in range(150)]
    assert {row.family for row in drawn} == set(FAMILIES)
    assert "hbar" not in FAMILIES
    assert 20 < sum(len(row.turns) == 1 and "Answer" not in row.turns[0][1] for row in drawn) < 80
    assert any(len(row.turns) == 1 + vision_data.MORE_QUESTIONS for row in drawn)


def test_the_large_starter_is_asked_about_other_pictures_in_words_of_its_own() -> None:
    from synth.vision.chart_questions import ASKERS
    from synth.vision.scene import Rejected

    asked: dict[str, set[str]] = {}
    generators: set[str] = set()
    for row in islice(rows(Random(4), 0.0, UNION), 250):
        asked.setdefault(row.family, set()).update(plain(question) for question, _ in row.turns)
    for number in range(150):
        picture = sample_picture(vision_data.spec(kinds=("hbar", "line", "pie")), "test", number)
        for op in picture.scene.ops():
            with suppress(Rejected):
                generators.add(plain(ASKERS[op](picture.scene, picture.rng).text))
    assert set(asked) == set(UNION)
    for kind in set(UNION) - set(FAMILIES):
        assert not asked[kind] & generators
    assert asked["bar"] & generators, "bars are asked about in the generator's words, so the two can be told apart"


def plain(question: str) -> str:
    """The form of a question: colours and numbers left out."""
    colours = "|".join(COLOURS)
    return re.sub(rf"\b({colours}|\d+)\b", "_", question.lower())


def test_growth_preserves_what_the_model_sees_and_says(whole: tuple[Any, Any, Path]) -> None:
    small = whole[0].eval()
    wide = grow(small).eval()
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 1500, (2, 40), generator=chance)
    ids[:, 3 : 3 + IMAGE_TOKENS] = small.config.image_token_id
    pixels = torch.randn(2, 1, 3, vision_data.SIZE, vision_data.SIZE, generator=chance)
    with torch.inference_mode():
        said = [model(input_ids=ids, pixel_values=pixels).logits for model in (small, wide)]
    torch.testing.assert_close(said[1], said[0], atol=1e-4, rtol=1e-4)
    assert sum(p.numel() for p in wide.parameters()) > 2 * sum(p.numel() for p in small.parameters())


def test_examples_repeat_by_seed_and_lie_in_the_scratch_folder() -> None:
    first, again = (list(examples(5, 12, ["shapes"])) for _ in range(2))
    assert first == again
    assert {e.family for e in first} == {"shapes"}
    for example in first:
        assert media_file(None, example.prompt[0].content[0].path).is_relative_to(scratch().resolve())  # type: ignore[union-attr]
    with pytest.raises(KeyError):
        list(examples(5, 2, ["receipt"]))


def test_every_transcription_fits_the_reading_head() -> None:
    stream = rows(Random(4), 1.0)
    read = collate([next(stream) for _ in range(80)])
    assert read.pixels.shape == (80, 3, 128, 128)
    assert bool((read.first[:, 0] > 0).all())
    assert int(read.first.max()) < len(FIRST)
    assert int(read.second.max()) < len(SECOND)


def test_the_language_half_is_the_text_starters(whole: tuple[Any, Any, Path]) -> None:
    from transformers import AutoModelForCausalLM

    model, processor, folder = whole
    text = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ours = model.model.text_model
    for name, value in text.model.state_dict().items():
        mine = ours.state_dict()[name]
        assert torch.equal(mine[: value.shape[0]], value), name
    assert len(processor.tokenizer) > text.config.vocab_size
    assert model.lm_head.weight.data_ptr() == ours.embed_tokens.weight.data_ptr()


def test_packed_loss_equals_the_models_own_on_each_row(whole: tuple[Any, Any, Path]) -> None:
    model, processor, _ = whole
    stream = rows(Random(6), 0.5)
    token = model.config.image_token_id
    batch = pack(processor.tokenizer, stream, 2, 700, token, 12)
    drawn = rows(Random(6), 0.5)
    total, count = 0.0, 0
    seen = int((batch.pixels.abs().sum((1, 2, 3)) > 0).sum())
    assert int((batch.places < batch.ids.numel()).sum()) == seen * IMAGE_TOKENS
    with torch.no_grad():
        packed = float(pictured_loss(model, batch))
        placed = 0
        while placed < seen:
            row = next(drawn)
            document = encode(processor.tokenizer, [row])[0]
            ids = torch.tensor([document.ids])
            labels = torch.where(torch.tensor([document.replied]), ids, -100)
            if not bool((batch.ids.flatten().unfold(0, ids.shape[1], 1) == ids).all(1).any()):
                continue  # it did not fit into a line
            inputs = processor.image_processor([[row.image]], return_tensors="pt")
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels, **inputs)
            learned = int((labels[:, 1:] != -100).sum())
            total, count, placed = total + float(out.loss) * learned, count + learned, placed + 1
    assert packed == pytest.approx(total / count, rel=1e-4)


def test_training_ids_equal_the_processors(whole: tuple[Any, Any, Path]) -> None:
    _, processor, _ = whole
    row = next(rows(Random(8), 0.0))
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row.turns[0][0]}]}]
    prompt = processor.apply_chat_template(chat, add_generation_prompt=True)
    theirs = processor(text=[prompt], images=[[row.image]])["input_ids"][0]
    ours = encode(processor.tokenizer, [row])[0]
    assert ours.ids[: len(theirs)] == list(theirs)
    assert not any(ours.replied[: len(theirs)])
    assert ours.replied[len(theirs)]


def test_a_starter_answers_again_after_saving_and_loading(whole: tuple[Any, Any, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, processor, _ = whole
    export_vision(model.to(torch.bfloat16).float(), processor, tmp_path / "model")
    asked = list(examples(1, 3))
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype=torch.float32)
    before = answers(model.eval(), processor, asked, max_new_tokens=6)
    assert answers(loaded.eval(), AutoProcessor.from_pretrained(tmp_path / "model"), asked, max_new_tokens=6) == before
    assert set(tally(asked, [e.target for e in asked]).values()) == {(1.0, 1.0)}


@pytest.mark.slow
def test_tower_training_goes_on_from_its_state_as_if_never_stopped(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trainer(out: str, steps: int) -> TowerTrainer:
        whole, _ = build(None, tokenizer, tower=TINY)
        inner = whole.model
        reader = make_reader(inner.vision_model, inner.connector, inner.config.text_config.hidden_size)
        plan = Plan(steps=steps, batch=4, compile=False, log_every=1, warmup=2)
        return TowerTrainer(reader, None, None, plan, tmp_path / out)  # type: ignore[arg-type]

    def cut(stopped: TowerTrainer) -> Any:
        if stopped.step == 2:
            stopped.save()
            raise KeyboardInterrupt
        return TowerTrainer.batch(stopped)

    through = trainer("a", 4)
    through.run(lambda _: None)
    stopped = trainer("b", 4)
    monkeypatch.setattr(stopped, "batch", lambda: cut(stopped))
    with pytest.raises(KeyboardInterrupt):
        stopped.run(lambda _: None)
    resumed = trainer("b", 4)
    assert resumed.resume()
    resumed.run(measure_and_save)
    ours = resumed.model.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in through.model.state_dict().items())
    fresh, _ = build(None, tokenizer, tower=TINY)
    load_tower(fresh, tmp_path / "b" / "tower.safetensors")
    kept = ours["vision_model.embeddings.patch_embedding.weight"]
    assert torch.equal(fresh.model.vision_model.embeddings.patch_embedding.weight, kept)


@pytest.mark.slow
def test_whole_model_training_moves_every_tensor(tokenizer: Any, tmp_path: Path) -> None:
    model, processor = build(None, tokenizer, tower=TINY)
    model.set_attn_implementation("eager")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    plan = Plan(steps=2, batch=2, length=512, compile=False, log_every=1, warmup=1)
    VisionTrainer(model, processor, plan, tmp_path, slots=6).run(lambda _: None)
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert still == []


@pytest.mark.slow
def test_the_shipped_starter_reads_and_answers_nine_of_ten_unseen_pictures() -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from recipes.models.files import resolve

    folder = resolve("starter-vision").path
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    asked = list(examples(11, 60))
    replies = answers(model, AutoProcessor.from_pretrained(folder), asked)
    right = sum(reply.rpartition("Answer: ")[2].strip() == e.answer for e, reply in zip(asked, replies, strict=True))
    assert right >= 54
