"""What the answers of one system consumed, over one population of rows: the same that its score is measured on.

    consumption(rows) -> AnswersUsage(input_tokens=…, answers=97, unreported=0, lost_attempts=2, …)

Counts only; `economics` prices them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from evaluate.report.money import AnswersUsage
from evaluate.report.results import Row
from evaluate.report.rows import flags, where
from synth.usage import Usage, total


def consumption(rows: Sequence[Row]) -> AnswersUsage:
    """The sum of usage with what it is shared by.

    Rows without an answer were paid too where attempts were billed: what they reported is in the sum, but they are not
    among the answers it is shared by. `lost_attempts` are billed attempts of which nobody reported anything.
    """
    failed, reported = flags(rows, "error"), flags(rows, "usage")
    answered = ~failed & reported if (~failed & reported).any() else ~failed
    largest = 0

    def counted() -> Iterator[Usage]:
        nonlocal largest
        for row in chain(where(rows, answered), where(rows, failed & reported)):
            largest = max(largest, row.usage.input_tokens or 0)
            yield row.usage

    return AnswersUsage(
        **total(counted()).model_dump(),
        answers=int(answered.sum()),
        unreported=int((~failed & ~answered).sum()),
        lost_attempts=sum(row.usage.billed_retries for row in where(rows, failed & ~reported)),
        largest_input_tokens=largest,
    )


def tokens_per_s(rows: Sequence[Row], requests_per_s: float | None) -> float | None:
    """Tokens of answers a second at so many answers; None where a speed, or the tokens of an answer, are not known."""
    if requests_per_s is None:
        return None
    sums = answers = 0
    for row in where(rows, ~flags(rows, "error")):
        if row.usage.output_tokens is None:
            return None
        sums, answers = sums + row.usage.output_tokens, answers + 1
    return requests_per_s * sums / answers if answers else None
