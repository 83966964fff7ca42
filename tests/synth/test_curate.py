"""synth.curation.curate: what is dropped, why, and that nothing gets lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random

import pytest

from synth.curation import survey
from synth.curation.curate import Dropped, Rules, SeenTexts, curate, curate_dataset, preview_curation
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example, ImagePart, Split, make_example, media_parts, user
from synth.ranges import Range, Work
from synth.workspace import Workspace

TEXT = "The shop sells {n} pens to {name} for four dollars each and she pays with a large note of fifty dollars today"


def row(text: str, split: Split = "train", media: str = "", target: str = "Answer: 1") -> Example:
    parts = [ImagePart(path=f"media/{media}.png", sha256=media)] if media else []
    return make_example((user(text, *parts),), target, family="f", template="t", split=split)


def dropped(rows: list[Example], **rules: object) -> list[tuple[str, str]]:
    results = list(curate(rows, Rules.model_validate(rules)))
    assert len(results) == len(rows)
    return [(r.example.prompt[0].text, r.reason) for r in results if isinstance(r, Dropped)]


def test_equal_rows_but_for_case_and_space_are_dropped_once() -> None:
    rows = [row("What is  it?"), row("what is it?"), row("What else is it?")]
    assert dropped(rows) == [("what is it?", "exact duplicate")]
    assert dropped(rows, exact=False, near=1) == []


def test_another_name_is_a_near_duplicate_and_another_number_is_not() -> None:
    rows = [row(TEXT.format(n=3, name="Ava")), row(TEXT.format(n=3, name="Ben")), row(TEXT.format(n=5, name="Ava"))]
    assert dropped(rows, near=0.5) == [(TEXT.format(n=3, name="Ben"), "near duplicate")]
    assert dropped(rows, near=1) == []


def test_training_rows_that_stand_in_a_test_are_dropped_from_training() -> None:
    rows = [
        row(TEXT.format(n=3, name="Ava")),
        row(TEXT.format(n=5, name="Eli"), "val"),
        row(TEXT.format(n=3, name="Ben"), "test"),
        row(TEXT.format(n=5, name="Eli"), "test_ood"),
    ]
    reasons = dropped(rows)
    assert Counter(text for text, _ in reasons) == {r.prompt[0].text: 1 for r in rows[:2]}
    assert {reason for _, reason in reasons} == {"stands in a test split, or nearly"}
    assert {reason for _, reason in dropped(rows, decontaminate=False)} == {"exact duplicate"}


def test_a_picture_of_a_test_is_dropped_from_training_and_the_same_question_is_not() -> None:
    rows = [row("How many bars?", media="aa"), row("How many bars?", media="bb"), row("Which?", "test", "aa")]
    assert [reason for _, reason in dropped(rows)] == ["stands in a test split, or nearly"]


def test_lengths_are_checked() -> None:
    rows = [row("Hm"), row("x" * 50), row("Fine?", target="y" * 50), row("Good?")]
    reasons = [reason for _, reason in dropped(rows, min_prompt_chars=3, max_prompt_chars=40, max_target_chars=40)]
    assert reasons == ["the question is too short", "the question is too long", "the answer is too long"]


@pytest.fixture
def source(workspace: Workspace) -> DatasetDir:
    folder = workspace.datasets / "raw"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    picture = writer.add_media(b"png", ".png")
    part = ImagePart(path=picture, sha256="aa")
    writer.keep(make_example((user("Seen?", part),), "yes", family="f", template="t"))
    texts: list[tuple[str, Split]] = [("What is it?", "train"), ("what is it?", "train"), ("What was it?", "test")]
    for text, split in texts:
        writer.keep(row(text, split))
    writer.finish(Card(name="raw"))
    return DatasetDir(folder)


def test_a_curated_dataset_has_the_rows_their_media_and_the_reasons(source: DatasetDir, workspace: Workspace) -> None:
    clean = curate_dataset(source, "clean", workspace, Rules())
    assert clean.card.splits == {"train": 2, "test": 1}
    assert clean.card.rejected == {"exact duplicate": 1}
    assert clean.card.rows_in == source.card.rows_in
    assert clean.card.notes["curated_from"] == "raw"
    assert clean.verify() == []
    pictures = [part for e in clean.examples("train") for part in media_parts(e)]
    assert [clean.media_path(part.path).read_bytes() for part in pictures] == [b"png"]


def test_rules_that_leave_nothing_are_refused(source: DatasetDir, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="No training row"):
        curate_dataset(source, "clean", workspace, Rules(min_prompt_chars=1000))
    assert not (workspace.datasets / "clean").exists()


def test_what_would_be_dropped_is_said_before_anything_is_made(source: DatasetDir, workspace: Workspace) -> None:
    seen = preview_curation(source, Rules())
    assert seen.kept == {"train": 2, "test": 1}
    assert seen.dropped == {"exact duplicate": 1}
    assert [e.prompt[0].text for e in seen.samples["exact duplicate"]] == ["what is it?"]
    assert [p.name for p in workspace.datasets.iterdir()] == ["raw"]


def test_a_curated_dataset_names_its_parent_with_hashes(source: DatasetDir, workspace: Workspace) -> None:
    parent = curate_dataset(source, "clean", workspace, Rules()).card.notes["parent"]
    assert (parent["name"], parent["sha256"]) == ("raw", source.card.sha256)


def test_curation_that_is_stopped_leaves_nothing(source: DatasetDir, workspace: Workspace) -> None:
    with pytest.raises(RunError, match="nothing was kept"):
        curate_dataset(source, "clean", workspace, Rules(), stop=lambda: True)
    assert [p.name for p in workspace.datasets.iterdir()] == ["raw"]


class Apart:
    """An engine that does each range when it is asked for, and counts them."""

    def __init__(self) -> None:
        self.done = 0

    def slots(self, model: bool = False) -> int:
        return 2

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        for one in ranges:
            if stop():
                raise RunError("The ranges that are done are kept.", "Go on.", "run.stopped")
            work(one)
            self.done += 1
            yield one


@pytest.mark.parametrize("rules", [Rules(), Rules(near=1), Rules(decontaminate=False), Rules(exact=False, near=0.6)])
def test_an_engine_drops_the_rows_that_one_process_drops(
    workspace: Workspace, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "BATCH", 16)
    folder = workspace.datasets / "many"
    folder.mkdir(parents=True)
    writer, texts = DatasetWriter(folder), planted(150, Random(3))
    part = ImagePart(path=writer.add_media(b"png", ".png"), sha256="aa")
    splits: tuple[Split, ...] = ("train", "test", "train", "val", "test_real")
    for number, text in enumerate([*texts, *texts[:40], *(f"{text} please" for text in texts[40:90])]):
        writer.keep(row(text, splits[number % 5]))
    for split in ("train", "test"):
        writer.keep(make_example((user("Seen?", part),), "yes", family="f", template="t", split=split))  # type: ignore[arg-type]
    writer.finish(Card(name="many"))
    source, engine = DatasetDir(folder), Apart()
    seen = preview_curation(source, rules)
    assert seen == preview_curation(source, rules, engine=engine)
    assert engine.done > 4 and sum(seen.dropped.values()) > (0 if rules.near == 1 else 20)
    alone = curate_dataset(source, "alone", workspace, rules)
    shared = curate_dataset(source, "shared", workspace, rules, engine=engine)
    assert shared.card.sha256 == alone.card.sha256
    assert sorted(p.name for p in workspace.datasets.iterdir()) == ["alone", "many", "shared"]
    with pytest.raises(RunError, match="nothing was kept"):
        curate_dataset(source, "stopped", workspace, rules, stop=lambda: True, engine=engine)
    assert sorted(p.name for p in workspace.datasets.iterdir()) == ["alone", "many", "shared"]


def test_a_line_that_is_no_row_is_named_by_its_number_also_on_an_engine(source: DatasetDir) -> None:
    with (source.path / "train.jsonl").open("a") as file:
        file.write("no row\n")
    for engine in (None, Apart()):
        with pytest.raises(DataError, match=r"train.jsonl line 4"):
            preview_curation(source, Rules(), engine=engine)


def planted(count: int, rng: Random) -> list[str]:
    words = [a + b for a in "bdfgklmnprst" for b in ("ana", "eno", "ilu", "oma", "ute", "isk")]
    return [" ".join([*rng.choices(words, k=40), str(rng.randrange(9999))]) for _ in range(count)]


def test_planted_near_duplicates_and_leaks_are_found_and_nothing_else_is_dropped() -> None:
    rng = Random(0)
    texts, tests = planted(1500, rng), planted(60, rng)
    near = {" ".join(["Well", "now", *text.split()[2:]]) for text in texts[:100]}
    leaks = {" ".join(["Well", "now", *text.split()[2:]]) for text in tests}
    numbers = {f"{text}1" for text in texts[:100]}  # another number is another row
    rows = [row(text) for text in [*texts, *near, *leaks, *numbers]] + [row(text, "test") for text in tests]
    rng.shuffle(rows)
    gone = dropped(rows)
    assert {text for text, reason in gone if "test split" in reason} == leaks
    duplicates = [text for text, reason in gone if reason == "near duplicate"]
    assert len(duplicates) >= 95
    assert all(text in near or text in texts[:100] for text in duplicates)
    assert len(gone) == len(leaks) + len(duplicates)


def test_reading_twice_finds_the_same_as_comparing_each_row_with_all_before_it() -> None:
    rng = Random(1)
    texts = planted(60, rng)
    for text in texts[:20]:
        parts = text.split()
        parts[rng.randrange(40)] = "changed"
        texts += [" ".join(parts), text.upper()] if rng.random() < 0.5 else [text]
    rng.shuffle(texts)
    for near in (0.3, 0.5, 0.8, 1.0):
        seen = SeenTexts(near)
        expected = [(text, reason) for text in texts if (reason := seen.duplicate(text))]
        assert dropped([row(text) for text in texts], near=near) == expected
        assert len(expected) >= 10


def test_the_same_in_other_words_is_dropped_and_never_where_numbers_or_answers_differ() -> None:
    asked = [
        ("How can I activate the new card I got?", "card"),
        ("How can my new card be activated?", "card"),
        ("How can my card get activated when new?", "other"),
        ("Why was I charged 3 euros for a transfer of 20?", "fee"),
        ("Why was I charged 3 euros for a transfer of 25?", "fee"),
        ("Where can I buy stamps?", "post"),
    ]
    rows = [row(text).model_copy(update={"answer": answer}) for text, answer in asked]
    assert dropped(rows, meaning=0.9) == [(asked[1][0], "the same in other words")]
    assert dropped(rows) == []
    many = [row(f"A shop sells {n} pens for {n + 2} dollars each. What do they cost?") for n in range(40)]
    assert dropped(many, meaning=0.8) == []
    again = [row(f"{word} is the capital of that country?") for word in ("What", "Which")] * 300
    assert Counter(reason for _, reason in dropped(again, meaning=0.9, exact=False, near=1)) == {
        "the same in other words": 599
    }
