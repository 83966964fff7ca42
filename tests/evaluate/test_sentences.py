"""What a report says where little is known: unpriced costs, withheld verdicts, single rows, free text."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evaluate.cost import formulas, prices
from evaluate.plan import load_plan
from evaluate.report import render_md, report_json
from evaluate.report.results import LedgerItem, Results, Row, SystemResult
from evaluate.report.schema import Report
from evaluate.stats.intervals import Interval
from evaluate.stats.verdict import near_nothing
from synth.errors import UserError
from synth.usage import Usage
from tests import plausible


def asked(rows: int, small: float, large: float, **row: object) -> Results:
    """An untuned small and an endpoint as large system: so many rows, the given share of them right."""
    made = plausible.results(names=("base", "mini"), small="base", large="mini", per_split=60)

    def answers(system: SystemResult, share: float) -> SystemResult:
        told = [
            Row(
                example_id=str(i),
                split="test",
                family="f",
                template=str(i),
                scorer="math",
                score=float(i < share * rows),
                gold=str(i),
                answer="",
                usage=Usage(input_tokens=100, output_tokens=10),
            ).model_copy(update=row)
            for i in range(rows)
        ]
        return system.model_copy(update={"rows": tuple(told)})

    systems = tuple(answers(one, share) for one, share in zip(made.systems, (small, large), strict=True))
    dataset = made.dataset.model_copy(update={"splits": {"test": rows}})
    return made.model_copy(update={"systems": systems, "dataset": dataset})


def unpriced_ledger(results: Results) -> Results:
    """With a fixed cost of which nobody knows the price."""
    return results.model_copy(update={"ledger": (LedgerItem(kind="evaluation", label="a batch", system_id="base"),)})


def test_a_saving_is_stated_with_its_interval_where_only_the_fixed_cost_is_unpriced() -> None:
    even = report_json.build(unpriced_ledger(asked(400, 0.9, 0.6))).break_even
    assert even.status == "unpriced"
    assert even.saved_usd_per_1k is not None
    assert even.saved_usd_per_1k_ci95 is not None
    low, high = even.saved_usd_per_1k_ci95
    assert low <= even.saved_usd_per_1k <= high


@pytest.mark.parametrize("small", [0.0, 0.58])
def test_nothing_that_rests_on_a_verdict_is_stated_without_one_even_where_costs_are_unpriced(small: float) -> None:
    """Withheld (both near 0) and INCONCLUSIVE: a gate on the chance of cheaper and not worse must not pass."""
    found = report_json.build(unpriced_ledger(asked(60, small, small and small + 0.05)))
    assert found.break_even.status == "unpriced"
    assert found.break_even.p_not_worse is None
    assert found.break_even.p_cheaper_and_not_worse is None
    assert found.break_even.error_price_usd is None


def test_a_line_of_a_batch_bill_is_its_quantity_times_its_price() -> None:
    billed = formulas.bill(Usage(input_tokens=1000, output_tokens=100), "gpt-4o", prices.load(), batch=True)
    assert billed.usd == pytest.approx((1000 * 2.5 + 100 * 10) / 1e6 / 2)
    assert all(math.isclose(line.usd or 0, line.quantity * (line.price or 0)) for line in billed.items)


def test_one_row_is_no_rows() -> None:
    report = report_json.build(asked(1, 1.0, 0.0))
    assert "100 % (1 row: no interval) of 1 row of known wording" in report.headline
    assert "1 rows" not in render_md.render(report)


def test_two_rows_carry_no_interval_and_two_templates_none_whatever_their_rows() -> None:
    two = report_json.build(asked(2, 1.0, 0.0))
    assert "test: 2 rows carry no interval." in two.limits
    one = report_json.build(asked(200, 0.9, 0.5, template="t"))
    assert "test: 1 template carries no interval, whatever the number of rows." in one.limits
    assert "of 1 family; mean" in render_md.render(one)


def test_real_rows_are_not_said_to_decide_what_is_withheld() -> None:
    note = report_json.build(asked(300, 0.0, 0.0)).real_rows_note
    assert note is not None
    assert "would decide" not in note
    assert "Between 30 and 200 real rows are usual." in note


def test_few_rows_above_chance_are_called_few_and_not_alike() -> None:
    """13 and 14 of 15 rows right in five clusters, where always saying the commonest label gets 9."""
    small, large = (Interval(right / 15, low, 0.99, 15, "", 15.0) for right, low in ((13, 0.47), (14, 0.51)))
    said = near_nothing(small, large, chance=0.6)
    assert said is not None
    assert said.startswith("There are too few rows to tell either score from chance (86.7 % and 93.3 %; the same")


def test_nothing_is_said_of_the_training_of_a_model_that_was_not_trained() -> None:
    report: Report = report_json.build(asked(60, 0.9, 0.5))
    assert not [said for said in report.not_measured if "tuning" in said or "training run" in said]


@pytest.mark.parametrize(("metric", "said"), [("f1", "has an F1 over fields of"), ("anls", "has an ANLS of")])
def test_metrics_are_called_by_their_names(metric: str, said: str) -> None:
    results = asked(300, 0.9, 0.5)
    systems = tuple(one.model_copy(update={"metric": metric}) for one in results.systems)
    assert said in report_json.build(results.model_copy(update={"systems": systems})).headline


def test_free_text_names_the_judge_as_remedy() -> None:
    results = asked(40, 1.0, 1.0, score=None)
    systems = tuple(one.model_copy(update={"metric": "free text"}) for one in results.systems)
    verdict = report_json.build(results.model_copy(update={"systems": systems})).verdict
    assert "smolstudio judge" in verdict.sentence


def test_equal_bills_have_no_interval_of_zero_width() -> None:
    """60 times the same sum: its mean is off by the last bit, which is no uncertainty."""
    report = report_json.build(asked(60, 0.9, 0.5, usage=Usage(input_tokens=300, output_tokens=40)))
    mini = report.system("mini")
    assert mini is not None
    assert mini.cost.usd_per_1k is not None
    assert mini.cost.usd_per_1k_ci95 is None


@pytest.mark.parametrize("bad", [".inf", ".nan"])
def test_a_price_or_margin_that_is_no_number_is_refused_before_anything_is_asked(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "plan.yaml"
    for line in (
        f"machine: {{usd_per_hour: {bad}}}",
        f"human_usd_per_answer: {bad}",
        f"costs: {{labelling_usd: {bad}}}",
    ):
        file.write_text(f"dataset: d\nsystems: [{{id: a, model: starter-text}}]\n{line}\n", "utf-8")
        with pytest.raises(UserError):
            load_plan(file)
    sheet = tmp_path / "prices.yaml"
    row = f"{{model: m, unit: input_mtok, price: {bad}, source: s, checked: 2026-11-29}}"
    sheet.write_text(f"version: 1\nrows: [{row}]\n", "utf-8")
    with pytest.raises(UserError):
        prices.load(sheet)
