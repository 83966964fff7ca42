"""Clean a dataset into a new one: lengths, exact and near duplicates, training rows that stand in a test split.

Test splits come first and win: a row is dropped from training for their sake, never the other way round. Near
duplicates are found by MinHash over runs of five words, and count only when their numbers are equal and in the same
order. Meaning is not compared: a paraphrase in other words stays.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from synth.curation.derive import Dropped, derive
from synth.curation.leakage import near_duplicates
from synth.curation.runs import Text, read_text
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.example import Example, Split, media_parts, text_of
from synth.progress import Meter, ProgressFn, silent
from synth.workspace import Workspace

SHINGLE = 5
PERMUTATIONS = 64
_TESTS: tuple[Split, ...] = ("test_real", "test", "test_ood")
_ORDER: tuple[Split, ...] = (*_TESTS, "val", "train")


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
    tests: list[Example] = []
    rest: list[Example] = []
    for example in examples:
        (tests if example.split in _TESTS else rest).append(example)
    seen = SeenTexts(rules.near, rules.exact)
    for example in tests:
        yield _judged(example, rules, seen)
    contaminated = _contaminated(tests, rest) if rules.decontaminate else set()
    for example in rest:
        if example.id in contaminated:
            yield Dropped(example, "stands in a test split, or nearly")
        else:
            yield _judged(example, rules, seen)


def preview_curation(
    source: DatasetDir,
    rules: Rules,
    samples: int = 3,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
) -> CurationPreview:
    """What `curate_dataset` would keep and drop, with `samples` rows for each reason; writes nothing."""
    meter = Meter(f"look through {source.name}", sum(source.card.splits.values()), "rows", on_progress)
    kept: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    shown: dict[str, list[Example]] = defaultdict(list)
    for done, result in enumerate(curate(_rows(source), rules), start=1):
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
) -> DatasetDir:
    """A new dataset `name` of the rows of `source` that pass; dropped ones are in its rejected.jsonl.

    Raises DataError when no training row is left, StorageError when the name is taken.
    """
    notes = {"curated_from": source.name, "rules": rules.model_dump()}
    rows = curate(_rows(source), rules)
    return derive(source, name, workspace, rows, notes, on_progress=on_progress, stop=stop)


def _rows(source: DatasetDir) -> Iterator[Example]:
    return (example for split in _ORDER for example in source.examples(split))


def _judged(example: Example, rules: Rules, seen: SeenTexts) -> Example | Dropped:
    question = text_of(example)
    if len(question) < rules.min_prompt_chars:
        return Dropped(example, "the question is too short")
    if len(question) > rules.max_prompt_chars:
        return Dropped(example, "the question is too long")
    if len(example.target) > rules.max_target_chars:
        return Dropped(example, "the answer is too long")
    reason = seen.duplicate(question, tuple(part.sha256 for part in media_parts(example)))
    return Dropped(example, reason) if reason else example


class SeenTexts:
    """Texts so far, by folded text and by MinHash."""

    def __init__(self, near: float = 0.8, exact: bool = True) -> None:
        from datasketch import MinHashLSH

        self.near, self.exact = near, exact
        self.texts: set[tuple[str, ...]] = set()
        self.kept: list[Text] = []
        self.index = MinHashLSH(threshold=near, num_perm=PERMUTATIONS) if near < 1 else None

    def duplicate(self, said: str, media: tuple[str, ...] = ()) -> str:
        """Why a text (with the hashes of its media) was seen before; "" when it is new, and remembered then."""
        text = read_text(said)
        key = (" ".join(text.text.split()), *media)
        if self.exact and key in self.texts:
            return "exact duplicate"
        if self.index is not None and len(key) == 1 and self._near(text, self.index):
            return "near duplicate"  # rows with media are only compared exactly
        self.texts.add(key)
        return ""

    def _near(self, text: Text, index: Any) -> bool:
        from datasketch import MinHash

        shingles = _shingles(text)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch(list(shingles))
        for place in index.query(sketch):
            other = self.kept[place]
            if other.numbers == text.numbers and _jaccard(shingles, _shingles(other)) >= self.near:
                return True
        index.insert(len(self.kept), sketch)
        self.kept.append(text)
        return False


def _shingles(text: Text) -> set[bytes]:
    return {text.words[start : start + SHINGLE].tobytes() for start in range(max(1, len(text.words) - SHINGLE + 1))}


def _jaccard(one: set[bytes], other: set[bytes]) -> float:
    return len(one & other) / len(one | other)


def _contaminated(tests: list[Example], rest: list[Example]) -> set[str]:
    """Ids of rows whose prompt, text or media are in a test split."""
    ids = {example.id for example in tests}
    media = {part.sha256 for example in tests for part in media_parts(example)}
    found = {e.id for e in rest if e.id in ids or any(part.sha256 in media for part in media_parts(e))}
    plain = [example for example in rest if not media_parts(example)]
    known = [text_of(example) for example in tests if not media_parts(example)]
    return found | {plain[place].id for place, _ in near_duplicates(known, [text_of(example) for example in plain])}
