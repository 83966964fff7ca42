"""A dataset without the training rows that a learned filter puts low; nothing of the test splits is filtered.

    seen = preview_filter(dataset, Filter(way="rubric", ratings="handbook-ratings"), workspace)
    filter_dataset(dataset, "best", workspace, Filter(way="ngrams", good="orders", percent=10))

Rows of the tests stay, because a test of only those rows that a filter likes would be another test. Rows are read
once for their scores, and once more to be written; only scores and answers are held.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from synth.curation.derive import Dropped, derive
from synth.dataset import DatasetDir
from synth.errors import DataError, RecipeError, RunError
from synth.example import SPLITS, Example, Split
from synth.filtering import bins
from synth.filtering.features import FeatureKind, in_batches
from synth.filtering.heads import ClassifierFigures, HeadFigures, NgramClassifier, RubricHead
from synth.filtering.ratings import read_ratings
from synth.filtering.texts import Reading, Which, reading_of, rejected_texts, texts_at
from synth.progress import Meter, ProgressFn, silent
from synth.workspace import Workspace

FILTERED: tuple[Split, ...] = ("train", "val")
SEPARATE = 0.99
"""Area under the curve from which the two sets probably differ in form and not only in worth."""
_ONE_SIDED = 0.5


class Filter(BaseModel):
    """How rows are told apart, and which stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    way: Literal["rubric", "ngrams", "ensemble"] = Field(
        title="Way",
        description="rubric: points that a head learned from a teacher; ngrams: words of good rows against bad ones; "
        "ensemble: all that are given, by rank",
    )
    text: Which = Field("both", title="Text", description="What is read of a row: both, prompt, target or written")
    ratings: str = Field(
        "", title="Ratings", description="Datasets or tables of ratings, with commas between several (ensemble)"
    )
    at_least: int = Field(3, title="Least points", description="rubric: of 5, rounded", ge=1, le=5)
    features: FeatureKind = Field("embeddings", title="Features", description="rubric: embeddings or ngrams")
    good: str = Field("", title="Good", description="Dataset or file; without one, the dataset's own rows")
    bad: str = Field("", title="Bad", description="Dataset or file; without one, the dataset's rejected rows")
    percent: float = Field(10, title="Percent", description="ngrams: the best so many are kept", gt=0, le=100)
    combine: bins.Combine = Field("max", title="Combine", description="ensemble: max (keeps more kinds) or mean")
    from_bin: int = Field(18, title="From bin", description="ensemble: the lowest of 20 bins that is kept", ge=0, le=19)


class Member(NamedTuple):
    """A scorer with the figures of its worth."""

    name: str
    score: Callable[[Sequence[str]], list[float]]
    figures: HeadFigures | ClassifierFigures


class FilterPreview(NamedTuple):
    """What a filter would do: figures for the card, rows by split, and rows that it would drop, the worst first."""

    notes: dict[str, Any]
    kept: dict[str, int]
    dropped: dict[str, int]
    samples: list[tuple[float, Example]]


class _Judged(NamedTuple):
    """A pass over the rows to be filtered: the score of each in their order, and the lowest that stays.

    `rows` counts them by split, in the order of the passes.
    """

    rows: dict[Split, int]
    scores: list[float]
    least: float
    reason: str
    notes: dict[str, Any]


def preview_filter(
    source: DatasetDir, chosen: Filter, workspace: Workspace, samples: int = 5, on_progress: ProgressFn = silent
) -> FilterPreview:
    """What `filter_dataset` would keep; writes nothing. Raises as it does."""
    judged = _judge(source, chosen, workspace, on_progress)
    worst = sorted(range(len(judged.scores)), key=lambda place: judged.scores[place])[:samples]
    shown = {place for place in worst if judged.scores[place] < judged.least}
    rows: list[tuple[float, Example]] = []
    kept: dict[str, int] = {split: source.count(split) for split in source.splits()}
    start = 0
    for split, count in judged.rows.items():
        here = {place - start for place in shown if start <= place < start + count}
        found = zip(sorted(here), source.rows_at(split, here), strict=True)
        rows += [(judged.scores[start + place], row) for place, row in found]
        kept[split] = sum(score >= judged.least for score in judged.scores[start : start + count])
        start += count
    lost = start - sum(kept[split] for split in judged.rows)
    dropped = {judged.reason: lost} if lost else {}
    return FilterPreview(judged.notes, kept, dropped, sorted(rows, key=lambda row: row[0]))


def filter_dataset(
    source: DatasetDir,
    name: str,
    workspace: Workspace,
    chosen: Filter,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
) -> DatasetDir:
    """A new dataset `name` of the rows that stay; the others are in its rejected.jsonl, figures in its card.

    Raises DataError for ratings or texts that teach nothing, RecipeError for a filter that lacks what its way needs.
    """
    judged = _judge(source, chosen, workspace, on_progress, stop)
    notes = {"filtered_from": source.name, "filter": {**chosen.model_dump(), **judged.notes}}
    return derive(source, name, workspace, _outcomes(source, judged), notes, on_progress=on_progress, stop=stop)


def _outcomes(source: DatasetDir, judged: _Judged) -> Iterator[Example | Dropped]:
    scores = iter(judged.scores)
    for row in _filtered(source):
        yield row if next(scores) >= judged.least else Dropped(row, judged.reason)
    yield from chain.from_iterable(source.examples(split) for split in SPLITS if split not in FILTERED)


def _filtered(source: DatasetDir) -> Iterator[Example]:
    return chain.from_iterable(source.examples(split) for split in FILTERED)


def _judge(
    source: DatasetDir,
    chosen: Filter,
    workspace: Workspace,
    on_progress: ProgressFn,
    stop: Callable[[], bool] = lambda: False,
) -> _Judged:
    reading = reading_of(source, chosen.text)
    members = _members(source, chosen, workspace, reading)
    meter = Meter(f"score {source.name}", sum(source.count(split) for split in FILTERED), "rows", on_progress)
    scores: list[list[float]] = [[] for _ in members]
    seen: Counter[Split] = Counter()
    answers: list[str] | None = [] if source.task.labels else None

    def texts() -> Iterator[str]:
        for row in _filtered(source):
            seen[row.split] += 1
            if answers is not None:
                answers.append(sys.intern(row.answer or ""))
            yield reading.text(row)

    for batch in in_batches(texts()):
        if stop():
            raise RunError("It was stopped; nothing was kept.", "Start it again.", "run.stopped")
        for member, found in zip(members, scores, strict=True):
            found += member.score(batch)
        meter.update(len(scores[0]))
    if not scores[0]:
        raise DataError(f"{source.name} has no training rows to filter.", "Choose another dataset.", "filter.no_rows")
    together, least, reason = _cut(chosen, scores)
    notes: dict[str, Any] = {member.name: member.figures.model_dump() for member in members}
    notes["kept_share"] = round(sum(score >= least for score in together) / len(together), 4)
    if chosen.way == "rubric":
        notes["kept_share_at"] = {str(n): _share(together, n - 0.5) for n in range(1, 6)}
    notes["kept_share_by_answer"] = {} if answers is None else _by_answer(answers, together, least)
    notes["warnings"] = _warnings(chosen, members, notes)
    return _Judged(dict(seen), together, least, reason, notes)


def _members(source: DatasetDir, chosen: Filter, workspace: Workspace, reading: Reading) -> list[Member]:
    """The scorers that the filter names. Raises RecipeError where its way lacks one."""
    members: list[Member] = []
    for name in filter(None, map(str.strip, chosen.ratings.split(","))):
        if chosen.way != "ngrams":
            head = RubricHead.fit(read_ratings(_place(name, workspace)), chosen.features)
            members.append(Member(f"rubric {Path(name).name}", head.score, head.figures))
    if chosen.way == "ngrams" or (chosen.way == "ensemble" and (chosen.good or chosen.bad)):
        own = map(reading.text, source.examples("train"))
        good = texts_at(_place(chosen.good, workspace), reading) if chosen.good else own
        bad = texts_at(_place(chosen.bad, workspace), reading) if chosen.bad else rejected_texts(source, reading)
        classifier = NgramClassifier.fit(list(good), list(bad))
        members.append(Member("ngrams", classifier.score, classifier.figures))
    needed = 2 if chosen.way == "ensemble" else 1
    if len(members) < needed or (chosen.way == "rubric" and len(members) > 1):
        message = f"The way '{chosen.way}' was given {len(members)} scorers."
        remedy = "rubric needs one set of ratings (ratings=…), ensemble two scorers of ratings=… and good=… or bad=…."
        raise RecipeError(message, remedy, "filter.members")
    return members


def _place(name: str, workspace: Workspace) -> Path:
    """A dataset of the workspace, or a path."""
    path = Path(name).expanduser()
    return path if path.exists() or "/" in name else workspace.datasets / name


def _cut(chosen: Filter, scores: list[list[float]]) -> tuple[list[float], float, str]:
    if chosen.way == "rubric":
        return scores[0], chosen.at_least - 0.5, f"fewer than {chosen.at_least} points by the rubric head"
    if chosen.way == "ngrams":
        reason = f"not among the best {chosen.percent:g} % of the n-gram classifier"
        return scores[0], bins.best_share(scores[0], chosen.percent), reason
    together = bins.ensemble(scores, chosen.combine)
    return together, float(chosen.from_bin), f"below bin {chosen.from_bin} of the ensemble ({chosen.combine})"


def _share(scores: Sequence[float], least: float) -> float:
    return round(sum(score >= least for score in scores) / len(scores), 4)


def _by_answer(answers: Sequence[str], scores: Sequence[float], least: float) -> dict[str, float]:
    """Share kept of each label of a closed set: a filter can quietly drop a class."""
    kept: defaultdict[str, list[bool]] = defaultdict(list)
    for answer, score in zip(answers, scores, strict=True):
        kept[answer].append(score >= least)
    return {answer: round(sum(found) / len(found), 4) for answer, found in sorted(kept.items())}


def _warnings(chosen: Filter, members: Sequence[Member], notes: dict[str, Any]) -> list[str]:
    found = []
    for member in members:
        for at in member.figures.thresholds if isinstance(member.figures, HeadFigures) else ():
            if at.at_least == chosen.at_least and at.f1_range[0] <= at.f1_of_all:
                found.append(
                    f"At {at.at_least} points the head (F1 {at.f1:.2f}, from {at.f1_range[0]:.2f}) is not shown to be "
                    f"better than keeping every row (F1 {at.f1_of_all:.2f}): rate more rows, or change the rubric."
                )
        if isinstance(member.figures, ClassifierFigures) and member.figures.auc >= SEPARATE:
            found.append(
                f"Good and bad texts are told apart almost without error (AUC {member.figures.auc:.3f}): they may "
                "differ in their form or topic rather than in their worth."
            )
        if isinstance(member.figures, HeadFigures) and member.figures.kappa is None:
            found.append("Too few texts were rated twice to say how far the teacher agrees with itself.")
    for answer, share in notes["kept_share_by_answer"].items():
        if share < _ONE_SIDED * notes["kept_share"]:
            found.append(f"Of the answer '{answer}' only {share:.0%} stay (of all {notes['kept_share']:.0%}).")
    return found
