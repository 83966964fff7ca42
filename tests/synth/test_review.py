"""Reviewing by hand: what was decided stays decided, whoever else clicks, and the dataset itself never changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synth.curation.edit import changes, fields_of, with_fields
from synth.curation.recheck import check_failures
from synth.curation.review import APPLIED, REVIEWS, apply_reviews, find_row, read_reviews, record, states
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, StorageError
from synth.example import AudioPart, Example, ImagePart, Split, make_example, media_parts, user
from synth.storage import DirLock, read_jsonl
from synth.workspace import Workspace


def row(number: int, split: Split = "train") -> Example:
    rationale, answer = f"{number} + 1 = {number + 1}", str(number + 1)
    return make_example(
        [user(f"What is {number} plus one?")],
        f"{rationale}\nAnswer: {answer}",
        answer=answer,
        family="addition",
        template="t",
        split=split,
        scorer="math",
        source={"rationale": rationale},
    )


ROWS = [row(n) for n in range(6)] + [row(10, "test")]


@pytest.fixture
def dataset(workspace: Workspace) -> DatasetDir:
    folder = workspace.datasets / "sums"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for example in ROWS:
        writer.keep(example)
    writer.finish(Card(name="sums", created="2026-01-01T00:00:00+00:00"))
    return DatasetDir(folder)


def bytes_of(dataset: DatasetDir) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in dataset.path.iterdir() if p.name not in (REVIEWS, "lock")}


def test_a_reviewed_dataset_has_the_decisions_and_the_source_is_untouched(
    dataset: DatasetDir, workspace: Workspace
) -> None:
    before = bytes_of(dataset)
    record(dataset, ROWS[0].id, "approve", "Ada")
    record(dataset, ROWS[1].id, "reject", "Ada", "unclear question")
    record(dataset, ROWS[2].id, "edit", "Bo", "clearer", {"question": "What is two and one?"})
    made = apply_reviews(dataset, "clean", workspace)
    assert bytes_of(dataset) == before
    assert made.card.splits == {"train": 5, "test": 1}
    assert made.card.rejected == {"rejected by hand: unclear question": 1}
    assert made.card.rows_in == sum(dataset.card.splits.values())
    assert made.verify() == []
    rows = {e.prompt[0].text: e for e in made.examples("train")}
    edited = rows["What is two and one?"]
    assert edited.id != ROWS[2].id
    lineage = edited.source["by_hand"][0]
    assert (lineage["row"], lineage["states"]) == (ROWS[2].id, ["edited"])
    assert lineage["decisions"][0]["by"] == "Bo"
    assert lineage["decisions"][0]["changes"]["question"]["before"] == "What is 2 plus one?"
    assert rows["What is 0 plus one?"].source["by_hand"][0]["states"] == ["approved"]
    assert "by_hand" not in rows["What is 3 plus one?"].source
    assert next(made.rejected()).row["source"]["by_hand"][0]["decisions"][0]["reason"] == "unclear question"


def test_a_reviewed_dataset_names_its_parent_and_carries_the_trail(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "reject", "Ada", "dull")
    first = apply_reviews(dataset, "once", workspace)
    assert first.card.notes["parent"]["name"] == "sums"
    assert first.card.notes["parent"]["sha256"] == dataset.card.sha256
    assert first.card.notes["review"]["by"] == ["Ada"]
    assert (first.path / APPLIED).read_bytes() == (dataset.path / REVIEWS).read_bytes()
    record(first, ROWS[1].id, "approve", "Bo")
    second = apply_reviews(first, "twice", workspace)
    assert second.card.notes["parent"]["notes"]["parent"]["name"] == "sums"


def test_approved_only_drops_what_nobody_looked_at(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "approve", "Ada")
    made = apply_reviews(dataset, "clean", workspace, approved_only=True)
    assert made.card.splits == {"train": 1}
    assert made.card.rejected == {"nobody approved it": 6}


def test_the_last_decision_counts_and_reset_takes_all_back(dataset: DatasetDir, workspace: Workspace) -> None:
    def standing() -> tuple[str, ...]:
        return states(read_reviews(dataset).trail(ROWS[0].id))

    record(dataset, ROWS[0].id, "reject", "Ada", "odd")
    assert standing() == ("rejected",)
    record(dataset, ROWS[0].id, "edit", "Bo", values={"question": "0 plus one is?"})
    assert standing() == ("edited",)
    record(dataset, ROWS[0].id, "approve", "Ada")
    assert standing() == ("approved", "edited")
    record(dataset, ROWS[0].id, "reset", "Ada")
    assert standing() == ()
    assert len(read_reviews(dataset).trail(ROWS[0].id)) == 4
    with pytest.raises(DataError, match="Nobody has decided"):
        apply_reviews(dataset, "clean", workspace)


def test_edits_build_on_each_other(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "edit", "Ada", values={"question": "0 and one?"})
    record(dataset, ROWS[0].id, "edit", "Bo", values={"question": "Zero and one?"})
    texts = [e.prompt[0].text for e in apply_reviews(dataset, "clean", workspace).examples("train")]
    assert texts[0] == "Zero and one?"


def test_an_edit_that_the_checks_speak_against_needs_insistence(dataset: DatasetDir, workspace: Workspace) -> None:
    wrong = {"target": "0 + 1 = 2\nAnswer: 2"}
    with pytest.raises(DataError, match=r"working is false: 0 \+ 1 = 2\. .* 2 is not 1") as caught:
        record(dataset, ROWS[0].id, "edit", "Ada", values=wrong)
    assert caught.value.code == "review.doubt"
    assert not (dataset.path / REVIEWS).exists()
    forced = record(dataset, ROWS[0].id, "edit", "Ada", values=wrong, force=True)
    assert len(forced.doubts) == 2
    kept = next(apply_reviews(dataset, "clean", workspace).examples("train"))
    assert kept.target == wrong["target"]
    assert kept.source["by_hand"][0]["decisions"][0]["doubts"] == list(forced.doubts)


def test_a_trail_that_nobody_insisted_in_cannot_smuggle_a_false_row(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "edit", "Ada", values={"target": "0 + 1 = 2\nAnswer: 2"}, force=True)
    trail = json.loads((dataset.path / REVIEWS).read_text())
    del trail["doubts"]
    (dataset.path / REVIEWS).write_text(json.dumps(trail) + "\n")
    made = apply_reviews(dataset, "clean", workspace)
    assert made.card.rejected == {"edited by hand, and a check speaks against it": 1}


def test_a_second_tab_that_saw_less_records_nothing(dataset: DatasetDir) -> None:
    record(dataset, ROWS[0].id, "reject", "Ada", "odd", seen=0)
    with pytest.raises(DataError, match="Ada decided about this row meanwhile") as caught:
        record(dataset, ROWS[0].id, "approve", "Bo", seen=0)
    assert caught.value.code == "review.stale"
    record(dataset, ROWS[0].id, "approve", "Bo", seen=1)
    assert states(read_reviews(dataset).trail(ROWS[0].id)) == ("approved",)


@pytest.mark.slow
def test_many_reviewers_at_once_lose_no_line(dataset: DatasetDir) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record(dataset, ROWS[n % 6].id, "approve", f"reviewer {n}"), range(40)))
    lines = list(read_jsonl(dataset.path / REVIEWS))
    assert sorted(str(line.value and line.value["by"]) for line in lines) == sorted(f"reviewer {n}" for n in range(40))
    assert read_reviews(dataset).faults == ()


def test_a_trail_held_elsewhere_is_a_sentence(dataset: DatasetDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.curation.review.WAIT_SEC", 0.1)
    with DirLock(dataset.path), pytest.raises(StorageError, match="in use"):
        record(dataset, ROWS[0].id, "approve", "Ada")


def test_a_kill_in_the_middle_of_a_write_loses_only_that_decision(dataset: DatasetDir) -> None:
    record(dataset, ROWS[0].id, "approve", "Ada")
    whole = (dataset.path / REVIEWS).read_bytes()
    record(dataset, ROWS[1].id, "approve", "Ada")
    both = (dataset.path / REVIEWS).read_bytes()
    for cut in range(len(whole), len(both)):
        (dataset.path / REVIEWS).write_bytes(both[:cut])
        assert (read_reviews(dataset).counts()["approved"], read_reviews(dataset).faults) == (1, ())
    record(dataset, ROWS[2].id, "approve", "Ada")
    assert set(read_reviews(dataset).trails) == {ROWS[0].id, ROWS[2].id}


def test_a_bad_line_is_named_and_nothing_is_made_of_the_rest(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "approve", "Ada")
    with (dataset.path / REVIEWS).open("a") as file:
        file.write("{torn\n")
    record(dataset, ROWS[1].id, "approve", "Ada")
    reviews = read_reviews(dataset)
    assert (reviews.counts()["approved"], [fault.partition(":")[0] for fault in reviews.faults]) == (
        2,
        [f"{REVIEWS} line 2"],
    )
    with pytest.raises(DataError, match="line 2"):
        apply_reviews(dataset, "clean", workspace)
    assert not (workspace.datasets / "clean").exists()


def test_rows_that_are_not_there_are_refused_and_counted(dataset: DatasetDir, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="no row 'feed'"):
        record(dataset, "feed", "approve", "Ada")
    record(dataset, ROWS[0].id, "approve", "Ada")
    line = json.loads((dataset.path / REVIEWS).read_text())
    with (dataset.path / REVIEWS).open("a") as file:
        file.write(json.dumps({**line, "row": "f" * 32}) + "\n")
    made = apply_reviews(dataset, "clean", workspace)
    assert made.card.notes["review"]["rows_not_there"] == ["f" * 32]


def test_an_edit_of_a_row_that_changed_since_is_not_applied(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "edit", "Ada", values={"question": "0 and one?"})
    trail = (dataset.path / REVIEWS).read_text()
    (dataset.path / REVIEWS).write_text(trail.replace("What is 0 plus one?", "What was 0 plus one?"))
    assert apply_reviews(dataset, "clean", workspace).card.rejected == {
        "edited by hand, but no longer the row that was edited": 1
    }


def test_what_cannot_be_recorded_is_a_sentence(dataset: DatasetDir) -> None:
    with pytest.raises(DataError, match="needs a reason"):
        record(dataset, ROWS[0].id, "reject", "Ada")
    with pytest.raises(DataError, match="needs the name"):
        record(dataset, ROWS[0].id, "approve", " \n ")
    with pytest.raises(DataError, match="Nothing was changed"):
        record(dataset, ROWS[0].id, "edit", "Ada", values=fields_of(ROWS[0]))
    with pytest.raises(DataError, match="did you mean 'answer'"):
        record(dataset, ROWS[0].id, "edit", "Ada", values={"anser": "1"})
    with pytest.raises(DataError, match="question would be empty"):
        record(dataset, ROWS[0].id, "edit", "Ada", values={"question": " "})
    with pytest.raises(DataError, match="Another row of the dataset asks that already"):
        record(dataset, ROWS[0].id, "edit", "Ada", values={"question": "What is 10 plus one?"})
    with pytest.raises(DataError, match="Nobody decided about this row yet"):
        record(dataset, ROWS[0].id, "reset", "Ada")
    assert not (dataset.path / REVIEWS).exists()


def test_two_edits_to_one_question_keep_one_row(dataset: DatasetDir, workspace: Workspace) -> None:
    for number in (0, 1):
        record(dataset, ROWS[number].id, "edit", "Ada", values={"question": "Which?"}, force=True)
    made = apply_reviews(dataset, "clean", workspace)
    assert made.card.rejected == {"asks what another row asks, after an edit by hand": 1}


def test_the_beginning_of_an_id_is_enough_when_it_is_the_only_one(dataset: DatasetDir) -> None:
    assert find_row(dataset, ROWS[3].id[:12]) == ROWS[3]
    with pytest.raises(DataError, match="no row ''"):
        find_row(dataset, "")


def test_a_changed_dataset_cannot_be_a_parent(dataset: DatasetDir, workspace: Workspace) -> None:
    record(dataset, ROWS[0].id, "approve", "Ada")
    with (dataset.path / "test.jsonl").open("ab") as file:
        file.write((dataset.path / "train.jsonl").read_bytes())
    with pytest.raises(DataError, match=r"test\.jsonl changed"):
        apply_reviews(dataset, "clean", workspace)


# --- the texts of a row ------------------------------------------------------------------------------------------


def test_a_target_made_of_the_other_fields_follows_them() -> None:
    assert changes(row(1), {"answer": "3"}) == {"answer": "3", "target": "1 + 1 = 2\nAnswer: 3"}
    assert changes(row(1), {"answer": "3", "target": "Answer: 3"}) == {"answer": "3", "target": "Answer: 3"}
    said = make_example([user("Who?")], "Hello there.", answer="Hello there.", family="f", template="t")
    assert changes(said, {"answer": "Hello, there."})["target"] == "Hello, there."
    free = make_example([user("Who?")], "It was Ada, I think.", answer="Ada", family="f", template="t")
    assert changes(free, {"answer": "Bo"}) == {"answer": "Bo"}


def test_a_question_is_changed_around_its_picture() -> None:
    part = ImagePart(path="media/a.png", sha256="a")
    example = make_example([user("Be brief."), user(part, "How many?")], "3", answer="3", family="f", template="t")
    edited = with_fields(example, {"question": "How many bars?"})
    assert media_parts(edited) == [part]
    assert [m.text for m in edited.prompt] == ["Be brief.", "How many bars?"]
    assert edited.id != example.id


def test_several_golds_follow_the_answer() -> None:
    example = make_example(
        [user("Who?")], "Ada", answer="Ada", family="f", template="t", source={"answers": ["Ada", "A. L."]}
    )
    assert with_fields(example, {"answer": "Bo"}).source["answers"] == ["Bo", "A. L."]


# --- the checks --------------------------------------------------------------------------------------------------


def test_the_math_checker_derives_the_answer_again() -> None:
    from synth.build import preview_rows

    for domain in ("invoices", "schedules"):
        settings = {"train": 3, "val": 0, "test": 0, "test_ood": 0, "domains": [domain]}
        for example in preview_rows("math", settings, 3):
            assert check_failures(example, example) == ()
            wrong = with_fields(example, changes(example, {"answer": "1:07" if ":" in (example.answer or "") else "1"}))
            assert any("The checker derives" in sentence for sentence in check_failures(wrong, example))
            reworded = with_fields(example, {"question": "Something else?"})
            assert any("cannot read the question" in sentence for sentence in check_failures(reworded, example))


def test_a_picture_and_a_recording_are_checked_against_what_they_were_made_of() -> None:
    scene = {"kind": "bar", "values": [[3, 5]], "names": ["A", "B"], "series": [""]}
    source = {"generator": "vision", "params": {"scene": scene, "op": "value", "args": {"series": 0, "name": "A"}}}
    part = ImagePart(path="media/a.png", sha256="a")
    chart = make_example([user(part, "A?")], "3", answer="3", family="bar", template="t", source=source)
    assert check_failures(chart, chart) == ()
    assert (
        "drawn from data that say “3”" in check_failures(with_fields(chart, {"answer": "5", "target": "5"}), chart)[0]
    )
    transcripts = AudioPart(path="media/a.flac", sha256="a")
    spoken = make_example(
        [user(transcripts, "Transcribe.")],
        "Take two.",
        answer="Take two.",
        family="f",
        template="t",
        scorer="wer",
        source={
            "generator": "audio",
            "spoken": "take two",
            "grammar": "Take {few}.",
            "entities": [],
            "seconds": 0.8,
            "voice": {"name": "en", "rate_wpm": 175, "pitch": 50},
            "speed": 1.0,
        },
    )
    assert check_failures(with_fields(spoken, changes(spoken, {"answer": "Take, two"})), spoken) == ()
    assert (
        "spoken from “take two”"
        in check_failures(with_fields(spoken, changes(spoken, {"answer": "Take 3."})), spoken)[0]
    )


@pytest.mark.parametrize(
    ("scorer", "answer", "good", "bad"),
    [
        ("exact", "Paris", "It is the capital.\nAnswer: Paris", "Answer: Rome"),
        ("choice", "B", "B) Paris", "Answer: C"),
        ("json", '{"total": 3}', '{"total": "3"}', '{"total": 4}'),
        ("wer", "take two", "Take two.", "Take three."),
        ("math", "12", "3 * 4 = 12\nAnswer: 12", "3 * 4 = 12\nAnswer: 13"),
    ],
)
def test_targets_must_end_in_the_answer(scorer: str, answer: str, good: str, bad: str) -> None:
    def example(target: str) -> Example:
        return make_example([user("?")], target, answer=answer, family="f", template="t", scorer=scorer)

    assert check_failures(example(good), example(good)) == ()
    assert len(check_failures(example(bad), example(bad))) == 1


def test_a_checker_that_cannot_read_a_row_says_so(tmp_path: Path) -> None:
    example = make_example([user("?")], "Answer: 1", answer="1", family="f", template="t", source={"generator": "math"})
    assert "nobody but you vouches" in check_failures(example, example)[0]
    divided = make_example([user("?")], "1 / 0 = 1\nAnswer: 1", answer="1", family="f", template="t")
    assert "working is false" in check_failures(divided, example)[0]
