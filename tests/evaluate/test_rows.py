"""Scored rows on disk say what the rows said that were put there, and a comparison of many stays in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from evaluate.predict.prediction import Prediction, no_predictions
from evaluate.report.results import Row
from evaluate.report.rows import COUNTS, FLAGS, NAMES, NUMBERS, REPEATED, STRINGS, TEXTS, Rows, numbers, of_split, taken
from evaluate.stats import clusters, measures
from synth import shelf
from synth.shelf import Mapped, Shelf, Stack
from synth.usage import Usage


def row(number: int, **more: object) -> Row:
    return Row(
        example_id=f"{number:032x}",
        split="test" if number % 3 else "val",
        family=f"family {number % 5}",
        template=f"t{number % 7} ä",
        scorer="exact",
        score=None if number % 11 == 0 else float(number % 2),
        gold=f"{number}",
        answer="\ud7ff" * 3,
        media=("media/a.png",) if number % 2 else (),
        edits=number % 4 or None,
        usage=Usage(input_tokens=number % 3),
        **more,
    )


def test_every_field_of_a_row_has_its_place() -> None:
    named = (*NUMBERS, *COUNTS, *FLAGS, *REPEATED, *NAMES, *STRINGS, "usage", *TEXTS)
    assert sorted(named) == sorted(Row.model_fields)


def test_rows_on_disk_are_the_rows_that_were_put_there() -> None:
    given = [row(number, format_fault=number == 4, seconds=0.25 * number) for number in range(50)]
    rows = Rows()
    for one in given:
        rows.append(one)
    for name in Row.model_fields:
        assert [getattr(one, name) for one in rows] == [getattr(one, name) for one in given], name
    assert [one.model_dump() for one in rows] == [one.model_dump() for one in given]
    assert rows[-1].gold == "49" and len(rows[2:5]) == 3
    assert rows[3].model_copy(update={"score": 0.5}) == given[3].model_copy(update={"score": 0.5})
    tested = of_split(rows, "test")
    assert [one.example_id for one in tested] == [one.example_id for one in given if one.split == "test"]
    assert [one.gold for one in taken(tested, np.array([0, 2]))] == ["1", "4"]
    moved = rows.moved(lambda split, origin: (f"{split}.real", "real"))
    assert {one.split for one in moved} == {"test.real", "val.real"} and {one.origin for one in moved} == {"real"}
    assert {one.split for one in rows} == {"test", "val"}, "the others stay as they were"


def test_rows_are_paired_by_id_also_where_the_other_system_has_fewer_in_another_order() -> None:
    ours, theirs = Rows(), Rows()
    for number in range(30):
        ours.append(row(number))
    for number in reversed(range(5, 30)):
        theirs.append(row(number))
    both = measures.pair_rows(ours, theirs, "accuracy")
    assert [one.example_id for one in both.small] == [one.example_id for one in both.large]
    assert len(both.small) == 23 and both.dropped == 7  # 0 to 4 are missing there; 11 and 22 have no score


def test_clusters_on_disk_are_those_of_their_ids_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    for number in range(60):
        rows.append(row(number))
    ids = measures.cluster_ids(rows, "template")
    codes = clusters.cluster_codes(60, ids)
    assert np.array_equal(codes, clusters.cluster_codes(60, [one.template for one in rows]))
    monkeypatch.setattr(clusters, "MOST_HELD", 3)
    by_hash = clusters.cluster_codes(60, ids)
    assert len(set(zip(codes.tolist(), by_hash.tolist(), strict=True))) == len(set(codes.tolist())) == 7


def test_records_come_back_by_name_and_place_and_the_last_one_of_a_name_stays() -> None:
    shelf: Shelf[str] = Shelf(str.encode, bytes.decode)
    for name, record in (("a", "one"), ("b", "two"), ("a", "three")):
        shelf[name] = record
    assert dict(shelf) == {"a": "three", "b": "two"} and len(shelf) == 2 and "c" not in shelf
    assert [*shelf.records] == ["three", "two"] and shelf.records[1:] == ["two"]
    with pytest.raises(KeyError):
        shelf["c"]
    with pytest.raises(IndexError):
        shelf.records[2]
    assert [*Mapped(shelf.records, len)] == [5, 3] and Mapped(shelf.records, len, [1, 1])[1] == 3
    assert not Stack(str.encode, bytes.decode)


def test_memory_does_not_grow_with_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    block = 256
    monkeypatch.setattr(shelf, "BLOCK", block)
    rows, held = Rows(), []
    tracemalloc.start()
    for number in range(6 * block + 1):
        rows.append(row(number, prompt_text="word " * 400, answer_text="word " * 200))
        if number in (block, 6 * block):
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[1] - held[0] < 20 * 5 * block, held
    assert [rows[at].example_id for at in (block + 5, 5)] == [f"{block + 5:032x}", f"{5:032x}"]
    assert np.array_equal(np.isnan(numbers(rows, "score")), np.arange(len(rows)) % 11 == 0)


def test_half_a_character_is_kept_on_disk_in_texts_and_in_names() -> None:
    shelf = no_predictions()
    for name in ("a", "b\ud83d"):
        shelf[name] = Prediction(example_id=name, text=f"cut off \ud83d {name}")
    assert list(shelf) == ["a", "b\ud83d"] and "b\ud83d" in shelf
    assert [one.text for one in shelf.values()] == ["cut off \ud83d a", "cut off \ud83d b\ud83d"]
