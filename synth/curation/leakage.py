"""Does a test split contain what training shows? Templates, media, equal and nearly equal rows, sizes of numbers.

Two texts are near-duplicates when they share ten words in a row, or all their numbers, and then agree in at least
`NEAR` of their characters *and* in their numbers, in order: the same wording with other numbers is another problem,
the same numbers with another name is not. Paraphrases with other words are not found.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations, islice
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from synth.dataset import CARD, Card, DatasetDir, readme
from synth.example import SPLITS, Example, Split, media_parts, text_of
from synth.storage import atomic_write_text, write_json

GRAM = 10
"""Words in a row that make two texts candidates (the length of GPT-3's and Llama's decontamination is 8 to 13)."""
NEAR = 0.85
"""Share of characters (rapidfuzz ratio) from which candidates count as the same text."""
BOILERPLATE = 50
"""A sequence of words that more training rows share than this says nothing about leakage."""
SIZE_DISTANCE = 0.2
"""Kolmogorov-Smirnov distance of number sizes above which a difference is reported."""
_HEADING = "## Leakage between splits"
_WORDS = re.compile(r"\w+(?:[.:]\d+)*")
_NUMBERS = re.compile(r"\d+(?:[.:]\d+)*")


class Pair(BaseModel):
    """What two splits share. `same_wording` counts rows of `other` whose text, numbers aside, is in `one`.

    `rows` are those of `other` without media; reports of earlier versions have 0 there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    one: Split
    other: Split
    shared_templates: int
    shared_media: int
    equal_prompts: int
    near_duplicates: int
    same_wording: int
    size_distance: float | None
    samples: tuple[tuple[str, str], ...] = ()
    rows: int = 0

    @property
    def masked_overlap(self) -> float | None:
        """Share of the rows of `other` whose prompt is one of `one` once digits are masked; None when unknown."""
        return self.same_wording / self.rows if self.rows else None


class LeakageReport(BaseModel):
    """All pairs of splits, the sizes of their numbers, and what is at fault; `faults` is empty when nothing leaks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: tuple[Pair, ...]
    digits: dict[str, dict[str, float]]
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing leaks."""
        return not self.faults

    @property
    def masked_overlap(self) -> dict[str, float]:
        """For each split beside train: the share of its prompts that equal one of train once digits are masked."""
        shares = {pair.other: pair.masked_overlap for pair in self.pairs if pair.one == "train"}
        return {split: share for split, share in shares.items() if share is not None}


class Text(NamedTuple):
    """A text folded to lower case, with its numbers and words in order."""

    text: str
    numbers: tuple[str, ...]
    words: tuple[str, ...]


class _Split:
    """What is needed of one split, indexed."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self.ids: set[str] = set()
        self.templates: set[str] = set()
        self.media: set[str] = set()
        self.wordings: Counter[str] = Counter()
        self.texts: list[Text] = []
        for example in examples:
            self.ids.add(example.id)
            self.templates.add(example.template)
            media = [part.sha256 for part in media_parts(example)]
            self.media.update(media)
            text = text_of(example)
            if not media:  # the same question about another picture or recording is no duplicate
                self.texts.append(read_text(text))
                self.wordings[_NUMBERS.sub("0", text)] += 1
        self._index: dict[tuple[str, ...], list[int]] | None = None

    def index(self) -> dict[tuple[str, ...], list[int]]:
        """Keys (ten words, or all numbers) → places in `texts`."""
        if self._index is None:
            self._index = defaultdict(list)
            for place, text in enumerate(self.texts):
                for key in _keys(text):
                    self._index[key].append(place)
        return self._index


def read_text(text: str) -> Text:
    """Fold a text and find its numbers and words."""
    folded = text.casefold()
    return Text(folded, tuple(_NUMBERS.findall(folded)), tuple(_WORDS.findall(folded)))


def _keys(text: Text) -> set[tuple[str, ...]]:
    words = text.words
    keys = {words[start : start + GRAM] for start in range(max(1, len(words) - GRAM + 1))}
    if len(text.numbers) > 1:
        keys.add(("#", *text.numbers))
    return keys


class Known:
    """Texts that others must not nearly be; the index is built at the first question."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._split = _Split(())
        self._split.texts = [read_text(text) for text in texts]

    def near(self, text: str) -> bool:
        """Whether the text is one of these, or nearly."""
        other = _Split(())
        other.texts = [read_text(text)]
        return bool(_near(self._split, other))


def near_duplicates(known: Iterable[str], texts: Iterable[str]) -> list[tuple[int, int]]:
    """Pairs (place in `texts`, place in `known`) of near-duplicates; at most one for each of `texts`."""
    one, other = _Split(()), _Split(())
    one.texts, other.texts = [read_text(text) for text in known], [read_text(text) for text in texts]
    return _near(one, other)


def _near(one: _Split, other: _Split) -> list[tuple[int, int]]:
    from rapidfuzz import fuzz

    index, pairs = one.index(), []
    for place, text in enumerate(other.texts):
        candidates: set[int] = set()
        for key in _keys(text):
            places = index.get(key, ())
            if len(places) <= BOILERPLATE:
                candidates.update(places)
        for candidate in sorted(candidates):
            near = one.texts[candidate]
            if near.numbers == text.numbers and fuzz.ratio(near.text, text.text) >= 100 * NEAR:
                pairs.append((place, candidate))
                break
    return pairs


def _sizes(split: _Split) -> list[float]:
    return [float(number) for text in split.texts for number in text.numbers if ":" not in number and _is_float(number)]


def _is_float(number: str) -> bool:
    return number.count(".") <= 1 and len(number) <= 15


def _distance(one: list[float], other: list[float]) -> float | None:
    from scipy.stats import ks_2samp

    if min(len(one), len(other)) < 30:
        return None
    return round(float(ks_2samp(one, other).statistic), 3)


def check(splits: Mapping[Split, Iterable[Example]]) -> LeakageReport:
    """Compare every pair of the splits given. Memory grows with the number of rows (about 3 kB each)."""
    read = {name: _Split(splits[name]) for name in SPLITS if name in splits}
    sizes = {name: _sizes(split) for name, split in read.items()}
    pairs = []
    for one, other in combinations(read, 2):
        first, second = read[one], read[other]
        near = _near(first, second)
        pairs.append(
            Pair(
                one=one,
                other=other,
                shared_templates=len(first.templates & second.templates),
                shared_media=len(first.media & second.media),
                equal_prompts=len(first.ids & second.ids),
                near_duplicates=len(near),
                same_wording=sum(n for wording, n in second.wordings.items() if wording in first.wordings),
                size_distance=_distance(sizes[one], sizes[other]),
                samples=tuple((first.texts[b].text[:300], second.texts[a].text[:300]) for a, b in near[:3]),
                rows=len(second.texts),
            )
        )
    digits: dict[str, dict[str, float]] = {name: _digit_shares(values) for name, values in sizes.items() if values}
    return LeakageReport(pairs=tuple(pairs), digits=digits, faults=_faults(pairs), notes=_notes(pairs))


def check_dataset(dataset: DatasetDir, rows: int | None = None) -> LeakageReport:
    """`check` for a dataset on disk, for the first `rows` of each split."""
    return check({split: islice(dataset.examples(split), rows) for split in dataset.splits()})


def record(folder: Path, rows: int | None = None) -> LeakageReport:
    """Check the dataset in `folder`, and keep the report in its card (`notes.leakage`) and README."""
    dataset = DatasetDir(folder)
    report = check_dataset(dataset, rows)
    card = dataset.card.model_copy(update={"notes": {**dataset.card.notes, "leakage": report.model_dump()}})
    write_json(folder / CARD, card.model_dump())
    write_readme(folder, card)
    return report


def write_readme(folder: Path, card: Card) -> None:
    """The dataset's README: its card, and what the card says of leakage."""
    text = readme(card)
    if found := card.notes.get("leakage"):
        text += f"\n{markdown(LeakageReport.model_validate(found))}"
    atomic_write_text(folder / "README.md", text)


def _digit_shares(values: list[float]) -> dict[str, float]:
    counts = Counter(min(6, len(str(int(value)))) for value in values)
    return {str(digits): round(counts[digits] / len(values), 4) for digits in sorted(counts)}


def _faults(pairs: Iterable[Pair]) -> tuple[str, ...]:
    faults = []
    for pair in pairs:
        between = f"{pair.one} and {pair.other}"
        if pair.equal_prompts:
            faults.append(f"{pair.equal_prompts} prompts are in both {between}")
        if pair.near_duplicates:
            faults.append(f"{pair.near_duplicates} rows of {pair.other} are near-duplicates of rows of {pair.one}")
        if pair.shared_media:
            faults.append(f"{pair.shared_media} pictures or recordings are in both {between}")
        if pair.other == "test_ood" and pair.shared_templates:
            faults.append(f"{pair.shared_templates} templates are in both {between}")
    return tuple(faults)


def _notes(pairs: Iterable[Pair]) -> tuple[str, ...]:
    return tuple(
        f"numbers in {pair.other} differ in size from those in {pair.one} (KS distance {pair.size_distance:.2f})"
        for pair in pairs
        if pair.one == "train" and pair.size_distance is not None and pair.size_distance > SIZE_DISTANCE
    )


def overlap_sentences(report: LeakageReport) -> list[str]:
    """How much of each test split training shows word for word, numbers aside: known wording is an easier test."""
    return [
        f"{pair.masked_overlap:.0%} of the {pair.rows:,} prompts of {pair.other} equal one of {pair.one} "
        "once digits are masked"
        for pair in report.pairs
        if pair.one == "train" and pair.other != "val" and pair.masked_overlap is not None
    ]


def markdown(report: LeakageReport) -> str:
    """The report as a section for the dataset's README."""
    lines = [_HEADING, ""]
    lines += [f"- **{fault}**" for fault in report.faults] or ["Nothing of a test split is in training."]
    lines += [f"- {note}" for note in report.notes]
    lines += [f"- {sentence}" for sentence in overlap_sentences(report)]
    lines += [
        "",
        "| splits | templates | media | equal prompts | near-duplicates | same wording, other numbers | sizes: KS |",
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for pair in report.pairs:
        distance = "–" if pair.size_distance is None else f"{pair.size_distance:.3f}"
        lines.append(
            f"| {pair.one}, {pair.other} | {pair.shared_templates} | {pair.shared_media} | {pair.equal_prompts} "
            f"| {pair.near_duplicates} | {pair.same_wording} | {distance} |"
        )
    if report.digits:
        widths = sorted({width for shares in report.digits.values() for width in shares})
        lines += ["", "| numbers with … digits | " + " | ".join(widths) + " |", "|---" * (len(widths) + 1) + "|"]
        for name, shares in report.digits.items():
            lines.append(f"| {name} | " + " | ".join(f"{shares.get(width, 0):.1%}" for width in widths) + " |")
    return "\n".join(lines) + "\n"
