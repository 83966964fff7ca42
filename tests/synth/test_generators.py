"""The generators' contract: wrong rows are rejected by generation itself, and paid work is never lost or paid twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from synth import build as builder
from synth import generators
from synth.audio import forms
from synth.audio.check import says
from synth.audio.forms import Piece
from synth.audio.voices import EspeakVoice
from synth.build import build_dataset, preview_rows
from synth.context import Context, Ledger
from synth.dataset import DatasetDir
from synth.errors import DataError, RunError
from synth.example import Example, make_example, user
from synth.generators import GENERATORS, GeneratorInfo, Offers, kept, sampling_unit, was_kept
from synth.math.family import Work
from synth.scoring.verify import Verdict
from synth.vision import charts
from synth.workspace import Workspace

NONE = {"val": 0, "test": 0, "test_ood": 0}


def planted(workspace: Workspace, key: str, rows: int, **settings: Any) -> DatasetDir:
    """A dataset that is whole all the same: each rejected row is made up for, and the counts add up."""
    dataset = build_dataset(key, {"train": rows, **NONE, **settings}, "planted", workspace)
    card = dataset.card
    assert card.splits == {"train": rows}
    assert card.rows_in == rows + sum(card.rejected.values())
    assert sum(1 for _ in dataset.rejected()) == sum(card.rejected.values())
    return dataset


# --- planted wrong rows ------------------------------------------------------------------------------------------


def test_a_wrong_total_is_rejected_by_generation(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    right, calls = Work.add, iter(range(10**6))
    monkeypatch.setattr(Work, "add", lambda w, a, b: right(w, a, b) + (next(calls) % 3 == 0))
    dataset = planted(workspace, "math", 60, families=["item_delivery", "two_items"])
    assert dataset.card.rejected["the checker derives another answer"] > 10
    assert all(GENERATORS["math"].check(row) for row in dataset.examples("train"))


def test_a_false_line_of_working_is_rejected_by_generation(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, calls = Work.mul, iter(range(10**6))

    def slips(work: Work, a: Any, b: Any) -> Any:
        result = right(work, a, b)
        if next(calls) % 3 == 0:
            work.lines[-1] = f"{a} * {b} = {int(result) + 1}"
        return result

    monkeypatch.setattr(Work, "mul", slips)
    dataset = planted(workspace, "math", 40, families=["item_delivery"])
    assert dataset.card.rejected["a line of the working is false"] > 5


def test_a_wrong_chart_reading_is_rejected_by_generation(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    right = charts.Chart.ask

    def misread(chart: charts.Chart, op: str, rng: Any) -> Any:
        question = right(chart, op, rng)
        return question._replace(answer=str(int(question.answer) + 1)) if op == "value" else question

    monkeypatch.setattr(charts.Chart, "ask", misread)
    dataset = planted(workspace, "vision", 40, kinds=["bar"], size=128, model_size=128, difficulty=1)
    assert dataset.card.rejected["the picture's data give another answer"] > 3
    assert not any(row.source["params"]["op"] == "value" for row in dataset.examples("train"))


def test_a_wrong_transcription_of_a_chart_is_rejected_by_generation(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = charts.Chart.seen
    monkeypatch.setattr(charts.Chart, "seen", lambda c: right(c).replace("red 3", "red 4"))
    dataset = planted(workspace, "vision", 60, kinds=["bar"], size=128, model_size=128, difficulty=1)
    assert dataset.card.rejected["the transcription differs from the picture's data"] > 0


def test_a_blank_picture_is_rejected_by_generation(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts.Chart, "draw", lambda chart, canvas: None)
    with pytest.raises(DataError, match="no usable question"):
        monkeypatch.setattr("synth.vision.candidates.MAX_UNUSABLE_PICTURES", 10)
        planted(workspace, "vision", 5, kinds=["pie"], size=96, model_size=96, difficulty=1)


@pytest.mark.slow
def test_a_wrong_transcript_is_rejected_by_generation(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def slips(rng: Any) -> Piece:
        piece = forms.clock(rng)
        return piece._replace(written=piece.written.replace("pm", "am")) if "pm" in piece.written else piece

    monkeypatch.setitem(generators.importlib.import_module("synth.audio.domains").SLOTS, "clock", slips)
    dataset = planted(workspace, "audio", 30, noise_share=0, room_share=0)
    assert dataset.card.rejected["the transcript is not what was spoken"] > 1
    assert all(GENERATORS["audio"].check(row) for row in dataset.examples("train"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda samples: samples * 0, "the recording is silent"),
        (lambda samples: samples[: len(samples) // 4], "the recording is too short or too long for its words"),
        (lambda samples: np.tile(samples, 4), "the recording is too short or too long for its words"),
    ],
)
def test_a_recording_that_cannot_be_the_sentence_is_rejected_by_generation(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, spoil: Any, reason: str
) -> None:
    right, calls = EspeakVoice.__call__, iter(range(10**6))

    def broken(voice: EspeakVoice, text: str, spec: Any) -> Any:
        samples = right(voice, text, spec)
        return spoil(samples) if next(calls) % 2 else samples

    monkeypatch.setattr(EspeakVoice, "__call__", broken)
    settings = {"noise_share": 0, "room_share": 0, "telephone_share": 0, "silence_share": 0, "max_seconds": 30}
    dataset = planted(workspace, "audio", 8, **settings)
    assert dataset.card.rejected[reason] > 2


@pytest.mark.slow
def test_sentences_that_the_voice_would_misread_end_with_advice(tmp_path: Path, workspace: Workspace) -> None:
    file = tmp_path / "own.txt"
    file.write_text("".join(f"He came {n}th in the race.\n" for n in range(4, 104)))
    with pytest.raises(DataError, match="the transcript is not what was spoken"):
        build_dataset("audio", {"train": 3, **NONE, "sentences_file": str(file), "silence_share": 0}, "own", workspace)


def test_previews_hold_only_rows_that_the_checks_confirm(monkeypatch: pytest.MonkeyPatch) -> None:
    right, calls = Work.add, iter(range(10**6))
    monkeypatch.setattr(Work, "add", lambda w, a, b: right(w, a, b) + next(calls) % 2)
    rows = preview_rows("math", {"train": 8, **NONE, "families": ["item_delivery"]}, 8)
    assert len(rows) == 8
    assert all(GENERATORS["math"].check(row) for row in rows)


# --- readings of written forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Blood pressure 132/85, pulse 7.", "blood pressure one thirty two over eighty five pulse seven"),
        ("Pressure 107/60.", "pressure one zero seven over sixty"),
        ("Give 12.5 mg at 4:30 pm.", "give twelve point five milligrams at four thirty pee em"),
        ("At 4:05 am on March 21.", "at four oh five ay em on march twenty first"),
        ("$12.50 for KT-48", "twelve dollars and fifty cents for kay tee four eight"),
        ("Account 004071", "account zero zero four zero seven one"),
        ("1,907 units in 1907", "one thousand nine hundred seven units in nineteen zero seven"),
        ("The CT and the X-ray.", "the see tee and the x ray"),
        ("38.5°C, 97%", "thirty eight point five degrees ninety seven percent"),
    ],
)
def test_a_written_form_is_said_in_any_of_its_readings_and_in_no_other(written: str, spoken: str) -> None:
    words = tuple(spoken.split())
    assert says(written, words)
    assert not says(written, (*words, "too"))
    for place, word in enumerate(words):
        assert not says(written, (*words[:place], "plum", *words[place + 1 :])), word


# --- work that costs money ---------------------------------------------------------------------------------------


class Spec(BaseModel, extra="forbid"):
    seed: int = 0
    train: int = 4


VERSION = 1
BOUGHT: list[str] = []


def generate(spec: Spec, context: Context) -> Offers:
    """As a generator that asks a model: each answer is recorded with its price before it is used."""
    number = done = 0
    while done < spec.train:
        key = f"answer {number}"
        if (found := context.ledger.find(key)) is None:
            BOUGHT.append(key)
            found = {"text": "wrong" if number == 1 else "right"}
            context.ledger.record(key, found, 0.25)
        candidate = kept(make_example([user(key)], found["text"], family="f", template="t"))
        verdict = yield candidate
        done += was_kept(candidate, verdict)
        number += 1


def check(row: Example) -> Verdict:
    return Verdict(row.target == "right", "the teacher was wrong")


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> None:
    BOUGHT.clear()
    monkeypatch.setitem(generators.GENERATORS, "paid", GeneratorInfo("paid", "Paid", "text", __name__, "A toy."))


@pytest.mark.usefixtures("paid")
def test_rows_that_cost_money_survive_a_stop_and_are_paid_for_once(workspace: Workspace) -> None:
    asked = iter([False, False, True])
    with pytest.raises(RunError, match=r"the 3 results that were paid for \(\$0.75\) are kept"):
        build_dataset("paid", {}, "p", workspace, stop=lambda: next(asked))
    assert not list(workspace.datasets.iterdir())
    dataset = build_dataset("paid", {}, "p", workspace)
    assert [f"answer {n}" for n in range(5)] == BOUGHT
    assert dataset.card.usd == 1.25
    assert dataset.card.rejected == {"the teacher was wrong": 1}
    assert not (workspace.path / "cache" / "generation" / "p.jsonl").exists()


@pytest.mark.usefixtures("paid")
def test_an_unknown_price_is_no_small_bill(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl")
    assert ledger.usd is None
    ledger.record("a", {}, 1.0)
    ledger.record("b", {}, None)
    ledger.close()
    assert ledger.usd is None
    assert Ledger(tmp_path / "l.jsonl").find("a") == {}


def test_generators_that_cost_nothing_leave_nothing_when_stopped(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="nothing was kept"):
        build_dataset("math", {"train": 5, **NONE}, "m", workspace, stop=lambda: True)
    assert not list(workspace.path.rglob("*.jsonl"))
    assert builder.now_utc()


def test_imported_rows_are_counted_in_groups_and_not_in_templates_that_nobody_wrote() -> None:
    assert [sampling_unit("import", split) for split in ("test", "test_ood", "test_real")] == ["group"] * 3
    assert (sampling_unit("math", "test"), sampling_unit("math", "test_ood")) == ("template", "family")
