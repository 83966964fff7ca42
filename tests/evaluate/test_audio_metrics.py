"""What stands behind a word error rate: kinds of errors, worst words, entities, conditions, speed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plausible import results

from evaluate.report import render_html, report_json
from evaluate.report.basis import bare
from evaluate.report.decision import may_promise
from evaluate.report.results import Row, SystemResult
from evaluate.report.speech_parts import Condition, SpokenEntities
from evaluate.stats.audio_metrics import (
    Diff,
    breakdown,
    by_condition,
    clean,
    disagreements,
    entities,
    speech_section,
    under_both_normalisers,
    word_diff,
)
from synth.example import Example, make_example, user
from synth.scoring.scorers import score_reply


def spoken(text: str, listed: list[tuple[str, str]] | None = None, **source: Any) -> Example:
    found = [{"kind": kind, "written": written} for kind, written in listed or []]
    return make_example(
        [user(text)], text, answer=text, family="f", template=text, scorer="wer", source={"entities": found, **source}
    )


def test_each_kind_of_error_is_counted_and_the_worst_words_are_named() -> None:
    found = breakdown(
        [
            ("Give warfarin 5 mg.", "give war fare in 5 mg"),
            ("Hold warfarin.", "hold"),
            ("Bed 4.", "bed 4 now"),
        ]
    )
    assert (found.words, found.deletions) == (8, 1)
    assert found.substitutions + found.insertions == 4
    assert found.worst[0] == ("warfarin", 2, 2)
    assert found.rate == pytest.approx(5 / 8)


def test_an_alignment_reads_back_to_both_transcripts() -> None:
    assert word_diff("Bed 14, left arm.", "bed 40 left") == (
        Diff("equal", "bed", "bed"),
        Diff("substitute", "14", "40"),
        Diff("equal", "left", "left"),
        Diff("delete", "arm", ""),
    )
    assert word_diff("", "hello you") == (Diff("insert", "", "hello you"),)
    assert word_diff("", "") == ()


words = st.lists(st.sampled_from(["a", "bed", "mg", "five", "twelve"]), max_size=7).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words), max_size=5))
def test_edits_and_words_are_those_of_the_scorer(pairs: list[tuple[str, str]]) -> None:
    found = breakdown(pairs)
    scores = [score_reply(said, spoken(gold)) for gold, said in pairs]
    assert found.words == sum(score.ref_units or 0 for score in scores)
    assert found.substitutions + found.deletions + found.insertions == sum(score.edits or 0 for score in scores)
    assert all(errors <= times for _, errors, times in found.worst)


def test_an_entity_counts_when_all_its_words_stand_together() -> None:
    example = spoken("Give warfarin 12.5 mg to KT-48.", [("drug", "warfarin"), ("dose", "12.5 mg"), ("code", "KT-48")])
    heard, lost = SpokenEntities(spoken=1, missed=0), SpokenEntities(spoken=1, missed=1)
    assert entities([(example, "give warfarin 12.5 mg to kt-48")]) == {
        "code": heard, "dose": heard, "drug": heard,
    }  # fmt: skip
    assert entities([(example, "give warfarin 12 mg to kt 84")]) == {
        "code": lost, "dose": lost, "drug": heard,
    }  # fmt: skip
    twice = spoken("4 and 4", [("number", "4"), ("number", "4")])
    assert entities([(twice, "4 and 5")]) == {"number": SpokenEntities(spoken=2, missed=1)}
    assert entities([(spoken("no list").model_copy(update={"source": {}}), "x")]) == {}


def test_conditions_are_ratios_of_sums_and_unscored_rows_are_left_out() -> None:
    def row(edits: int | None, units: int | None) -> Row:
        return Row(
            example_id="x",
            split="test",
            family="f",
            template="t",
            scorer="wer",
            score=0.5,
            edits=edits,
            ref_units=units,
        )

    loud = spoken("one", noise="pink", telephone=False, voice={"name": "joe", "engine": "piper"})
    quiet = spoken("two", noise=None, telephone=True, voice="slt")
    found = by_condition([(loud, row(1, 2)), (loud, row(0, 8)), (quiet, row(1, 1)), (quiet, row(None, None))])
    assert found["noise: pink"] == Condition(n=2, words=10, rate=0.1)
    assert found["telephone: yes"] == Condition(n=1, words=1, rate=1.0)
    assert not any(name.startswith("room") for name in found)
    assert {name: found[name].words for name in found if "engine" in name} == {"engine: piper": 10}


def test_the_section_has_every_spoken_split_of_speech_systems_only() -> None:
    # The rate is of the one answer that the scorer takes, though the gallery shows what other systems wrote.
    others = ["Give warfarin.", "Give war far in."]
    example = spoken("Give warfarin.", [("drug", "warfarin")], noise="pink", telephone=False, answers=others)

    def system(name: str, metric: str, reply: str) -> SystemResult:
        score = score_reply(reply, example)
        row = Row(
            example_id=example.id, split="test", family="f", template="t", scorer="wer", score=score.value,
            edits=score.edits, ref_units=score.ref_units, gold=" | ".join(others), answer=score.answer,
            answer_text=json.dumps({"answer": reply}),
        )  # fmt: skip
        return SystemResult(id=name, label=name, kind="local", metric=metric, rows=(row,))

    found = speech_section([system("a", "wer", "give"), system("b", "accuracy", "x")], [example], ["test", "test_ood"])
    assert found is not None
    assert list(found) == ["a"]
    assert list(found["a"]) == ["test"]
    part = found["a"]["test"]
    assert (part.rate, part.deletions, part.entity_error_rate) == (0.5, 1, 1.0)
    assert part.conditions["noise: pink"].rate == 0.5
    assert speech_section([system("b", "accuracy", "x")], [example], ["test"]) is None


def test_words_are_counted_as_jiwer_counts_them() -> None:
    gold, said = "the cat sat on 5 mats", "a cat sat 5 mat s"
    ours = breakdown([(gold, said)])
    theirs = jiwer.process_words(" ".join(clean(gold)), " ".join(clean(said)))
    assert (ours.substitutions, ours.deletions, ours.insertions) == (
        theirs.substitutions, theirs.deletions, theirs.insertions,
    )  # fmt: skip


def test_the_report_shows_errors_entities_and_conditions_of_speech_inertly() -> None:
    from plausible import results

    from evaluate.report import render_html, report_json

    plain = results(per_split=12)
    hostile = "<script>alert(1)</script>"
    part = {
        "words": 40, "substitutions": 3, "deletions": 2, "insertions": 1, "worst": [(hostile, 2, 5)], "confusions": [],
        "rate": 0.15, "entities": {"dose": {"spoken": 4, "missed": 1}}, "entity_error_rate": 0.25,
        "conditions": {"noise: pink": {"n": 6, "words": 20, "rate": 0.2}},
    }  # fmt: skip
    shown = plain.model_copy(update={"speech": {plain.systems[0].id: {"test": part}}})
    page = render_html.render(report_json.build(shown))
    assert "Errors in speech" in page
    assert "dose 1/4" in page
    assert "noise: pink" in page
    assert hostile not in page
    assert "Errors in speech" not in render_html.render(report_json.build(plain))


@pytest.mark.slow
def test_cases_of_speech_have_a_player_a_spectrogram_and_a_word_level_diff(tmp_path: Path) -> None:
    from plausible import results

    from evaluate.report import render_html, report_json
    from evaluate.report.schema import Report
    from synth.audio.files import encode_flac
    from tests.tiny_audio import tone

    (tmp_path / "a.flac").write_bytes(encode_flac(tone(440, 0.5)))
    made = report_json.build(results(per_split=12)).model_dump(mode="json")
    made["gallery"]["items"] = made["gallery"]["items"][:1]
    item = made["gallery"]["items"][0]
    item.update(media=["a.flac"], gold="Bed 14 left", prompt="")
    item["small"].update(text="bed 40 left", answer="bed 40 left")
    for system in made["systems"]:
        system["metric"] = "wer"
    page = render_html.render(Report.model_validate(made), tmp_path)
    assert page.count("<audio controls") == 1
    assert "data:image/png;base64" in page
    assert re.search(r"<del>.*14.*</del><ins>.*40.*</ins>", page)
    (tmp_path / "a.flac").write_bytes(b"no sound")
    assert render_html.spectrogram(tmp_path / "a.flac") == []


def test_the_report_can_say_when_who_is_ahead_depends_on_the_normaliser() -> None:
    examples = [spoken("It costs five dollars."), spoken("Turn left now."), spoken("Stop.")]

    def rows(replies: list[str]) -> list[Row]:
        scores = [score_reply(reply, example) for reply, example in zip(replies, examples, strict=True)]
        return [
            Row(
                example_id=example.id, split="test", family="f", template="t", scorer="wer", score=score.value,
                edits=score.edits, ref_units=score.ref_units, answer=score.answer,
            )
            for score, example in zip(scores, examples, strict=True)
        ]  # fmt: skip

    spells_out = rows(["it costs five dollars", "turn right now", "stop"])
    writes = rows(["It costs $5.", "Turn left now.", "Stop."])
    found = under_both_normalisers(spells_out, writes, examples)
    assert found is not None
    assert (found.rows, found.small, found.large) == (3, 1 / 7, 0.0)
    assert (found.small_plain, found.large_plain) == (1 / 8, 2 / 8)
    assert found.disagree
    same = under_both_normalisers(writes, writes, examples)
    assert same is not None and not same.disagree
    assert under_both_normalisers([], writes, examples) is None

    heard = results(("dpo", "large-few"), per_split=40)
    small, large = (
        one.model_copy(update={"rows": tuple(rows)})
        for one, rows in zip(heard.systems, (spells_out, writes), strict=True)
    )
    assert disagreements(small, small, examples) == []
    (disagree,) = disagreements(small, large, examples)
    report = report_json.build(
        heard.model_copy(
            update={
                "normalisers_disagree": (disagree,),
                "speech": speech_section([small.model_copy(update={"metric": "wer"})], examples, ["test"]),
            }
        )
    )
    assert bare(report.verdict.word) == "WITHHELD"
    assert "with only case and punctuation taken off it makes fewer (12.5 % against 25.0 %)" in report.verdict.sentence
    assert not may_promise(report)
    (sentence,) = [one for one in report.limits if "normalised" in one]
    assert "of 14.3 % and" in sentence and "of 0.0 %" in sentence and "12.5 % and 25.0 % (the same 3 rows)" in sentence
    page = render_html.render(report)
    assert "Who is ahead depends on the normaliser" in page
    assert '<span data-from="normalisers_disagree/0/large_plain">25.0\xa0%</span>' in page
