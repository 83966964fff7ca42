"""A verdict's mistakes: what was missed, and what the mistakes cost, with the confidence from which to trust the model.

The prices are a person's; they are kept beside the comparison (`error_costs.json`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import streamlit as st

from evaluate.report.schema import Report
from evaluate.stats import error_costs
from evaluate.stats.error_costs import Threshold
from studio.read import mistakes
from studio.read.mistakes import Answer
from studio.widgets import address, ui
from synth.dataset import DatasetDir
from synth.errors import StorageError, UserError
from synth.storage import read_json, write_json

FILE = "error_costs.json"
PAGE = 20
HANDED = 1.0
MISTAKE = 10.0
RIGHT = "Right answer"
"""Prices to begin with: looking at a row once, and a mistake, in the user's own unit."""


def render(folder: Path, report: Report) -> None:
    """The part of the page."""
    scores = folder / "scores.jsonl"
    if not scores.is_file():
        ui.show_error("This comparison kept no scores.", "Run it again: answers so far are kept.")
        return
    first = sorted(report.systems, key=lambda one: one.id != report.small)  # whose mistakes are asked about
    systems = {one.id: one.label for one in first if one.higher_is_better}
    if not systems:
        ui.empty("No mistakes to count", "These answers are measured by an error rate, not as right or wrong.")
        return
    left, right = st.columns(2)
    with left:
        system = address.menu("Model", list(systems), "first", ("row", "label"), systems.__getitem__)
    rows = mistakes.answers(scores, report, system)
    labels = _labels(report, rows)
    with right:
        counts = Counter(row.gold for row in mistakes.missed(rows))
        options = ["", *(label for label in labels if counts[label])]
        label = address.menu(
            "What was missed",
            options,
            "label",
            ("row",),
            lambda one: f"{one}: {counts[one]:,} missed" if one else f"anything: {counts.total():,} of {len(rows):,}",
        )
    if labels:
        _confusion(rows, labels)
    _list(mistakes.missed(rows, label))
    suspects = mistakes.suspects(scores, report) if system == report.small else []
    if suspects:
        st.markdown("##### Labels to look at")
        st.caption("The models agree on another answer here and are sure of it: the label may be the mistake.")
        _table(suspects)
    ui.words("Confusion matrix", "Recall", "Precision", "Confidence", "Threshold", "Out of fold")
    if labels:
        _costs(folder, rows, labels)


def _labels(report: Report, rows: list[Answer]) -> list[str]:
    """The labels of a classification, as its task lists them; none for other tasks."""
    if report.by_class is None:
        return []
    listed: list[str] = []
    with contextlib.suppress(UserError):  # the dataset may be gone
        listed = list(DatasetDir(ui.workspace().path / report.dataset.path).task.labels)
    found = {row.gold for row in rows}
    return [label for label in listed if label in found] + sorted(found - set(listed))


def _confusion(rows: list[Answer], labels: list[str]) -> None:
    """Right label by given label; what is no label stands in a column of its own."""
    counts = Counter((row.gold, row.given if row.given in labels else "no label") for row in rows)
    columns = [*labels, *(["no label"] if any(given == "no label" for _, given in counts) else [])]
    table = [
        {
            RIGHT: gold,
            **{given: counts[gold, given] for given in columns},
            "Rows": sum(counts[gold, c] for c in columns),
        }
        for gold in labels
    ]
    st.markdown("##### What is taken for what")
    st.caption("A line for each right answer; the columns count what the model said to those rows.")
    st.dataframe(table, hide_index=True, height="content" if len(labels) <= 12 else 420)


def _list(wrong: list[Answer]) -> None:
    if not wrong:
        st.success("Nothing was missed.", icon=":material/check_circle:")
        return
    pages = max(1, -(-len(wrong) // PAGE))
    page = address.number("Page", 1, pages, "row") if pages > 1 else 1
    st.caption(f"{len(wrong):,} rows, the surest mistakes first")
    _table(wrong[(page - 1) * PAGE : page * PAGE])


def _table(rows: list[Answer]) -> None:
    st.dataframe(
        [
            {
                "Question": row.text[:500],
                RIGHT: row.gold,
                "The model's": row.given or "nothing readable",
                "Confidence": row.confidence,
            }
            for row in rows
        ],
        hide_index=True,
        column_config={"Confidence": st.column_config.NumberColumn(format="%.2f")},
        placeholder="none",
    )


def _costs(folder: Path, rows: list[Answer], labels: list[str]) -> None:
    """The prices, and what follows from them."""
    import numpy as np

    st.markdown("##### What mistakes cost")
    st.caption(
        "What it costs you when a row of the label on the left is given the label above, in any unit; being right "
        "costs nothing. A row that the model is not sure enough of can go to a person instead."
    )
    kept = _read(folder / FILE)
    table = {
        gold: {given: 0.0 if gold == given else float(kept.get(f"{gold}\t{given}", MISTAKE)) for given in labels}
        for gold in labels
    }
    edited: list[dict[str, Any]] = st.data_editor(
        [{RIGHT: gold, **table[gold]} for gold in labels],
        hide_index=True,
        disabled=[RIGHT],
        key=f"costs.{folder.name}",
        column_config={label: st.column_config.NumberColumn(min_value=0.0) for label in labels},
    )
    handed = st.number_input(
        "A person's look at one row costs", 0.0, None, float(kept.get("", HANDED)), key=f"handed.{folder.name}"
    )
    costs = {(str(row[RIGHT]), given): float(row[given] or 0) for row in edited for given in labels}
    keep = {f"{gold}\t{given}": value for (gold, given), value in costs.items() if gold != given} | {"": float(handed)}
    if keep != kept and (kept or keep != _usual(labels)):
        write_json(folder / FILE, keep)
    paid = error_costs.mistake_costs([row.gold for row in rows], [row.given for row in rows], costs)
    sure = [row.confidence for row in rows]
    if any(one is None for one in sure):
        mean = error_costs.mean_cost(paid, max(costs.values())) if len(rows) > 1 else None
        if mean:
            spread = f"**{1000 * mean.mean:,.0f}** [{1000 * mean.low:,.0f}, {1000 * mean.high:,.0f}]"
            st.markdown(f"Its mistakes cost {spread} per 1,000 rows. It gives no confidence.")
        return
    found = error_costs.best_threshold(paid, np.array(sure, dtype=float), float(handed), max(costs.values()))
    if found is None:
        st.info(f"{error_costs.FEWEST_ROWS} or more tested rows are needed to choose a threshold.")
        return
    _threshold(found)


def recommended(found: Threshold) -> str:
    """Who should answer, as Markdown; no threshold where it costs more on rows that had no part in choosing it."""
    if found.at == error_costs.NEVER:
        return "**Let a person look at every row**: at these prices the model's mistakes cost more."
    if found.alone == 1 and found.all_alone.high > found.all_handed:
        return (
            "**Not decided**: on these rows the model alone costs least, but they are too few to rule out that its "
            f"mistakes cost up to {1000 * found.all_alone.high:,.0f} per 1,000 rows, more than a person's look."
        )
    if found.alone == 1:
        return "**Let the model answer every row**: at these prices no look at a row pays."
    said = f"from a confidence of {found.at:.3f} on, which is {found.alone:.0%} of the rows"
    if found.cost.mean >= min(found.all_handed, found.all_alone.mean):
        person = found.all_handed <= found.all_alone.mean
        who = "let a person look at every row" if person else "let the model answer every row"
        return (
            f"**Share nothing yet, {who}**: answers {said}, would cost least on these rows, but on rows that had no "
            "part in that choice it does not."
        )
    return f"**Let the model answer {said}**; a person looks at the others."


def _threshold(found: Threshold) -> None:
    """The threshold in words, beside answering every row and handing every row on."""
    st.markdown(recommended(found))
    person = error_costs.Cost(found.all_handed, found.all_handed, found.all_handed)
    whose = {"The model, every row": found.all_alone, "A person, every row": person}
    shared = found.at != error_costs.NEVER and found.alone < 1
    if shared:
        whose = {"Both, by that confidence": found.cost, **whose}
    st.dataframe(
        [
            {
                "Who answers": who,
                "Cost per 1,000 rows": f"{1000 * cost.mean:,.0f}",
                "95 % interval": f"{1000 * cost.low:,.0f} to {1000 * cost.high:,.0f}" if cost is not person else "",
            }
            for who, cost in whose.items()
        ],
        hide_index=True,
    )
    first = "The first line is of rows that had no part in choosing the confidence. " if shared else ""
    st.caption(f"{first}A person is taken to be right.")


def _usual(labels: list[str]) -> dict[str, float]:
    return {f"{a}\t{b}": MISTAKE for a in labels for b in labels if a != b} | {"": HANDED}


def _read(file: Path) -> dict[str, Any]:
    try:
        value = read_json(file) if file.is_file() else {}
    except StorageError:
        return {}
    return {str(k): float(v) for k, v in value.items() if isinstance(v, int | float)} if isinstance(value, dict) else {}
