"""Which of several teachers writes which rows: each is tried on the same seeds, then every group of rows goes to one.

The pipeline's own checks decide first: a teacher that is shown to have fewer candidates accepted than the best one is
out. Between those that are left, a judge compares their rows of the same seed, in both orders; one that is shown to
lose is out. Of the rest, the one with the cheapest accepted row writes. "Shown" is a 95 % interval that leaves out no
difference (Newcombe 1998 for shares, Wilson 1927 for wins); 20 candidates show large differences only.

What is asked before the last step that gathers (a list of topics, say) is asked of the main teacher, so that all are
tried on the same seeds. Answers of a trial are kept: the run uses those of the teacher that was chosen.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from synth.endpoint import Ask
from synth.errors import RecipeError
from synth.example import text_of
from synth.pipeline.asking import Teacher, answers_in_order
from synth.pipeline.candidate import Candidate, Rejected
from synth.pipeline.engine import PipelineEngine
from synth.pipeline.plan import RouteRule, RunPlan
from synth.pipeline.spec import BoundStep
from synth.pipeline.step import MAIN
from synth.pipeline.steps.ask import fault
from synth.pipeline.steps.compare import comparison, winner_of
from synth.pipeline.steps.row import ROW
from synth.wilson import wilson_bounds

JUDGE = "judge"
PATIENCE = 3
"""Candidates of a trial, for each that is wanted of every value, after which it ends although one value is rare."""
Route = Callable[[Candidate], str]
MakeEngine = Callable[[Route, Callable[[str, Rejected], None]], PipelineEngine]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tried(_Frozen):
    """What became of a teacher's candidates, and what an accepted row of it costs; None where that is not known."""

    accepted: int
    rejected: int
    usd_per_row: float | None


class Choice(_Frozen):
    """The teacher that writes the rows of one value, and why it does."""

    teacher: str
    why: str
    tried: dict[str, Tried]


class Routes(_Frozen):
    """Who writes what. `by` is the field whose values are told apart, "" for one choice; `others` is for new values."""

    by: str
    choices: dict[str, Choice]
    others: Choice

    def teacher(self, candidate: Candidate) -> str:
        """The name of the teacher that writes this one."""
        return self.choices.get(_value(candidate, self.by) or "", self.others).teacher


class _Trial(NamedTuple):
    """How a teacher's candidates ended: accepted rows by seed, and counts, by value."""

    rows: dict[str, dict[str, str]]
    rejected: dict[str, int]
    usd: float | None


class _Enough(Exception):
    """As many candidates have ended as a trial wants."""


def roles(steps: Sequence[BoundStep]) -> set[str]:
    """Teachers that steps name for their own work, such as a judge."""
    return {getattr(step.settings, "teacher", MAIN) for step in steps if step.kind.asks} - {MAIN}


def contestants(plan: RunPlan, steps: Sequence[BoundStep]) -> list[str]:
    """Teachers that could write: all but those that a step names for its own work, such as a judge.

    Raises RecipeError when there are fewer than two.
    """
    found = [name for name in plan.teachers if name not in roles(steps) | {JUDGE}]
    if len(found) < 2:
        message = "A bake-off needs two teachers that could write."
        raise RecipeError(message, "Add one: teachers.other.model=…", "pipeline.bakeoff")
    return found


def decide(
    rule: RouteRule,
    names: Sequence[str],
    teachers: Mapping[str, Teacher],
    make: MakeEngine,
    purpose: str,
    stop: Callable[[], bool],
) -> Routes:
    """Try each teacher, and choose. `purpose` tells the judge what rows are for. Raises as a run does."""
    trials = {name: _tried(name, rule, make) for name in names}
    values = sorted({value for trial in trials.values() for value in (*trial.rows, *trial.rejected)})
    if rule.by and values == [""]:
        raise RecipeError(f"No candidate has the field '{rule.by}'.", "Route by one that has.", "pipeline.field")

    def choose(some: Sequence[str]) -> Choice:
        return _choice(trials, some, lambda one, other: _wins(one, other, some, teachers.get(JUDGE), purpose, stop))

    choices = {value: choose([value]) for value in values if rule.by and value}
    return Routes(by=rule.by, choices=choices, others=choose(values))


def _value(candidate: Candidate, by: str) -> str | None:
    return None if not by or by not in candidate.fields else str(candidate.fields[by])


def _tried(name: str, rule: RouteRule, make: MakeEngine) -> _Trial:
    rows: dict[str, dict[str, str]] = {}
    rejected: dict[str, int] = {}

    def ended() -> None:
        seen = [value for value in {*rows, *rejected} if value or not rule.by]
        counts = [len(rows.get(value, ())) + rejected.get(value, 0) for value in seen]
        if not counts and sum(rejected.values()) + sum(map(len, rows.values())) >= PATIENCE * rule.trial:
            raise _Enough  # no candidate has the field
        if counts and (min(counts) >= rule.trial or sum(counts) >= PATIENCE * rule.trial * len(counts)):
            raise _Enough

    def on_rejected(step: str, one: Rejected) -> None:
        value = _value(one.candidate, rule.by) or ""
        rejected[value] = rejected.get(value, 0) + 1
        ended()

    engine = make(lambda candidate: name, on_rejected)
    with contextlib.suppress(_Enough):
        for candidate in engine.rows():
            if not candidate.given:
                row = candidate.fields[ROW]
                value = _value(candidate, rule.by) or ""
                rows.setdefault(value, {})[candidate.seed] = f"{text_of(row)}\n\n{row.target}"
                ended()
    return _Trial(rows, rejected, engine.usd_after_gathering())


def _choice(
    trials: Mapping[str, _Trial], values: Sequence[str], wins: Callable[[_Trial, _Trial], tuple[int, int]]
) -> Choice:
    tried = {name: _count(trial, values) for name, trial in trials.items()}
    best = max(tried, key=lambda name: _share(tried[name]))
    left = [name for name in tried if name == best or not _shown_higher(tried[best], tried[name])]
    why = "more of its candidates are accepted than of any other's"
    if len(left) > 1:
        beaten = {other for one in left for other in left if one != other and _beats(*wins(trials[one], trials[other]))}
        preferred = [name for name in left if name not in beaten] or left
        why = "the judge prefers its rows" if len(preferred) < len(left) else why
        left = preferred
    if len(left) > 1:
        priced = [name for name in left if tried[name].usd_per_row is not None]
        cheapest = min(priced, key=lambda name: tried[name].usd_per_row or 0.0) if len(priced) == len(left) else None
        why = "its accepted rows are the cheapest among those not shown to be worse"
        if cheapest is None:
            why = "it has the highest share of accepted candidates; a price is missing, and no difference is shown"
        return Choice(teacher=cheapest or best, why=why, tried=tried)
    return Choice(teacher=left[0], why=why, tried=tried)


def _count(trial: _Trial, values: Sequence[str]) -> Tried:
    """Counts of some values; a row's price is that of a candidate, which is taken to be the same for all values."""
    accepted = sum(len(trial.rows.get(value, ())) for value in values)
    rejected = sum(trial.rejected.get(value, 0) for value in values)
    ended = sum(map(len, trial.rows.values())) + sum(trial.rejected.values())
    usd = None if trial.usd is None or not accepted else trial.usd / ended * (accepted + rejected) / accepted
    return Tried(accepted=accepted, rejected=rejected, usd_per_row=usd)


def _share(one: Tried) -> float:
    return one.accepted / max(1, one.accepted + one.rejected)


def _shown_higher(one: Tried, other: Tried) -> bool:
    """Whether the 95 % interval of the difference of both shares lies above 0 (Newcombe 1998, method 10)."""
    if not (one.accepted + one.rejected and other.accepted + other.rejected):
        return False
    (low, _), (_, high) = (wilson_bounds(_share(n), n.accepted + n.rejected) for n in (one, other))
    gap = _share(one) - _share(other)
    return gap - math.hypot(_share(one) - low, high - _share(other)) > 0


def _beats(won: int, lost: int) -> bool:
    return won + lost > 0 and wilson_bounds(won / (won + lost), won + lost).low > 0.5


def _wins(
    one: _Trial,
    other: _Trial,
    values: Sequence[str],
    judge: Teacher | None,
    purpose: str,
    stop: Callable[[], bool],
) -> tuple[int, int]:
    """How often a judge of its own prefers the one's row of a seed, in both orders, and the other's. (0, 0) without."""
    pairs = [
        Candidate(seed, {"one": text, "other": other.rows[value][seed]})
        for value in values
        for seed, text in one.rows.get(value, {}).items()
        if seed in other.rows.get(value, {})
    ]
    if judge is None or not pairs:
        return 0, 0
    won = []
    for asked in answers_in_order(iter(pairs), lambda pair: judge, _both_orders(purpose), stop=stop):
        forward, backward = (answer.reply for answer in asked.answers)
        if not fault(forward) and not fault(backward):
            first, again = winner_of(forward.text, "AB"), winner_of(backward.text, "BA")
            won += [first] if first == again else []
    return won.count("first"), won.count("second")


def _both_orders(purpose: str) -> Callable[[Candidate], list[Ask]]:
    def questions(pair: Candidate) -> list[Ask]:
        one, other = pair.text("one"), pair.text("other")
        return [comparison(purpose, one, other), comparison(purpose, other, one)]

    return questions
