"""Scorers: worked examples of each, unscored is not zero, right-but-unparseable is flagged."""

from __future__ import annotations

import json

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.errors import DataError
from synth.example import Example, make_example, user
from synth.scoring.records import match_records
from synth.scoring.scorers import SCORERS, metric_name, score_reply


def row(scorer: str, answer: str | None, **source: object) -> Example:
    return make_example((user("q"),), "t", family="f", template="t", answer=answer, scorer=scorer, source=dict(source))


@pytest.mark.parametrize(
    ("reply", "gold", "value", "fault"),
    [
        ("12 * 3 = 36\n36 + 4 = 40\nAnswer: 40", "40", 1.0, False),
        ("Answer: $1,234.50", "1234.5", 1.0, False),
        ("Answer: 0.5", "1/2", 1.0, False),
        ("Answer: 41", "40", 0.0, False),
        ("So it is 40 apples for 3 people.", "40", 1.0, False),
        ("", "40", 0.0, False),
        ("Answer: 9:45", "9:45", 1.0, False),
        ("Answer: Monday", "monday", 1.0, False),
    ],
)
def test_math(reply: str, gold: str, value: float, fault: bool) -> None:
    score = score_reply(reply, row("math", gold))
    assert (score.value, score.format_fault) == (value, fault)


@pytest.mark.parametrize(
    ("reply", "value", "fault"),
    [
        ("Blue.", 1.0, False),
        ("I see...\nAnswer: blue", 1.0, False),
        ("It is blue", 1.0, False),
        ("Answer: the blue one", 0.0, True),
        ("red 4, blue 5\nAnswer: red", 0.0, False),
        ("bluest", 0.0, False),
    ],
)
def test_exact(reply: str, value: float, fault: bool) -> None:
    score = score_reply(reply, row("exact", "blue"))
    assert (score.value, score.format_fault) == (value, fault)


@pytest.mark.parametrize(
    ("reply", "value"), [("B", 1.0), ("(b) Paris", 1.0), ("Answer: B", 1.0), ("C", 0.0), ("Paris, so 7", 0.0)]
)
def test_choice(reply: str, value: float) -> None:
    assert score_reply(reply, row("choice", "B")).value == value


GOLD = {"title": "Crash", "hours": 3, "items": [{"n": "a", "p": 1}, {"n": "b", "p": 2}]}


@pytest.mark.parametrize(
    ("change", "fields", "whole"),
    [
        ({}, 1.0, 1.0),
        ({"items": GOLD["items"][::-1]}, 1.0, 1.0),  # type: ignore[index]
        ({"hours": 3.0}, 1.0, 1.0),
        ({"hours": 4}, 5 / 6, 0.0),
        ({"more": 1}, 12 / 13, 0.0),
        ({"more": None}, 1.0, 1.0),
        ({"items": [{"n": "b", "p": 2}]}, 8 / 10, 0.0),
        ({"items": []}, 4 / 9, 0.0),
    ],
)
def test_fields_and_whole_records(change: dict[str, object], fields: float, whole: float) -> None:
    reply = f"Here:\n```json\n{json.dumps({**GOLD, **change})}\n```"
    assert score_reply(reply, row("fields", json.dumps(GOLD))).value == pytest.approx(fields)
    assert score_reply(reply, row("json", json.dumps(GOLD))).value == whole


def test_a_reply_without_a_record_scores_zero_and_bad_gold_is_unscored() -> None:
    assert score_reply("no idea", row("fields", json.dumps(GOLD))).value == 0.0
    assert score_reply("{}", row("fields", "no record here")).value == 0.0
    assert score_reply("name: Ann\nage: 4", row("fields", "name: Ann\nage: 5")).value == 0.5


@given(st.permutations(list(range(5))))
@settings(max_examples=25, deadline=None)
def test_the_order_of_list_items_never_matters(order: list[int]) -> None:
    gold = json.dumps({"xs": [{"k": i, "v": [i, i + 1]} for i in range(5)]})
    said = json.dumps({"xs": [{"v": [i + 1, i], "k": i} for i in order]})
    assert match_records(json.loads(said), json.loads(gold)).f1 == 1.0


@pytest.mark.parametrize(
    ("reply", "gold", "value"),
    [
        ("104", "100", 1.0),
        ("105.0", "100", 1.0),
        ("106", "100", 0.0),
        ("0.0", "0", 1.0),
        ("0", "0", 1.0),
        ("Answer: 96%", "100", 1.0),
        ("Mars", "mars", 1.0),
    ],
)
def test_relaxed(reply: str, gold: str, value: float) -> None:
    assert score_reply(reply, row("relaxed", gold)).value == value


def test_anls_takes_the_nearest_gold_and_cuts_below_half() -> None:
    example = row("anls", "hello", answers=["hello", "goodbye"])
    assert score_reply("hallo", example).value == pytest.approx(0.8)
    assert score_reply("goodby", example).value == pytest.approx(6 / 7)
    assert score_reply("xyz", example).value == 0.0


def test_vqa_counts_agreeing_annotators() -> None:
    example = row("vqa", "yes", answers=["yes", "yes", "no", "Yes.", "a yes", "no"])
    assert score_reply("yes", example).value == 1.0
    assert score_reply("no", example).value == pytest.approx((2 * 1 / 3 + 4 * 2 / 3) / 6)
    assert score_reply("maybe", example).value == 0.0
    assert score_reply("the yes", row("vqa", "yes")).value == 1.0


def test_wer_keeps_edits_so_that_the_corpus_rate_is_jiwers() -> None:
    pairs = [
        ("Turn on the light!", "turn off light"),
        ("Stop.", "stop now please"),
        ("go left at once", "go left at once"),
    ]
    scores = [score_reply(said, row("wer", gold)) for gold, said in pairs]
    edits, units = sum(s.edits or 0 for s in scores), sum(s.ref_units or 0 for s in scores)
    clean = [(g.lower().strip("!."), s) for g, s in pairs]
    assert edits / units == pytest.approx(jiwer.wer([g for g, _ in clean], [s for _, s in clean]))
    assert scores[1].value == pytest.approx(-1.0)


def test_silence_counts_every_word_as_an_insertion() -> None:
    score = score_reply("thank you", row("wer", ""))
    assert (score.value, score.edits, score.ref_units) == (0.0, 2, 0)
    assert score_reply("", row("cer", "")).value == 1.0


def test_a_row_without_gold_is_unscored_not_zero() -> None:
    assert score_reply("x", row("exact", None)).value is None


def test_an_unknown_scorer_is_refused_with_a_suggestion() -> None:
    with pytest.raises(DataError, match="did you mean 'math'"):
        score_reply("x", row("maths", "1"))


@pytest.mark.parametrize("scorer", sorted(SCORERS))
@given(reply=st.text(max_size=60), gold=st.text(min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_no_reply_can_break_a_scorer(scorer: str, reply: str, gold: str) -> None:
    value = score_reply(reply, row(scorer, gold)).value
    assert value is None or value <= 1.0


def test_metric_names() -> None:
    assert metric_name({"math", "exact"}) == "accuracy"
    assert metric_name({"wer"}) == "wer"
    assert metric_name({"math", "fields"}) == "mean score"
