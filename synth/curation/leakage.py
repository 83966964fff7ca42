"""Does a test split contain what training shows? Templates, media, equal and nearly equal rows, sizes of numbers.

Two texts are near-duplicates when they share ten words in a row, or all their numbers, and then agree in at least
`NEAR` of their characters *and* in their numbers, in order: the same wording with other numbers is another problem,
the same numbers with another name is not. Paraphrases with other words are not found.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from synth.curation.runs import (
    NUMBERS,
    Keys,
    Marks,
    Runs,
    Tally,
    Text,
    number_mark,
    read_text,
)
from synth.dataset import CARD, Card, DatasetDir, readme
from synth.example import SPLITS, Example, Split, media_parts, text_of
from synth.marks import Seen
from synth.shelf import Stack
from synth.storage import atomic_write_text, write_json

TESTS: tuple[Split, ...] = ("test_real", "test", "test_ood")
GRAM = 10
"""Words in a row that make two texts candidates (the length of GPT-3's and Llama's decontamination is 8 to 13)."""
EXTRACTS = "overlapping_extracts"
"""The note of a dataset from documents that counts extracts which overlap, and says in which splits they are."""
NEAR = 0.85
"""Share of characters (rapidfuzz ratio) from which candidates count as the same text."""
BOILERPLATE = 50
"""A sequence of words that more training rows share than this says nothing about leakage."""
SIZE_DISTANCE = 0.2
"""Kolmogorov-Smirnov distance of number sizes above which a difference is reported."""
_AT_ONCE = 1 << 12  # keys whose candidates are looked up at once
_HEADING = "## Leakage between splits"


class SimilarPair(BaseModel):
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

    pairs: tuple[SimilarPair, ...]
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


class _Split:
    """What is needed of one split, indexed."""

    def __init__(self) -> None:
        self.rows = 0
        self.ids, self.templates, self.media, self.wordings = Marks(), Marks(), Marks(), Marks()
        self.sizes = Tally()
        self.texts: Stack[Text] = Stack(lambda text: text.text.encode("utf-8", "surrogatepass"), _said)
        self.numbers = array("I")
        self.runs = Runs(GRAM)
        self._keys: Keys | None = None

    def add(self, example: Example, text: Text | None = None) -> None:
        """A row; `text` is that of the user, where it was read already."""
        self.rows += 1
        self.ids.add(example.id)
        self.templates.add(example.template)
        media = [part.sha256 for part in media_parts(example)]
        for one in media:
            self.media.add(one)
        if not media:  # the same question about another picture or recording is no duplicate
            said = text_of(example)
            self.add_text(text or read_text(said))
            self.wordings.add(NUMBERS.sub("0", said))

    def add_text(self, text: Text) -> None:
        """What a row without media says."""
        self.texts.append(text)
        self.runs.add(text)
        self.numbers.append(number_mark(text))
        self.sizes.extend(float(one) for one in text.numbers if ":" not in one and _is_float(one))

    def keys(self) -> Keys:
        """The keys (ten words, or all numbers) of `texts`, once all are there."""
        if self._keys is None:
            self._keys = self.runs.keys()
        return self._keys


class Known:
    """Texts that others, one at a time, must not nearly be; the index is built at the first question."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._given: Iterable[str] = texts
        self._split = _Split()
        self._index: Keys | None = None
        self._by_numbers: Any = None

    def near(self, text: str) -> bool:
        """Whether the text is one of these, or nearly."""
        import numpy as np

        if self._index is None:
            for given in self._given:
                self._split.add_text(read_text(given))
            self._given = ()
            self._index = self._split.keys()
            self._by_numbers = np.sort(np.frombuffer(self._split.numbers, np.uint32))
        asked = read_text(text)
        place = int(self._by_numbers.searchsorted(number_mark(asked)))
        if place == len(self._by_numbers) or self._by_numbers[place] != number_mark(asked):
            return False
        runs = Runs(GRAM)
        runs.add(asked)
        for key in np.unique(runs.shared().keys):
            met = self._index.places(key).tolist()
            if len(met) <= BOILERPLATE and any(_same(self._split.texts[one], asked) for one in met):
                return True
        return False


def _same(one: Text, other: Text) -> bool:
    from rapidfuzz import fuzz

    return one.numbers == other.numbers and fuzz.ratio(one.text, other.text) >= 100 * NEAR


class Tests:
    """Rows of test splits, and which of those that come after them stand there: by prompt, text or media."""

    def __init__(self) -> None:
        self._known = _Split()
        self._ids, self._media = Seen(), Seen()

    def take(self, rows: Sequence[Example], texts: Sequence[Text]) -> bytes:
        """1 for each row that stands in a test split, 0 for the others and for rows of tests, which become known."""
        known, asked, places, found = self._known, _Split(), [], bytearray(len(rows))
        for place, (row, text) in enumerate(zip(rows, texts, strict=True)):
            if row.split in TESTS:
                known.add(row, text)
                self._ids.add(row.id)
                for part in media_parts(row):
                    self._media.add(part.sha256)
                continue
            media = [part.sha256 for part in media_parts(row)]
            found[place] = row.id in self._ids or any(one in self._media for one in media)
            if not media:
                asked.add_text(text)
                places.append(place)
        for place, _ in _near(known, asked) if known.texts and places else ():
            found[places[place]] = 1
        return bytes(found)


def near_duplicates(known: Iterable[str], texts: Iterable[str]) -> list[tuple[int, int]]:
    """Pairs (place in `texts`, place in `known`) of near-duplicates; at most one for each of `texts`."""
    one, other = _Split(), _Split()
    for split, given in ((one, known), (other, texts)):
        for text in given:
            split.add_text(read_text(text))
    return _near(one, other)


def _near(one: _Split, other: _Split) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    found = -1  # the last place of `other` that has its near-duplicate
    for place, candidate in _candidates(one, other):
        if place != found and _same(one.texts[candidate], other.texts[place]):
            pairs.append((place, candidate))
            found = place
    return pairs


def _candidates(one: _Split, other: _Split) -> Iterator[tuple[int, int]]:
    """(place in `other`, place in `one`) of texts that share a key and, by their marks, all numbers; in order, once."""
    import numpy as np

    ours, theirs = np.frombuffer(one.numbers, np.uint32), np.frombuffer(other.numbers, np.uint32)
    found = [np.empty(0, np.uint64)]
    for known, asked in zip(one.keys().parts(), other.keys().parts(), strict=True):
        first = np.searchsorted(known.keys, asked.keys, "left")
        counts = np.searchsorted(known.keys, asked.keys, "right") - first
        counts[counts > BOILERPLATE] = 0
        for start in range(0, len(counts), _AT_ONCE):
            here = counts[start : start + _AT_ONCE]
            places = np.repeat(asked.places[start : start + _AT_ONCE], here)
            offsets = np.arange(int(here.sum())) - np.repeat(np.cumsum(here) - here, here)
            met = known.places[np.repeat(first[start : start + _AT_ONCE], here) + offsets]
            same = ours[met] == theirs[places]
            found.append(np.unique((places[same].astype(np.uint64) << np.uint64(32)) | met[same]))
    for packed in np.unique(np.concatenate(found)):
        yield int(packed >> np.uint64(32)), int(packed & np.uint64(0xFFFFFFFF))


def _said(value: bytes) -> Text:
    """A text as it was folded, without its words."""
    text = value.decode("utf-8", "surrogatepass")
    return Text(text, tuple(NUMBERS.findall(text)), array("I"))


def _is_float(number: str) -> bool:
    return number.count(".") <= 1 and len(number) <= 15


class Check:
    """Compares every pair of splits, of rows that come one by one; what they say lies on disk, but for
    four bytes of each row.

    Args:
        most: rows of each split that are looked at; all by default.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._splits: dict[Split, _Split] = {}

    def add(self, example: Example, text: Text | None = None) -> None:
        """A row, of the split that it names; `text` is that of the user, where it was read already."""
        split = self._splits.get(example.split)
        if split is None:
            split = self._splits[example.split] = _Split()
        if self._most is None or split.rows < self._most:
            split.add(example, text)

    def report(self) -> LeakageReport:
        """What the splits share."""
        return _report({name: self._splits[name] for name in SPLITS if name in self._splits})


def check(splits: Mapping[Split, Iterable[Example]]) -> LeakageReport:
    """Compare every pair of the splits given."""
    read: dict[Split, _Split] = {name: _Split() for name in SPLITS if name in splits}
    for name, split in read.items():
        for example in splits[name]:
            split.add(example)
    return _report(read)


def _report(read: dict[Split, _Split]) -> LeakageReport:
    sizes = {name: split.sizes.counted() for name, split in read.items()}
    pairs = []
    for one, other in combinations(read, 2):
        first, second = read[one], read[other]
        near = _near(first, second)
        pairs.append(
            SimilarPair(
                one=one,
                other=other,
                shared_templates=first.templates.common(second.templates),
                shared_media=first.media.common(second.media),
                equal_prompts=first.ids.common(second.ids),
                near_duplicates=len(near),
                same_wording=second.wordings.found_in(first.wordings),
                size_distance=sizes[one].distance(sizes[other]),
                samples=tuple((first.texts[b].text[:300], second.texts[a].text[:300]) for a, b in near[:3]),
                rows=len(second.texts),
            )
        )
    digits = {str(name): found.digit_shares() for name, found in sizes.items() if len(found.values)}
    return LeakageReport(pairs=tuple(pairs), digits=digits, faults=_faults(pairs), notes=_notes(pairs))


def check_dataset(dataset: DatasetDir, rows: int | None = None) -> LeakageReport:
    """`check` for a dataset on disk, for the first `rows` of each split."""
    return check({split: islice(dataset.examples(split), rows) for split in dataset.splits()})


def record(folder: Path, report: LeakageReport | None = None) -> LeakageReport:
    """Keep the report of the dataset in `folder` in its card (`notes.leakage`) and README; without one, check first."""
    dataset = DatasetDir(folder)
    report = report or check_dataset(dataset)
    card = dataset.card.model_copy(update={"notes": {**dataset.card.notes, "leakage": report.model_dump()}})
    write_json(folder / CARD, card.model_dump())
    write_readme(folder, card)
    return report


def write_readme(folder: Path, card: Card) -> None:
    """The dataset's README: its card, and what the card says of leakage."""
    text = readme(card)
    if said := card.notes.get(EXTRACTS, {}).get("said"):
        text += f"\n{said}\n"
    if found := card.notes.get("leakage"):
        text += f"\n{markdown(LeakageReport.model_validate(found))}"
    atomic_write_text(folder / "README.md", text)


def _faults(pairs: Iterable[SimilarPair]) -> tuple[str, ...]:
    faults = []
    for pair in pairs:
        between = f"{pair.one} and {pair.other}"
        if pair.equal_prompts:
            faults.append(_in_both(pair.equal_prompts, "prompt", "prompts", between))
        if pair.near_duplicates:
            are = "row of {} is a near-duplicate" if pair.near_duplicates == 1 else "rows of {} are near-duplicates"
            faults.append(f"{pair.near_duplicates} {are.format(pair.other)} of rows of {pair.one}")
        if pair.shared_media:
            faults.append(_in_both(pair.shared_media, "picture or recording", "pictures or recordings", between))
        if pair.other == "test_ood" and pair.shared_templates:
            faults.append(_in_both(pair.shared_templates, "template", "templates", between))
    return tuple(faults)


def _in_both(count: int, one: str, several: str, between: str) -> str:
    return f"1 {one} is in both {between}" if count == 1 else f"{count} {several} are in both {between}"


def _notes(pairs: Iterable[SimilarPair]) -> tuple[str, ...]:
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
