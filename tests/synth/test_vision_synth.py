"""Rendered vision questions: right by a second reading, readable, split by combination, the same every time."""

from __future__ import annotations

import datetime
import hashlib
import io
from collections import Counter
from random import Random

import pytest
from PIL import Image
from pydantic import ValidationError

from synth.build import build_dataset
from synth.context import Context
from synth.errors import DataError, UserError
from synth.example import ImagePart
from synth.generators import Candidate, generator, parse_spec
from synth.vision import Spec, canvas, generate
from synth.vision.candidates import SAMPLERS, ask, held_out, make_row, sample_picture
from synth.vision.canvas import STYLES, Canvas
from synth.vision.check import check, reread
from synth.vision.degrade import EFFECTS, degrade
from synth.vision.scene import SceneQuestion
from synth.vision.spec import KINDS
from synth.workspace import Workspace

NO_PICTURE = ImagePart(path="media/none.png", sha256="0" * 64)


def candidates(**settings: object) -> list[Candidate]:
    spec = Spec.model_validate(
        {"train": 0, "val": 0, "test": 0, "test_ood": 0, "size": 128, "model_size": 128, **settings}
    )
    return list(generate(spec, Context(lambda data, suffix: f"media/{hashlib.sha256(data).hexdigest()[:32]}{suffix}")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_second_reader_agrees_with_a_thousand_answers_of_each_kind(kind: str) -> None:
    seen: Counter[str] = Counter()
    number = 0
    while seen.total() < 1000:
        spec = Spec(kinds=(kind,), difficulty=1 + number % 3)  # type: ignore[arg-type]
        picture = sample_picture(spec, "check", number)
        for question in ask(picture, "train", 9) + ask(picture, "test_ood", 9):
            if isinstance(question, SceneQuestion):
                row = make_row(picture, question, NO_PICTURE, spec, "train", number)
                verdict = check(row)
                assert verdict.ok, verdict.reason
                seen[question.op] += 1
        number += 1
    assert set(seen) >= set(picture.scene.ops()) - {"trend"}


def test_forms_are_those_of_their_seed_whatever_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faker draws dates up to the present unless it is told otherwise."""

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Later:
            return cls(2036, 6, 1, tzinfo=tz)

    def seen() -> list[object]:
        spec = Spec(kinds=("form",))
        return [sample_picture(spec, "check", number).scene for number in range(50)]

    today = seen()
    monkeypatch.setattr("faker.providers.date_time.datetime", Later)
    assert seen() == today


def test_the_second_reader_notices_a_wrong_answer() -> None:
    row = next(c.example for c in candidates(train=5, kinds=("bar",)) if c.example)
    wrong = row.model_copy(update={"answer": "99999"})
    assert not check(wrong).ok


@pytest.mark.slow
def test_no_combination_is_in_both_train_and_test_ood_and_each_part_is_in_train() -> None:
    rows = [c.example for c in candidates(train=1500, test=200, test_ood=400, questions_per_image=4) if c.example]
    by_split: dict[str, set[str]] = {"train": set(), "test": set(), "test_ood": set()}
    templates: dict[str, set[str]] = {"train": set(), "test": set(), "test_ood": set()}
    for row in rows:
        by_split[row.split].add(row.source["params"]["combination"])
        templates[row.split].add(row.template)
    assert len(by_split["test_ood"]) > 50
    assert not by_split["train"] & by_split["test_ood"]
    assert not by_split["test"] & by_split["test_ood"]
    assert not templates["train"] & (templates["test"] | templates["test_ood"])
    shown = {part for c in by_split["train"] for part in [(c.split("|")[0], c.split("|")[2])]}
    assert {(c.split("|")[0], c.split("|")[2]) for c in by_split["test_ood"]} <= shown


@pytest.mark.parametrize("kind", KINDS)
def test_each_style_holds_questions_out_but_never_all_of_them(kind: str) -> None:
    for style in STYLES:
        ops = set(SAMPLERS[kind](STYLES[style], Spec(), Random(1)).ops())  # type: ignore[index]
        assert held_out(kind, style) < ops | {"subtotal", "tax"}
        assert ops - held_out(kind, style)
    everywhere = frozenset.intersection(*(held_out(kind, style) for style in STYLES))
    assert not everywhere


def test_the_same_settings_give_the_same_rows_and_another_seed_others() -> None:
    first, again = candidates(train=30), candidates(train=30)
    assert [c.example.id if c.example else c.reason for c in first] == [
        c.example.id if c.example else c.reason for c in again
    ]
    other = candidates(train=30, seed=1)
    assert {c.example.id for c in first if c.example}.isdisjoint(c.example.id for c in other if c.example)


def test_targets_are_rationale_then_answer_or_the_answer_alone() -> None:
    worked = [c.example for c in candidates(train=20) if c.example]
    short = [c.example for c in candidates(train=20, target="answer") if c.example]
    assert all(e.target == f"{e.source['rationale']}\nAnswer: {e.answer}" for e in worked)
    assert [e.answer for e in worked] == [e.target for e in short]


@pytest.mark.slow
def test_ambiguous_questions_are_rejected_with_reasons() -> None:
    reasons = Counter(c.reason for c in candidates(train=600, questions_per_image=5) if c.example is None)
    assert {"tie_for_extreme", "no_difference", "several_such_shapes"} <= set(reasons)
    assert all(reasons)


def test_text_below_eight_pixels_of_the_model_is_rejected() -> None:
    canvas = Canvas(384, 128, STYLES["plain"], Random(0))
    canvas.text(100, 100, "small", px=20)
    canvas.finish()
    assert canvas.problems == ["text_too_small"]


def test_clipped_and_overlapping_text_is_rejected() -> None:
    canvas = Canvas(128, 128, STYLES["plain"], Random(0))
    canvas.text(100, 20, "beyond the edge")
    canvas.text(102, 22, "and over it")
    canvas.finish()
    assert set(canvas.problems) == {"text_clipped", "text_overlaps"}


def test_settings_that_let_nothing_through_end_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.vision.canvas.MIN_MODEL_TEXT_PX", 99)
    monkeypatch.setattr("synth.vision.candidates.MAX_UNUSABLE_PICTURES", 20)
    with pytest.raises(DataError, match="Raise size"):
        candidates(train=5, kinds=("receipt",))


@pytest.mark.parametrize("missing", ["matplotlib", "FreeType"])
def test_without_fonts_pictures_are_refused_with_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for cached in (canvas._face_folder, canvas.font):
        cached.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("PIL.ImageFont.load_default", lambda size: None)
    with pytest.raises(UserError, match=rf"{missing}.*Install"):
        canvas.font("round" if missing == "FreeType" else "sans", 12)
    assert canvas.font.cache_info().currsize == 0


def test_a_receipt_adds_up() -> None:
    spec = Spec(kinds=("receipt",), difficulty=3)
    for number in range(200):
        scene = sample_picture(spec, "train", number).scene.as_json()
        assert reread(scene, "total", {}) == f"{scene['printed']['total'] / 100:.2f}"


@pytest.mark.parametrize("effect", EFFECTS)
def test_degradation_changes_the_picture_and_keeps_its_size(effect: str) -> None:
    spec = Spec(size=160, model_size=160)
    picture = sample_picture(spec, "train", 3)
    canvas = Canvas(160, 160, picture.style, Random(0))
    picture.scene.draw(canvas)
    image = canvas.finish()
    for seed in range(8):
        changed, applied = degrade(image, [effect], 1.0, Random(seed))
        assert changed.size == image.size
        assert (changed.tobytes() != image.tobytes()) == (applied == [effect])


def test_pictures_are_stored_once_as_png_and_counts_add_up(workspace: Workspace) -> None:
    settings = {
        "train": 12,
        "val": 4,
        "test": 4,
        "test_ood": 4,
        "size": 128,
        "model_size": 128,
        "questions_per_image": 3,
    }
    dataset = build_dataset("vision", settings, "pictures", workspace)
    rows = [row for split in dataset.splits() for row in dataset.examples(split)]
    files = list((dataset.path / "media").iterdir())
    assert len(rows) == 24
    assert len({row.template for row in rows}) == len(files) < 24
    for file in files:
        assert Image.open(io.BytesIO(file.read_bytes())).size == (128, 128)
    assert not dataset.verify()


def test_settings_with_faults_are_refused_together() -> None:
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate({"kinds": ["bar", "bar"], "seed": -1, "colour": 3})
    assert {"seed", "colour"} <= {str(fault["loc"][0]) for fault in caught.value.errors()}
    assert parse_spec(generator("vision"), {"train": 1}).model_dump()["kinds"] == KINDS
