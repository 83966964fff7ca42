"""The table of scorers: what evaluation, preference mining, re-checking, import and the report all read.

A score is a pure function of (reply, row). Nothing aggregates here: see `evaluate.stats`.
"""

from __future__ import annotations

from collections.abc import Iterable

from synth.errors import DataError, did_you_mean
from synth.example import Example
from synth.scoring import anls, choice, exact, fields, free_text, label, math_answer, names, relaxed, speech, vqa
from synth.scoring.rule import Metric, Score, ScoreRule

_RULES = (
    fields.JSON_RULE,
    fields.FIELDS_RULE,
    choice.RULE,
    math_answer.RULE,
    label.RULE,
    relaxed.RULE,
    anls.RULE,
    vqa.RULE,
    speech.WER_RULE,
    speech.CER_RULE,
    exact.RULE,
    free_text.RULE,
)
SCORERS: dict[str, ScoreRule] = {rule.key: rule for rule in _RULES}
"""By name, in the order in which an imported answer looks for the first that fits."""


def known_scorer(name: str) -> ScoreRule:
    """The scorer of that name. Raises DataError, with the nearest name, when there is none."""
    if name not in SCORERS:
        hint = did_you_mean(name, list(SCORERS))
        raise DataError(f"There is no scorer '{name}'{hint}.", f"Choose one of {', '.join(SCORERS)}.", "scorer.unknown")
    return SCORERS[name]


def score_reply(reply: str, row: Example, scorer: str = "auto") -> Score:
    """Score one reply with the row's own scorer or the named one. Raises DataError for an unknown scorer."""
    return known_scorer(row.scorer if scorer == "auto" else scorer).score(reply, row)


def scorer_for(answer: str) -> str:
    """The scorer of an imported gold answer: the first of the table that it fits.

    An answer that is too long to be repeated word for word gets `free_text`, which no rule can score.
    """
    return next((rule.key for rule in SCORERS.values() if rule.fits(answer.strip())), names.FREE_TEXT)


def metric_name(scorers: Iterable[str]) -> str:
    """Name of the metric over rows that these scorers scored; rows that no rule can grade have no say."""
    rules = [SCORERS[scorer] for scorer in scorers]
    found = {rule.metric.name for rule in ([rule for rule in rules if rule.checkable] or rules)}
    return found.pop() if len(found) == 1 else "mean score"


def metric(name: str) -> Metric:
    """Facts of a metric by its name; of names that no scorer has (a mean over several): higher is better."""
    return next((rule.metric for rule in SCORERS.values() if rule.metric.name == name), Metric(name, name))


def normaliser_name(metric_name: str) -> str | None:
    """Text normaliser behind a metric, with its version; None where texts are compared as they are."""
    named = [rule.normaliser for rule in SCORERS.values() if rule.metric.name == metric_name and rule.normaliser]
    return named[0]() if named else None
