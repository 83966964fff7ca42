"""The record of a scorer: how it grades a reply, and what everyone else has to know of it.

It knows no scorer by name; the table is in `synth.scoring.scorers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from synth.example import Example
from synth.scoring.answers import condensed, without_thinking
from synth.scoring.verify import Verdict

Shape = Literal["answer", "record", "transcript", "text"]


class Score(NamedTuple):
    """One reply's score.

    Attributes:
        value: at most 1, higher is better; None = unscored, which is never counted as 0. For error rates 1 - rate.
        answer: what was read out of the reply.
        why: one sentence.
        value_if_format_forgiven: the value if a right answer in an unreadable form counted; None where unscored.
        readable: an answer of the kind that was asked for was found.
        edits, ref_units: of error rates only; a corpus rate is a ratio of their sums.
    """

    value: float | None
    answer: str = ""
    why: str = ""
    value_if_format_forgiven: float | None = None
    readable: bool = True
    edits: int | None = None
    ref_units: int | None = None

    @property
    def format_fault(self) -> bool:
        """Whether the form of the reply cost it something."""
        return (self.value_if_format_forgiven or 0.0) > (self.value or 0.0)


class Metric(NamedTuple):
    """What the aggregate of scores is called and how it is read.

    `pools_edits`: a ratio of sums (Σ edits / Σ reference units), never a mean of rows. `unit`: of one row.
    """

    name: str
    label: str
    unit: str = "rows"
    lower_is_better: bool = False
    pools_edits: bool = False


Grade = Callable[[str, Example], Score]


class ScoreRule(NamedTuple):
    """One scorer. A new one is a module with its `RULE` and a line in `synth.scoring.scorers`.

    Attributes:
        key: as rows and plans name it.
        grade: score of a reply whose thinking was taken off, for a row that has a gold answer.
        metric: what the aggregate is.
        shape: what a reply holds: a short answer, a record, a transcript, or a text that no rule can grade.
        fits: whether an imported gold answer is of this scorer's kind; the table is asked in its order.
        right_from: from which value on a reply is right where right or wrong is asked.
        normaliser: name and version of the text normaliser, for the report.
    """

    key: str
    grade: Grade
    metric: Metric
    shape: Shape = "answer"
    fits: Callable[[str], bool] = lambda gold: False
    right_from: float = 1.0
    normaliser: Callable[[], str] | None = None

    @property
    def checkable(self) -> bool:
        """Whether right and wrong can be told apart without a judge."""
        return self.shape != "text"

    def score(self, reply: str, row: Example) -> Score:
        """Score one reply; unscored when the row has no gold answer. A reply that is the gold is always right."""
        if not golds(row):
            return Score(None, "", "the row has no gold answer")
        reply = reply.encode("utf-8", "replace").decode("utf-8")  # halves of surrogate pairs, which libraries refuse
        if reply.strip() != (row.answer or "").strip():
            reply = condensed(without_thinking(reply))
        elif self.checkable and not self.metric.pools_edits and len(golds(row)) == 1:
            return Score(1.0, reply.strip(), "equal", 1.0)
        found = self.grade(reply, row)
        if found.value is None or found.value_if_format_forgiven is not None:
            return found
        return found._replace(value_if_format_forgiven=found.value)

    def verdict(self, reply: str, row: Example) -> Verdict | None:
        """Is the reply right, for training, mining and re-checking? None when no answer can be read out of it.

        A row without a short answer is compared with its target. Graded scorers are read strictly: all or nothing;
        what a scorer overlooks (case, punctuation, articles) is no mistake here either.
        """
        known = row if golds(row) else row.model_copy(update={"answer": row.target})
        found = self.score(reply, known)
        if found.value is None or not found.readable:
            return None
        return Verdict(found.value >= self.right_from, found.why)


def golds(row: Example) -> list[str]:
    """All accepted answers: `source["answers"]` where annotators differ, else the one answer."""
    several = row.source.get("answers")
    if isinstance(several, list) and several:
        return [str(answer) for answer in several]
    return [] if row.answer is None else [row.answer]


def best(scores: list[Score]) -> Score:
    """The best of the scores against several accepted answers; the first of equals."""
    return max(scores, key=lambda one: (one.value if one.value is not None else -1.0, one.readable))
