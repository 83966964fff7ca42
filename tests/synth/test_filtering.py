"""synth.filtering: learned filters keep what teacher or verified rows say, tell how well, and lose no row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RecipeError
from synth.example import Example, Split, make_example, user
from synth.filtering import bins
from synth.filtering.features import features
from synth.filtering.filtering import Filter, filter_dataset, preview_filter
from synth.filtering.heads import NgramClassifier, RubricHead
from synth.filtering.ratings import Rating, read_ratings
from synth.filtering.texts import texts_at
from synth.pipeline import work
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.workspace import Workspace

pytestmark = pytest.mark.slow
CAREFUL = re.findall(
    r"\w+", "the invoice total was checked against every line before tax and shipping were added to it"
)
JUNK = re.findall(r"\w+", "click here now big win free offer subscribe today limited best price guaranteed wow")


def said(share: float, rng: Random, words: int = 30) -> str:
    return " ".join(rng.choice(CAREFUL if rng.random() < share else JUNK) for _ in range(words))


def ratings(count: int = 150, seed: int = 1) -> list[Rating]:
    rng = Random(seed)
    shares = [rng.random() for _ in range(count)]
    return [Rating(said(p, rng), round(5 * p), min(5, round(5 * p) + (rng.random() < 0.2))) for p in shares]


def table(file: Path, rated: list[Rating]) -> Path:
    lines = [{"text": one.text, "rating": one.first, "second": one.second} for one in rated]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def row(text: str, split: Split = "train") -> Example:
    return make_example((user(text),), "noted", family="f", template=text[:20], split=split)


@pytest.fixture
def source(workspace: Workspace) -> DatasetDir:
    """120 rows of train and 20 of test, half of them junk, and 30 rejected ones that are junk."""
    folder, rng = workspace.datasets / "raw", Random(0)
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number in range(140):
        writer.keep(row(said(0.9 if number % 2 else 0.1, rng), "train" if number < 120 else "test"))
    for _ in range(30):
        writer.reject(row(said(0.05, rng)), "spam")
    writer.finish(Card(name="raw"))
    return DatasetDir(folder)


@pytest.mark.parametrize("kind", ["embeddings", "ngrams"])
def test_a_head_learns_the_teachers_points_and_says_how_well_on_texts_it_did_not_see(kind: Any) -> None:
    head = RubricHead.fit(ratings(), kind)
    good, bad = head.score([said(0.95, Random(8)), said(0.05, Random(9))])
    assert good > 3.5 > 1.5 > bad
    three = next(one for one in head.figures.thresholds if one.at_least == 3)
    assert three.f1_range[0] <= three.f1 <= three.f1_range[1]
    assert three.f1 > 0.75
    assert head.figures.rated_twice == 150
    assert head.figures.kappa is not None
    assert head.figures.kappa > 0.9


def test_a_head_on_points_that_have_nothing_to_do_with_the_text_does_not_look_good() -> None:
    rng = Random(2)
    figures = RubricHead.fit([Rating(said(rng.random(), rng), rng.choice((0, 5))) for _ in range(200)]).figures
    assert figures.error > 2
    three = next(one for one in figures.thresholds if one.at_least == 3)
    assert three.f1_range[0] < three.f1_of_all  # so the filter warns that keeping every row is as good
    assert (figures.kappa, figures.agreement) == (None, None)


def test_too_few_or_equal_ratings_are_refused() -> None:
    with pytest.raises(DataError, match="needs 50"):
        RubricHead.fit(ratings(49))
    with pytest.raises(DataError, match="the same"):
        RubricHead.fit([Rating(said(0.5, Random(n)), 3) for n in range(60)])


def test_the_rubric_filter_keeps_good_rows_every_test_row_and_each_dropped_row(
    source: DatasetDir, workspace: Workspace, tmp_path: Path
) -> None:
    chosen = Filter(way="rubric", ratings=str(table(tmp_path / "ratings.jsonl", ratings())), text="prompt")
    seen = preview_filter(source, chosen, workspace)
    made = filter_dataset(source, "best", workspace, chosen)
    assert made.verify() == []
    assert made.card.rows_in == source.card.splits["train"] + source.card.splits["test"] == 140
    assert {k: v for k, v in seen.kept.items() if v} == made.card.splits
    assert seen.dropped == made.card.rejected
    assert made.card.splits["test"] == 20
    words = [sum(word in CAREFUL for word in e.prompt[0].text.split()) for e in made.examples("train")]
    assert len(words) == pytest.approx(60, abs=3)
    assert min(words) >= 15
    assert {one.reason for one in made.rejected()} == {"fewer than 3 points by the rubric head"}
    assert made.card.notes["filter"]["kept_share_at"]["1"] >= made.card.notes["filter"]["kept_share_at"]["5"]


def test_the_ngram_filter_learns_from_rejected_rows_and_keeps_the_share_that_is_asked(
    source: DatasetDir, workspace: Workspace, tmp_path: Path
) -> None:
    good = table(tmp_path / "good.jsonl", [Rating(said(0.9, Random(n)), 5) for n in range(60)])
    chosen = Filter(way="ngrams", good=str(good), percent=25, text="prompt")
    made = filter_dataset(source, "top", workspace, chosen)
    assert made.card.splits == {"train": 30, "test": 20}
    assert made.card.notes["filter"]["ngrams"]["bad"] == 30
    assert all(sum(word in CAREFUL for word in e.prompt[0].text.split()) > 15 for e in made.examples("train"))
    assert "differ in their form" in made.card.notes["filter"]["warnings"][0]


def test_rows_that_the_classifier_learned_from_are_judged_by_one_that_did_not_see_them() -> None:
    rng = Random(3)
    texts = [" ".join(rng.choice(CAREFUL + JUNK) for _ in range(12)) for _ in range(200)]
    classifier = NgramClassifier.fit(texts[:100], texts[100:])  # nothing tells them apart
    assert 0.35 < classifier.figures.auc < 0.65
    right = sum((score > 0) == (place < 100) for place, score in enumerate(classifier.score(texts)))
    assert right < 130  # one that had seen them would know nearly all 200


def test_max_keeps_what_any_scorer_likes_and_mean_what_both_like() -> None:
    one, other = [float(n) for n in range(40)], [float(39 - n) for n in range(40)]
    assert bins.bins(one)[:3] == [0, 0, 1]
    most = bins.ensemble([one, other], "max")
    assert [place for place, found in enumerate(most) if found == 19] == [0, 1, 38, 39]
    assert set(bins.ensemble([one, other], "mean")) == {9.5}
    assert len(set(bins.bins([1.0] * 30))) == 1  # equal scores are not torn apart


def test_an_ensemble_takes_ratings_and_words_together(source: DatasetDir, workspace: Workspace, tmp_path: Path) -> None:
    rated = str(table(tmp_path / "ratings.jsonl", ratings()))
    good = str(table(tmp_path / "good.jsonl", [Rating(said(0.9, Random(n)), 5) for n in range(60)]))
    chosen = Filter(way="ensemble", ratings=rated, good=good, from_bin=16, text="prompt")
    made = filter_dataset(source, "both", workspace, chosen)
    assert 24 <= made.card.splits["train"] <= 48
    with pytest.raises(RecipeError, match="given 1 scorers"):
        preview_filter(source, chosen.model_copy(update={"good": ""}), workspace)


def test_a_class_that_a_filter_quietly_drops_is_named(workspace: Workspace, tmp_path: Path) -> None:
    folder, rng = workspace.datasets / "classes", Random(0)
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number in range(100):
        spam = number % 4 == 0
        label, text = ("spam" if spam else "order"), said(0.1 if spam else 0.9, rng)
        made = make_example((user(text),), label, answer=label, family="f", template=text[:20], scorer="label")
        writer.keep(made.model_copy(update={"source": {"labels": ["spam", "order"]}}))
    writer.finish(Card(name="classes"))
    chosen = Filter(way="rubric", ratings=str(table(tmp_path / "r.jsonl", ratings())), text="prompt")
    notes = preview_filter(DatasetDir(folder), chosen, workspace).notes
    assert notes["kept_share_by_answer"]["order"] > 0.9
    assert any("'spam' only" in warning for warning in notes["warnings"])


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve_in_thread(StubSettings(skill=0.5)) as running:
        yield running


def run(stub: Stub, workspace: Workspace, pipeline: str, name: str, target: int | None, **inputs: Any) -> DatasetDir:
    teachers = {"teacher": TeacherPlan(model="stub-model", base_url=stub.base_url)}
    plan = RunPlan(pipeline=pipeline, inputs=inputs, rows=target, teachers=teachers)
    return work.start(name, plan, Outside(workspace))


def test_a_teacher_rates_rows_at_random_twice_and_a_head_reads_the_very_text_that_is_filtered(
    source: DatasetDir, stub: Stub, workspace: Workspace
) -> None:
    rated = run(stub, workspace, "rate-rows", "rated", 60, rows=str(source.path / "train.jsonl"))
    found = read_ratings(rated.path)
    assert len(found) == 60
    assert all(one.second is not None for one in found)
    own = list(texts_at(source.path))
    assert {one.text for one in found} <= set(own)
    assert {one.text for one in found} != set(own[:60])  # a sample, not the first ones


def test_extracts_that_a_head_puts_low_are_out_before_anything_is_asked_about_them(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    place, rng = tmp_path / "documents", Random(5)
    place.mkdir()
    for number in range(60):
        (place / f"{number}.txt").write_text(said(0.95 if number < 20 else 0.05, rng, 40).capitalize() + ".")
    rated = run(stub, workspace, "rate-documents", "points", 50, documents=str(place))
    assert len(read_ratings(rated.path)) == 50
    before = len(stub.requests)
    file = table(tmp_path / "ratings.jsonl", ratings())
    made = run(stub, workspace, "cosmopedia-grid", "grid", 5, documents=str(place), ratings=str(file), audiences="all")
    rubric = next(step for step in made.card.notes["steps"] if step["step"] == "rubric")
    assert (rubric["kept"], rubric["rejected"]) == (20, {"fewer than 3 points by the rubric head": 40})
    assert rubric["figures"]["rated"] == 150
    assert all("click" not in json.dumps(one).lower() for one in stub.requests[before:][:3])
    assert sum("rubric head" in one.reason for one in made.rejected()) == 40


def test_embeddings_do_not_depend_on_what_else_is_in_the_batch() -> None:
    texts = [said(0.5, Random(n), n + 1) for n in range(70)]
    together, alone = features(texts, "embeddings"), features([texts[3]], "embeddings")
    assert together.shape == (70, 256)
    assert abs(together[3] - alone[0]).max() < 1e-5
    assert features([""], "embeddings").shape == (1, 256)
    assert features([], "embeddings").shape == (0, 256)


def test_embeddings_are_those_of_the_package() -> None:
    from wordllama.inference import WordLlamaInference

    from synth.filtering.features import _embedder

    texts = ["The dam holds back the lake.", "Ein kurzer Satz, 12 Wörter lang?"]
    table, tokenizer = _embedder()
    theirs = WordLlamaInference(table, type(tokenizer).from_str(tokenizer.to_str())).embed(texts, norm=True)
    assert abs(features(texts, "embeddings") - theirs).max() < 1e-5


@pytest.mark.parametrize(
    ("code", "settings"),
    [
        ("filter.few_texts", {"way": "ngrams", "good": "few.jsonl"}),
        ("filter.missing", {"way": "ngrams", "good": "nowhere.jsonl"}),
        ("filter.no_ratings", {"way": "rubric", "ratings": "nowhere"}),
        ("filter.not_written", {"way": "rubric", "ratings": "ratings.jsonl", "text": "written"}),
        ("filter.rating", {"way": "rubric", "ratings": "high.jsonl"}),
    ],
)
def test_what_teaches_nothing_or_is_not_there_is_refused_with_a_remedy(
    code: str, settings: dict[str, Any], source: DatasetDir, workspace: Workspace, tmp_path: Path
) -> None:
    table(tmp_path / "few.jsonl", ratings(5))
    table(tmp_path / "ratings.jsonl", ratings())
    table(tmp_path / "high.jsonl", [Rating("text", 9)])
    placed = {key: str(tmp_path / value) if value.endswith("jsonl") else value for key, value in settings.items()}
    with pytest.raises(DataError) as raised:
        preview_filter(source, Filter(**placed), workspace)
    assert raised.value.code == code
    assert raised.value.remedy


def test_a_dataset_without_training_rows_is_not_filtered(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.datasets / "tests"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    writer.keep(row("a test row", "test"))
    for number in range(40):
        writer.reject(row(said(0.05, Random(number))), "spam")
    writer.finish(Card(name="tests"))
    good = table(tmp_path / "good.jsonl", [Rating(said(0.9, Random(n)), 5) for n in range(60)])
    with pytest.raises(DataError, match="Choose another dataset") as raised:
        preview_filter(DatasetDir(folder), Filter(way="ngrams", good=str(good), text="prompt"), workspace)
    assert raised.value.code == "filter.no_rows"
