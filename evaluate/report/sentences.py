"""The last step of a report: words and sentences, read off its figures.

    report = with_sentences(draft)      # a draft is a report's JSON value without them, plus the `kinds` of its splits

Computes no figure (`report_json`); what is said is `decision`'s, `headline`'s and `wording`'s.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

from evaluate.report import basis, decision, headline, prices_said, wording
from evaluate.report.money import BreakEvenPart, Sensitivity
from evaluate.report.parts import Comparison
from evaluate.report.schema import DatasetPart, Report, VerdictPart

Draft = dict[str, Any]
DIGITS = 10  # significant digits kept, so that a last bit of difference between machines does not show


def tidy(value: Any) -> Any:
    """Plain JSON values: parts to dicts, tuples to lists, floats to ten digits, infinities and NaN to None."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): tidy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def with_sentences(draft: Draft) -> Report:
    """The finished report: words and sentences come last, because they are read off the figures."""
    comparisons = [Comparison.model_validate(row) for row in draft["comparisons"]]
    main = next((row for row in comparisons if row.main and row.split == draft["primary_split"]), None)
    kinds, dataset = draft.pop("kinds"), DatasetPart.model_validate(draft["dataset"])
    unsaid = {
        "headline": "",
        "verdict": {"word": None, "sentence": "", "split": draft["primary_split"], "rows_to_decide": None},
        "basis": basis.part(kinds, dataset.splits, dataset.name, _measured(main)),
        "stand_in_note": None,
        **dict.fromkeys(("assumptions", "limits", "not_measured"), ()),
    }
    report = Report.model_validate(tidy({**draft, **unsaid}))
    report = report.model_copy(
        update={
            "comparisons": tuple(decision.settled(report, row) for row in report.comparisons),
            "judge": decision.of_judge(report, report.judge) if report.judge else None,
            "reality_gaps": basis.reality_gaps([(one.id, one.splits) for one in report.systems], kinds),
        }
    )
    report = _decided(report)
    report = report.model_copy(
        update={
            "stand_in_note": headline.stand_in_note(report),
            "real_rows_note": headline.real_rows_note(report),
            "margin_note": decision.margin_moved(report) or None,
        }
    )
    return report.model_copy(
        update={
            "headline": headline.headline(report),
            "assumptions": (*wording.assumptions(report), *prices_said.assumptions(report)),
            "limits": tuple(wording.limits(report)),
            "not_measured": (*wording.not_measured(report), *prices_said.not_stated(report)),
        }
    )


def _measured(main: Comparison | None) -> basis.Measured | None:
    return None if main is None else basis.Measured(main.delta, main.sd, main.margin, main.rows_to_decide_range)


def _decided(report: Report) -> Report:
    """With the verdict, and without a pay-back where the verdict carries none."""
    main, kind = report.main(report.primary_split), report.basis.kind
    verdict = VerdictPart(
        word=main.verdict if main else None,
        sentence=main.sentence if main else basis.qualified(kind, headline.no_verdict(report)),
        split=report.primary_split,
        rows_to_decide=main.rows_to_decide if main else None,
        qualifier=report.basis.qualifier,
        withheld=main.withheld if main else (),
    )
    report = report.model_copy(update={"verdict": verdict})
    even, promising = report.break_even, decision.may_promise(report)
    if report.large is None or (promising and even.status != "not_stated"):
        return report
    return report.model_copy(
        update={"break_even": _silent(even, promising), "sensitivity": _without_savings(report.sensitivity)}
    )


def _silent(even: BreakEvenPart, promising: bool) -> BreakEvenPart:
    """No pay-back in any form; nothing that rests on which system is better, or on a price, where that is not known."""
    always_on = {"requests_per_month": None, "machines": 1, "note": ""}
    unsaid: Draft = {
        "status": "unpriced" if even.status == "unpriced" else "not_stated",
        "requests": None,
        "requests_ci95": None,
        "months_at": dict.fromkeys(even.months_at),
        "always_on": even.always_on.model_copy(update=always_on),
    }
    if not promising:
        unsaid.update(p_not_worse=None, p_cheaper_and_not_worse=None, error_price_usd=None)
    if not even.price_holds:
        unsaid.update(p_cheaper_and_not_worse=None, error_price_usd=None, utilisation=None, utilisation_ci95=None)
        unsaid.update(saved_usd_per_1k=None, saved_usd_per_1k_ci95=None)
    return even.model_copy(update=unsaid)


def _without_savings(part: Sensitivity) -> Sensitivity:
    """What a pay-back depends on is not shown where none is stated."""
    grid = tuple((None,) * len(row) for row in part.heat.saving_usd_per_month)
    heat = part.heat.model_copy(update={"saving_usd_per_month": grid})
    return part.model_copy(update={"requests": None, "tornado": (), "heat": heat})
