"""What holds for every scorer: a reply that is the gold is right, silence is not punctuation, thinking is no answer."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synth.example import Example
from synth.scoring.scorers import SCORERS, metric, metric_name, normaliser_name, score_reply, scorer_for
from synth.scoring.symbolic import same_expression
from tests.synth.scoring.replies import row

GRADED = sorted(key for key, rule in SCORERS.items() if rule.checkable)
LABELS = ["good", "bad"]


@pytest.mark.slow
@pytest.mark.parametrize("scorer", GRADED)
@given(gold=st.text(max_size=60))
@example(gold="<think>12")
@example(gold="0042")
@example(gold="...")
@example(gold="Answer: 3")
@example(gold="1/0")
@example(gold='{"a": [1, {"b": ')
@example(gold="A or B")
@example(gold="[[[[")
@settings(max_examples=60, deadline=None)
def test_a_reply_that_is_the_gold_is_right_whatever_it_is(scorer: str, gold: str) -> None:
    made = row(scorer, gold, labels=LABELS)
    score = score_reply(gold, made)
    assert (score.value, score.value_if_format_forgiven) == (1.0, 1.0)
    assert made.answer == gold


@pytest.mark.slow
@pytest.mark.parametrize("scorer", GRADED)
@given(gold=st.text(min_size=1, max_size=40).filter(lambda text: bool(text.strip())))
@example(gold="!")
@example(gold="0")
@settings(max_examples=40, deadline=None)
def test_an_empty_reply_is_never_right(scorer: str, gold: str) -> None:
    for nothing in ("", "  \n", f"<think>{gold}</think>", f"<think>{gold}"):
        if nothing.strip() != gold.strip():
            assert score_reply(nothing, row(scorer, gold, labels=LABELS)).value != 1.0


@pytest.mark.parametrize("scorer", GRADED)
@given(gold=st.sampled_from(["12", "B", "blue", '{"a": 1}', "good", "9:45", "go left"]))
@settings(deadline=None)
def test_thinking_is_taken_off_first(scorer: str, gold: str) -> None:
    made = row(scorer, gold, labels=["good", "bad", "blue"])
    for reply in (
        f"<think>13, C, red, {{}}, bad</think>{gold}",
        f"13, C, red, bad\n</think>\n\n{gold}",
        f"<thinking>\nbad\n</thinking>\n{gold}",
        f"[THINK]13[/THINK]{gold}",
        f"◁think▷13◁/think▷{gold}",
        f"<|channel|>analysis<|message|>13<|end|><|start|>assistant<|channel|>final<|message|>{gold}",
        f"<THINK>13</THINK>\n{gold}<|im_end|>",
    ):
        assert score_reply(reply, made).value == score_reply(gold, made).value, reply


@pytest.mark.slow
@pytest.mark.parametrize("scorer", sorted(SCORERS))
@given(reply=st.text(max_size=200), gold=st.text(min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_reply_can_break_a_scorer(scorer: str, reply: str, gold: str) -> None:
    score = score_reply(reply, row(scorer, gold, labels=LABELS))
    assert score.value is None or score.value <= 1.0
    assert (score.value is None) or (score.value_if_format_forgiven or 0) >= score.value


@pytest.mark.parametrize("scorer", GRADED)
def test_the_verdict_for_training_is_the_score_read_strictly(scorer: str) -> None:
    rule = SCORERS[scorer]
    golds = {"math": "12", "json": '{"a": 1}', "fields": '{"a": 1}', "choice": "B", "label": "good", "relaxed": "100"}
    made = row(scorer, golds.get(scorer, "blue"), labels=LABELS)
    right, wrong = rule.verdict(made.answer or "", made), rule.verdict(_other(scorer), made)
    assert right is not None and right.ok
    assert wrong is not None and not wrong.ok
    assert rule.verdict("", made) is None


def _other(scorer: str) -> str:
    return {"json": '{"a": 2}', "fields": '{"a": 2}', "choice": "C", "label": "bad", "math": "13"}.get(scorer, "1")


def test_a_row_without_a_short_answer_is_judged_by_its_target() -> None:
    made = row("exact", None).model_copy(update={"target": "blue"})
    verdict = SCORERS["exact"].verdict("Blue.", made)
    assert verdict is not None and verdict.ok


def test_free_text_is_unscored_and_not_checkable() -> None:
    made = row("free_text", "A long summary.")
    assert score_reply("A long summary.", made).value is None
    assert not SCORERS["free_text"].checkable


@pytest.mark.parametrize(
    ("answer", "scorer"),
    [
        ("12", "math"),
        ("$1,200.50", "math"),
        ("12,34,567", "math"),
        ("5 kg", "math"),
        ("50%", "math"),
        ("09:05", "math"),
        ("3/4", "math"),
        ("0042", "exact"),
        ("B", "choice"),
        ('{"a": 1}', "json"),
        ('[{"a": 1}]', "json"),
        ("Paris in 1990", "exact"),
        ("room 12", "exact"),
        ("A summary of many words which nobody would ever repeat in just this way.", "free_text"),
        ("two\nlines", "free_text"),
        ("x" * 200, "free_text"),
    ],
)
def test_an_imported_answer_gets_the_scorer_that_fits_it_and_long_text_none(answer: str, scorer: str) -> None:
    assert scorer_for(answer) == scorer


def test_several_accepted_answers_are_each_right() -> None:
    for scorer, golds, reply in (
        ("math", ["12", "13"], "Answer: 13"),
        ("exact", ["Ada", "A. L."], "A. L."),
        ("relaxed", ["10", "100"], "101"),
        ("json", ['{"a": 1}', '{"a": 2}'], '{"a": 2}'),
    ):
        assert score_reply(reply, row(scorer, golds[0], answers=golds)).value == 1.0


def test_scorers_work_outside_the_main_thread() -> None:
    found: list[float | None] = []

    def work() -> None:
        found.append(score_reply("Answer: $\\sqrt{12}$", row("math", "2\\sqrt{3}")).value)
        found.append(score_reply("Answer: 12", row("math", "12")).value)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert found == [1.0, 1.0]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "wild",
    [
        "9^{9^{9^9}}",
        "2^{999999999}",
        "(10^9)!!",
        "\\sum_{k=1}^{10^9} k",
        "x" * 5000,
        "(" * 500,
        "123456789012345678901!",
    ],
)
def test_an_expression_that_would_run_for_ever_is_refused_unread(wild: str) -> None:
    assert not same_expression(wild, "\\sqrt{2}")
    assert score_reply(f"Answer: ${wild}$", row("math", "\\sqrt{2}")).value == 0.0


LOOPS = {
    "stars": "*" * 30_000, "hashes": "\n#" * 20_000, "boxes": "\\boxed{" * 5000, "brackets": "(" * 20_000,
    "numbers": "1, " * 20_000, "letters": "A " * 20_000, "spaces": "x" + " " * 50_000 + "y",
    "answers": "Answer: " * 6000,
    "think": "<think>" * 5000, "braces": '{"a":' * 8000, "equals": "= 1 " * 10_000, "not": "not " * 10_000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("loop", sorted(LOOPS))
@pytest.mark.parametrize("scorer", sorted(SCORERS))
def test_a_reply_that_loops_is_scored_in_bounded_time(scorer: str, loop: str) -> None:
    score = score_reply(LOOPS[loop], row(scorer, "good", "Q?\nA) x\nB) y", labels=LABELS))
    assert score.value is None or score.value < 1.0


def test_facts_of_metrics_are_read_from_the_records() -> None:
    assert metric("wer").lower_is_better and metric("wer").pools_edits and metric("cer").unit == "characters"
    assert not metric("accuracy").lower_is_better and not metric("mean score").pools_edits
    assert metric_name({"math", "exact", "label"}) == "accuracy"
    assert metric_name({"exact", "free_text"}) == "accuracy"
    assert metric_name({"free_text"}) == "free text"
    assert "whisper-normalizer" in (normaliser_name("wer") or "")
    assert normaliser_name("accuracy") is None


def test_the_example_stays_as_it_was() -> None:
    made: Example = row("json", '{"b": 1, "a": 2}')
    before = made.model_dump()
    score_reply(json.dumps({"a": 2, "b": 1}), made)
    assert made.model_dump() == before
