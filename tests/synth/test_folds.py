"""Claims about small datasets in folds: every row is tested once, nothing that belongs together is parted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from recipes.run.instructed import InstructedDataset
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example, Split
from synth.folds import FoldedDataset, fold_count, is_small
from synth.task import TaskCard
from synth.workspace import Workspace
from tests.labelled import imported, labelled_row

LABELS = {"high": 20, "medium": 40, "low": 60}
WORDS = ("breath", "fever", "bill", "knee", "visit", "rash", "cough", "letter", "tablet", "sleep", "walk")


def row(number: int, label: str, split: Split = "train", template: str = "", text: str = "") -> Example:
    said = text or " ".join(WORDS[(number * step) % len(WORDS)] + str(number * step) for step in (1, 3, 7))
    return labelled_row(said, label, split, template or f"t{number}")


def made(workspace: Workspace, rows: list[Example], name: str = "messages", kind: str = "classification") -> DatasetDir:
    task = TaskCard(kind=kind, instruction="Say how urgent it is.")  # type: ignore[arg-type]
    return imported(workspace, rows, task, name)


def messages() -> list[Example]:
    labels = [label for label, count in LABELS.items() for _ in range(count)]
    splits: tuple[Split, ...] = ("train",) * 8 + ("val", "test")
    return [row(number, label, splits[number % 10]) for number, label in enumerate(labels)]


def test_every_row_is_tested_once_by_a_fold_that_did_not_learn_it(workspace: Workspace) -> None:
    dataset = made(workspace, messages())
    tested: list[str] = []
    for fold in range(1, 6):
        part = FoldedDataset(dataset.path, 5, fold)
        ids = {split: [one.id for one in part.examples(split)] for split in part.splits()}
        assert set(ids) == {"train", "val", "test"}
        assert not {*ids["train"], *ids["val"]} & {*ids["test"]}
        assert sum(map(len, ids.values())) == 120
        assert {one.split for one in part.examples("test")} == {"test"}
        tested += ids["test"]
    assert sorted(tested) == sorted(one.id for split in dataset.splits() for one in dataset.examples(split))


def test_labels_are_spread_evenly_and_every_fold_learns_each(workspace: Workspace) -> None:
    dataset = made(workspace, messages())
    for fold in range(1, 6):
        part = FoldedDataset(dataset.path, 5, fold)
        counts = Counter(one.target for one in part.examples("test"))
        assert all(abs(counts[label] - LABELS[label] / 5) <= 1 for label in LABELS)
        assert {one.target for one in part.examples("train")} == set(LABELS)


def test_rows_of_one_group_and_near_duplicates_stay_in_one_fold(workspace: Workspace) -> None:
    rows = messages()
    rows += [row(200 + n, "low", template="visit of Ada") for n in range(6)]
    twin = "please send me a copy of the letter about the visit to the clinic"
    rows += [row(300 + n, "low", text=twin + end) for n, end in enumerate(("", " please", ", thanks"))]
    dataset = made(workspace, rows)
    parts = [FoldedDataset(dataset.path, 5, fold) for fold in range(1, 6)]
    grouped = [sum(one.template == "visit of Ada" for one in part.examples("test")) for part in parts]
    twins = [sum(one.prompt[-1].text.startswith(twin) for one in part.examples("test")) for part in parts]
    assert sorted(grouped) == [0, 0, 0, 0, 6]
    assert sorted(twins) == [0, 0, 0, 0, 3]


def test_the_model_that_is_taken_home_learns_every_row(workspace: Workspace) -> None:
    whole = FoldedDataset(made(workspace, messages()).path, 5, 0)
    assert (whole.count("train"), whole.count("val"), whole.count("test")) == (120, 0, 0)
    assert whole.splits() == ["train"]


def test_the_same_files_give_the_same_folds_and_draws(workspace: Workspace) -> None:
    path = made(workspace, messages()).path
    one, other = FoldedDataset(path, 5, 3), FoldedDataset(path, 5, 3)
    assert [row.id for row in one.examples("test")] == [row.id for row in other.examples("test")]
    assert [row.id for row in one.draw("train", 9, 4)] == [row.id for row in other.draw("train", 9, 4)]
    assert len(one.draw("train", 9, 4)) == 9


def test_a_folded_dataset_is_told_its_task_as_any_other(workspace: Workspace) -> None:
    path = made(workspace, messages()).path
    part = InstructedDataset(FoldedDataset(path, 5, 2))
    first = next(part.examples("test"))
    assert first.prompt[0].text == "Say how urgent it is."
    assert first.id in {one.id for one in FoldedDataset(path, 5, 2).examples("test")}


def test_a_class_with_fewer_rows_than_folds_makes_fewer_folds_and_says_so(workspace: Workspace) -> None:
    dataset = made(workspace, [*messages(), *(row(400 + n, "rare") for n in range(3))])
    found = fold_count(dataset, 5)
    assert found.folds == 3
    assert found.why == "3 folds instead of 5: “rare” has 3 rows, and each fold needs one of it."
    assert fold_count(dataset, 2) == (2, "")


def test_fewer_folds_because_of_empty_answers_or_few_rows_name_no_empty_label(workspace: Workspace) -> None:
    empty = made(workspace, [*messages(), *(row(400 + n, "") for n in range(3))])
    assert fold_count(empty, 5).why == (
        "3 folds instead of 5: 3 rows have an empty answer, and each fold needs one of them."
    )


def test_a_class_of_one_row_cannot_be_tested(workspace: Workspace) -> None:
    dataset = made(workspace, [*messages(), row(400, "rare")])
    with pytest.raises(DataError, match="“rare” has one row, so it cannot be learned and tested"):
        fold_count(dataset)


def test_a_class_of_near_duplicates_cannot_be_parted(workspace: Workspace) -> None:
    twin = "please send me a copy of the letter about the visit to the clinic"
    rows = [row(300 + n, "copy", text=twin + end) for n, end in enumerate(("", " please", ", thanks"))]
    with pytest.raises(DataError, match="All rows of “copy” belong together"):
        fold_count(made(workspace, [*messages(), *rows]))


def test_so_few_groups_that_a_fold_is_empty_are_refused(workspace: Workspace) -> None:
    rows = [row(n, "free text", template=f"group {n % 3}") for n in range(30)]
    with pytest.raises(DataError, match="2 of 5 folds are empty"):
        fold_count(made(workspace, rows, kind="free_text"))


@pytest.mark.parametrize("wanted", [0, 1, 21])
def test_folds_are_two_to_twenty(workspace: Workspace, wanted: int) -> None:
    with pytest.raises(DataError, match=f"There cannot be {wanted} folds"):
        fold_count(made(workspace, messages()), wanted)


def test_fewer_than_150_rows_are_small(tmp_path: Path) -> None:
    assert is_small({"train": 120, "val": 15, "test": 14, "test_real": 500})
    assert not is_small({"train": 120, "val": 15, "test": 15})
    assert not is_small({"test_real": 40})
