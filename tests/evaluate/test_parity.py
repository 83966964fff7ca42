"""evaluate.parity: an export that answers otherwise than the tuned model is not kept, and says where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from evaluate import parity
from evaluate.parity import parity_gate
from evaluate.predict import local_text
from evaluate.predict.prediction import Prediction
from evaluate.predict.prompts import Question
from evaluate.stats.intervals import mean_score
from recipes.export import exporter, gguf_model, merged, targets
from recipes.export.exporter import Artefact, Exporter, Reply, Tuned
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.build import build_dataset
from synth.dataset import Card, DatasetWriter
from synth.errors import ModelError
from synth.example import make_example, user
from synth.scoring.names import MATH
from synth.workspace import Workspace
from tests.tiny_runs import nudged

pytestmark = pytest.mark.slow
ROWS, FEW = 200, 24


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A run of starter-text on sums that it mostly knows."""
    place = Workspace(tmp_path_factory.mktemp("parity"))
    folder = place.datasets / "sums"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number in range(12, 12 + 2 * ROWS):
        total = f"{number} + 30 = {number + 30}\nAnswer: {number + 30}"
        question, split = [user(f"What is {number} + 30?")], "test" if number % 2 else "train"
        writer.keep(
            make_example(
                question, total, family="sums", template="t", answer=str(number + 30), scorer=MATH, split=split
            )
        )
    writer.finish(Card(name="sums"))
    recipe = {"base_model": "starter-text", "data": {"dataset": "sums"}}
    nudged(recipe, Run.create(place, load_recipe(recipe), "run-1"))
    return place


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())["parity"]
    return found


@pytest.mark.parametrize(("to", "artefacts"), [("merged", 2), ("adapter", 1), ("gguf", 3), ("onnx", 2)])
def test_every_export_of_a_text_model_answers_as_the_run_did(
    place: Workspace, tmp_path: Path, to: str, artefacts: int
) -> None:
    out = targets.export_run("run-1", place.runs, tmp_path / "out", to, parity_gate(place, ROWS))
    found = manifest(out)["artefacts"]
    assert len(found) == artefacts
    for one in found:
        assert (
            one["rows"] == ROWS
            and one["split"] == "test"
            and one["handed_over"] == ("published" not in one["artefact"])
        )
        assert one["score_exported"] >= one["score_low"]
        if one["artefact"] in ("f16", "adapter", "bfloat16", "float32"):
            assert one["equal"] >= 0.99 * ROWS
    assert manifest(out)["said"][0] in (out / "README.md").read_text()
    assert exporter.verify(out) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda template: "Please: " + template, r"as \d+ tokens .* the model was tuned on \d+\. Nothing was kept"),
        (
            lambda template: template.replace("<|im_start|>", "<|im_end|>"),
            r"inside the file, and other ones from token 1 on",
        ),
    ],
)
def test_a_file_whose_chat_template_reads_otherwise_is_not_kept(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: Callable[[str], str], said: str
) -> None:
    """Also where it makes as many tokens of a row, but other ones."""
    monkeypatch.setattr(gguf_model, "plain_template", changed)
    with pytest.raises(ModelError, match=said):
        targets.export_run("run-1", place.runs, tmp_path / "out", "gguf", parity_gate(place, 2))
    assert list(tmp_path.iterdir()) == []


def test_merging_into_the_unrounded_base_is_measured_and_shown_and_is_not_what_is_handed_over(
    place: Workspace, tmp_path: Path
) -> None:
    found = targets.tuned("run-1", place.runs)
    other = merged.unrounded(found).model.state_dict()
    out = targets.export_run("run-1", place.runs, tmp_path / "out", "merged", parity_gate(place, FEW))
    assert not merged.artefacts(found, out)[0].exact, "bfloat16 turns near ties within long answers"
    kept = load_file(out / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    assert (kept[name].float() - other[name]).norm() > 0.02 * other[name].norm()  # NF4 rounds by more than float16
    assert torch.equal(kept["model.norm.weight"].float(), other["model.norm.weight"].to(kept[name].dtype).float())
    said = manifest(out)["said"]
    assert len(said) == 2
    assert said[1].startswith("Not handed over, asked for comparison only: adapter merged into the base as published: ")
    assert said[1] in (out / "README.md").read_text()


def test_what_is_asked_for_comparison_only_refuses_nothing(place: Workspace, tmp_path: Path) -> None:
    found = targets.tuned("run-1", place.runs)
    nonsense = Artefact(
        "toy", True, "toy runtime", opened=lambda schema: lambda prompts, most: map(Reply, "-" * len(prompts))
    )
    beside = toy(right(), exact=False)._replace(artefacts=lambda tuned, folder: [nonsense._replace(handed_over=False)])
    exporter.export(beside, found, tmp_path / "out", parity_gate(place, 4))
    assert manifest(tmp_path / "out")["artefacts"][0]["equal"] == 0


def toy(answers: Callable[[Sequence[Any], int], list[str]], exact: bool) -> Exporter:
    def write(tuned: Tuned, folder: Path, name: str) -> str:
        (folder / "model.bin").write_bytes(b"weights")
        return "toy"

    def said(prompts: Sequence[Any], most: int) -> Iterator[Reply]:
        return map(Reply, answers(prompts, most))

    def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
        return [Artefact("toy", exact, "toy runtime", opened=lambda schema: said)]

    return Exporter("toy", "a toy", lambda ref: "", lambda tuned: 1, write, lambda name, facts: name, artefacts)


def right(extra: str = "") -> Callable[[Sequence[Any], int], list[str]]:
    """Answers that are right, in other words than the tuned model's where there is something `extra`."""

    def answers(prompts: Sequence[Any], most: int) -> list[str]:
        from recipes.models.files import resolve
        from recipes.models.loading import load_processor

        tokenizer = load_processor(resolve("starter-text"))
        numbers = [int(tokenizer.decode(ids).split("What is ")[1].split(" +")[0]) for ids in prompts]
        return [f"{n} + 30 = {n + 30}{extra}\nAnswer: {n + 30}" for n in numbers]

    return answers


def test_an_export_that_answers_nonsense_is_not_kept_and_says_where(place: Workspace, tmp_path: Path) -> None:
    found = targets.tuned("run-1", place.runs)
    wrong = toy(lambda prompts, most: ["Answer: 7"] * len(prompts), exact=False)
    with pytest.raises(ModelError, match=r"otherwise.*0 of 24 answers equal in toy runtime.*became 'Answer: 7'"):
        exporter.export(wrong, found, tmp_path / "out", parity_gate(place, FEW))
    assert list(tmp_path.iterdir()) == []


def test_other_words_are_allowed_to_what_is_rounded_and_not_to_what_is_exact(place: Workspace, tmp_path: Path) -> None:
    found = targets.tuned("run-1", place.runs)
    exporter.export(toy(right(" "), exact=False), found, tmp_path / "rounded", parity_gate(place, FEW))
    assert manifest(tmp_path / "rounded")["artefacts"][0]["equal"] == 0
    with pytest.raises(ModelError, match="answers otherwise"):
        exporter.export(toy(right(" "), exact=True), found, tmp_path / "exact", parity_gate(place, FEW))


def test_an_exact_export_may_part_at_near_ties_only(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One other answer of 40 leaves room for 99 % equal ones, two do not; near ties do not count, however many."""
    found = targets.tuned("run-1", place.runs)
    original = load_for_inference(found.ref, found.adapter, torch.float32)
    _, expected = parity.answered(original, parity.drawn(original, Run(place.runs / "run-1").dataset(), parity.ROWS))

    def toy_with(wrong: int) -> Exporter:
        return toy(lambda prompts, most: ["Answer: 7"] * wrong + expected[wrong:], exact=True)

    monkeypatch.setattr(parity, "mean_score", lambda scores: mean_score(scores)._replace(low=0.1))
    exporter.export(toy_with(1), found, tmp_path / "one", parity_gate(place))
    with pytest.raises(ModelError, match="38 of 40 answers equal in toy runtime"):
        exporter.export(toy_with(2), found, tmp_path / "two", parity_gate(place))
    monkeypatch.setattr(parity, "NEAR_TIE", 1e9)
    exporter.export(toy_with(20), found, tmp_path / "ties", parity_gate(place))
    assert "20 of 40 answers equal (20 more part at a near tie)" in (tmp_path / "ties/README.md").read_text()


def test_a_near_tie_is_read_off_the_tuned_model(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the gap between the tokens where two answers part, given all that stands before; an early end is a token."""
    found = targets.tuned("run-1", place.runs)
    original = load_for_inference(found.ref, found.adapter, torch.float32)
    (prompt,) = local_text.tokenise(original, [Question("a", (user("What is 50 + 30?"),), place.path)])
    start = original.tokenizer("50 + 30 =", add_special_tokens=False).input_ids
    with torch.inference_mode():
        scores = original.model(torch.tensor([[*prompt, *start]])).logits[0, -1]
    first, end = (int(scores.argmax()), original.tokenizer.eos_token_id)
    whole, gap = original.tokenizer.decode([*start, first]), float(scores[first] - scores[end])
    for nearest, near in ((gap + 1e-3, True), (gap - 1e-3, False)):
        monkeypatch.setattr(parity, "NEAR_TIE", nearest)
        assert parity.part_at_near_tie(original, prompt, whole, "50 + 30 =") is near


def test_without_rows_or_a_runtime_the_export_says_that_nobody_asked_it(place: Workspace, tmp_path: Path) -> None:
    found = targets.tuned("run-1", place.runs)
    silent = toy(right(), exact=True)._replace(artefacts=lambda tuned, folder: [])
    exporter.export(silent, found, tmp_path / "silent", parity_gate(place))
    assert "no program that reads this format" in manifest(tmp_path / "silent")["said"][0]
    exporter.export(toy(right(), exact=True), found._replace(run="gone"), tmp_path / "gone", parity_gate(place))
    assert "Not asked whether it answers as the tuned model: " in (tmp_path / "gone/README.md").read_text()


def test_rows_that_the_tuned_model_cannot_read_or_gets_wrong_do_not_vouch_for_an_export(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = targets.tuned("run-1", place.runs)
    echo = toy(lambda prompts, most: ["Answer: 7"] * len(prompts), exact=False)
    real = local_text.answer

    def says(**changes: Any) -> Callable[..., Iterator[Prediction]]:
        return lambda *given: (one.model_copy(update=changes) for one in real(*given))

    monkeypatch.setattr(local_text, "answer", says(text="Answer: 7"))
    exporter.export(echo, found, tmp_path / "wrong", parity_gate(place, 4))
    assert manifest(tmp_path / "wrong")["said"][0].endswith("So low a score could not show a loss.")
    monkeypatch.setattr(local_text, "answer", says(text=None, error="unreadable"))
    exporter.export(echo, found, tmp_path / "mute", parity_gate(place, 4))
    assert "answered none of the rows" in manifest(tmp_path / "mute")["said"][0]


@pytest.mark.parametrize(("to", "kinds"), [("ctranslate2", ["float16", "int8"]), ("onnx", ["float32", "int8"])])
def test_a_tuned_whisper_answers_in_other_runtimes_as_it_did_here(tmp_path: Path, to: str, kinds: list[str]) -> None:
    place = Workspace(tmp_path)
    build_dataset("audio", {"train": 8, "val": 0, "test": 8, "test_ood": 0, "silence_share": 0}, "ward", place)
    recipe = {"method": "audio_sft", "base_model": "starter-audio-large", "data": {"dataset": "ward"}}
    nudged(recipe, Run.create(place, load_recipe(recipe), "run-1"))
    out = targets.export_run("run-1", place.runs, tmp_path / "out", to, parity_gate(place))
    exact, rounded = manifest(out)["artefacts"]
    assert [exact["artefact"], rounded["artefact"]] == kinds
    assert exact["equal"] == exact["rows"] == 8
    files = {file.relative_to(out).as_posix() for file in out.rglob("*")}
    graphs = [f"onnx/{part}{kind}.onnx" for part in ("encoder_model", "decoder_model_merged") for kind in ("", "_int8")]
    inside = ["model.bin", "config.json", "tokenizer.json", "preprocessor_config.json"]
    expected = {
        "ctranslate2": [f"int8/{name}" for name in inside],
        "onnx": [*graphs, "preprocessor_config.json", "generation_config.json", "tokenizer.json"],
    }
    assert files >= set(expected[to])
