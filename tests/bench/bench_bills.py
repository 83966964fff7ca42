"""The table of bills of docs/cost.md: what APIs report, and what our bill makes of it against the one worked by hand.

    python -m tests.bench.bench_bills            # prints the table; exit code 1 when a bill is more than 0.5 % off
    python -m tests.bench.bench_bills --write    # puts it into docs/cost.md, and its summary into docs/evaluation.md

The cases are in bills.yaml. Asks no endpoint.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evaluate.cost import formulas
from evaluate.cost.prices import PriceRow, PriceSheet, load
from synth.endpoint.bodies import reply_of
from synth.endpoint.reported_usage import read_usage
from synth.usage import Usage

CASES = Path(__file__).with_name("bills.yaml")
DOCUMENT = Path(__file__).parents[2] / "docs" / "cost.md"
SUMMARY = DOCUMENT.with_name("evaluation.md")
BEGIN, END = "<!-- bills: begin -->", "<!-- bills: end -->"
TOLERANCE = 0.005


class Case(NamedTuple):
    """One bill; by_hand None = nothing was reported that could be charged."""

    shape: str
    what: str
    model: str
    usage: Usage
    by_hand: float | None
    ours: float | None

    @property
    def off(self) -> float | None:
        """Relative difference; None where one of the two is missing and the other is not."""
        if self.by_hand is None or self.ours is None:
            return 0.0 if self.by_hand is self.ours else None
        return self.ours / self.by_hand - 1


def cases(sheet: PriceSheet | None = None) -> list[Case]:
    """Every case with our bill for it."""
    listed = yaml.safe_load(CASES.read_text("utf-8"))["bills"]
    return [_case(row, sheet or load()) for row in listed]


def _case(row: dict[str, Any], sheet: PriceSheet) -> Case:
    usage = reply_of(row["body"]).usage if "body" in row else read_usage(row["usage"])
    if retries := row.get("retries", 0):
        usage = usage.with_lost(retries)
    if "prices" in row:
        day = dt.date(2026, 11, 29)
        own = [
            PriceRow(model=row["model"], unit=unit, price=price, source="the case", checked=day)
            for unit, price in row["prices"].items()
        ]
        sheet = sheet.merged(PriceSheet(rows=tuple(own)))
    by_hand = sum(tokens * price for tokens, price in row["hand"]) / 1e6 if row["hand"] else None
    bill = formulas.bill(usage, row["model"], sheet, row.get("batch", False))
    return Case(row["shape"], row["what"], row["model"], usage, by_hand, bill.usd)


def table(found: list[Case]) -> str:
    """The cases as Markdown."""
    lines = ["| shape | case | model | by hand, USD | our bill, USD | off |", "|---|---|---|---|---|---|"]
    for case in found:
        shown = ["not reported" if usd is None else f"{usd:.7f}" for usd in (case.by_hand, case.ours)]
        off = "missing" if case.off is None else f"{100 * case.off:.2f} %"
        lines.append(f"| {case.shape} | {case.what} | {case.model} | {shown[0]} | {shown[1]} | {off} |")
    worst = max(abs(case.off) if case.off is not None else 1.0 for case in found)
    return "\n".join([*lines, "", f"{len(found)} bills; the largest difference is {100 * worst:.2f} %."])


def summary(found: list[Case]) -> str:
    """How many bills of each shape, and the largest difference among them, as Markdown."""
    lines = ["| shape | bills | largest difference |", "|---|---|---|"]
    for shape in [*dict.fromkeys(case.shape for case in found), "all"]:
        off = [case.off for case in found if shape in (case.shape, "all")]
        worst = max(1.0 if one is None else abs(one) for one in off)
        lines.append(f"| {shape} | {len(off)} | {100 * worst:.2f} % |")
    return "\n".join(lines)


def written(document: str, made: str) -> str:
    """The document with what was made between its marks."""
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    all_cases = cases()
    if "--write" in sys.argv[1:]:
        for document, made in ((DOCUMENT, table(all_cases)), (SUMMARY, summary(all_cases))):
            document.write_text(written(document.read_text("utf-8"), made), "utf-8")
    else:
        print(table(all_cases))
    sys.exit(any(case.off is None or abs(case.off) > TOLERANCE for case in all_cases))
