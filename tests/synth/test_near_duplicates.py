"""Rows that say nearly the same stay on one side of the split; rows that differ in a number are different problems."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from synth.curation.alike import alike, overlapping
from synth.curation.runs import read_text
from synth.dataset import DatasetDir
from synth.importing import waiting
from synth.importing.importer import Options, import_data
from synth.importing.report import ImportReport
from synth.workspace import Workspace

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ala", "emo", "iru", "ona", "uti")]


def sentence(number: int, words: int = 12) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=words))


def edited(text: str) -> str:
    """A customer's second try: other case, a typo, punctuation."""
    return f"{text[:20].upper()}{text[20:-3]}{text[-2:]}!!"


def imported(rows: list[dict[str, str]], tmp_path: Path, name: str = "d", **options: bool) -> ImportReport:
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return import_data(path, name, Workspace(tmp_path / "workspace"), Options(**options))  # type: ignore[arg-type]


def split_of(tmp_path: Path, name: str = "d") -> dict[str, str]:
    dataset = DatasetDir(tmp_path / "workspace" / "datasets" / name)
    return {e.prompt[0].text: split for split in dataset.splits() for e in dataset.examples(split)}


def note(tmp_path: Path, name: str = "d") -> dict[str, object]:
    return dict(DatasetDir(tmp_path / "workspace" / "datasets" / name).card.notes["near_duplicates"])


def test_rows_that_say_nearly_the_same_go_into_one_split_and_are_counted(tmp_path: Path) -> None:
    pairs = [(sentence(n), edited(sentence(n))) for n in range(100)]
    rows = [{"question": q, "answer": "yes"} for pair in pairs for q in pair]
    report = imported(rows, tmp_path)
    where = split_of(tmp_path)
    assert all(where[one] == where[other] for one, other in pairs)
    assert report.splits == {"train": 160, "val": 20, "test": 20}  # the shares hold all the same
    assert note(tmp_path) == {"looked_for": "near", "groups": 100, "rows": 200, "apart": 0}
    assert any("200 rows say nearly the same" in line for line in report.lines())
    assert report.leaks == ()


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": "yes"} for n in range(100) for q in (sentence(n), edited(sentence(n)))]
    report = imported(rows, tmp_path, split_near_duplicates=True)
    assert note(tmp_path)["looked_for"] == ""
    assert any("near-duplicates" in leak for leak in report.leaks)


@pytest.mark.parametrize(
    "text", ["A shop sells {} plates at $7 each. What is the total in dollars?", "What is {} + 3?"]
)
def test_rows_that_differ_in_a_number_are_different_problems(text: str, tmp_path: Path) -> None:
    report = imported([{"question": text.format(n), "answer": str(n)} for n in range(60)], tmp_path)
    assert note(tmp_path) == {"looked_for": "near", "groups": 0, "rows": 0, "apart": 0}
    assert report.splits == {"train": 48, "val": 6, "test": 6}


def test_one_text_with_gaps_does_not_take_the_test_away(tmp_path: Path) -> None:
    names = [w.title() for w in WORDS]
    rows = [
        {
            "question": f"Dear {name}, your order has left our house today and will be with you soon",
            "answer": "shipping",
        }
        for name in names
    ]
    report = imported(rows, tmp_path)
    assert report.splits == {"train": 48, "val": 6, "test": 6}
    assert note(tmp_path)["apart"] or note(tmp_path)["rows"] == 0  # said, or boilerplate to the check as well


def test_groups_and_near_duplicates_hold_together(tmp_path: Path) -> None:
    rows = [{"question": sentence(n), "answer": "a", "who": f"p{n // 2}"} for n in range(60)]
    rows += [{"question": edited(sentence(1)), "answer": "a", "who": "p29"}]
    path = tmp_path / "g.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_data(path, "d", Workspace(tmp_path / "workspace"), Options(group_by="who"))
    where = split_of(tmp_path)
    assert len({where[row["question"]] for row in rows if row["who"] in ("p0", "p29")}) == 1


def test_beyond_a_size_rows_of_the_same_words_stay_together_and_the_report_says_how_far_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_EXACT", 50)
    pairs = [(sentence(n), sentence(n).upper().replace(" ", ",  ")) for n in range(100)]
    report = imported([{"question": q, "answer": "yes"} for pair in pairs for q in pair], tmp_path)
    where = split_of(tmp_path)
    assert all(where[one] == where[other] for one, other in pairs)
    assert note(tmp_path)["looked_for"] == "wording"
    assert any("were not looked for" in line for line in report.notes)


def test_groups_do_not_depend_on_the_order_of_the_rows() -> None:
    texts = [t for n in range(40) for t in (sentence(n), edited(sentence(n)), sentence(n + 1000, 60))]
    shuffled = texts[:]
    random.Random(0).shuffle(shuffled)

    def found(given: list[str]) -> set[frozenset[str]]:
        groups = alike([read_text(text) for text in given])
        return {frozenset(given[place] for place in group) for group in groups}

    assert found(texts) == found(shuffled)
    assert len(found(texts)) == 40


def test_texts_of_a_few_words_are_alike_when_their_words_are() -> None:
    texts = [
        "Cancel my order!",
        "cancel my order",
        "Cancel my card",
        "??",
        "!!",
        "注文を取り消したい",
        "注文を確認したい",
    ]
    assert alike([read_text(text) for text in texts]) == [[0, 1]]


def test_long_texts_with_one_change_are_found() -> None:
    long = sentence(7, 3000)
    assert alike([read_text(long), read_text(long.replace(" ", "  ", 1) + " more"), read_text(sentence(8, 3000))]) == [
        [0, 1]
    ]


def test_keys_that_several_texts_share_are_found_on_disk_as_in_memory() -> None:
    from synth.curation.minhash import Bands

    chance = np.random.default_rng(0)
    keys = chance.integers(1, 1 << 32, (3000, 16), dtype=np.uint32)
    keys[500:510] = keys[3]
    keys[700, 4], keys[7:9, 0] = keys[3, 4], 0  # 0 is no key
    met = Bands(16)
    for start in range(0, 3000, 700):
        met.take(keys[start : start + 700])
    found = met.shared()
    met.close()
    several = [
        {key for key, n in zip(*np.unique(column, return_counts=True), strict=True) if n > 1} for column in keys.T
    ]
    for place, row in enumerate(keys):
        assert found.at(place) == [key for key, many in zip(row, several, strict=True) if key and key in many]


def words(seed: int, count: int) -> str:
    return " ".join(random.Random(seed).choices([f"word{n}" for n in range(4000)], k=count))


def test_extracts_overlap_where_half_of_the_shorter_one_stands_in_the_other_numbers_or_not() -> None:
    one, other, third = words(1, 120), words(2, 120), words(3, 120)
    shifted = f"{one[len(one) // 3 :]} {other[: len(other) // 3]}"
    texts = [one, third, shifted, f"{words(4, 40)} in 2024", f"{words(4, 40)} in 2025", f"{one[:100]} {words(5, 90)}"]
    assert overlapping([read_text(text) for text in texts]) == [[0, 2], [3, 4]]


def test_the_words_of_a_form_do_not_tie_its_copies_together() -> None:
    form, copies = words(6, 90), [words(n, 60) for n in range(10, 70)]
    assert overlapping([read_text(f"{form} {copy}") for copy in copies]) == []
