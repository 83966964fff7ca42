"""synth.urgency: the most urgent matter decides, what is denied does not, and the test splits hold what is new."""

from __future__ import annotations

from collections import Counter

import pytest

from synth.build import build_dataset, preview_rows
from synth.curation import leakage
from synth.example import Example
from synth.urgency import TASK, check
from synth.urgency.check import urgency_of
from synth.urgency.generator import LEVELS, bank, matters
from synth.urgency.written import real_rows
from synth.workspace import Workspace

SIZES = {"train": 600, "val": 60, "test": 150, "test_ood": 90}


def no_media(data: bytes, suffix: str) -> str:
    raise AssertionError("text has no media")


@pytest.fixture(scope="module")
def rows() -> list[Example]:
    return preview_rows("urgency", SIZES, sum(SIZES.values()))


def test_each_level_is_as_frequent_as_the_others_and_texts_differ(rows: list[Example]) -> None:
    for split, count in SIZES.items():
        answers = Counter(row.answer for row in rows if row.split == split)
        assert answers == dict.fromkeys(LEVELS, count // 3)
    assert len({row.prompt[-1].text for row in rows}) == len(rows)
    assert set(TASK.labels) == set(LEVELS)


def test_another_urgency_is_rejected(rows: list[Example]) -> None:
    for row in rows:
        assert check(row)
        for other in set(LEVELS) - {row.answer}:
            assert not check(row.model_copy(update={"answer": other, "target": other}))


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Pain 8 out of 10 in the belly.", "high"),
        ("Pain 7 out of 10 in the belly.", "medium"),
        ("Pain 3 out of 10 in the knee.", "low"),
        ("Fever of 39.9 since Monday.", "medium"),
        ("Fever of 40.0 since Monday.", "high"),
        ("Please renew the prescription. Chest pain since this morning.", "high"),
        ("No chest pain. A rash on the hand.", "medium"),
        ("I fainted once, years ago. Are you open on Monday?", "low"),
        ("The weather has been awful.", ""),
    ],
)
def test_the_checker_reads_numbers_and_passes_over_what_is_denied(text: str, level: str) -> None:
    assert urgency_of(text) == level


def test_every_phrasing_reads_as_its_matter_and_nothing_reads_higher() -> None:
    """No phrase, greeting or piece of chatter is by accident a sign of something more urgent."""
    slots = {"t38": "38.5", "t40": "40.5", "p1": 2, "p4": 5, "p8": 9, "part": "knee", "day": "Monday", "day2": "Friday"}
    slots |= {"n": 4, "month": "May", "hour": "3 o'clock", "w": "my son", "W": "My son", "name": "Ada"}
    for matter in matters():
        for phrasing in matter.phrasings:
            assert urgency_of(phrasing.format(**slots)) == matter.level, phrasing
    for said in (*bank()["openings"], *bank()["closings"], *bank()["chatter"], *bank()["set_aside"]):
        assert urgency_of(said.format(**slots)) in ("", "low"), said


def test_phrasings_of_the_test_and_matters_of_the_unseen_test_are_not_trained_on(
    rows: list[Example], workspace: Workspace
) -> None:
    of = {split: [row for row in rows if row.split == split] for split in SIZES}
    assert not {row.template for row in of["train"]} & {row.template for row in (*of["val"], *of["test"])}
    assert not {row.family for row in of["train"]} & {row.family for row in of["test_ood"]}
    assert {m.name for m in matters() if m.held_out} <= {row.family for row in of["test_ood"]}
    made = build_dataset("urgency", SIZES, "u", workspace)
    assert made.card.splits == SIZES
    report = leakage.check_dataset(made)
    assert report.ok, report


def test_hand_written_messages_are_of_every_urgency_and_share_no_wording(rows: list[Example]) -> None:
    found = real_rows(no_media)
    assert len(found) >= 30 and len({row.id for row in found}) == len(found)
    assert min(Counter(row.answer for row in found).values()) >= 10
    assert all(row.origin is not None and row.origin.kind == "hand" and row.split == "test_real" for row in found)
    phrases = [phrasing.casefold() for matter in matters() for phrasing in matter.phrasings if "{" not in phrasing]
    assert not [row for row in found if any(phrase in row.prompt[-1].text.casefold() for phrase in phrases)]
