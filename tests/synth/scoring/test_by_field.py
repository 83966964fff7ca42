"""Claims about a record's fields: what counts as right, wrong, invented, missed, and how near a wrong value is."""

from __future__ import annotations

import json

import pytest

from synth.scoring.by_field import outcomes
from synth.scoring.records import match_records, read_record

GOLD = {"title": "App closes", "version": None, "platform": "Pixel 8", "steps": ["open it", "tap save"], "hours": 2}


def against(reply: object) -> dict[str, tuple[str, float]]:
    text = reply if isinstance(reply, str) else json.dumps(reply)
    return {one.field: (one.outcome, round(one.overlap, 3)) for one in outcomes(text, json.dumps(GOLD))}


def test_a_value_where_gold_is_null_is_invented_and_none_where_gold_has_one_is_missed() -> None:
    found = against({**GOLD, "version": "2.1", "platform": None})
    assert found["version"] == ("invented", 0.0)
    assert found["platform"] == ("missed", 0.0)
    assert found["title"] == found["steps"] == found["hours"] == ("right", 1.0)


def test_null_an_absent_key_an_empty_text_and_an_empty_list_are_the_same_nothing() -> None:
    for nothing in (None, "", "  ", [], {}):
        assert against({**GOLD, "version": nothing})["version"] == ("right", 1.0)
        assert against({**GOLD, "platform": nothing})["platform"] == ("missed", 0.0)
    assert against({"title": "App closes"})["version"] == ("right", 1.0)
    assert against({"title": "App closes"})["steps"] == ("missed", 0.0)
    assert against({**GOLD, "version": 0})["version"] == ("invented", 0.0)
    assert against({**GOLD, "version": False})["version"] == ("invented", 0.0)


def test_case_closing_punctuation_and_the_order_of_a_list_do_not_matter_and_numbers_go_by_value() -> None:
    found = against({**GOLD, "title": "app closes.", "steps": ["tap save", "open it"], "hours": 2.0})
    assert {outcome for outcome, _ in found.values()} == {"right"}


@pytest.mark.parametrize(
    ("steps", "overlap"), [(["open it"], 2 / 3), (["open it", "tap save", "wait"], 0.8), (["wait"], 0.0)]
)
def test_a_list_is_right_as_a_whole_and_its_items_say_how_near_it_is(steps: list[str], overlap: float) -> None:
    assert against({**GOLD, "steps": steps})["steps"] == ("wrong", round(overlap, 3))


def test_a_wrong_text_is_as_near_as_the_words_that_both_have() -> None:
    assert against({**GOLD, "title": "the app closes at once"})["title"] == ("wrong", round(2 * 2 / 7, 3))
    assert against({**GOLD, "hours": 3})["hours"] == ("wrong", 0.0)


def test_a_reply_without_a_record_leaves_every_field_unread_also_those_that_are_null() -> None:
    assert {outcome for outcome, _ in against("I cannot help with that").values()} == {"unread"}
    assert {outcome for outcome, _ in against('{"title": "App closes", "ver').values()} == {"unread"}


def test_keys_are_compared_without_case_and_gold_that_is_no_object_has_no_fields() -> None:
    assert against({"Title": "App closes"})["title"] == ("right", 1.0)
    assert outcomes('["a"]', '["a"]') == outcomes("a", "a") == outcomes("{}", '{"a": 1} | {"a": 2}') == []


@pytest.mark.parametrize(
    ("key", "said", "gold", "right"),
    [
        ("version", "2.1", "2.10", False),
        ("version", "2.10.0", "2.10", True),
        ("App version", "3", "3.0", True),
        ("conversion", "2.10", "2.1", True),
        ("version", "null", None, False),
        ("version", None, None, True),
        ("hours", 0, None, False),
        ("hours", 2.0, 2, True),
        ("steps", ["b", "a"], ["a", "b"], True),
        ("steps", ["a"], ["a", "b"], False),
    ],
)
def test_a_field_is_right_by_itself_where_it_is_right_in_the_whole_record(
    key: str, said: object, gold: object, right: bool
) -> None:
    reply, row = json.dumps({"title": "x", key: said}), json.dumps({"title": "x", key: gold})
    assert [one.outcome == "right" for one in outcomes(reply, row)] == [True, right]
    assert (match_records(json.loads(reply), json.loads(row)).f1 == 1.0) is right


def test_null_in_lines_is_nothing() -> None:
    assert read_record("title: x\nversion: null") == {"title": "x", "version": None}
