"""Clean a dataset into a new one: lengths, exact and near duplicates, training rows that stand in a test split.

Test splits come first and win: a row is dropped from training for their sake, never the other way round. Near
duplicates are found by MinHash over runs of five words, and count only when their numbers are equal and in the same
order. A paraphrase in other words stays, unless `meaning` asks for embeddings to be compared.

Rows are read twice: once for their hashes, which say which of them can be duplicates at all (`survey`; an engine may do
that on other machines), and once to be judged, here, because what is a duplicate depends on the rows before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.curation import personal
from synth.curation.derive import Dropped, derive
from synth.curation.meaning import repeats
from synth.curation.minhash import Sketch, likeness
from synth.curation.runs import Text, read_text
from synth.curation.survey import ORDER, Eye, Look, looks_elsewhere, media_of, surveyed
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.example import Example, TextPart, make_example, prompt_id, text_of, user
from synth.languages import code, detect
from synth.pipeline.records import read_records
from synth.progress import Meter, ProgressFn, silent
from synth.ranges import RangeEngine
from synth.workspace import Workspace

BUCKET = 100
"""Kept texts of one band key that a text is compared with: more share a phrase that says nothing."""

SURE_CHARS, SURE = 20, 0.7
"""Of a shorter text the language is a guess, and below that probability: of 10,003 English messages to a bank 24 were
taken for another language, 4 of them with more.
"""
REDACTED = "redacted"
"""In a row's source: the kinds of personal data that were taken out."""


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
    meaning: float = Field(
        1,
        title="Same meaning",
        description="Cosine from which a question counts as one said in other words; 0.93 is a good start, 1 switches "
        "it off. Never between rows whose numbers or known answers differ.",
        ge=0.8,
        le=1,
    )
    decontaminate: bool = Field(
        True, title="Decontaminate", description="Drop training and validation rows that nearly stand in a test split."
    )
    against: str = Field(
        "",
        title="… and against files",
        description="Tables or splits, a comma between them: training and validation rows that nearly stand there are "
        "dropped too.",
    )
    language: str = Field(
        "",
        title="Language",
        description="Drop rows whose question is surely in another one. Questions under 20 characters stay.",
    )
    personal: Literal["keep", "redact", "drop"] = Field(
        "keep",
        title="Personal data",
        description="E-mail addresses, telephone, account, card and social security numbers, public IP addresses, in "
        "question or answer: put [e-mail address] and the like in their place, or drop the row. Not found: names, "
        "street addresses, birthdays, names of accounts, telephone numbers without +, brackets or gaps.",
    )

    @model_validator(mode="after")
    def _files_need_decontamination(self) -> Rules:
        if self.against and not self.decontaminate:
            raise ValueError("`against` names files to decontaminate against: switch `decontaminate` on")
        return self


class CurationPreview(NamedTuple):
    """What rules would do to a dataset: rows kept by split, dropped by reason with a few of those, and redacted."""

    kept: dict[str, int]
    dropped: dict[str, int]
    samples: dict[str, list[Example]]
    redacted: dict[str, int]


def curate(examples: Iterable[Example], rules: Rules) -> Iterator[Example | Dropped]:
    """Every row once, kept or dropped; those of the test splits first. Holds all rows in memory."""
    return curate_ordered(sorted(examples, key=lambda example: ORDER.index(example.split)), rules)


def curate_ordered(
    examples: Iterable[Example], rules: Rules, looks: Iterable[Look] | None = None
) -> Iterator[Example | Dropped]:
    """`curate` of rows whose test splits come first, and which are the same each time that one goes through them.

    looks: at those rows in that order, where somebody else makes them.
    """
    survey = surveyed(_looks(examples, rules) if looks is None else looks)
    meant = repeats(examples, rules.meaning) if rules.meaning < 1 else None
    seen, redacted_ids = SeenTexts(rules.near, rules.exact), set[str]()
    for place, example in enumerate(examples):
        if survey.contaminated[place]:
            reason = f"stands in a test split{' or a file' if rules.against else ''}, or nearly"
        else:
            reason = _unfit(example, rules)
        if not reason and (keys := survey.suspected(place)):
            reason = seen.duplicate(text_of(example), media_of(example), keys)
        if not reason and meant is not None and meant[place]:
            reason = "the same in other words"
        yield Dropped(example, reason) if reason else _without_personal(example, rules, redacted_ids)


def _looks(examples: Iterable[Example], rules: Rules) -> Iterator[Look]:
    """Looks at rows by an eye that knows the files which training must not repeat. Raises DataError for those."""
    eye = Eye(rules.near, rules.decontaminate)
    for name in filter(None, (part.strip() for part in rules.against.split(","))):
        eye.learn_tests(
            [
                make_example([user(str(row["text"]))], "", family="file", template="file", split="test")
                for row in read_records(Path(name).expanduser())
                if row.get("text")
            ]
        )
    return eye.looks(examples)


def _without_personal(example: Example, rules: Rules, ids: set[str]) -> Example | Dropped:
    """The row, redacted where that is wanted; `ids` are those of rows so far that were."""
    if rules.personal != "redact" or not personal_kinds(example):
        return example
    changed = _redacted(example)
    if changed.id in ids:
        return Dropped(example, "exact duplicate once it is redacted")
    ids.add(changed.id)
    return changed


def _curated(
    source: DatasetDir, rules: Rules, engine: RangeEngine | None, stop: Callable[[], bool]
) -> Iterator[Example | Dropped]:
    here = engine is None or rules.against  # files that are named lie on this machine
    looks = None if here or not engine else looks_elsewhere(source, rules.near, rules.decontaminate, engine, stop)
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
    redacted: Counter[str] = Counter()
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
            redacted.update(result.source.get(REDACTED, ()) if rules.personal == "redact" else ())
        meter.update(done, f"{sum(dropped.values())} dropped")
    splits: dict[str, int] = {split: kept[split] for split in source.splits()}
    return CurationPreview(splits, dict(dropped.most_common()), dict(shown), dict(redacted.most_common()))


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
    if len(example.target) > rules.max_target_chars:
        return "the answer is too long"
    if rules.language and len(question) >= SURE_CHARS:
        found = detect(question, SURE)
        if found and code(found) != code(rules.language):
            return "the question is in another language"
    kinds = personal_kinds(example) if rules.personal == "drop" else []
    return f"holds personal data ({', '.join(kinds)})" if kinds else ""


def personal_kinds(example: Example) -> list[str]:
    """The kinds of personal data in a row's messages and answers."""
    texts = [*(message.text for message in example.prompt), example.target, example.rejected or ""]
    return sorted({one.kind for text in texts for one in personal.find(text)})


def _redacted(example: Example) -> Example:
    """The row without them; what of its lineage quotes them goes too."""
    prompt = tuple(
        message.model_copy(
            update={
                "content": tuple(
                    part.model_copy(update={"text": personal.redacted(part.text)})
                    if isinstance(part, TextPart)
                    else part
                    for part in message.content
                )
            }
        )
        for message in example.prompt
    )
    answers = {
        name: personal.redacted(said)
        for name in ("target", "answer", "rejected", "reasoning", "family", "template")
        if (said := getattr(example, name))
    }
    source = _cleaned(dict(example.source)) | {REDACTED: personal_kinds(example)}
    return example.model_copy(
        update={**answers, "prompt": prompt, "source": source, "id": prompt_id(prompt, example.tools)}
    )


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return personal.redacted(value)
    if isinstance(value, dict):
        return {key: _cleaned(one) for key, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, list | tuple) else value


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
