"""Claims about how figures and reasons are said."""

from __future__ import annotations

from pathlib import Path

import pytest
from plausible import results

from evaluate.report import headline, render_html, render_md, report_json, wording
from evaluate.report.results import Results, Row, SystemResult
from evaluate.stats import clusters, intervals, paired, ratios, verdict
from studio.read.results import headline as in_the_terminal


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0005, "under an hour"), (1.2 / 730, "1 hour"), (1 / 29, "1 day"), (1.5, "46 days"), (2.0, "2.0 months")],
)
def test_durations_are_counted_in_english(value: float, said: str) -> None:
    assert wording.months(value) == said


def test_no_difference_has_no_sign() -> None:
    assert [wording.points(one) for one in (0.0, -0.0001, 0.02)] == ["0.0 points", "0.0 points", "+2.0 points"]


def test_error_rates_near_chance_are_said_as_error_rates() -> None:
    small, large = (intervals.Interval(1 - rate, -0.9, -0.1, 60, "", 60.0) for rate in (1.478, 1.312))
    said = verdict.near_nothing(small, large, 0.0, errors=True)
    assert said is not None
    assert "error rates of 147.8 % and 131.2 %" in said
    assert "-" not in said


def heard(system: SystemResult, row: Row, place: int, templates: int) -> Row:
    edits = (place * 7 + len(system.id)) % (4 if system.id == "sft" else 8)
    update = {"scorer": "wer", "edits": edits, "ref_units": 8, "score": 1 - edits / 8, "format_fault": False}
    return row.model_copy(update={**update, "template": f"t{place % templates}", "gold": f"sentence {place}"})


def transcripts(templates: int) -> Results:
    original = results(("sft", "large-few"), small="sft", large="large-few", per_split=60)
    systems = tuple(
        one.model_copy(
            update={"metric": "wer", "rows": tuple(heard(one, row, i, templates) for i, row in enumerate(one.rows))}
        )
        for one in original.systems
    )
    return original.model_copy(update={"systems": systems})


def test_a_family_of_recordings_without_speech_counts_its_rows_and_is_not_called_unscored() -> None:
    made = transcripts(8)
    silent = {"edits": 0, "ref_units": 0, "score": 1.0}
    systems = tuple(
        one.model_copy(
            update={
                "rows": tuple(row.model_copy(update=silent) if row.family == "currency" else row for row in one.rows)
            }
        )
        for one in made.systems
    )
    report = report_json.build(made.model_copy(update={"systems": systems}))
    (family,) = [one for one in report.families if one.family == "currency"]
    assert family.n == 15
    assert {(one.value, one.n) for one in family.values.values()} == {(None, 15)}
    (row,) = [line for line in render_md.render(report).splitlines() if line.startswith("| currency |")]
    assert row.count("nothing is said") == 2
    assert render_html.render(report).count('<span class="missing">nothing is said</span>') == 2


def test_two_clusters_carry_no_interval_in_any_output() -> None:
    made = report_json.build(transcripts(2))
    summary = made.small_system.splits["test"]
    assert not summary.has_interval
    assert summary.method == "2 templates: no interval"
    for output in (
        made.headline,
        render_md.render(made),
        in_the_terminal(made, Path("report.json")),
        render_html.render(made),
    ):
        assert "2 templates: no interval" in output
    main = made.main("test")
    assert main is not None
    assert (main.verdict, main.ci95) == ("On generated rows only: INCONCLUSIVE", (-1.0, 1.0))
    assert "2 templates carry no interval" in main.sentence
    assert "at least 3 templates are needed" in main.sentence
    assert report_json.build(transcripts(12)).small_system.splits["test"].has_interval


@pytest.mark.parametrize("ids", [["a"] * 20, ["a"] * 10 + ["b"] * 10])
def test_rates_and_differences_of_one_or_two_clusters_say_nothing(ids: list[str]) -> None:
    right, other, words = [1.0] * 15 + [0.0] * 5, [1.0] * 5 + [0.0] * 15, [8.0] * 20
    rate, wer = intervals.mean_score(right, ids), intervals.error_rate(other, words, ids)
    assert (rate.low, rate.high, wer.low) == (0.0, 1.0, 0.0)
    found = [paired.paired_difference(right, other, ids), ratios.error_rate_difference(other, right, words, ids)]
    assert all((one.low, one.high, one.p) == (-1.0, 1.0, 1.0) for one in found)
    assert all(one.method.endswith(clusters.NO_INTERVAL) for one in (rate, wer, *found))
    assert verdict.verdict(found[0], 0.5).word == verdict.INCONCLUSIVE


def without_answers(kind: str) -> Results:
    original = results(("sft", "large-few"), small="sft", large="large-few", per_split=200)
    small, large = original.systems
    lost = {"score": None, "error": "no answer in the file"}
    rows = tuple(row.model_copy(update=lost) if i % 4 == 0 else row for i, row in enumerate(small.rows))
    found = (small.model_copy(update={"kind": kind, "rows": rows}), large)
    return original.model_copy(update={"systems": found})


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("local", "start the comparison again to ask only those"), ("predictions", "add the missing answers to the file")],
)
def test_what_to_do_about_missing_answers_depends_on_who_gave_them(kind: str, remedy: str) -> None:
    assert remedy in report_json.build(without_answers(kind)).verdict.sentence


def test_imported_rows_of_unseen_families_are_called_so() -> None:
    original = results(("sft", "large-few"), small="sft", large="large-few", per_split=60)
    rows = lambda one: tuple(row.model_copy(update={"origin": "imported"}) for row in one.rows)  # noqa: E731
    systems = tuple(one.model_copy(update={"rows": rows(one)}) for one in original.systems)
    made = report_json.build(original.model_copy(update={"systems": systems}))
    assert "of 60 imported rows right" in made.headline
    assert headline.elsewhere(made)[0].startswith("On 30 imported rows of unseen families:")


def test_how_many_real_rows_are_usual_where_nothing_was_compared() -> None:
    note = report_json.build(results(("sft",), small="sft", large="", per_split=60)).real_rows_note
    assert note is not None
    assert "Between 30 and 200 real rows are usual." in note
    assert "would decide" not in note


def test_a_price_of_a_person_stands_beside_the_systems() -> None:
    two = {"small": "sft", "large": "large", "per_split": 60}
    made = report_json.build(results(("sft", "large"), **two, human_usd_per_answer=0.4))
    for output in (render_md.render(made), in_the_terminal(made, Path("r.json")), render_html.render(made)):
        assert "A person" in output
        assert "$400.00" in output
