"""A dataset folder: one JSONL per split, rejected rows with their reasons, media by hash, a card.

    datasets/<name>/  train.jsonl val.jsonl test.jsonl test_ood.jsonl test_real.jsonl rejected.jsonl media/
                      dataset.json README.md

It does not generate, check or import rows (`build`, `importing`), and changes none (`curation`).
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from synth.errors import DataError, did_you_mean
from synth.example import ORIGINS, SPLITS, Example, Split
from synth.media import resolve_inside
from synth.scoring.free_text import without_rule
from synth.scoring.label import with_label_set
from synth.shelf import Shelf, Stack
from synth.storage import Journal, JsonDict, read_json, read_jsonl, sha256_bytes, sha256_file, write_json
from synth.task import LEAST_REPEATS, MAX_LABELS, Guess, TaskCard, guess_task_card, labels_in

CARD = "dataset.json"
REJECTED = "rejected.jsonl"
MEDIA = "media"
REAL: Split = "test_real"
"""The split of rows that no generator made; the note of that name says what they are."""
MADE_OF = "made_of"
"""The note of what from outside the rows are made with: kind, name, licence and hash of each."""
TASK = "task"
"""The name under which the card's hashes hold that of the task card, which is no file of its own."""
VERSION = 1  # of the card
LOOKED_AT = 5000
"""Rows of each split that the task card of a dataset without one is guessed from, whenever it is opened."""


class Card(BaseModel):
    """What a dataset is and how it came to be; `dataset.json`.

    rows_in == sum(splits) + sum(rejected), exactly. `seconds` and `usd` are what making it cost. `origins` counts the
    rows of each split by where they come from; cards of earlier versions have neither it nor a `task`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    name: str
    modality: str = "text"
    generator: str = ""
    generator_version: int = 1
    spec: dict[str, Any] = {}
    splits: dict[str, int] = {}
    rejected: dict[str, int] = {}
    rows_in: int = 0
    families: dict[str, dict[str, int]] = {}
    origins: dict[str, dict[str, int]] = {}
    task: TaskCard | None = None
    sha256: dict[str, str] = {}
    created: str = ""
    seconds: float = 0.0
    usd: float | None = None
    notes: dict[str, Any] = {}


def _read_card(file: Path) -> Card:
    """Raises DataError for a card of a later version, or one that is no card."""
    value = read_json(file)
    version = value.get("version", VERSION) if isinstance(value, dict) else VERSION
    if isinstance(version, int) and version > VERSION:
        message = f"{file} has format {version}; this smolstudio reads up to {VERSION}."
        raise DataError(message, "Update smolstudio.", "data.newer")
    try:
        return Card.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{file} is no card of a dataset: {first['msg']} at {'.'.join(map(str, first['loc'])) or 'the top'}."
        raise DataError(message, "Restore it, or make the dataset again.", "data.card") from error


class RejectedRow(NamedTuple):
    """A row that was not kept, and why."""

    row: JsonDict
    reason: str


class DatasetDir:
    """A finished dataset on disk, read lazily."""

    def __init__(self, path: Path) -> None:
        if not (path / CARD).is_file():
            raise DataError(
                f"{path} is not a dataset: it has no {CARD}.",
                "Check the name, or make one with `smolstudio synth`.",
            )
        self.path = path
        self.card = _read_card(path / CARD)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def splits(self) -> list[Split]:
        """The splits that hold rows."""
        return [split for split in SPLITS if self.card.splits.get(split)]

    def count(self, split: Split) -> int:
        """Rows of a split."""
        return self.card.splits.get(split, 0)

    @cached_property
    def task(self) -> TaskCard:
        """What the dataset asks of a model: its task card, or for datasets without one what the rows look like."""
        if self.card.task is not None:
            return self.card.task
        return guess_task_card(row for split in self.splits() for row in self._spread(split))

    def examples(self, split: Split) -> Iterator[Example]:
        """Rows of a split in file order. Raises DataError at a line that is not an Example."""
        file = self.path / f"{split}.jsonl"
        if not file.is_file():
            return
        with file.open("rb") as lines:
            for number, raw in enumerate(lines, start=1):
                yield _row(file, number, raw)

    def draw(self, split: Split, most: int | None, seed: int) -> list[Example]:
        """Which rows of a split somebody looks at who cannot look at all: at most so many, at random, in file order.

        Whoever names the same seed gets the same rows (a forecast those of its comparison), and a larger draw contains
        each smaller one. Only the rows drawn are parsed and held. Raises DataError as `examples`.
        """
        file = self.path / f"{split}.jsonl"
        if most is None or not file.is_file():
            return self.to_measure(self.examples(split))
        with file.open("rb") as lines:
            count = sum(1 for _ in lines)
        order = random.Random(f"{seed}/{split}").sample(range(count), count)
        chosen = set(order[:most])
        return self.to_measure(self.rows_at(split, chosen))

    def labels_in_rows(self) -> dict[str, str]:
        """The answers of all rows as labels, for a person who says that they are; {} where they are too many."""
        found: Counter[str] = Counter()
        for split in self.splits():
            for row in self.examples(split):
                found[row.answer or ""] += 1
                if len(found) > MAX_LABELS:
                    return {}
        return labels_in(found, LEAST_REPEATS)

    def _spread(self, split: Split) -> Iterator[Example]:
        """Up to LOOKED_AT rows of a split, from everywhere in it."""
        count = self.count(split)
        return self.rows_at(split, set(random.Random(0).sample(range(count), min(count, LOOKED_AT))))

    def rows_at(self, split: Split, places: Container[int]) -> Iterator[Example]:
        """Rows of a split at some places, counted from 0, in file order; the others are not parsed."""
        file = self.path / f"{split}.jsonl"
        if file.is_file():
            with file.open("rb") as lines:
                yield from (_row(file, n + 1, raw) for n, raw in enumerate(lines) if n in places)

    def parts(self, split: Split, rows: int) -> Iterator[tuple[int, int, int]]:
        """A split in parts of so many rows, the last one smaller: first line (from 0), its byte in the file, rows."""
        file = self.path / f"{split}.jsonl"
        if not file.is_file():
            return
        with file.open("rb") as lines:
            first = start = count = 0
            for _ in lines:
                count += 1
                if count == rows:
                    yield first, start, count
                    first, start, count = first + count, lines.tell(), 0
            if count:
                yield first, start, count

    def rows_from(self, split: Split, line: int, offset: int, count: int) -> Iterator[Example]:
        """The rows of one of `parts`. Raises DataError as `examples`."""
        file = self.path / f"{split}.jsonl"
        with file.open("rb") as lines:
            lines.seek(offset)
            yield from (_row(file, line + n, raw) for n, raw in enumerate(islice(lines, count), start=1))

    def to_measure(self, rows: Iterable[Example]) -> list[Example]:
        """As `measuring`, all at once."""
        return list(self.measuring(rows))

    def measuring(self, rows: Iterable[Example]) -> Iterator[Example]:
        """Rows scored as the task's kind wants it: short texts with its label set where they belong to it, and by no
        rule where they are free text.
        """
        for row in rows:
            if self.task.kind == "free_text":
                yield without_rule(row)
            else:
                yield with_label_set(row, self.task.labels) if self.task.labels else row

    def draw_all(self, splits: Iterable[Split], most: int | None, seed: int) -> Sequence[Example]:
        """`draw` of several splits, each prompt once: the first split that has it keeps it. They are not in memory."""
        seen: Shelf[Example] = Shelf(_line, Example.model_validate_json)
        for split in splits:
            drawn = self.measuring(self.examples(split)) if most is None else self.draw(split, most, seed)
            for example in drawn:
                if example.id not in seen:
                    seen[example.id] = example
        return seen.records

    def rejected(self) -> Iterator[RejectedRow]:
        """Rows that were not kept, with reasons."""
        file = self.path / REJECTED
        if file.is_file():
            for line in read_jsonl(file):
                if line.value is not None:
                    row = line.value.get("row")
                    yield RejectedRow(row if isinstance(row, dict) else {}, str(line.value.get("reason", "")))

    def media_path(self, relative: str) -> Path:
        """The absolute path of a medium. Raises DataError when it lies outside the folder or is no regular file."""
        return resolve_inside(self.path, relative)

    def verify(self) -> list[str]:
        """Faults of the files against the card: missing or changed splits. Empty when all is well."""
        faults = []
        for name, expected in self.card.sha256.items():
            if name == TASK:
                if self.card.task is None or self.card.task.sha256() != expected:
                    faults.append("the task card changed since the dataset was made")
                continue
            file = self.path / name
            if not file.is_file():
                faults.append(f"{name} is missing")
            elif sha256_file(file) != expected:
                faults.append(f"{name} changed since the dataset was made")
        return faults


def ids_of(rows: Sequence[Example]) -> Iterator[str]:
    """Their ids in order; rows on disk are not read for that."""
    return rows.names() if isinstance(rows, Stack) else (row.id for row in rows)


def finder_of(rows: Sequence[Example]) -> Callable[[str], Example | None]:
    """Who finds a row by its id; rows on disk stay there."""
    return rows.named if isinstance(rows, Stack) else {row.id: row for row in rows}.get


def _row(file: Path, number: int, raw: bytes) -> Example:
    try:
        return Example.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{file.name} line {number}: {first['msg']} at {'.'.join(map(str, first['loc'])) or 'the row'}."
        raise DataError(message, "Fix or remove the line, or import the file again.") from error


class DatasetWriter:
    """Writes a dataset into a folder (usually one of `storage.atomic_dir`), row by row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.families: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.origins: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._guess = Guess()
        self._journals: dict[str, Journal] = {}
        self._media: set[str] = set()

    def _journal(self, name: str) -> Journal:
        if name not in self._journals:
            self._journals[name] = Journal(self.path / name, durable=False)
        return self._journals[name]

    def keep(self, example: Example) -> None:
        """Add a row to its split."""
        self._journal(f"{example.split}.jsonl").append_line(_line(example))
        self.counts[example.split] += 1
        self.families[example.split][example.family] += 1
        self.origins[example.split][example.origin.kind] += 1
        self._guess.add(example)

    def reject(self, row: Example | Mapping[str, Any], reason: str) -> None:
        """Keep a row out, and on record; `reason` is counted as it stands, so keep it short and general."""
        value = row.model_dump() if isinstance(row, Example) else dict(row)
        self._journal(REJECTED).append({"reason": reason, "row": value})
        self.reasons[reason] += 1

    def add_media(self, data: bytes, suffix: str) -> str:
        """Store bytes once under their hash; returns the path relative to the dataset, ``media/<sha256><suffix>``."""
        relative = f"{MEDIA}/{sha256_bytes(data)}{suffix}"
        if relative not in self._media:
            (self.path / MEDIA).mkdir(exist_ok=True)
            (self.path / relative).write_bytes(data)
            self._media.add(relative)
        return relative

    def task(self) -> TaskCard:
        """What the rows kept so far look like."""
        return self._guess.card()

    def finish(self, card: Card) -> Card:
        """Close the files and write the card with counts and hashes filled in, and the README.

        A card without a task gets the one that its rows look like.
        """
        for journal in self._journals.values():
            journal.close()
        task = card.task or self.task()
        full = card.model_copy(
            update={
                "splits": {s: self.counts[s] for s in SPLITS if self.counts[s]},
                "rejected": dict(sorted(self.reasons.items())),
                "rows_in": sum(self.counts.values()) + sum(self.reasons.values()),
                "families": {s: dict(sorted(c.items())) for s, c in sorted(self.families.items())},
                "origins": {s: dict(sorted(c.items())) for s, c in sorted(self.origins.items())},
                "task": task,
                "sha256": {
                    **{name: sha256_file(self.path / name) for name in sorted(self._journals)},
                    TASK: task.sha256(),
                },
            }
        )
        write_json(self.path / CARD, full.model_dump())
        (self.path / "README.md").write_text(readme(full), "utf-8")
        return full


def _line(example: Example) -> bytes:
    try:
        return example.model_dump_json().encode()
    except ValueError:  # lone surrogates, which no encoding has
        return json.dumps(example.model_dump(), ensure_ascii=False).encode("utf-8", "replace")


def front_matter(files: Mapping[str, str]) -> str:
    """The head of a README by which `datasets.load_dataset(folder)` reads each split's files and nothing else."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    lines += [f"  - split: {split}\n    path: {path}" for split, path in files.items()]
    return "\n".join([*lines, "---"]) + "\n"


def readme(card: Card) -> str:
    """The dataset's card as Markdown."""
    lines = [
        front_matter({split: f"{split}.jsonl" for split in card.splits}),
        f"# {card.name}",
        "",
        f"{card.modality} dataset, made by `{card.generator}` on {card.created} in {card.seconds:.0f} s.",
        "",
    ]
    if parent := card.notes.get("parent"):
        lines += [f"Rows of `{parent['name']}`, selected or changed; how, is in `{CARD}` under `notes`.", ""]
    if card.task is not None:
        lines += [card.task.markdown(), ""]
    lines += ["| split | rows | from | families |", "|---|---|---|---|"]
    for split, rows in card.splits.items():
        origins = ", ".join(title for kind, title in ORIGINS.items() if kind in card.origins.get(split, {}))
        lines.append(f"| {split} | {rows} | {origins} | {', '.join(card.families.get(split, {}))} |")
    if made_of := card.notes.get(MADE_OF):
        lines += ["", "Made with:", "", *(f"- {' · '.join(filter(None, one.values()))}" for one in made_of)]
    if said := card.notes.get(REAL):
        lines += ["", f"`{REAL}`: {said}"]
    lines += [
        "",
        f"Rows in: {card.rows_in} = {sum(card.splits.values())} kept + {sum(card.rejected.values())} rejected.",
    ]
    if card.rejected:
        lines += ["", "| rejected because | rows |", "|---|---|"]
        lines += [f"| {reason} | {n} |" for reason, n in card.rejected.items()]
    if card.spec:
        lines += ["", "Spec:", "", "```json", json.dumps(card.spec, ensure_ascii=False, indent=2), "```"]
    return "\n".join(lines) + "\n"


def open_dataset(name_or_path: str | Path, datasets: Path) -> DatasetDir:
    """A dataset by name in the workspace's `datasets` folder, or by path. Raises DataError with the nearest name.

    A bare name is one of the workspace first; a folder of the same name is `./NAME`.
    """
    direct, named = Path(name_or_path), datasets / str(name_or_path)
    order = (direct, named) if "/" in str(name_or_path) else (named, direct)
    for folder in order:
        if (folder / CARD).is_file():
            return DatasetDir(folder)
    known = sorted(p.parent.name for p in datasets.glob(f"[!.]*/{CARD}"))
    hint = did_you_mean(str(name_or_path), known)
    listing = f"Choose one of {', '.join(known)}." if known else "There is none yet; make one with `smolstudio synth`."
    raise DataError(f"There is no dataset '{name_or_path}'{hint}.", listing)
