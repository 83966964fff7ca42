"""synth.attributes: what a text says of the product that is sold is the answer, all of it and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth.attributes import check
from synth.attributes.generator import KEYS, bank
from synth.attributes.written import real_rows
from synth.build import build_dataset, preview_rows
from synth.curation import leakage
from synth.example import Example, make_example, user
from synth.workspace import Workspace

SIZES = {"train": 600, "val": 40, "test": 150, "test_ood": 100}


def no_media(data: bytes, suffix: str) -> str:
    raise AssertionError("text has no media")


@pytest.fixture(scope="module")
def rows() -> list[Example]:
    return preview_rows("attributes", SIZES, sum(SIZES.values()))


def said(row: Example) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.answer or "")
    return found


def with_answer(row: Example, **values: object) -> Example:
    answer = json.dumps({**said(row), **values}, ensure_ascii=False)
    return row.model_copy(update={"answer": answer, "target": answer})


@pytest.mark.parametrize("key", KEYS[1:])
def test_a_value_left_out_changed_or_invented_is_rejected(rows: list[Example], key: str) -> None:
    wrong = 7 if key == "quantity" else "something else"
    for row in rows[:200]:
        assert check(row)
        assert not check(with_answer(row, **{key: wrong}))
        assert said(row)[key] is None or not check(with_answer(row, **{key: None}))


def test_what_is_not_sold_is_named_and_is_not_the_answer() -> None:
    text = "A mug that lasts. Made by Norvika. In red. Also available in black. Replaces the old one from Tarby."
    values = {**dict.fromkeys(KEYS), "product": "mug", "brand": "Norvika", "colour": "red"}
    for colour, brand, right in (("red", "Norvika", True), ("black", "Norvika", False), ("red", "Tarby", False)):
        answer = json.dumps({**values, "colour": colour, "brand": brand})
        row = make_example([user(text)], answer, answer=answer, family="f", template="t")
        assert bool(check(row)) == right


def test_a_third_of_the_texts_names_another_value(rows: list[Example]) -> None:
    starts = ("Also ", "Goes well", "Delivered in", "Not made", "Replaces")
    share = sum(any(start in row.prompt[-1].text for start in starts) for row in rows) / len(rows)
    assert 0.3 < share < 0.5


def test_brands_of_the_test_and_products_of_the_unseen_test_are_not_trained_on(
    rows: list[Example], workspace: Workspace
) -> None:
    of = {split: [row for row in rows if row.split == split] for split in SIZES}
    brands = {split: {said(row)["brand"] for row in of[split]} - {None} for split in SIZES}
    assert len(brands["train"]) > 200 and not brands["train"] & (brands["val"] | brands["test"] | brands["test_ood"])
    assert not {row.family for row in of["train"]} & {row.family for row in of["test_ood"]}
    held_out = {
        product for group in bank()["groups"].values() if group.get("held_out") for product in group["products"]
    }
    assert not held_out & {said(row)["product"] for row in (*of["train"], *of["val"], *of["test"])}
    made = build_dataset("attributes", SIZES, "a", workspace)
    assert made.card.splits == SIZES
    report = leakage.check_dataset(made)
    assert report.ok, report


def test_texts_have_no_open_slot_and_no_leftover_of_what_is_not_said(rows: list[Example]) -> None:
    for row in rows:
        text = row.prompt[-1].text
        assert not any(left in text for left in ("{", "}", "None", " ,", ",,", "()", "( ", "||", "  ", " .", "- -"))
        assert text == text.strip()
        assert text.count("(") == text.count(")")


def test_hand_written_texts_say_what_their_answers_say() -> None:
    found = real_rows(no_media)
    assert len(found) >= 30 and len({row.id for row in found}) == len(found)
    assert all(row.origin is not None and row.origin.kind == "hand" and row.split == "test_real" for row in found)
    for row in found:
        copied = [value for value in said(row).values() if isinstance(value, str)]
        assert all(value in row.prompt[-1].text for value in copied), row.prompt[-1].text
