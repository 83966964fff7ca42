"""Do rows by language models show signs of collapse? Apart for each teacher and generation, as a gate that can fail.

A generation counts how often models stand behind a row: 1 is written from the user's seeds, 2 from rows of generation
1. Measured is what the teacher wrote (`synth.curation.written`), over equally many texts and words of each group,
because every measure grows with both. Rows of generators and people are not judged, they are what is compared with.

The limits lie well outside what texts by people measured here (217 to 400 passages of documentation, 66 complaints, 66
word problems, 66 spoken notes: compression 1.8 to 3.3, Self-BLEU 0.03 to 0.34, repeated 0 to 9 %, stock phrases 0 to
2.6). Where the dataset has such texts of its own, half again what they measure is allowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from random import Random

from pydantic import BaseModel, ConfigDict, Field

from synth.curation.quality import WORDS, Quality, measure
from synth.curation.written import answers_of, writing_step
from synth.dataset import DatasetDir
from synth.example import Example, text_of

MOST = 400
"""Texts that are measured of each group, drawn at random."""
LEAST = 50
"""Groups with fewer texts are shown and not judged: the measures say little about them."""
OWN = ("real", "imported", "hand")
"""Origins of rows that no model of this pipeline wrote."""
ALLOWANCE = 1.5
_SHORT = 8  # targets of fewer words on average are labels, and the question is what was written
_Key = tuple[str, int]
_MEASURES = {
    "proxies": "stock phrases per 10,000 words",
    "compression": "compression ratio",
    "self_bleu": "Self-BLEU",
    "repeated": "share of texts with eight words in a row of another",
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Record):
    """What a group may measure at most, and the least share of rows that no model wrote."""

    proxies: float = Field(default=15, ge=0, description="Stock phrases per 10,000 words")
    compression: float = Field(default=4, ge=1, description="Bytes ÷ compressed bytes")
    self_bleu: float = Field(default=0.6, ge=0, le=1, description="Mean BLEU of a text against the others")
    repeated: float = Field(default=0.3, ge=0, le=1, description="Share of texts with eight words in a row of another")
    real: float = Field(default=0, ge=0, le=1, description="Least share of training rows that no model wrote")


class Group(_Record):
    """One teacher's rows of one generation; generation 0 are rows that no model wrote."""

    teacher: str
    generation: int
    rows: int
    texts: int
    words: int
    proxies: float
    compression: float
    self_bleu: float | None
    repeated: float
    phrases: dict[str, float]


class CollapseReport(_Record):
    """Every group, the user's own rows first, and what is beyond the limits. No group: no model wrote rows."""

    groups: tuple[Group, ...]
    real_share: float
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def check_collapse(dataset: DatasetDir, limits: Limits | None = None) -> CollapseReport:
    """The monitor over the training rows of a dataset; time and memory do not grow beyond the reading of them."""
    return monitor(dataset.examples("train"), limits or Limits())


def monitor(rows: Iterable[Example], limits: Limits) -> CollapseReport:
    """Measure and judge rows; deterministic."""
    samples, counts = _samples(rows)
    total = sum(counts.values())
    own = sum(count for (_, generation), count in counts.items() if generation == 0)
    groups = [_group(key, counts[key], samples[key]) for key in sorted(samples, key=lambda key: (key[1], key[0]))]
    written = [group for group in groups if group.generation]
    share = own / total if total else 0.0
    if not written:
        return CollapseReport(groups=(), real_share=round(share, 4), faults=(), notes=())
    base = next((group for group in groups if group.generation == 0 and group.texts >= LEAST), None)
    faults, notes = _judged(written, base, limits)
    if share < limits.real:
        faults.append(f"{share:.0%} of the training rows were not written by a model, and {limits.real:.0%} must be")
    return CollapseReport(
        groups=tuple(groups), real_share=round(share, 4), faults=tuple(faults), notes=(*notes, *_risen(written))
    )


def generation_of(row: Example) -> int:
    """How many models in a row stand behind it; 0 for rows that none wrote."""
    if row.origin.kind != "teacher":
        return 0
    found = row.source.get("generation", 1)
    return found if isinstance(found, int) and found > 0 else 1


def _samples(rows: Iterable[Example]) -> tuple[dict[_Key, list[Example]], dict[_Key, int]]:
    """At most MOST rows of each group, each as likely as the others (reservoir), and how many there are."""
    chance = Random(0)
    samples: defaultdict[_Key, list[Example]] = defaultdict(list)
    counts: defaultdict[_Key, int] = defaultdict(int)
    for row in rows:
        if row.origin.kind not in (*OWN, "teacher"):
            counts["", -1] += 1
            continue
        generation = generation_of(row)
        key = (row.origin.by if generation else "", generation)
        counts[key] += 1
        if len(samples[key]) < MOST:
            samples[key].append(row)
        elif (place := chance.randrange(counts[key])) < MOST:
            samples[key][place] = row
    return samples, counts


def _group(key: _Key, rows: int, sample: list[Example]) -> Group:
    texts = [" ".join(text.split()[:WORDS]) for text in _texts(sample)]
    found: Quality = measure(texts)
    return Group(
        teacher=key[0],
        generation=key[1],
        rows=rows,
        texts=found.texts,
        words=found.words,
        proxies=round(found.proxy_rate, 2),
        compression=round(found.compression, 3),
        self_bleu=None if found.self_bleu is None else round(found.self_bleu, 4),
        repeated=round(found.repeated, 4),
        phrases={phrase: round(rate, 2) for phrase, rate in list(found.proxies.items())[:5]},
    )


def _texts(rows: list[Example]) -> list[str]:
    """What was written: a teacher's answer, else the target, else where targets are labels the user's text."""
    step = writing_step(rows)
    if step is not None and all(step in answers_of(row.source.get("lineage")) for row in rows):
        return [answers_of(row.source.get("lineage"))[step] for row in rows]
    words = sum(len(row.target.split()) for row in rows)
    return [row.target if words >= _SHORT * len(rows) else text_of(row) for row in rows]


def _judged(written: list[Group], base: Group | None, limits: Limits) -> tuple[list[str], list[str]]:
    faults, notes = [], []
    for group in written:
        who = f"{group.teacher or 'a teacher'}, generation {group.generation}"
        if group.texts < LEAST:
            notes.append(f"{who}: {group.texts} rows are too few to be judged ({LEAST} are needed)")
            continue
        for name, title in _MEASURES.items():
            value, limit = getattr(group, name), getattr(limits, name)
            own = getattr(base, name) if base else None
            allowed = limit if own is None else max(limit, ALLOWANCE * own)
            if value is not None and value > allowed:
                beside = "" if own is None else f"; the dataset's own rows have {own:g}"
                faults.append(f"{who}: {title} {value:g}, at most {allowed:g} is allowed{beside}")
    return faults, notes


def _risen(written: list[Group]) -> list[str]:
    """Teachers whose later generation is worse than the one before it on most measures."""
    notes = []
    before = {(group.teacher, group.generation): group for group in written if group.texts >= LEAST}
    for group in written:
        earlier = before.get((group.teacher, group.generation - 1))
        if earlier is None or group.texts < LEAST:
            continue
        pairs = [(title, getattr(earlier, name) or 0, getattr(group, name) or 0) for name, title in _MEASURES.items()]
        worse = [title for title, was, now in pairs if now > was]
        if len(worse) >= 3:
            notes.append(
                f"{group.teacher}: generation {group.generation} is less varied than {group.generation - 1} "
                f"({', '.join(worse)})"
            )
    return notes


def markdown(report: CollapseReport) -> str:
    """The report as a section; empty where no model wrote rows."""
    if not report.groups:
        return ""
    lines = ["## Variety of what models wrote", ""]
    lines += [f"- **{fault}**" for fault in report.faults] or ["Nothing is beyond the limits."]
    lines += [f"- {note}" for note in report.notes]
    lines += [
        f"- {report.real_share:.0%} of the training rows were not written by a model",
        "",
        "| written by | generation | rows | stock phrases in 10,000 words | compression | Self-BLEU | repeat 8 words |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in report.groups:
        name = group.teacher if group.generation else "the dataset's own rows"
        bleu = "–" if group.self_bleu is None else f"{group.self_bleu:.2f}"
        lines.append(
            f"| {name} | {group.generation} | {group.rows} | {group.proxies:.1f} | {group.compression:.2f} "
            f"| {bleu} | {group.repeated:.0%} |"
        )
    return "\n".join(lines) + "\n"
