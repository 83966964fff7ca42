"""Claims about what a plan would cost before it is run."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from evaluate import forecast
from evaluate.choosing import WRITTEN_TOKENS
from evaluate.compare import run_comparison
from evaluate.plan import Plan, SystemPlan
from evaluate.predict.prompts import Prompter, Question
from evaluate.predict.systems import Context, open_system
from studio.stub.endpoint import serve_in_thread
from synth.dataset import Card, DatasetWriter, open_dataset
from synth.errors import DataError
from synth.example import AudioPart, Example, ImagePart, make_example, user
from synth.storage import sha256_file
from synth.task import TaskCard
from synth.workspace import Workspace


def new_dataset(workspace: Workspace) -> DatasetWriter:
    folder = workspace.datasets / "sums"
    folder.mkdir(parents=True)
    return DatasetWriter(folder)


def text_dataset(workspace: Workspace, rows: int) -> None:
    writer = new_dataset(workspace)
    for i in range(rows):
        split = "train" if i % 2 else "test"
        writer.keep(
            make_example([user("x" * 400 + str(i))], "y" * 39, answer="4", split=split, family="f", template="t")
        )
    writer.finish(Card(name="sums"))


def plan(model: str, **options: object) -> Plan:
    endpoint = SystemPlan(id="big", kind="endpoint", model=model, base_url="http://127.0.0.1:9/v1", **options)  # type: ignore[arg-type]
    return Plan(dataset="sums", splits=("test",), systems=(endpoint, SystemPlan(id="own", model="starter-text")))


def test_only_endpoints_are_estimated_from_the_length_of_their_prompts(workspace: Workspace) -> None:
    text_dataset(workspace, 20)
    (found,) = forecast.estimate(plan("gpt-4o-mini"), workspace)
    assert (found.system, found.requests, found.note) == ("big", 10, "")
    by_hand = 10 * 1.01 * (105 * 0.15 + 11 * 0.60) / 1e6  # 401 characters and wrapping; 39 characters and an end
    assert found.usd == pytest.approx(by_hand, rel=0.01)


@pytest.mark.slow
def test_the_forecast_draws_the_rows_that_the_comparison_draws(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_dataset(workspace, 40)
    asked: list[str] = []
    question = Prompter.question

    def noted(self: Prompter, example: Example) -> Question:
        asked.append(example.id)
        return question(self, example)

    monkeypatch.setattr(Prompter, "question", noted)
    with serve_in_thread() as stub:
        system = SystemPlan(id="big", kind="endpoint", model="gpt-4o-mini", base_url=stub.base_url)
        drawn = Plan(dataset="sums", splits=("test",), systems=(system,), max_rows=5, speed_rounds=0)
        forecast.estimate(drawn, workspace)
        expected = sorted(asked)
        asked.clear()
        run_comparison(drawn, workspace)
    assert sorted(set(asked)) == expected, "each as often as it is looked at"
    assert len(expected) == 5


def test_examples_in_the_prompt_make_it_dearer(workspace: Workspace) -> None:
    text_dataset(workspace, 20)
    (plain,) = forecast.estimate(plan("gpt-4o-mini"), workspace)
    (shown,) = forecast.estimate(plan("gpt-4o-mini", prompting="few_shot", shots=4), workspace)
    assert (shown.usage.input_tokens or 0) > 4 * (plain.usage.input_tokens or 0)


def test_an_unknown_model_is_unpriced(workspace: Workspace) -> None:
    text_dataset(workspace, 4)
    (found,) = forecast.estimate(plan("frontier-9"), workspace)
    assert found.usd is None
    assert "unpriced: frontier-9" in found.note


def picture_dataset(workspace: Workspace, folder: Path) -> Path:
    writer = new_dataset(workspace)
    file = folder / "a.png"
    Image.new("RGB", (512, 512)).save(file)
    path = writer.add_media(file.read_bytes(), ".png")
    picture = ImagePart(path=path, sha256=sha256_file(file))
    writer.keep(make_example([user("What?", picture)], "red", answer="red", split="test", family="f", template="t"))
    writer.finish(Card(name="sums"))
    return workspace.datasets / "sums" / path


def test_pictures_count_by_the_formula_of_their_model(workspace: Workspace, tmp_path: Path) -> None:
    picture_dataset(workspace, tmp_path)
    (found,) = forecast.estimate(plan("gpt-4o"), workspace)
    assert found.usage.image_tokens == round(255 * 1.01)
    (unknown,) = forecast.estimate(plan("claude-opus-5"), workspace)
    assert unknown.usd is None
    assert "no token formula" in unknown.note


def test_a_transcription_is_paid_by_the_row_s_own_recording_alone(workspace: Workspace, tmp_path: Path) -> None:
    writer = new_dataset(workspace)
    for number, split in enumerate(("train", "train", "test")):
        soundfile.write(tmp_path / "a.wav", np.full(16_000 * 6, number / 10), 16_000)
        path = writer.add_media((tmp_path / "a.wav").read_bytes(), ".wav")
        part = AudioPart(path=path, sha256=sha256_file(tmp_path / "a.wav"))
        writer.keep(make_example([user(part)], "hello", answer="hello", split=split, family="f", template="t"))
    writer.finish(Card(name="sums", modality="audio"))
    asked = plan("whisper-1", prompting="few_shot", shots=2)
    (found,) = forecast.estimate(asked, workspace)
    assert found.usd == pytest.approx(1.01 * 0.1 * 0.006)
    with serve_in_thread() as stub:
        system = asked.systems[0].model_copy(update={"base_url": stub.base_url})
        dataset = open_dataset("sums", workspace.datasets)
        prompter = Prompter(system, list(dataset.examples("train")), 0, dataset.path)
        question = prompter.question(next(dataset.examples("test")))
        made = open_system(system, Context(workspace))
        (prediction,) = made.answer([question], lambda: False)
        made.close()
    assert len(question.messages) == 5
    assert prediction.usage.audio_sec == pytest.approx(6.0)


def test_a_broken_picture_is_one_clear_error(workspace: Workspace, tmp_path: Path) -> None:
    picture_dataset(workspace, tmp_path).write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        forecast.estimate(plan("gpt-4o"), workspace)


@pytest.mark.parametrize(("options", "asked"), [({}, 10 + 4), ({"choose_on_val": 0}, 10), ({"prompt_search": 2}, 14)])
def test_rows_on_which_the_strongest_prompt_is_chosen_are_in_the_forecast(
    workspace: Workspace, options: dict[str, int], asked: int
) -> None:
    writer = new_dataset(workspace)
    for i in range(24):
        split = "train" if i < 10 else "val" if i < 14 else "test"
        writer.keep(make_example([user(f"{i} x")], "4", answer="4", split=split, family="f", template=f"t{i}"))
    writer.finish(Card(name="sums"))
    one = plan("gpt-4o-mini")
    again = one.systems[0].model_copy(update={"id": "few", "prompting": "few_shot", "shots": 2})
    both = one.model_copy(update={"systems": (*one.systems, again), "small": "own", "large": "big", **options})
    big, few = forecast.estimate(both, workspace)
    assert few.requests == asked
    searched = 2 + 2 * 4 + 10 if options.get("prompt_search") else 0
    assert big.requests == asked + searched, "two instructions written, each on val, the best on all rows"
    if searched:
        assert (big.usage.output_tokens or 0) > 2 * WRITTEN_TOKENS, "an instruction is longer than an answer"


def test_the_instruction_of_the_task_card_is_in_the_forecast(workspace: Workspace) -> None:
    """A prompted model is told it with every row, so it is paid with every row."""
    writer = new_dataset(workspace)
    writer.keep(make_example([user("x" * 400)], "4", answer="4", split="test", family="f", template="t"))
    writer.finish(Card(name="sums", task=TaskCard(instruction="Say how many it is. " * 20)))
    (told,) = forecast.estimate(plan("gpt-4o-mini"), workspace)
    assert told.usage.input_tokens is not None
    assert told.usage.input_tokens >= 100 + 100, "400 letters of the row and 400 of the instruction"
