"""The one-word verdict, its sentence, and the reasons to withhold it.

Reads differences and intervals, computes no statistics. Thresholds and their reasons: docs/evaluation.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from evaluate.stats import power
from evaluate.stats.clusters import FEWEST_CLUSTERS, counted
from evaluate.stats.intervals import Interval
from evaluate.stats.paired import Difference

BETTER, NOT_WORSE, WORSE, INCONCLUSIVE = "BETTER", "NOT WORSE", "WORSE", "INCONCLUSIVE"
MIN_ROWS = 200  # fewer rows than this are said to be few (docs/evaluation.md)
FLOOR = 0.05
"""A system shows skill when its interval's lower end is above chance by more than this share of what is left."""
ASK_AGAIN = "start the comparison again to ask only those"
MOST_CUT = 0.02
"""Share of a system's answers that may have been cut off at the token limit before its score means the limit."""


class ComparisonVerdict(NamedTuple):
    """One of BETTER, NOT WORSE, WORSE, INCONCLUSIVE; a sentence; and how many rows would decide (None = decided)."""

    word: str
    sentence: str
    rows_to_decide: power.RowsNeeded | None


def verdict(
    difference: Difference, margin: float, small: str = "the small system", large: str = "the large one"
) -> ComparisonVerdict:
    """BETTER, NOT WORSE (within margin), WORSE or INCONCLUSIVE, in that order of precedence.

    margin: the loss that one is willing to accept, in score units (0.02 = 2 points). The one-sided 95 % bound decides
    NOT WORSE; the two-sided 95 % interval decides BETTER and WORSE.
    """
    ahead = f"{100 * difference.delta:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")
    points = f"{ahead} points [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    bound = f"the one-sided 95 % bound is {100 * difference.lower_one_sided:+.1f} points"
    allowed = f"{100 * margin:g} points"
    if difference.low > 0:
        return ComparisonVerdict(BETTER, f"{small} is better than {large}: {points}.", None)
    if difference.lower_one_sided > -margin:
        behind = " It is measurably behind, but by less than that." if difference.high < 0 else ""
        sentence = f"{small} is not worse than {large} by more than {allowed}: {points}; {bound}.{behind}"
        return ComparisonVerdict(NOT_WORSE, sentence, None)
    if difference.high < 0:
        return ComparisonVerdict(WORSE, f"{small} is worse than {large}: {points}.", None)
    if difference.clusters < FEWEST_CLUSTERS:
        few = counted(difference.clusters, difference.n, difference.unit)
        carry = f"{few} {'carries' if difference.clusters == 1 else 'carry'} no interval"
        more = f"rows of at least {counted(FEWEST_CLUSTERS, 1 << 30, difference.unit)} are needed"
        sentence = f"{carry}, so {small} cannot be compared with {large} ({ahead} points on these rows); {more}."
        return ComparisonVerdict(INCONCLUSIVE, sentence, None)
    rows = power.rows_to_decide(difference, margin)
    sentence = (
        f"{difference.n:,} rows are too few to tell whether {small} is within {allowed} of {large}: "
        f"{points}, {bound}; {power.in_words(rows, difference.unit)}."
    )
    return ComparisonVerdict(INCONCLUSIVE, sentence, rows)


def constant_answer(golds: ArrayLike) -> float:
    """Share of rows that the best single answer gets right: chance on a task of few answers, about 0 on an open one.

    0 where no gold answer stands out (fewer than five rows share one), because a share of one in ten is no chance.
    """
    counts = np.unique(golds, return_counts=True)[1]
    most = int(counts.max(initial=0))
    return most / int(counts.sum()) if most >= 5 else 0.0


def near_nothing(small: Interval, large: Interval, chance: float = 0.0, errors: bool = False) -> str | None:
    """Why two scores (0..1, higher is better; 1 - rate for error rates) carry no verdict, or None when they do.

    When neither system is surely above chance, their difference is one between two failures: the task, the prompt or
    the scorer is broken, and more rows do not help. chance: see `constant_answer`; 0 for open answers. errors: the
    scores are 1 - error rate, and are said as error rates.
    """
    floor = chance + FLOOR * (1 - chance)
    if max(small.low, large.low) > floor:
        return None
    scores = f"{100 * small.value:.1f} % and {100 * large.value:.1f} %"
    if errors:
        rates = f"{100 * (1 - small.value):.1f} % and {100 * (1 - large.value):.1f} %"
        return f"Neither system clearly gets anything right (error rates of {rates}), so which is ahead means nothing."
    if chance > 0:
        best = f"the same answer to every row scores {100 * chance:.1f} %"
        if max(small.value, large.value) > floor + FLOOR:
            few = "There are too few rows to tell either score from chance"
            return f"{few} ({scores}; {best}), so which is ahead means nothing."
        return f"Neither system is clearly above chance ({scores}; {best}), so which is ahead means nothing."
    if max(small.value, large.value) > 2 * FLOOR:
        return f"There are too few rows to tell either score from 0 ({scores}), so which is ahead means nothing."
    return f"Both systems score near 0 ({scores}), so which is ahead means nothing."


def cut_off(label: str, cut: int, answered: int) -> str | None:
    """Why a system whose answers were cut off at the token limit carries no verdict, or None."""
    if not answered or cut / answered <= MOST_CUT:
        return None
    share = f"{cut:,} of {answered:,} answers of {label} ({100 * cut / answered:.1f} %)"
    return f"{share} were cut off at the token limit, so its score is the limit's; raise max_new_tokens."


def format_decides(strict: ComparisonVerdict, forgiven: ComparisonVerdict) -> str | None:
    """Why a verdict that forgiving the format would change is withheld, or None. Both from the same rows and margin."""
    if strict.word == forgiven.word:
        return None
    return (
        f"The verdict depends on the answer format: {strict.word} as scored, {forgiven.word} if right answers that the "
        "scorer cannot read counted; ask for the format in the prompt, or constrain it."
    )


def normaliser_decides(label: str, scored: tuple[float, float], plain: tuple[float, float]) -> str | None:
    """Why a verdict on transcripts is withheld where two ways to normalise them name another winner, or None.

    scored, plain: error rates of the small and the large system, as scored and with only case and punctuation taken
    off, of the same rows. A tie under one of them names no winner.
    """
    ahead = [(theirs > ours) - (theirs < ours) for ours, theirs in (scored, plain)]
    if ahead[0] * ahead[1] >= 0:
        return None
    rates = [f"{100 * ours:.1f} % against {100 * theirs:.1f} %" for ours, theirs in (scored, plain)]
    fewer, more = ("fewer", "more") if ahead[0] > 0 else ("more", "fewer")
    return (
        f"Who is ahead depends on how transcripts are normalised: as scored, {label} makes {fewer} errors "
        f"({rates[0]}), with only case and punctuation taken off it makes {more} ({rates[1]}); decide which written "
        "form counts, and give both systems' answers and the transcripts that form."
    )


def unanswered_decide(
    strict: ComparisonVerdict, against: ComparisonVerdict, missing: str, remedy: str = ASK_AGAIN
) -> str | None:
    """Why a verdict that rows without an answer could turn is withheld, or None when they could not.

    against: from the same rows and margin, with those rows counted against the verdict. remedy: how to get them.
    """
    if strict.word == against.word:
        return None
    return (
        f"The verdict depends on rows without an answer ({missing}): {strict.word} on those answered, {against.word} "
        f"if the others went against it; {remedy}."
    )
