"""Clean a dataset into a new one: lengths, exact and near duplicates, training rows that stand in a test split.

Test splits come first and win: a row is dropped from training for their sake, never the other way round. Near
duplicates are found by MinHash over runs of five words, and count only when their numbers are equal and in the same
order. Meaning is not compared: a paraphrase in other words stays.

Rows are read twice: once for their hashes, which say which of them can be duplicates at all (`survey`; an engine may do
that on other machines), and once to be judged, here, because what is a duplicate depends on the rows before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from synth.curation.derive import Dropped, derive
from synth.curation.minhash import Sketch, likeness
from synth.curation.runs import Text, read_text
from synth.curation.survey import ORDER, Eye, Look, looks_elsewhere, media_of, surveyed
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.example import Example, text_of
from synth.progress import Meter, ProgressFn, silent
from synth.ranges import RangeEngine
from synth.workspace import Workspace

BUCKET = 100
"""Kept texts of one band key that a text is compared with: more share a phrase that says nothing."""


class Rules(BaseModel):
    """What is dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_prompt_chars: int = Field(1, title="Shortest question", description="Characters.", ge=0)
    max_prompt_chars: int = Field(20_000, title="Longest question", description="Characters.", ge=1)
    max_target_chars: int = Field(20_000, title="Longest answer", description="Characters, with the working.", ge=1)
    exact: bool = Field(True, title="Exact duplicates", description="Drop rows equal but for case and white space.")
    near: float = Field(
        0.8,
        title="Near duplicates",
        description="Share of five-word runs that two rows must have in common to count as one; 1 switches it off.",
        ge=0.3,
        le=1,
    )
    decontaminate: bool = Field(
        True, title="Decontaminate", description="Drop training and validation rows that nearly stand in a test split."
    )


class CurationPreview(NamedTuple):
    """What rules would do to a dataset: rows kept by split, dropped by reason, and a few of those."""

    kept: dict[str, int]
    dropped: dict[str, int]
    samples: dict[str, list[Example]]


def curate(examples: Iterable[Example], rules: Rules) -> Iterator[Example | Dropped]:
    """Every row once, kept or dropped; those of the test splits first. Holds all rows in memory."""
    return curate_ordered(sorted(examples, key=lambda example: ORDER.index(example.split)), rules)


def curate_ordered(
    examples: Iterable[Example], rules: Rules, looks: Iterable[Look] | None = None
) -> Iterator[Example | Dropped]:
    """`curate` of rows whose test splits come first, and which are the same each time that one goes through them.

    looks: at those rows in that order, where somebody else makes them.
    """
    survey = surveyed(Eye(rules.near, rules.decontaminate).looks(examples) if looks is None else looks)
    seen = SeenTexts(rules.near, rules.exact)
    for place, example in enumerate(examples):
        if survey.contaminated[place]:
            yield Dropped(example, "stands in a test split, or nearly")
        elif reason := _unfit(example, rules):
            yield Dropped(example, reason)
        elif keys := survey.suspected(place):
            reason = seen.duplicate(text_of(example), media_of(example), keys)
            yield Dropped(example, reason) if reason else example
        else:
            yield example


def _curated(
    source: DatasetDir, rules: Rules, engine: RangeEngine | None, stop: Callable[[], bool]
) -> Iterator[Example | Dropped]:
    looks = looks_elsewhere(source, rules.near, rules.decontaminate, engine, stop) if engine else None
    return curate_ordered(_Ordered(source), rules, looks)


def preview_curation(
    source: DatasetDir,
    rules: Rules,
    samples: int = 3,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
    engine: RangeEngine | None = None,
) -> CurationPreview:
    """What `curate_dataset` would keep and drop, with `samples` rows for each reason; writes nothing."""
    meter = Meter(f"look through {source.name}", sum(source.card.splits.values()), "rows", on_progress)
    kept: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    shown: dict[str, list[Example]] = defaultdict(list)
    for done, result in enumerate(_curated(source, rules, engine, stop), start=1):
        if stop():
            raise RunError("Looking was stopped.", "Start it again.", "run.stopped")
        if isinstance(result, Dropped):
            dropped[result.reason] += 1
            if len(shown[result.reason]) < samples:
                shown[result.reason].append(result.example)
        else:
            kept[result.split] += 1
        meter.update(done, f"{sum(dropped.values())} dropped")
    return CurationPreview({split: kept[split] for split in source.splits()}, dict(dropped.most_common()), dict(shown))


def curate_dataset(
    source: DatasetDir,
    name: str,
    workspace: Workspace,
    rules: Rules,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
    engine: RangeEngine | None = None,
) -> DatasetDir:
    """A new dataset `name` of the rows of `source` that pass; dropped ones are in its rejected.jsonl.

    Raises DataError when no training row is left, StorageError when the name is taken.
    """
    notes = {"curated_from": source.name, "rules": rules.model_dump()}
    rows = _curated(source, rules, engine, stop)
    return derive(source, name, workspace, rows, notes, on_progress=on_progress, stop=stop)


def _unfit(example: Example, rules: Rules) -> str:
    question = text_of(example)
    if len(question) < rules.min_prompt_chars:
        return "the question is too short"
    if len(question) > rules.max_prompt_chars:
        return "the question is too long"
    return "the answer is too long" if len(example.target) > rules.max_target_chars else ""


class SeenTexts:
    """Texts so far, by folded text and by MinHash."""

    def __init__(self, near: float = 0.8, exact: bool = True) -> None:
        self.near, self.exact = near, exact
        self.texts: set[tuple[str, ...]] = set()
        self._sketch = Sketch(near) if near < 1 else None
        self._buckets: dict[int, list[Text]] = {}

    def duplicate(self, said: str, media: tuple[str, ...] = (), keys: Sequence[int] | None = None) -> str:
        """Why a text (with the hashes of its media) was seen before; "" when it is new, and remembered then.

        `keys` are those of `Sketch` that matter, where they are known; rows with media are only compared exactly.
        """
        text = read_text(said)
        key = (" ".join(text.text.split()), *media)
        if self.exact and key in self.texts:
            return "exact duplicate"
        if self._sketch is not None and not media:
            found = self._sketch.keys([text])[0].tolist() if keys is None else [key for key in keys if key]
            if self._near(text, found):
                return "near duplicate"
            for one in found:
                bucket = self._buckets.setdefault(one, [])
                if len(bucket) < BUCKET:
                    bucket.append(text)
        self.texts.add(key)
        return ""

    def _near(self, text: Text, keys: Sequence[int]) -> bool:
        met: set[int] = set()
        for key in keys:
            for other in self._buckets.get(key, ()):
                if id(other) in met:
                    continue
                met.add(id(other))
                if other.numbers == text.numbers and likeness(text, other) >= self.near:
                    return True
        return False


class _Ordered:
    """The rows of a dataset, tests first, read anew each time."""

    def __init__(self, source: DatasetDir) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Example]:
        return (example for split in ORDER for example in self._source.examples(split))
