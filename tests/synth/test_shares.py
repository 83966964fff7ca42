"""How imported rows are shared out: exact counts, every answer in its share, groups together, JSON answers."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synth.curation.amend import add_real_file
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Split
from synth.importing import waiting
from synth.importing.importer import Options, import_data
from synth.importing.splits import SHARES, share_out, shares_of
from synth.workspace import Workspace

SPLITS: tuple[Split, ...] = ("train", "val", "test")


@st.composite
def shares(draw: st.DrawFn) -> dict[Split, float]:
    test, val = draw(st.integers(5, 30)) / 100, draw(st.integers(0, 20)) / 100
    return {"train": 1 - test - val, "val": val, "test": test}


@pytest.mark.slow
@given(st.lists(st.integers(2, 60), min_size=2, max_size=8), shares(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_counts_are_exact_and_every_class_is_learned(sizes: list[int], chosen: dict[Split, float], random) -> None:  # type: ignore[no-untyped-def]
    labels = [str(label) for label, size in enumerate(sizes) for _ in range(size)]
    keys = [f"row {number}" for number in range(len(labels))]
    drawn = share_out(keys, labels, chosen)
    counts = Counter(drawn)
    for split, share in chosen.items():
        assert abs(counts[split] - share * len(labels)) < 1
    for label, size in enumerate(sizes):
        cell = Counter(s for s, found in zip(drawn, labels, strict=True) if found == str(label))
        assert cell["train"] >= 1
        for split, share in chosen.items():
            assert abs(cell[split] - share * size) <= 2.5, (label, split)
    rows = list(zip(keys, labels, strict=True))
    random.shuffle(rows)
    again = share_out([key for key, _ in rows], [label for _, label in rows], chosen)
    assert dict(zip(keys, drawn, strict=True)) == dict(zip([key for key, _ in rows], again, strict=True))


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), min_size=1, max_size=200))
@settings(max_examples=100, deadline=None)
def test_rows_of_one_group_are_never_parted(rows: list[tuple[int, str]]) -> None:
    drawn = share_out([f"patient {group}" for group, _ in rows], [label for _, label in rows], SHARES)
    homes: dict[int, set[str]] = {}
    for (group, _), split in zip(rows, drawn, strict=True):
        homes.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in homes.values())


def test_many_small_groups_come_out_near_the_shares() -> None:
    drawn = share_out([f"patient {n // 4}" for n in range(400)], ["yes" if n % 5 else "no" for n in range(400)], SHARES)
    counts = Counter(drawn)
    assert all(abs(counts[split] - 400 * SHARES[split]) <= 4 for split in SPLITS), counts


def clinic(folder: Path, rows: int = 299) -> Path:
    """Messages to a clinic with category and urgency, of which some are rare."""
    made = folder / "clinic.csv"
    with made.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["message", "category", "urgency"])
        for n in range(rows):
            kind = ["appointment", "prescription", "billing", "symptoms", "results"][min(n % 7, 4)]
            urgency = "high" if n % 23 == 0 else "medium" if n % 3 == 0 else "low"
            out.writerow([f"Dear clinic, number {n}: this is about {kind}, written on day {n * 7}.", kind, urgency])
    return made


def test_a_clinics_file_is_shared_out_exactly_by_category(tmp_path: Path, workspace: Workspace) -> None:
    mapping = {"question": "message", "answer": "category"}
    report = import_data(clinic(tmp_path), "clinic", workspace, Options(mapping=mapping))
    assert report.splits == {"train": 239, "val": 30, "test": 30}
    assert {cause for causes in report.why.values() for cause in causes} == {"by exact shares"}
    dataset = DatasetDir(workspace.datasets / "clinic")
    of = {split: Counter(e.answer for e in dataset.examples(split)) for split in SPLITS}
    assert set(of["train"]) == set(of["test"]) == set(of["val"])
    assert dataset.task.kind == "classification"
    (suggested,) = report.groupings
    assert suggested.column == "urgency"
    grouped = import_data(clinic(tmp_path), "g", workspace, Options(mapping=mapping, group_by="urgency"))
    assert {split: rows for split, rows in suggested.splits.items() if rows} == grouped.splits


@pytest.mark.parametrize(
    "said", ["", "80", "a,b,c", "80,10", "80,10,20", "110,-10,0", "0,50,50", "nan,50,50", "1e999,0,0"]
)
def test_shares_that_are_no_shares_are_refused_with_an_example(said: str) -> None:
    with pytest.raises(DataError, match=r"80,10,10|together 100 %") as caught:
        shares_of(said)
    assert caught.value.code == "data.shares"


def test_several_columns_become_one_json_answer(tmp_path: Path, workspace: Workspace) -> None:
    source = clinic(tmp_path)
    with source.open("a") as file:
        file.write("Only a message,billing,\n")
    options = Options(mapping={"question": "message"}, answer_columns=("category", "urgency"))
    report = import_data(source, "clinic", workspace, options)
    assert (report.kept, report.rejected, report.unused) == (299, [(301, "no urgency")], ())
    dataset = DatasetDir(workspace.datasets / "clinic")
    first = next(dataset.examples("train"))
    assert set(json.loads(first.answer or "")) == {"category", "urgency"}
    assert (first.scorer, dataset.task.kind) == ("json", "extraction")
    wrong = options._replace(answer_columns=("category", "urgencyy"))
    with pytest.raises(DataError, match="urgency"):
        import_data(source, "other", workspace, wrong)


def test_beyond_a_size_rows_go_by_their_hash_and_none_is_lost(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_EXACT", 100)
    report = import_data(
        clinic(tmp_path), "a", workspace, Options(mapping={"question": "message", "answer": "urgency"})
    )
    assert report.kept == sum(report.splits.values()) == 299
    assert {cause for causes in report.why.values() for cause in causes} == {"by a hash of their wording"}


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (32, 32), (40 * number, 90, 7)).save(folder / name)
    return folder


def asked_in(workspace: Workspace, name: str) -> Counter[str]:
    dataset = DatasetDir(workspace.datasets / name)
    return Counter(row.prompt[-1].text for split in dataset.splits() for row in dataset.examples(split))


TOTAL = "What is the total?"


def test_one_question_is_asked_about_every_picture_that_brings_none(tmp_path: Path, workspace: Workspace) -> None:
    table = pictures(tmp_path, "a.png", "b.png", "c.png") / "totals.csv"
    table.write_text("scan,total,question\na.png,12.50,\nb.png,7.00,What is the tax?\nc.png,9.10,\n")
    options = Options(mapping={"path": "scan", "answer": "total"}, question=TOTAL)
    report = import_data(table, "receipts", workspace, options)
    assert (report.kept, report.rejected, report.modality) == (3, [], "vision")
    assert asked_in(workspace, "receipts") == {TOTAL: 2, "What is the tax?": 1}
    card = DatasetDir(workspace.datasets / "receipts").card
    assert card.spec["question"] == TOTAL, "real rows that are added later are asked the same"
    again = options._replace(mapping={"path": "scan", "answer": "total", "question": "question"})
    import_data(table, "mapped", workspace, again)
    assert asked_in(workspace, "mapped") == asked_in(workspace, "receipts")
    with pytest.raises(DataError, match="for pictures"):
        import_data(table, "wrong", workspace, Options("text", question="What is it?"))


@pytest.mark.parametrize(
    ("header", "line", "mapping", "asked"),
    [
        ("file_name,prompt,label", "a.png,Which one?,cat", {}, "Which one?"),
        ("file_name,frage,label", "a.png,Was ist das?,cat", {"question": "frage"}, "Was ist das?"),
        ("file_name,label", "a.png,cat", {}, TOTAL),
        ("file_name,text", "a.png,a cat", {}, TOTAL),
        ("image,query,answer", "a.png,,cat", {}, TOTAL),
        ("bild,wert", "a.png,3", {"path": "bild", "answer": "wert"}, TOTAL),
    ],
)
def test_a_rows_own_question_wins_in_whatever_column_it_stands(
    tmp_path: Path, workspace: Workspace, header: str, line: str, mapping: dict[str, str], asked: str
) -> None:
    table = pictures(tmp_path, "a.png") / "rows.csv"
    table.write_text(f"{header}\n{line}\n")
    import_data(table, "made", workspace, Options("vision", mapping or None, question=TOTAL))
    assert asked_in(workspace, "made") == {asked: 1}


def test_folders_of_classes_are_asked_the_one_question_and_datasets_of_ours_keep_theirs(
    tmp_path: Path, workspace: Workspace
) -> None:
    for name in ("cat", "dog"):
        pictures(tmp_path / "pets" / name, f"{name}.png")
        Image.new("RGB", (16, 16), {"cat": "red", "dog": "blue"}[name]).save(tmp_path / "pets" / name / f"{name}.png")
    import_data(tmp_path / "pets", "pets", workspace, Options(question="Which animal?"))
    assert asked_in(workspace, "pets") == {"Which animal?": 2}
    import_data(workspace.datasets / "pets", "copy", workspace, Options("vision", question=TOTAL))
    assert asked_in(workspace, "copy") == {"Which animal?": 2}


def test_pictures_that_come_later_are_asked_what_all_others_are(tmp_path: Path, workspace: Workspace) -> None:
    table = pictures(tmp_path, *(f"{n}.png" for n in range(6))) / "rows.csv"
    table.write_text("file_name,answer\n" + "".join(f"{n}.png,{n}\n" for n in range(4)))
    import_data(table, "first", workspace, Options("vision", question=TOTAL))
    import_data(workspace.datasets / "first", "copy", workspace)  # whose card was told nothing
    table.write_text("file_name,answer\n4.png,4\n5.png,5\n")
    for name in ("first", "copy"):
        dataset = DatasetDir(workspace.datasets / name)
        add_real_file(dataset, table, "real")
        assert {row.prompt[-1].text for row in DatasetDir(dataset.path).examples("test_real")} == {TOTAL}
