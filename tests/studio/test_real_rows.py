"""The test rows that the demos ship: right, of their own wording, and called what they are."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from studio.presets.demo import _with_real
from studio.presets.demos import DEMOS
from synth.audio import stand_in as other_voices
from synth.audio.check import says
from synth.audio.files import decode
from synth.audio.voices import SAMPLE_RATE_HZ
from synth.build import build_dataset
from synth.curation.leakage import check_dataset, near_duplicates
from synth.example import Example, ImagePart, text_of
from synth.math import written
from synth.math.spec import ALL_FAMILIES
from synth.math.working import evaluate
from synth.scoring.scorers import score_reply
from synth.vision import stand_in
from synth.workspace import Workspace

pytestmark = pytest.mark.slow

_PLAIN = str.maketrans("-,.", "   ")


def no_media(data: bytes, suffix: str) -> str:
    raise AssertionError("text has no media")


def test_each_written_problem_has_the_answer_that_its_reckoning_gives() -> None:
    rows = written.real_rows(no_media)
    assert len({row.id for row in rows}) == len(rows) >= 60
    assert {row.family for row in rows} == {"invoices", "rates", "schedules"}
    for row in rows:
        reckoning = row.source["reckoning"]
        if ":" not in reckoning:
            assert float(evaluate(reckoning)) == float(row.answer or ""), text_of(row)
        assert row.origin.kind == "hand"
        assert score_reply(row.target, row).value == 1.0


def test_no_written_problem_is_made_of_a_template() -> None:
    phrasings = [template for family in ALL_FAMILIES.values() for template in family.templates]
    assert near_duplicates(phrasings, [text_of(row) for row in written.real_rows(no_media)]) == []


@pytest.fixture(scope="module")
def charts() -> tuple[list[Example], dict[str, bytes]]:
    stored: dict[str, bytes] = {}

    def add_media(data: bytes, suffix: str) -> str:
        path = f"media/{len(stored)}{suffix}"
        stored[path] = data
        return path

    return stand_in.real_rows(add_media), stored


def test_bars_of_another_library_have_their_colours_where_the_answers_say(
    charts: tuple[list[Example], dict[str, bytes]],
) -> None:
    rows, stored = charts
    assert len({row.id for row in rows}) == len(rows) >= 60
    for row in rows:
        part = row.prompt[0].content[0]
        assert isinstance(part, ImagePart)
        picture = Image.open(io.BytesIO(stored[part.path])).convert("RGB")
        assert picture.size == (128, 128)
        lengths = {name: _longest_run(picture, stand_in.COLOURS[name]) for name in row.source["values"]}
        ranked = sorted(lengths, key=lambda name: lengths[name])
        values = row.source["values"]
        assert all(values[a] <= values[b] for a, b in pairwise(ranked)), (values, lengths)
        if row.answer in values:
            named = [name for name in ranked if name in text_of(row)]
            assert row.answer in ((named[-1],) if len(named) == 2 else (ranked[0], ranked[-1]))
        assert row.origin.kind == "stand_in"


def _longest_run(picture: Image.Image, colour: str) -> int:
    wanted = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    pixels = picture.load()
    assert pixels is not None
    return max(sum(pixels[x, y] == wanted for x in range(picture.width)) for y in range(picture.height))


def test_other_voices_say_their_transcripts_for_as_long_as_that_takes() -> None:
    stored: dict[str, bytes] = {}

    def add_media(data: bytes, suffix: str) -> str:
        path = f"media/{len(stored)}{suffix}"
        stored[path] = data
        return path

    rows = other_voices.real_rows(add_media)
    assert len({row.id for row in rows}) == len(rows) >= 60
    for row in rows:
        assert says(row.answer or "", tuple(row.source["spoken"].translate(_PLAIN).split())), row.answer
        samples = decode(stored[row.prompt[0].content[0].path], "x")  # type: ignore[union-attr]
        letters = sum(c.isalpha() for c in row.source["spoken"])
        assert 8 < letters / (len(samples) / SAMPLE_RATE_HZ) < 24
        assert abs(samples).max() > 0.1


@pytest.mark.parametrize("modality", ["text", "vision", "audio", "issues", "smollm2-135m"])
def test_a_demos_dataset_is_tested_on_rows_that_its_generator_did_not_make(
    workspace: Workspace, modality: str, tmp_path: Path
) -> None:
    demo = DEMOS[modality]
    small = {**demo.settings, "train": 40, "val": 3, "test": 3, "test_ood": 3}
    dataset = _with_real(demo, build_dataset(demo.generator, small, "d", workspace))
    assert dataset.count("test_real") >= 60
    assert dataset.card.origins["test_real"].keys() <= {"hand", "stand_in"}
    assert dataset.card.notes["test_real"]
    assert check_dataset(dataset).ok
    assert _with_real(demo, dataset) is dataset
    assert "test_real" in demo.plan("n", "d", [0], [("a", "b")], demo.large)["splits"]
