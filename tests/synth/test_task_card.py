"""The task card that rows get: labels wherever they stand in the file, of codes, of pictures in class folders."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from studio.cli import app
from synth.curation.amend import set_task
from synth.dataset import CARD, DatasetDir
from synth.errors import DataError
from synth.example import Example, ImagePart, make_example, user
from synth.importing.importer import Options, import_data
from synth.importing.preview import preview
from synth.scoring.label import variants
from synth.storage import read_json, write_json
from synth.task import GUESSED_FROM, Guess, guess_task_card
from synth.workspace import Workspace

WORDS = ("invoice", "password", "delivery", "opening hours", "complaint", "praise")


def table(place: Path, answers: Iterable[str]) -> Path:
    """A message in each row that no other row has, with its answer."""
    with place.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["question", "answer"])
        rows.writerows(
            (f"{WORDS[n % 6]}, {WORDS[n // 6 % 6]}, case {n * 7919}", answer) for n, answer in enumerate(answers)
        )
    return place


def imported(workspace: Workspace, place: Path, **options: object) -> DatasetDir:
    import_data(place, place.stem, workspace, Options(**options))  # type: ignore[arg-type]
    return DatasetDir(workspace.datasets / place.stem)


def rows_of(answers: Iterable[str], **more: str) -> Iterable[Example]:
    for n, answer in enumerate(answers):
        yield make_example([user(f"Text {n}")], answer, answer=answer, family="f", template=str(n), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("counts", [(100, 100, 100, 100), (1500, 300, 12, 8)])
def test_a_file_sorted_by_class_keeps_all_its_labels(
    workspace: Workspace, tmp_path: Path, counts: tuple[int, ...]
) -> None:
    answers = [label for label, rows in zip(("a", "b", "c", "d"), counts, strict=True) for _ in range(rows)]
    dataset = imported(workspace, table(tmp_path / "sorted.csv", answers))
    assert dataset.task.kind == "classification" and set(dataset.task.labels) == {"a", "b", "c", "d"}
    card = read_json(dataset.path / CARD)
    del card["task"], card["sha256"]["task"]
    write_json(dataset.path / CARD, card)
    assert set(DatasetDir(dataset.path).task.labels) == {"a", "b", "c", "d"}, "of an earlier version"


def test_what_is_held_of_the_rows_does_not_grow_with_them() -> None:
    guess = Guess()
    tracemalloc.start()
    try:
        held = []
        for some in (2000, 20_000):
            for row in rows_of(map(str, range(some))):
                guess.add(row)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(guess.sample) == GUESSED_FROM and guess.rows == 22_000
    assert held[1] < 1.2 * held[0], held
    assert guess.card().kind == "question_answering"
    assert guess_task_card(rows_of([*["yes", "no"] * 300, *map(str, range(3000))])).labels == {}


def test_codes_that_repeat_are_labels_and_numbers_and_quantities_are_none() -> None:
    assert set(guess_task_card(rows_of(["P1", "P2", "P3"] * 20)).labels) == {"P1", "P2", "P3"}
    assert set(guess_task_card(rows_of(["<1", "1", ">1"] * 20)).labels) == {"<1", "1", ">1"}
    for numbers in (["1", "2", "5"], ["-1", "0", "1"], ["3 kg", "5 kg"], ["$5", "$7"]):
        assert guess_task_card(rows_of(numbers * 20)).kind == "question_answering", numbers


def test_pictures_in_class_folders_are_classified_and_pictures_with_questions_are_not(
    workspace: Workspace, tmp_path: Path
) -> None:
    for n, label in enumerate(["cat", "dog", "tree"] * 8):
        (tmp_path / "zoo" / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (9 * n, 80, 200 - 8 * n)).save(tmp_path / "zoo" / label / f"{n}.png")
    task = imported(workspace, tmp_path / "zoo").task
    assert task.kind == "classification" and set(task.labels) == {"cat", "dog", "tree"}

    def asked(n: int, question: str) -> Example:
        part = ImagePart(path=f"media/{n}.png", sha256=str(n))
        answer = ("yes", "no")[n % 2]
        return make_example([user(part, question)], answer, answer=answer, family="f", template=str(n))

    assert guess_task_card(asked(n, f"Is {n // 2} there?") for n in range(40)).kind == "picture_questions"


def test_numbers_that_a_person_calls_labels_are_listed_from_the_rows(workspace: Workspace, tmp_path: Path) -> None:
    stars = imported(workspace, table(tmp_path / "stars.csv", ["1", "2", "3", "4", "5"] * 12))
    assert stars.task.kind == "question_answering"
    assert set(set_task(stars, kind="classification").labels) == {"1", "2", "3", "4", "5"}
    sums = imported(workspace, table(tmp_path / "sums.csv", map(str, range(60))))
    with pytest.raises(DataError, match="no labels can be listed") as refused:
        set_task(sums, kind="classification")
    assert "--label" in refused.value.remedy and sums.task == DatasetDir(sums.path).task
    assert set_task(sums, kind="classification", labels={"1": "", "2": ""}).labels == {"1": "", "2": ""}


def test_a_kind_of_task_of_other_media_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    dataset = imported(workspace, table(tmp_path / "texts.csv", ["a", "b"] * 20))
    with pytest.raises(DataError, match="Dictation is no task for rows such as those of texts"):
        set_task(dataset, kind="dictation")


def test_rows_that_contradict_another_one_are_told_from_copies_and_counted(
    workspace: Workspace, tmp_path: Path
) -> None:
    said = ["Please renew my prescription", "When is the next free appointment", "Where are my results"]
    rows = [(f"{said[n % 3]}, patient {n * 7919}", "abc"[n % 3]) for n in range(60)]
    more = [(rows[0][0], "b"), (rows[1][0], "B "), (rows[2][0].upper(), "a")]
    file = tmp_path / "desk.csv"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("question", "answer"), *rows, *more])
    report = import_data(file, "desk", workspace)
    assert report.rejected == [(62, "same prompt as line 2, with another answer"), (63, "same prompt as line 3")]
    assert report.reasons == {
        "same prompt as an earlier line, with another answer": 1,
        "same prompt as an earlier line": 1,
    }
    notes = "\n".join(report.notes)
    assert "1 of the rows set aside ask what an earlier row asks and answer otherwise" in notes
    assert "2 rows say the same as another one but for case and punctuation, and have another answer" in notes


def test_labels_that_differ_in_case_alone_are_named_by_import_preview_and_check(
    workspace: Workspace, tmp_path: Path
) -> None:
    file = table(tmp_path / "urgency.csv", ["Hoch", "hoch", "sehr niedrig", "sehr_niedrig", "mittel"] * 12)
    said = "“Hoch” and “hoch” differ only in case, spaces or joining signs: make them one label"
    for sentences in (preview(file, Options("text")).warnings, import_data(file, "urgency", workspace).notes):
        found = [sentence for sentence in sentences if "differ only in case" in sentence]
        assert len(found) == 2 and any(said in sentence for sentence in found)
    assert variants(["A", "A-", "-1", "1", "<1", "C", "C++"]) == []
    shown = CliRunner().invoke(app, ["data", "check", "urgency", "--workspace", str(workspace.path)])
    assert f"note: {said}" in shown.output and shown.output.count("note: ") == 2, shown.output
