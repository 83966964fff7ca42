"""Claims about report.json: what it says, that it is traceable, repeatable and can be priced anew."""

import datetime as dt
import functools
import json
from pathlib import Path
from typing import Any

import pytest
from plausible import results

from evaluate.cost.prices import PriceRow, PriceSheet, load
from evaluate.plan import Machine
from evaluate.report import headline, render_html, render_md, report_json
from evaluate.report.reading import opened, read_report
from evaluate.report.results import LedgerItem, Results, Row
from evaluate.report.schema import Report, SystemPart, json_schema
from evaluate.stats import measures, paired
from evaluate.stats.verdict import BETTER, WORSE
from synth.errors import DataError
from synth.scoring.scorers import metric
from synth.usage import Usage

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = Path(__file__).with_name("fixtures")


@functools.cache
def built() -> Report:
    return report_json.build(results(per_split=300))


@functools.cache
def against_endpoint() -> Report:
    return report_json.build(results(("sft", "dpo", "mini"), large="mini", per_split=300, margin=0.2))


def system(made: Report, name: str) -> SystemPart:
    return next(s for s in made.systems if s.id == name)


def swapped(original: Results, name: str, **changes: Any) -> Results:
    """The same results with one system changed."""
    systems = tuple(s.model_copy(update=changes) if s.id == name else s for s in original.systems)
    return original.model_copy(update={"systems": systems})


def test_the_published_schema_is_that_of_the_model() -> None:
    published = ROOT / "docs/report.schema.json"
    assert published.read_text("utf-8") == json_schema(), "python -m evaluate.report.schema > docs/report.schema.json"


@pytest.mark.slow
def test_every_figure_that_is_written_is_read_back() -> None:
    assert opened(json.loads(report_json.dumps(built()))) == built()


def test_a_report_of_yesterday_opens_renders_and_can_be_priced_anew() -> None:
    old = read_report(FIXTURES / "report-version-1.json")
    assert (old.small, old.large, old.version) == ("dpo", "mini", 2)
    assert old.headline.startswith("On generated rows only: "), "what it said without that is said anew"
    assert len(render_html.render(old)) > 50_000
    assert render_md.render(old)
    assert report_json.reprice(old, load()).comparisons == old.comparisons


def test_equal_results_give_equal_bytes() -> None:
    assert report_json.dumps(report_json.build(results(per_split=300))) == report_json.dumps(built())
    json.loads(report_json.dumps(built()))


def test_headline_names_both_systems_with_intervals_and_the_pay_back() -> None:
    said = built().headline
    assert said.startswith("On generated rows only: The 5.3 M-parameter model")
    assert "of 300 rows of known wording right; the prompted 27.3 M-parameter model" in said
    assert "On 150 rows of unseen families: " in said
    assert "earned back after" in said


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("Larger", "“Larger” with 3 examples, held to the schema"),
        ("Larger, held to the schema", "“Larger, held to the schema” with 3 examples"),
        ("Larger with 3 examples, held to the schema", "“Larger with 3 examples, held to the schema” "),
    ],
)
def test_the_headline_says_how_the_large_model_was_asked_once(label: str, said: str) -> None:
    name = built().large or ""
    changes = {"label": label, "prompting": "few_shot_constrained", "shots": 3}
    made = report_json.build(swapped(results(per_split=300), name, **changes))
    assert f"{said}{'' if said.endswith(' ') else ' '}gets " in made.headline


def test_the_pay_back_of_a_worse_model_does_not_hide_that_it_is_worse() -> None:
    verdict = built().verdict.model_copy(update={"word": WORSE})
    worse = built().model_copy(update={"verdict": verdict})
    assert headline.pay_back(worse).endswith(" requests, with answers that are worse.")


def test_a_stand_in_for_the_large_model_is_said_in_plain_words() -> None:
    assert "not a frontier model" in built().stand_in_note
    assert built().stand_in_note in built().limits
    assert against_endpoint().stand_in_note is None


def test_the_verdict_is_read_off_the_main_comparison_of_the_test_split() -> None:
    made = built()
    main = [row for row in made.comparisons if row.main]
    assert [row.split for row in main] == ["test", "test_ood"]
    assert made.verdict.word == main[0].verdict == f"On generated rows only: {BETTER}"
    assert main[0].clusters == 48


def test_unscored_rows_are_counted_and_never_zero() -> None:
    made = against_endpoint()
    cell = system(made, "mini").splits["test"]
    assert (cell.n, cell.scored, cell.unscored, cell.errors) == (300, 296, 4, 4)
    main = made.comparisons[0]
    assert (main.n, main.dropped_unscored) == (296, 4)
    assert any("4 of 300 rows of test are unscored" in line for line in made.limits)


def test_an_endpoint_is_billed_by_its_reported_usage() -> None:
    made = against_endpoint()
    mini = system(made, "mini")
    every = results(("mini",), small="mini", large="", per_split=300).systems[0].rows
    rows = [row for row in every if row.split == made.primary_split]  # the rows that the score is about
    answered = sum(not row.error for row in rows)  # the plausible failures reported tokens, so they were paid
    tokens_in = sum(row.usage.input_tokens or 0 for row in rows)
    tokens_out = sum(row.usage.output_tokens or 0 for row in rows)
    by_hand = (tokens_in * 0.15 + tokens_out * 0.60) / 1e6 / answered
    assert mini.cost.usd_per_1k_batch == pytest.approx(1000 * by_hand / 2)
    assert mini.cost.usd_per_request == pytest.approx(by_hand)
    assert mini.cost.kind == "usage"


def test_speech_sold_by_the_minute_is_billed_by_its_length() -> None:
    original = results(("dpo", "mini"), large="mini", per_split=60)
    transcripts = tuple(
        row.model_copy(update={"usage": Usage(audio_sec=30.0), "error": "", "score": row.score or 0.0})
        for row in original.systems[1].rows
    )
    made = report_json.build(swapped(original, "mini", rows=transcripts, base_model="whisper-1"))
    money = system(made, "mini").cost
    assert money.usd_per_1k == pytest.approx(1000 * 0.5 * 0.006)
    assert money.usd_per_audio_hour == pytest.approx(0.36)


def test_a_local_system_costs_machine_time() -> None:
    dpo = system(built(), "dpo")
    assert dpo.cost.usd_per_1k == pytest.approx(1000 * 0.10 / (3600 * 55 * 0.5))


def test_cost_per_right_answer_is_the_price_over_the_score_of_the_same_rows() -> None:
    report = report_json.build(results(("sft", "dpo", "mini"), large="mini", per_split=200))
    assert report.systems[2].splits["test"].unscored, "one system lacks answers that the others have"
    for system in report.systems:
        price, value, bounds = (
            system.cost.usd_per_request,
            system.splits["test"].value,
            system.cost.usd_per_correct_ci95,
        )
        assert price is not None and value is not None
        assert system.cost.usd_per_correct == pytest.approx(price / value)
        assert bounds is not None, "each has its interval"


def test_break_even_is_the_ledger_over_the_saving() -> None:
    made = built()
    fixed = (2.1 + 95 + 12 + 48 + 70) / 3600 * 0.10
    saved = 0.10 / (3600 * 9 * 0.5) - 0.10 / (3600 * 55 * 0.5)
    assert made.break_even.fixed_usd == pytest.approx(fixed)
    assert made.break_even.requests == pytest.approx(fixed / saved, abs=1)
    assert made.break_even.months_at["100000"] == pytest.approx(made.break_even.requests / 100_000)


def test_a_failed_run_is_in_the_ledger_and_in_the_sum() -> None:
    lines = built().fixed_costs.items
    assert [line.usd > 0 for line in lines if line.status == "stopped"] == [True]
    assert sum(line.usd for line in lines) == pytest.approx(built().fixed_costs.fixed_usd)


def test_a_ledger_line_without_time_or_money_leaves_the_sum_open() -> None:
    original = results(per_split=40)
    holes = (*original.ledger, LedgerItem(kind="training", label="lost run"))
    made = report_json.build(original.model_copy(update={"ledger": holes}))
    assert made.fixed_costs.fixed_usd is None
    assert made.break_even.status == "unpriced"
    assert "not fully priced" in made.headline


def test_without_a_machine_price_local_systems_are_unpriced_not_free() -> None:
    made = report_json.build(results(per_split=40), PriceSheet())
    assert all(one.cost.usd_per_1k is None for one in made.systems)
    assert made.break_even.requests is None
    assert "unpriced" in made.headline


def test_a_system_without_answers_is_shown_as_missing() -> None:
    original = results(per_split=40)
    silent = tuple(row.model_copy(update={"score": None, "error": "refused"}) for row in original.systems[4].rows)
    made = report_json.build(swapped(original, "large", rows=silent))
    assert system(made, "large").splits["test"].value is None
    assert all(row.large != "large" for row in made.comparisons)
    against = report_json.build(swapped(original, "large-few", rows=silent))
    assert against.verdict.word is None
    assert "“starter-text-large, 4 examples” answered none of 60 rows (refused)." in against.verdict.sentence
    assert against.break_even.status == "not_stated"


def test_what_a_kill_costs_is_said_where_an_endpoint_was_paid() -> None:
    sentence = "Requests interrupted by a kill of the comparison"
    assert any(line.startswith(sentence) for line in against_endpoint().not_measured)
    assert not any(line.startswith(sentence) for line in built().not_measured)


def test_one_system_alone_has_a_report_without_a_verdict() -> None:
    made = report_json.build(results(("sft",), small="sft", large="", per_split=60))
    assert (made.large, made.verdict.word, made.gallery, made.cascade) == (None, None, None, None)
    assert "of 60 rows of known wording right." in made.headline


def test_test_and_held_out_families_are_never_mixed() -> None:
    made = built()
    assert {row.split for row in made.families} == {"test", "test_ood"}
    assert sum(row.n for row in made.families if row.split == "test") == 300


def test_family_p_values_are_corrected_within_each_split() -> None:
    rows = [row for row in built().families if row.split == "test"]
    assert [row.p_holm for row in rows] == pytest.approx(paired.holm([row.p for row in rows]))


def test_families_won_and_lost_are_counted_and_their_mean_is_no_mean_over_rows() -> None:
    made = built()
    rows = [row for row in made.families if row.split == "test"]
    counts = made.family_counts["test"]
    assert counts.ahead + counts.level + counts.behind == counts.compared == len(rows)
    assert counts.ahead == sum(row.delta > 0 for row in rows)
    assert counts.surely_ahead == sum(row.delta > 0 and row.p_holm < 0.05 for row in rows)
    outcomes = ((0.4, 0.01), (-0.1, 0.5), (0.0, None), (None, None))
    uneven = [rows[0].model_copy(update={"delta": delta, "p_holm": p}) for delta, p in outcomes]
    assert measures.family_counts(uneven)["test"].model_dump() == {
        "compared": 3,
        "ahead": 1,
        "level": 1,
        "behind": 1,
        "surely_ahead": 1,
        "surely_behind": 0,
        "mean_delta": pytest.approx(0.1),
    }


def test_baselines_list_every_prompt_of_the_large_model_and_mark_the_strongest() -> None:
    rows = built().baselines
    assert [row.system for row in rows] == ["large", "large-few"]
    assert [row.strongest for row in rows] == [False, True]
    weaker = report_json.build(results(per_split=60, large="large"))
    assert any("strongest prompt" in line for line in weaker.limits)


def test_answers_of_another_vendor_are_no_prompt_of_the_large_model() -> None:
    original = results(("dpo", "large-few", "mini"), large="mini", per_split=60)
    files = [
        one.model_copy(update={"kind": "predictions", "base_model": "", "price_model": price, "adapter": None})
        for one, price in zip(original.systems[1:], ("claude-haiku-4-5", "gpt-4o-mini"), strict=True)
    ]
    report = report_json.build(original.model_copy(update={"systems": (original.systems[0], *files)}))
    assert [row.system for row in report.baselines] == ["mini"]
    assert not any("strongest prompt" in line for line in report.limits)


def test_right_but_unreadable_answers_are_counted_before_a_loss_is_called() -> None:
    checks = {row.system: row for row in built().format_check}
    assert checks["large-few"].right_but_unreadable > 0
    assert checks["dpo"].right_but_unreadable == 0
    cell = system(built(), "large-few").splits["test"]
    assert cell.value_if_format_forgiven > cell.value


def test_gallery_counts_are_of_all_rows_while_only_a_sample_is_shown() -> None:
    gallery = built().gallery
    assert sum(gallery.counts["test"].values()) == 300
    shown = [item for item in gallery.items if item.split == "test" and item.kind == "only_small"]
    assert len(shown) == min(24, gallery.counts["test"]["only_small"])


def test_cascade_threshold_is_chosen_on_val_and_measured_on_test() -> None:
    assert built().cascade.chosen is None
    original = results(("dpo", "large-few"), per_split=200, splits=("val", "test"))
    as_val = tuple(
        one.model_copy(
            update={
                "rows": (
                    *one.rows,
                    *(row.model_copy(update={"split": "val", "example_id": "v" + row.example_id}) for row in one.rows),
                )
            }
        )
        for one in original.systems
    )
    facts = original.dataset.model_copy(update={"splits": {"val": 300, "test": 200}})
    made = report_json.build(original.model_copy(update={"systems": as_val, "dataset": facts}))
    assert made.cascade.chosen_on == "val"
    assert made.cascade.n == 200
    chosen = made.cascade.chosen
    assert chosen.ci95[0] < chosen.score < chosen.ci95[1]
    assert any("half the margin of the best val score" in line for line in made.assumptions)
    assert made.primary_split == "test"


def test_seed_spread_is_reported_over_systems_of_one_group() -> None:
    original = results(per_split=60)
    grouped = swapped(swapped(original, "sft", seed_group="runs", train_seed=0), "dpo", seed_group="runs", train_seed=1)
    made = report_json.build(grouped)
    assert [(row.group, row.n, row.low) for row in made.seeds] == [("runs", 2, None)] * 2
    assert not any("training seeds" in line for line in made.not_measured)


def word_errors(original: Results) -> Results:
    """The same comparison as if it were speech: ten reference words a row, two errors where the row was wrong."""

    def as_speech(row: Row) -> Row:
        edits = None if row.score is None else 0 if row.score == 1 else 2
        return row.model_copy(
            update={
                "edits": edits,
                "ref_units": 10,
                "score": None if edits is None else 1 - edits / 10,
                "scorer": "wer",
            }
        )

    systems = tuple(
        s.model_copy(update={"metric": "wer", "normaliser": "basic 1", "rows": tuple(map(as_speech, s.rows))})
        for s in original.systems
    )
    return original.model_copy(update={"systems": systems})


def test_word_error_rate_is_lower_for_the_better_system_which_is_still_ahead() -> None:
    assert metric("wer").lower_is_better
    made = report_json.build(word_errors(results(per_split=120)))
    small, large = system(made, "dpo"), system(made, "large-few")
    assert not small.higher_is_better
    assert small.splits["test"].value < large.splits["test"].value
    main = made.comparisons[0]
    assert main.delta > 0
    assert main.verdict == f"On generated rows only: {BETTER}"
    assert "word error rate of" in made.headline
    assert small.cost.usd_per_correct is None


def test_repricing_changes_money_and_leaves_accuracy_alone() -> None:
    made = against_endpoint()
    dearer = load().merged(
        PriceSheet(
            rows=tuple(
                PriceRow(model="gpt-4o-mini", unit=unit, price=price, source="s", checked=dt.date(2026, 11, 25))
                for unit, price in (("input_mtok", 1.5), ("output_mtok", 6.0))
            )
        )
    )
    again = report_json.reprice(made, dearer)
    assert again.comparisons == made.comparisons
    assert system(again, "mini").cost.usd_per_1k == pytest.approx(10 * system(made, "mini").cost.usd_per_1k)
    assert again.break_even.requests < made.break_even.requests / 9
    assert any("Re-priced" in line for line in again.assumptions)
    assert again.headline != made.headline


def endpoint_in_the_ledger(model: str) -> Results:
    original = results(("dpo", "mini"), large="mini", per_split=300, margin=0.2)
    asked = LedgerItem(kind="evaluation", label="Answering", system_id="mini")
    named = swapped(original, "mini", base_model=model)
    return named.model_copy(update={"ledger": (*original.ledger, asked)})


def test_a_price_that_was_missing_completes_the_ledger_and_the_break_even() -> None:
    made = report_json.build(endpoint_in_the_ledger("frontier-9"))
    assert (made.fixed_costs.fixed_usd, made.break_even.status) == (None, "unpriced")
    rows = tuple(
        PriceRow(model="frontier-9", unit=unit, price=price, source="s", checked=dt.date(2026, 11, 25))
        for unit, price in (("input_mtok", 1.5), ("output_mtok", 6.0))
    )
    again = report_json.reprice(made, load().merged(PriceSheet(rows=rows)))
    line = again.fixed_costs.items[-1]
    usage = system(made, "mini").usage_all
    assert line.usd == pytest.approx((usage.input_tokens * 1.5 + usage.output_tokens * 6.0) / 1e6)
    assert again.break_even.status == "pays_back"


def test_many_short_prompts_are_no_long_one_to_a_price_that_rises_with_length() -> None:
    said = report_json.build(endpoint_in_the_ledger("gemini-2.5-pro")).model_dump(mode="json")
    asked = next(one for one in said["systems"] if one["id"] == "mini")
    asked["usage_all"]["input_tokens"] = 300_000  # in all; the tier ends at 200,000 in one prompt
    line = report_json.reprice(opened(said), load()).fixed_costs.items[-1]
    assert line.usd is not None
    assert line.usd > 300_000 * 1.25 / 1e6


def test_answers_whose_usage_nobody_reported_leave_the_ledger_open() -> None:
    original = endpoint_in_the_ledger("gpt-4o-mini")
    rows = original.systems[1].rows
    silent = (rows[0].model_copy(update={"usage": Usage(), "error": ""}), *rows[1:])
    made = report_json.build(swapped(original, "mini", rows=silent))
    assert made.fixed_costs.items[-1].usd is None
    assert system(made, "mini").cost.usd_per_request is not None, "the others tell what an answer costs"


def test_energy_is_priced_where_the_device_is_there_anyway() -> None:
    one = system(built(), "dpo").cost
    assert one.wh_per_1k == pytest.approx(1000 * 30 / 55 / 3600)
    assert one.energy_usd_per_1k == pytest.approx(one.wh_per_1k / 1000 * 0.25)
    assert any("$0.25 per kWh" in line for line in built().assumptions)
    assert any(row.model == "electricity" for row in built().prices)


@pytest.mark.parametrize("lost", ["what_if", "gallery", "format_check", "systems"])
def test_a_report_that_lacks_figures_is_refused_by_name(lost: str) -> None:
    cut = {key: value for key, value in built().model_dump(mode="json").items() if key != lost}
    with pytest.raises(DataError, match=f"another version.*{lost}"):
        opened(cut)


def test_repricing_at_the_same_prices_gives_the_same_figures() -> None:
    made = against_endpoint()
    again = report_json.reprice(made, load())
    for key in ("systems", "what_if", "fixed_costs", "sensitivity", "verdict", "headline", "prices"):
        assert getattr(again, key) == getattr(made, key), key
    assert made == against_endpoint()  # the original is untouched


def test_repricing_at_a_machine_price_of_the_plan_keeps_that_price() -> None:
    original = results(per_split=40)
    plan = original.plan.model_copy(update={"machine": Machine(name="my server", usd_per_hour=0.5)})
    made = report_json.build(original.model_copy(update={"plan": plan}))
    assert report_json.reprice(made, PriceSheet()).machine.usd_per_hour == 0.5


def test_a_report_of_a_later_version_is_refused() -> None:
    with pytest.raises(DataError, match="version 7"):
        opened({"version": 7})


def test_stale_prices_are_flagged_by_the_day_of_the_comparison() -> None:
    original = results(("sft", "dpo", "mini"), large="mini", per_split=40)
    late = original.provenance.model_copy(update={"created": "2027-06-01T00:00:00Z"})
    made = report_json.build(original.model_copy(update={"provenance": late}))
    assert "gpt-4o-mini input_mtok" in made.provenance.prices_stale
    assert any("90 days" in line for line in made.limits)


def test_no_rows_at_all_is_one_clear_error() -> None:
    original = results(per_split=40)
    empty = original.model_copy(update={"dataset": original.dataset.model_copy(update={"splits": {}})})
    with pytest.raises(DataError, match="holds any rows"):
        report_json.build(empty)
