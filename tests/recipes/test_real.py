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
from recipes.text import text_dpo, text_sft
from synth.build import build_dataset
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import ModelError
from synth.example import Example, make_example, system, user
from synth.scoring.normalise import normalised
from synth.scoring.speech import edit_count
from synth.workspace import Workspace
from tests.tiny_runs import assert_same_adapter, stop_after

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

# Each team's phrasings: those that are learned, and those that only the test has.
TEAMS = {
    "billing": (
        (
            "I was charged twice for {order}",
            "the invoice for {order} is wrong",
            "my card was debited for {order}",
            "you took too much money for {order}",
            "who explains the fee on {order}?",
        ),
        ("please correct the bill for {order}", "the sum you charged for {order} is too high"),
    ),
    "delivery": (
        (
            "{order} has not arrived",
            "the parcel of {order} was left in the rain",
            "the courier lost {order}",
            "tracking of {order} has not moved",
            "{order} was brought to a wrong house",
        ),
        ("I still wait for the package of {order}", "the driver never came with {order}"),
    ),
    "returns": (
        (
            "I want to send {order} back",
            "how do I return {order}?",
            "no return label came with {order}",
            "please take {order} back",
            "may I swap {order} for another size?",
        ),
        ("I would like to give {order} back", "can I exchange {order}?"),
    ),
    "repairs": (
        (
            "{order} stopped working",
            "{order} makes a strange noise",
            "a part of {order} broke",
            "{order} does not switch on",
            "the screen of {order} is cracked",
        ),
        ("{order} is defective", "can a technician look at {order}?"),
    ),
}
OPENINGS = ("Hello, ", "Hi, ", "Dear team, ", "")
NAMES = ("Ada", "Ben", "Chloe", "Dev", "Edith", "Femi", "Gus", "Hana", "Ines", "Jon", "Kim", "Lars", "Mina", "Noor")
INSTRUCTION = "Reply with JSON: the team (billing, delivery, returns or repairs) and the order."
QUIET = {"torch_compile": "off", "logging_steps": 1, "eval_steps": 0, "early_stopping_patience": 0}
PLAIN = {**QUIET, "load_best_model_at_end": False, "gradient_accumulation_steps": 1, "task": False}


def messages(seed: int, count: int, split: Any) -> list[Example]:
    """Customers' messages, and what is in them as JSON; rejected is the same with another team."""
    chance, rows = random.Random(f"{seed}/{split}"), []
    for number in range(count):
        team = list(TEAMS)[number % len(TEAMS)]
        order = f"{chance.choice('ABCDEF')}{chance.randrange(1_000, 9_999)}"
        wording = chance.choice(TEAMS[team][split == "test"]).format(order=order)
        text = f"{chance.choice(OPENINGS)}{wording} {chance.choice(NAMES)}"
        other = chance.choice([name for name in TEAMS if name != team])
        gold, wrong = (json.dumps({"team": name, "order": order}) for name in (team, other))
        about: dict[str, Any] = {"family": team, "template": team, "scorer": "json", "split": split}
        rows.append(make_example([system(INSTRUCTION), user(text)], gold, answer=gold, rejected=wrong, **about))
    return rows


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Path of a model of the catalogue: the one on this machine, else from its package; skips where it is neither."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("models")

    def path(name: str) -> Path:
        with pytest.MonkeyPatch.context() as own:
            own.delenv(store.ENVIRONMENT, raising=False)
            found = store.find(name)
        if found and found.there and "package" in found.source:
            return found.path
        patch.setenv(store.ENVIRONMENT, str(home))
        try:
            return (store.find(name) or add(name, origin="package")).path
        except ModelError as error:
            if error.code != "model.fetch":
                raise
            pytest.skip(f"The published weights are not tested here: {error.message}")

    yield path
    patch.undo()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the messages, for all tests of SmolLM2: a training costs half a minute."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    folder = workspace.datasets / "orders"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for row in (*messages(0, 160, "train"), *messages(0, 40, "test")):
        writer.keep(row)
    writer.finish(Card(name="orders"))
    return workspace


def text_run(workspace: Workspace, base: Path, recipe: str, run_id: str, **changes: Any) -> Run:
    choices = [f"{key}={str(value).lower()}" for key, value in {**PLAIN, **changes}.items()]
    return Run.create(workspace, load_recipe(recipe, [f"base_model={base}", "dataset=orders", *choices]), run_id)


@pytest.fixture(scope="module")
def tuned(weights: Any, place: Workspace) -> Run:
    """SmolLM2 after 20 steps on the messages."""
    changes = {"max_steps": 20, "learning_rate": 1e-3}
    run = text_run(place, weights("smollm2-135m"), "smollm2-135m-instruct", "sft", **changes)
    text_sft.train(run, run.recipe)
    return run


def replies(base: Path, adapter: Path | None, rows: list[Example], **how: Any) -> list[sampling.Answer]:
    loaded = load_for_inference(str(base), adapter, **how)
    room = sampling.longest_target_tokens(loaded, rows)
    return [given[0] for given in sampling.text_generator(loaded, 1.0, room, 0)(rows, 1)]


def right(given: list[sampling.Answer], rows: list[Example], *keys: str) -> int:
    """In how many replies these keys have the values of the gold object, and nothing else is said."""

    def values(text: str) -> Any:
        try:
            parsed = json.loads(text)
            return [parsed[key] for key in keys]
        except (ValueError, KeyError, TypeError):
            return None

    return sum(values(answer.text) == values(row.target) for answer, row in zip(given, rows, strict=True))


def test_smollm2_learns_from_160_rows_to_reply_in_a_form_that_it_did_not_know_and_ends_its_turns(
    weights: Any, place: Workspace, tuned: Run
) -> None:
    base, rows = weights("smollm2-135m"), list(DatasetDir(place.datasets / "orders").examples("test"))
    sample = (tuned.path / "preflight.json").read_text()
    assert INSTRUCTION in sample and "named SmolLM" not in sample  # the row's own system prompt, not the template's
    before, after = replies(base, None, rows), replies(base, tuned.adapter, rows)
    print(f"orders right before {right(before, rows, 'order')}, after {right(after, rows, 'order')} of {len(rows)}")
    assert all(answer.finished for answer in after)
    assert right(after, rows, "order") >= right(before, rows, "order") + 20  # of 40


def test_preference_tuning_teaches_smollm2_the_team_that_it_got_wrong(
    weights: Any, place: Workspace, tuned: Run
) -> None:
    # Of 40 rows it got 5 more right, which is too few to tell from chance.
    base, rows = weights("smollm2-135m"), messages(7, 120, "test")
    changes = {"adapter": "sft", "max_pairs": 64, "num_train_epochs": 2, "learning_rate": 1e-3, "batch_size": 8}
    run = text_run(place, base, "smollm2-135m-dpo", "dpo", **changes)
    text_dpo.train(run, run.recipe)
    before, after = replies(base, tuned.adapter, rows), replies(base, run.adapter, rows)
    keys = ("team", "order")
    print(f"wholly right before {right(before, rows, *keys)}, after {right(after, rows, *keys)} of {len(rows)}")
    assert all(answer.finished for answer in after)
    assert right(after, rows, *keys) >= right(before, rows, *keys) + 8  # phrasings that were never learned


def test_smollm2_merged_replies_as_with_its_adapter(weights: Any, place: Workspace, tuned: Run) -> None:
    base, rows = weights("smollm2-135m"), list(DatasetDir(place.datasets / "orders").examples("test"))[:8]
    apart, merged = (replies(base, tuned.adapter, rows, merge=merge, dtype=torch.float32) for merge in (False, True))
    assert apart == merged


def test_smollm2_resumes_to_the_same_bits(weights: Any, place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    base = weights("smollm2-135m")
    short = {"max_steps": 4, "batch_size": 2, "save_steps": 2, "bf16": False}
    whole, cut = (text_run(place, base, "smollm2-135m-instruct", name, **short) for name in ("whole", "cut"))

    def train(run: Run) -> None:
        with run.hold():
            text_sft.train(run, run.recipe)

    train(whole)
    train(stop_after(2, cut, train, monkeypatch))
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
        drawn = backend.generate(sounds, backend.encode_batch(sounds), 40, steps)
    assert not forbidden & set(drawn.flatten().tolist())
    together = audio_answers.transcribe(backend, sounds, 60)
    for sound, one in zip(sounds[:2], together, strict=False):
        (alone,) = audio_answers.transcribe(backend, [sound], 60)
        drawn_anew = one.temperature or alone.temperature  # where last digits, which a batch changes, can decide
        assert drawn_anew or alone.text == one.text
    assert all("<|" not in one.text for one in together)


def test_whisper_makes_half_the_mistakes_after_tuning_on_dictation(weights: Any, workspace: Workspace) -> None:
    base = weights("whisper-tiny.en")
    data = build_dataset("audio", {"train": 240, "val": 0, "test": 32, "test_ood": 0}, "notes", workspace)
    choices = ["num_train_epochs=2", "torch_compile=off", "eval_steps=0", "data.dataset=notes", f"base_model={base}"]
    run = Run.create(workspace, load_recipe("whisper-tiny-en", choices), "notes")
    before = word_error_rate(base, None, data)
    audio_sft.train(run, run.recipe)
    after = word_error_rate(base, run.adapter, data)
    print(f"word error rate before {before:.1%}, after {after:.1%}")
    assert after < before / 2
