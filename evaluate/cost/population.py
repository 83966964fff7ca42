"""What the answers of one system consumed, over one population of rows: the same that its score is measured on.

    consumption(rows) -> AnswersUsage(input_tokens=…, answers=97, unreported=0, lost_attempts=2, …)

Counts only; `economics` prices them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from evaluate.report.money import AnswersUsage
from evaluate.report.results import Row
from evaluate.report.rows import chosen
from synth.usage import Usage, total


def consumption(rows: Sequence[Row]) -> AnswersUsage:
    """The sum of usage with what it is shared by.

    Rows without an answer were paid too where attempts were billed: what they reported is in the sum, but they are not
    among the answers it is shared by. `lost_attempts` are billed attempts of which nobody reported anything.
    """
    answered, failed = chosen(rows, lambda row: not row.error), chosen(rows, lambda row: bool(row.error))
    lost = sum(row.usage.billed_retries for row in failed if not row.usage.reported)
    unreported = 0
    if any(row.usage.reported for row in answered):
        unreported = sum(not row.usage.reported for row in answered)
        answered = chosen(answered, lambda row: row.usage.reported)
    counted: list[Usage] = [row.usage for row in chain(answered, failed) if row.usage.reported or not row.error]
    return AnswersUsage(
        **total(counted).model_dump(),
        answers=len(answered),
        unreported=unreported,
        lost_attempts=lost,
        largest_input_tokens=max((one.input_tokens or 0 for one in counted), default=0),
    )


def tokens_per_s(rows: Sequence[Row], requests_per_s: float | None) -> float | None:
    """Tokens of answers a second at so many answers; None where a speed, or the tokens of an answer, are not known."""
    counts = [row.usage.output_tokens for row in rows if not row.error]
    known = [count for count in counts if count is not None]
    if requests_per_s is None or not known or len(known) < len(counts):
        return None
    return requests_per_s * sum(known) / len(known)
