"""Where rows come from, what a dataset asks, and the test rows that no generator made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth.build import build_dataset
from synth.curation.amend import add_real, set_task
from synth.curation.curate import Rules, curate
from synth.curation.derive import derive
from synth.curation.leakage import check_dataset
from synth.dataset import CARD, Card, DatasetDir, DatasetWriter
from synth.errors import DataError
from synth.example import SPLITS, Example, ImagePart, Origin, make_example, origin_of, text_of, user
from synth.scoring.names import EXACT, JSON, MATH
from synth.storage import atomic_dir, sha256_bytes
from synth.task import TaskCard, guess_task_card
from synth.workspace import Workspace

SETTINGS = {"train": 60, "val": 6, "test": 6, "test_ood": 6}
REAL = Origin(kind="real", by="orders of May")


def math(workspace: Workspace, name: str = "m") -> DatasetDir:
    return build_dataset("math", SETTINGS, name, workspace)


def real_row(number: int, **more: object) -> Example:
    text = f"We sold {number} cakes at the fair for 4 dollars a piece, what did that bring in?"
    return make_example([user(text)], str(4 * number), answer=str(4 * number), family="own", template=text, **more)  # type: ignore[arg-type]


# --- origin ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_row_of_a_generator_names_the_template_that_it_came_from(workspace: Workspace) -> None:
    dataset = math(workspace)
    for split in dataset.splits():
        for row in dataset.examples(split):
            assert (row.origin.kind, row.origin.by) == ("template", row.template)
    assert dataset.card.origins == {s: {"template": n} for s, n in dataset.card.splits.items()}
    picture = next(
        build_dataset("vision", {**SETTINGS, "size": 96, "model_size": 96}, "v", workspace).examples("train")
    )
    assert picture.origin == Origin(kind="template", by=picture.source["params"]["combination"])


def test_rows_written_before_origins_existed_get_theirs_from_their_lineage() -> None:
    def read(source: dict[str, object]) -> Origin:
        old = real_row(3).model_dump(mode="json") | {"source": source}
        del old["origin"]
        return Example.model_validate_json(json.dumps(old)).origin

    assert read({"generator": "math"}).kind == "template"
    assert read({"importer": "columns", "file": "orders.csv"}) == Origin(kind="imported", by="orders.csv")
    assert read({"generator": "x", "teacher": "big-1"}) == Origin(kind="teacher", by="big-1")
    assert read({}).kind == "imported"
    assert origin_of({"generator": "math"}, "two_items/t03").by == "two_items/t03"


# --- drawing -----------------------------------------------------------------------------------------------------


def test_a_draw_repeats_by_seed_contains_smaller_ones_and_keeps_file_order(workspace: Workspace) -> None:
    dataset = math(workspace)
    rows = list(dataset.examples("train"))
    ten, twenty = dataset.draw("train", 10, 3), dataset.draw("train", 20, 3)
    assert ten == dataset.draw("train", 10, 3)
    assert {row.id for row in ten} < {row.id for row in twenty}
    assert [rows.index(row) for row in twenty] == sorted(rows.index(row) for row in twenty)
    assert ten != rows[:10]
    assert dataset.draw("train", 10, 4) != ten
    assert dataset.draw("train", None, 3) == dataset.draw("train", 10**6, 3) == rows
    assert dataset.draw("test_real", 5, 0) == []
    assert len(dataset.draw_all(("test", "test_ood", "test"), None, 0)) == 12


# --- real rows ---------------------------------------------------------------------------------------------------


def test_real_rows_join_as_a_split_of_their_own_and_nothing_else_changes(workspace: Workspace) -> None:
    dataset = math(workspace)
    before = dataset.card
    report = add_real(dataset, [real_row(n) for n in range(2, 12)], REAL, said="A bakery's orders of May.")
    assert report == (10, {}, 10)
    after = DatasetDir(dataset.path)
    assert after.verify() == []
    assert after.splits()[-1] == SPLITS[-1] == "test_real"
    assert {row.origin for row in after.examples("test_real")} == {REAL}
    assert {row.scorer for row in after.examples("test_real")} == {MATH}
    assert after.card.origins["test_real"] == {"real": 10}
    assert after.card.rows_in == sum(after.card.splits.values()) + sum(after.card.rejected.values())
    assert {k: v for k, v in after.card.sha256.items() if k != "test_real.jsonl"} == before.sha256
    assert "A bakery's orders of May." in (after.path / "README.md").read_text()
    assert any(pair.other == "test_real" for pair in check_dataset(after).pairs)
    assert add_real(after, [real_row(40)], REAL).total == 11


def test_a_real_row_that_stands_in_training_is_refused_with_a_counted_reason(workspace: Workspace) -> None:
    dataset = math(workspace)
    train, test = next(dataset.examples("train")), next(dataset.examples("test"))
    near = make_example(
        [user(text_of(train).replace(" the ", "  the ") + " ")], "1", answer="1", family="own", template="x"
    )
    report = add_real(dataset, [train, test, near, real_row(5), real_row(5)], REAL)
    assert report.added == 1
    assert report.refused == {
        "the same prompt is in train": 1,
        "the same prompt is in test": 1,
        "it nearly stands in training": 1,
        "the same prompt is in test_real": 1,
    }
    after = DatasetDir(dataset.path)
    assert after.card.rows_in == sum(after.card.splits.values()) + sum(after.card.rejected.values())
    assert sum(1 for _ in after.rejected()) == sum(after.card.rejected.values())
    with pytest.raises(DataError, match="No row can be added"):
        add_real(after, [real_row(5)], REAL)


def test_a_real_row_that_no_label_answers_is_refused_and_another_spelling_is_the_label(workspace: Workspace) -> None:
    with atomic_dir(workspace.datasets / "d") as folder:
        writer = DatasetWriter(folder)
        for row in rows_of(["Very high", "low"] * 20):
            writer.keep(row)
        writer.finish(Card(name="d"))
    dataset = DatasetDir(workspace.datasets / "d")
    asked = ["The lift is stuck", "Somebody fell", "A lamp is out", "May I ask something", "Who has the key"]
    given = zip(asked, ["very_high", "LOW", "Other", "Other", "This is low."], strict=True)
    rows = [make_example([user(text)], a, answer=a, family="own", template=text) for text, a in given]
    report = add_real(dataset, rows, REAL)
    assert [row.answer for row in dataset.examples("test_real")] == ["Very high", "low"]
    assert sorted(report.refused.values()) == [1, 2]
    refused = next(reason for reason, count in report.refused.items() if count == 2)
    assert "“Other” is no label of the task" in refused and "`smolstudio data task d` with a --label" in refused
    set_task(dataset, labels={"Very high": "", "low": "", "Other": ""})
    assert add_real(dataset, rows, REAL).added == 2


def test_pictures_of_real_rows_come_along_and_those_of_training_are_refused(
    workspace: Workspace, tmp_path: Path
) -> None:
    dataset = build_dataset("vision", {**SETTINGS, "size": 96, "model_size": 96}, "v", workspace)
    known = next(dataset.examples("train")).prompt[0].content[0]
    (tmp_path / "new.png").write_bytes(b"a photograph")
    assert isinstance(known, ImagePart)
    (tmp_path / "old.png").write_bytes(dataset.media_path(known.path).read_bytes())

    def row(name: str, digest: str) -> Example:
        part = ImagePart(path=name, sha256=digest)
        return make_example([user(part, "How many?")], "3", answer="3", family="own", template=name)

    rows = [row("new.png", sha256_bytes(b"a photograph")), row("old.png", known.sha256), real_row(3)]
    report = add_real(dataset, rows, REAL, tmp_path)
    assert report.added == 1
    assert set(report.refused) == {
        "its picture or recording is in training",
        "it has not the picture or recording that rows of this dataset have",
    }
    (kept,) = DatasetDir(dataset.path).examples("test_real")
    assert DatasetDir(dataset.path).media_path(kept.prompt[0].content[0].path).read_bytes() == b"a photograph"  # type: ignore[union-attr]


def test_cleaning_and_deriving_keep_real_rows_and_drop_training_rows_for_their_sake(workspace: Workspace) -> None:
    dataset = math(workspace)
    add_real(dataset, [real_row(n) for n in range(2, 6)], REAL, said="May.")
    dataset = DatasetDir(dataset.path)
    rows = [row for split in dataset.splits() for row in dataset.examples(split)]
    twin = real_row(2).model_copy(update={"split": "train"})
    results = list(curate([*rows, twin], Rules(near=1)))
    kept = [row for row in results if isinstance(row, Example)]
    assert sum(row.split == "test_real" for row in kept) == 4
    assert twin not in kept
    copy = derive(dataset, "copy", workspace, rows, {})
    assert copy.card.splits["test_real"] == 4
    assert copy.card.notes["test_real"] == "May."
    assert copy.card.task == dataset.card.task


# --- the task card -----------------------------------------------------------------------------------------------


def test_the_task_card_is_written_by_the_generator_and_part_of_the_hashes(workspace: Workspace) -> None:
    dataset = math(workspace)
    assert dataset.task.kind == "question_answering"
    assert dataset.task.instruction
    assert dataset.card.sha256["task"] == dataset.task.sha256()
    card = json.loads((dataset.path / CARD).read_text())
    card["task"]["instruction"] = "Do something else."
    (dataset.path / CARD).write_text(json.dumps(card))
    assert DatasetDir(dataset.path).verify() == ["the task card changed since the dataset was made"]


def test_the_task_card_is_edited_field_by_field_and_faults_are_sentences(workspace: Workspace) -> None:
    dataset = math(workspace)
    card = set_task(dataset, instruction="Work out the sum.", labels={"a": "first"})
    again = DatasetDir(dataset.path)
    assert again.task == card
    assert card.answer_format == dataset.task.answer_format
    assert again.verify() == []
    readme = (dataset.path / "README.md").read_text()
    assert "Work out the sum." in readme
    assert "## Leakage between splits" in readme
    with pytest.raises(DataError, match="did you mean 'extraction'"):
        set_task(again, kind="extracion")


def test_a_dataset_of_before_has_the_task_card_that_its_rows_look_like(workspace: Workspace) -> None:
    dataset = math(workspace)
    card = json.loads((dataset.path / CARD).read_text())
    for name in ("task", "origins"):
        del card[name]
    del card["sha256"]["task"]
    (dataset.path / CARD).write_text(json.dumps(card))
    old = DatasetDir(dataset.path)
    assert old.card.task is None
    assert old.verify() == []
    assert old.task.kind == "question_answering"
    assert "Answer:" in old.task.answer_format


def rows_of(answers: list[str], scorer: str = EXACT, prefix: str = "") -> list[Example]:
    return [
        make_example([user(f"Text number {n}")], prefix + a, answer=a, family="f", template=str(n), scorer=scorer)
        for n, a in enumerate(answers)
    ]


def test_imported_rows_are_told_apart_by_kind() -> None:
    assert guess_task_card(rows_of(["billing", "login", "login", "other"] * 10)).labels == {
        "login": "", "billing": "", "other": "",
    }  # fmt: skip
    record = guess_task_card(rows_of(['{"title": "x", "hours": 3}'] * 9, JSON))
    assert record.kind == "extraction"
    assert "title, hours" in record.answer_format
    assert guess_task_card(rows_of([str(n) for n in range(40)])).kind == "question_answering"
    assert guess_task_card(rows_of(["3", "5"] * 20)).kind == "question_answering"
    assert guess_task_card(rows_of(["a long and winding answer of many words that says this and that"] * 9)).kind == (
        "free_text"
    )
    assert guess_task_card([]) == TaskCard(kind="free_text")
    part = ImagePart(path="media/a.png", sha256="a")
    assert guess_task_card([make_example([user(part, "?")], "3", family="f", template="t")]).kind == "picture_questions"


def test_a_writer_without_a_task_guesses_it_from_the_rows(workspace: Workspace) -> None:
    with atomic_dir(workspace.datasets / "d") as folder:
        writer = DatasetWriter(folder)
        for row in rows_of(["yes", "no"] * 20):
            writer.keep(row)
        card = writer.finish(Card(name="d"))
    assert card.task is not None
    assert set(card.task.labels) == {"yes", "no"}
