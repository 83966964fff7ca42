"""The steps of a pipeline as one stream, pulled from its end: nothing is asked that no later step waits for.

Each step's candidates are counted: those that it took and those that it made equal those that it kept, rejected, and
had not finished when the run ended. Rejected ones are written down with their reason. It knows no files but those.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from synth.pipeline.asking import Answer
from synth.pipeline.candidate import Candidate, Rejected
from synth.pipeline.spec import BoundStep
from synth.pipeline.step import Env
from synth.storage import JsonDict

OnRejected = Callable[[str, Rejected], None]


class StepCount(BaseModel):
    """What happened in a step: `taken + made == kept + sum(rejected) + unfinished`.

    `answers` counts those that it used, `seconds` is the time that they took, one after the other, and `usd` what they
    cost, whenever they were paid; None where one has no price. `figures` are what a learned filter says of itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    taken: int = 0
    made: int = 0
    kept: int = 0
    rejected: dict[str, int] = {}
    unfinished: int = 0
    answers: int = 0
    seconds: float = 0.0
    usd: float | None = 0.0
    figures: JsonDict = {}


class Tally:
    """The counts of a step under way."""

    def __init__(self, step: BoundStep) -> None:
        self.step = step
        self.taken = self.kept = self.answers = 0
        self.reasons: Counter[str] = Counter()
        self.usd: float | None = 0.0
        self.seconds = 0.0
        self.figures: JsonDict = {}

    @property
    def out(self) -> int:
        """Candidates that left the step, either way."""
        return self.kept + self.reasons.total()

    def used(self, answer: Answer) -> None:
        """Count an answer that the step used."""
        self.answers += 1
        self.seconds += answer.reply.seconds
        self.usd = None if answer.usd is None or self.usd is None else self.usd + answer.usd

    def count(self) -> StepCount:
        """The figures so far."""
        fans = self.step.kind.fans_out
        made = max(0, self.out - self.taken) if fans else 0
        return StepCount(
            step=self.step.name,
            taken=self.taken,
            made=made,
            kept=self.kept,
            rejected=dict(self.reasons.most_common()),
            unfinished=self.taken + made - self.out,
            answers=self.answers,
            seconds=round(self.seconds, 3),
            usd=self.usd,
            figures=self.figures,
        )


def usd_of(tallies: Sequence[Tally]) -> float | None:
    """What the answers of some steps cost; None where a price is unknown."""
    costs = [one.usd for one in tallies if one.step.kind.asks]
    known = [usd for usd in costs if usd is not None]
    return sum(known) if len(known) == len(costs) else None


class PipelineEngine:
    """One pass through a pipeline. `rows()` gives the accepted candidates in their order, up to `target`."""

    def __init__(
        self, steps: Sequence[BoundStep], env: Env, target: int | None = None, on_rejected: OnRejected | None = None
    ) -> None:
        self.tallies = [Tally(step) for step in steps]
        self.accepted = 0  # without those that the user brought
        self.target = target
        self.exhausted = False
        self._env = env
        self._on_rejected = on_rejected or (lambda step, rejected: None)

    def rows(self) -> Iterator[Candidate]:
        """Accepted candidates. Ends at the target, or `exhausted` when there are no seeds left."""
        stream: Iterator[Candidate] = iter(())
        gathered = self.gathered()
        for place, tally in enumerate(self.tallies):
            step = tally.step.name
            env = dataclasses.replace(
                self._env,
                wanted=self._wanted(place),
                used=tally.used,
                found=tally.figures.update,
                step=step,
                route=self._env.route if place > gathered else None,
            )
            stream = self._counted(tally, tally.step.kind.run(_entering(stream, tally), tally.step.settings, env))
        with contextlib.closing(stream):  # type: ignore[type-var]  # every step is a generator
            while self.target is None or self.accepted < self.target:
                candidate = next(stream, None)
                if candidate is None:
                    self.exhausted = True
                    return
                self.accepted += not candidate.given
                yield candidate

    def gathered(self) -> int:
        """Place of the last step that takes the whole stream, -1 without one: what comes before is asked once."""
        return max((place for place, one in enumerate(self.tallies) if one.step.kind.gathers), default=-1)

    def usd_after_gathering(self) -> float | None:
        """What the answers cost that grow in number with the rows; None where a price is unknown."""
        return usd_of(self.tallies[self.gathered() + 1 :])

    def _counted(self, tally: Tally, outcomes: Iterator[Candidate | Rejected]) -> Iterator[Candidate]:
        for outcome in outcomes:
            if isinstance(outcome, Rejected):
                tally.reasons[outcome.reason] += 1
                self._on_rejected(tally.step.name, outcome)
            else:
                tally.kept += 1
                yield outcome

    def _wanted(self, place: int) -> Callable[[], float]:
        """How many more candidates a step should have under way, from the share that was accepted so far."""
        here, later = self.tallies[place], self.tallies[place + 1 :]

        def wanted() -> float:
            if self.target is None or any(tally.step.kind.gathers for tally in later):
                return math.inf
            lost = sum(tally.reasons.total() for tally in self.tallies[place:])
            share = (self.accepted + 1) / (self.accepted + lost + 1)
            waiting = here.kept - self.accepted - sum(tally.reasons.total() for tally in later)
            return math.ceil((self.target - self.accepted) / share) - max(0, waiting)

        return wanted

    def counts(self) -> tuple[StepCount, ...]:
        """What happened in each step so far."""
        return tuple(tally.count() for tally in self.tallies)

    def reasons(self) -> Counter[str]:
        """Why candidates were rejected, over all steps."""
        return sum((tally.reasons for tally in self.tallies), Counter[str]())


def _entering(stream: Iterator[Candidate], tally: Tally) -> Iterator[Candidate]:
    for candidate in stream:
        tally.taken += 1
        yield candidate
