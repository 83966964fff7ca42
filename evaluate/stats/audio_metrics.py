"""What a word error rate hides: which errors, which words, which entities, in which noise.

Pure functions over transcripts, on words as the scorer sees them (`synth.scoring.speech`). Corpus rates are ratios of
sums, never means of rows. The rate itself and its interval are in `synth.scoring.speech` and `measures`, speed and
money in `economics` and `cost`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluate.report.results import Row, SystemResult
from evaluate.report.rows import equal, flags, matched, numbers, of_split, origins, taken, where
from evaluate.report.speech_parts import Condition, NormalisersDisagree, SpeechErrors, SpokenEntities
from synth.dataset import finder_of
from synth.example import Example
from synth.scoring.normalise import UNSPACED, language_by_script, language_of, normalised, plain, units_of
from synth.scoring.scorers import known_scorer, metric
from synth.scoring.speech import edit_count

WORST = 15  # words and confusions that are listed


class Diff(NamedTuple):
    """A stretch of an alignment: "equal", "substitute", "delete" (missing in the reply) or "insert" (added by it)."""

    kind: str
    gold: str
    said: str


class Breakdown(NamedTuple):
    """Edits of a corpus by kind. `worst` are (word, errors, times spoken), `confusions` (gold, said, times)."""

    words: int
    substitutions: int
    deletions: int
    insertions: int
    worst: tuple[tuple[str, int, int], ...]
    confusions: tuple[tuple[str, str, int], ...]

    @property
    def rate(self) -> float | None:
        """Edits over reference words; None without any word."""
        return (self.substitutions + self.deletions + self.insertions) / self.words if self.words else None


def clean(text: str, language: str = "en") -> list[str]:
    """The words that count; characters where the language has no spaces."""
    return units_of(normalised(text, language), language)


def word_diff(gold: str, said: str, language: str | None = None) -> tuple[Diff, ...]:
    """The alignment of two transcripts with the fewest edits, in order; a guessed language is that of gold's script."""
    import jiwer

    language = language_by_script(gold) if language is None else language
    gold_words, said_words = clean(gold, language), clean(said, language)
    if not gold_words or not said_words:
        kind = "insert" if said_words else "delete"
        return (Diff(kind, " ".join(gold_words), " ".join(said_words)),) if gold_words or said_words else ()
    aligned = jiwer.process_words(" ".join(gold_words), " ".join(said_words)).alignments[0]
    return tuple(
        Diff(
            part.type,
            " ".join(gold_words[part.ref_start_idx : part.ref_end_idx]),
            " ".join(said_words[part.hyp_start_idx : part.hyp_end_idx]),
        )
        for part in aligned
    )


def breakdown(pairs: Iterable[tuple[str, str] | tuple[str, str, str]]) -> Breakdown:
    """Edits over (gold, reply) or (gold, reply, language); a substituted stretch pairs words as the alignment does."""
    spoken: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    confused: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    for gold, said, *given in pairs:
        language = given[0] if given else language_by_script(gold)
        spoken.update(clean(gold, language))
        for part in word_diff(gold, said, language):
            gold_words, said_words = part.gold.split(), part.said.split()
            kinds[part.kind] += max(len(gold_words), len(said_words))
            if part.kind in ("substitute", "delete"):
                wrong.update(gold_words)
            if part.kind == "substitute":
                confused.update(zip(gold_words, said_words, strict=True))
    return Breakdown(
        sum(spoken.values()),
        kinds["substitute"],
        kinds["delete"],
        kinds["insert"],
        tuple((word, count, spoken[word]) for word, count in wrong.most_common(WORST)),
        tuple((gold, said, count) for (gold, said), count in confused.most_common(WORST)),
    )


def entities(pairs: Iterable[tuple[Example, str]]) -> dict[str, SpokenEntities]:
    """Entities by kind, from `source["entities"]` of rows that have them.

    An entity is there when its words stand in the reply in order and together, as often as it was spoken.
    """
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for example, reply in pairs:
        said = f" {' '.join(clean(reply, language_of(example)))} "
        for (kind, written), times in Counter(_spoken_entities(example)).items():
            found[kind][0] += times
            found[kind][1] += max(0, times - said.count(f" {written} "))
    return {kind: SpokenEntities(spoken=spoken, missed=missed) for kind, (spoken, missed) in sorted(found.items())}


def _spoken_entities(example: Example) -> list[tuple[str, str]]:
    listed = example.source.get("entities")
    if not isinstance(listed, list):
        return []
    language = language_of(example)
    return [(str(e["kind"]), " ".join(clean(str(e["written"]), language))) for e in listed if isinstance(e, dict)]


class BothNormalisers(NamedTuple):
    """Corpus error rates of two systems on the same rows: as scored, and with only case and punctuation taken off."""

    rows: int
    small: float
    large: float
    small_plain: float
    large_plain: float

    @property
    def disagree(self) -> bool:
        """Whether who is ahead depends on the normaliser."""
        scored, plainly = self.large - self.small, self.large_plain - self.small_plain
        return (scored > 0) != (plainly > 0) and scored != plainly


def under_both_normalisers(
    small: Sequence[Row], large: Sequence[Row], examples: Sequence[Example]
) -> BothNormalisers | None:
    """Rates over the rows that both answered; None without a reference word. For the report, when they `disagree`."""
    find = finder_of(examples)
    ours, theirs = (where(rows, ~np.isnan(numbers(rows, "edits"))) for rows in (small, large))
    met = matched(ours, theirs)
    rows = small_edits = large_edits = units = small_plain = large_plain = plain_units = 0
    for mine, yours in zip(taken(ours, met.ours), taken(theirs, met.theirs), strict=True):
        if (example := find(mine.example_id)) is None:
            continue
        rows += 1
        small_edits, large_edits = small_edits + (mine.edits or 0), large_edits + (yours.edits or 0)
        units += mine.ref_units or 0
        a, b, words = _plain_counts(example, mine, yours)
        small_plain, large_plain, plain_units = small_plain + a, large_plain + b, plain_units + words
    if not units or not plain_units:
        return None
    plain_rates = (small_plain / plain_units, large_plain / plain_units)
    return BothNormalisers(rows, small_edits / units, large_edits / units, *plain_rates)


def disagreements(small: SystemResult, large: SystemResult, examples: Sequence[Example]) -> list[NormalisersDisagree]:
    """Splits on which the two normalisers disagree about who is ahead, for the report.

    A split whose rows come from several places is taken apart and named as in `evaluate.report.basis.sliced`.
    """
    kinds_of: dict[str, set[str]] = defaultdict(set)
    for split, kind in origins(where(small.rows, ~np.isnan(numbers(small.rows, "edits")))):
        kinds_of[split].add(kind)
    found = []
    for split, kinds in kinds_of.items():
        for kind in sorted(kinds):
            ours, theirs = (
                where(one.rows, equal(one.rows, "split", split) & equal(one.rows, "origin", kind))
                for one in (small, large)
            )
            both = under_both_normalisers(ours, theirs, examples)
            if both is not None and both.disagree:
                name = split if len(kinds) == 1 else f"{split}.{kind}"
                found.append(NormalisersDisagree(split=name, **both._asdict()))
    return found


def _plain_counts(example: Example, small: Row, large: Row) -> tuple[int, int, int]:
    """Edits of both replies and reference units, counted as the scorer of the rows counts them."""
    language = language_of(example)
    by_words = known_scorer(small.scorer).metric.unit == "words" and language not in UNSPACED
    gold = plain(example.answer or "", language)
    edits = [edit_count(gold, plain(row.answer, language), by_words) for row in (small, large)]
    return edits[0][0], edits[1][0], edits[0][1]


def by_condition(rows: Iterable[tuple[Example, Row]]) -> dict[str, Condition]:
    """Corpus rate by recording condition; empty where rows say nothing of it."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for example, row in rows:
        if row.edits is None or row.ref_units is None:
            continue
        for name, reads in _CONDITIONS.items():
            if name in example.source and (condition := reads(example.source)):
                total = sums[condition]
                total[0] += 1
                total[1] += row.edits
                total[2] += row.ref_units
    return {
        name: Condition(n=n, words=words, rate=edits / words if words else None)
        for name, (n, edits, words) in sorted(sums.items())
    }


_CONDITIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "noise": lambda source: f"noise: {source['noise'] or 'none'}",
    "telephone": lambda source: f"telephone: {'yes' if source['telephone'] else 'no'}",
    "room_sec": lambda source: f"room: {'yes' if source['room_sec'] else 'no'}",
    "voice": lambda source: _engine(source["voice"]),
}


def _engine(voice: Any) -> str:
    """Which engine spoke; "" where nobody did, or nothing says it."""
    return f"engine: {voice['engine']}" if isinstance(voice, dict) and "engine" in voice else ""


def speech_section(
    systems: Sequence[SystemResult], examples: Sequence[Example], splits: Sequence[str]
) -> dict[str, dict[str, SpeechErrors]] | None:
    """report.json's `speech`: system id -> split -> errors by kind, entities, conditions; None without speech rows."""
    spoken = [system for system in systems if metric(system.metric).unit == "words"]
    if not spoken:
        return None
    find = finder_of(examples)
    out = {system.id: {split: part for split in splits if (part := _part(system, split, find))} for system in spoken}
    return out if any(out.values()) else None


def _part(system: SystemResult, split: str, find: Callable[[str], Example | None]) -> SpeechErrors | None:
    rows = of_split(system.rows, split)
    rows = where(rows, ~flags(rows, "error"))

    def asked() -> Iterator[tuple[Example, Row]]:
        return ((example, row) for row in rows if (example := find(row.example_id)) is not None)

    if next(asked(), None) is None:
        return None
    # What was scored: the transcript that the scorer read against the one answer that it took.
    errors = breakdown((example.answer or "", row.answer, language_of(example)) for example, row in asked())
    kinds = entities((example, row.answer) for example, row in asked())
    spoken = sum(kind.spoken for kind in kinds.values())
    missed = sum(kind.missed for kind in kinds.values())
    return SpeechErrors(
        **errors._asdict(),
        rate=errors.rate,
        entities=kinds,
        entity_error_rate=missed / spoken if spoken else None,
        conditions=by_condition(asked()),
    )
