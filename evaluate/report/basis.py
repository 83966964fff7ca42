"""On whose rows a report speaks: where the tested rows come from, the nearest to the world first.

    sliced(results)     splits that mix rows of several origins taken apart, so that every figure is about one kind
    primary(kinds)      the split that headline, verdict, tiles and gate speak of: the most real rows there are
    qualifier(kind)     what a verdict on rows of that kind begins with, "" on real rows
    reality_gaps(...)   real minus generated, per system

Counts and names rows; it scores none and decides nothing (`decision`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evaluate.report.parts import BasisPart, RealityGap, RowsNeeded, SplitSummary
from evaluate.report.results import Results, Row
from evaluate.report.rows import Rows, origins
from synth.errors import DataError
from synth.example import ORIGINS

KINDS: Mapping[str, str] = {str(kind): title for kind, title in ORIGINS.items()}
"""Origins of rows and what they are called, the nearest to the world first; imported rows are taken for the user's."""
QUALIFIERS = {
    "real": "",
    "imported": "",
    "hand": "On hand-written rows only",
    "stand_in": "On stand-in rows only",
    "teacher": "On generated rows only",
    "template": "On generated rows only",
}
# What rows that nobody generated are called.
NAMES = {"real": "real", "imported": "imported", "hand": "hand-written", "stand_in": "stand-in"}
GENERATED = ("teacher", "template")
ORDER = ("test_real", "test", "test_ood", "val", "train")
FEWEST_REAL = 30  # rows below which intervals are too wide to be asked for
USUAL = (FEWEST_REAL, 200)


class Measured(NamedTuple):
    """A difference on the primary split, as far as it tells how many real rows would decide."""

    delta: float
    sd: float | None
    margin: float
    undecided: RowsNeeded | None


class Sliced(NamedTuple):
    """Results whose splits hold one kind of rows each, and the kind of each split."""

    results: Results
    kinds: dict[str, str]


def sliced(results: Results) -> Sliced:
    """Take splits of mixed origin apart: `test` becomes `test.real` and `test.template`.

    Raises DataError without any row.
    """
    counts: dict[str, Counter[str]] = {}
    for (split, origin), rows in (origins(results.systems[0].rows) if results.systems else {}).items():
        counts.setdefault(split, Counter())[origin or _unrecorded(results)] += rows
    wanted = [str(split) for split in results.plan.splits if results.dataset.splits.get(split)]
    if not wanted:
        raise DataError("No split of this comparison holds any rows.", "Choose other splits in the plan.")
    kinds: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for split in wanted:
        found = counts.get(split) or Counter({_unrecorded(results): results.dataset.splits[split]})
        for kind in sorted(found, key=list(KINDS).index):
            name = split if len(found) == 1 else f"{split}.{kind}"
            kinds[name], sizes[name] = kind, found[kind] if len(found) > 1 else results.dataset.splits[split]
    systems = tuple(
        system.model_copy(update={"rows": _moved(system.rows, kinds, _unrecorded(results))})
        for system in results.systems
    )
    dataset = results.dataset.model_copy(update={"splits": sizes})
    return Sliced(results.model_copy(update={"systems": systems, "dataset": dataset}), kinds)


def _moved(rows: Sequence[Row], kinds: Mapping[str, str], unrecorded: str) -> Sequence[Row]:
    def place_of(split: str, origin: str) -> tuple[str, str]:
        return split if split in kinds else f"{split}.{origin or unrecorded}", origin or unrecorded

    if isinstance(rows, Rows):
        return rows.moved(place_of)
    places = ((row, *place_of(row.split, row.origin)) for row in rows)
    return tuple(row.model_copy(update={"split": split, "origin": origin}) for row, split, origin in places)


def _unrecorded(results: Results) -> str:
    return kind_of_dataset(results.dataset.generator)


def kind_of_dataset(generator: str) -> str:
    """What rows that do not say their origin are: what came from a file, or what a generator made."""
    return "imported" if generator in ("", "import") else "template"


def primary(kinds: Mapping[str, str]) -> str:
    """The split with the most real rows; `test` before unseen families, rows kept for training last."""

    def rank(split: str) -> tuple[bool, int, int]:
        base = split.partition(".")[0]
        place = ORDER.index(base) if base in ORDER else len(ORDER)
        return base in ("train", "val"), list(KINDS).index(kinds[split]), place

    return min(kinds, key=rank)


def qualifier(kind: str) -> str:
    """What everything said about rows of that kind begins with."""
    return QUALIFIERS[kind]


def qualified(kind: str, said: str) -> str:
    """'On generated rows only: BETTER'; as it is on real rows, and where it is said already."""
    begin = QUALIFIERS[kind]
    return said if not begin or said.startswith(begin) else f"{begin}: {said}"


def bare(word: str | None) -> str | None:
    """The outcome without its qualifier."""
    return None if word is None else word.rpartition(": ")[2]


def title(split: str, kind: str) -> str:
    """The name of a split with what it shows, for headings: 'test, known wording'."""
    base = split.partition(".")[0]
    shows = {"test": "known wording", "test_ood": "unseen families"}.get(base, "")
    if kind not in GENERATED:
        shows = "unseen families" if base == "test_ood" else ""
    return f"{base}{', ' if shows else ''}{shows}"


def part(kinds: Mapping[str, str], sizes: Mapping[str, int], dataset: str, main: Measured | None) -> BasisPart:
    """report.json's `basis`. main: small against large on the primary split."""
    split = primary(kinds)
    kind = kinds[split]
    real = sum(size for name, size in sizes.items() if kinds[name] == "real" and not name.startswith(("train", "val")))
    needs_real = bool(QUALIFIERS[kind])
    low, high = _rows_that_decide(main) if needs_real else (None, None)
    return BasisPart.model_validate(
        {
            "split": split,
            "kind": kind,
            "kinds": dict(kinds),
            "qualifier": QUALIFIERS[kind],
            "rows": sizes[split],
            "real_rows": real,
            "real_rows_low": low,
            "real_rows_high": high,
            "remedy": f"smolstudio data real {dataset} FILE" if needs_real else "",
        }
    )


def _rows_that_decide(main: Measured | None) -> tuple[int, int | None]:
    """How many real rows would settle it: as many as of these where these do not decide; else as many as it takes if
    the difference on real rows is between the whole and half of that here."""
    if main is not None and main.undecided is not None:
        return main.undecided.low, main.undecided.high
    if main is None or not main.sd or not math.isfinite(main.sd):
        return USUAL
    from evaluate.stats.power import rows_needed

    effect = max(abs(main.delta), main.margin, 0.01)
    low, high = (math.ceil(rows_needed(size, main.sd)) for size in (effect, max(effect / 2, 0.01)))
    return max(FEWEST_REAL, low), max(FEWEST_REAL, high)


def reality_gaps(
    systems: Sequence[tuple[str, Mapping[str, SplitSummary]]], kinds: Mapping[str, str]
) -> tuple[RealityGap, ...]:
    """Real minus generated for every system that has both; () where one kind is missing.

    The two sets hold other rows, so the interval is MOVER's for two independent estimates (Zou and Donner 2008,
    doi:10.1002/sim.3095) from the two intervals shown: for rates with Wilson intervals it is Newcombe's.
    """
    near = primary(kinds)
    made = [split for split in kinds if kinds[split] in GENERATED and not split.startswith(("train", "val"))]
    if kinds[near] in GENERATED or not made:
        return ()
    far = min(made, key=lambda split: ORDER.index(split.partition(".")[0]))
    return tuple(
        gap for system, splits in systems if (gap := _gap(system, splits.get(near), splits.get(far), near, far))
    )


def _gap(system: str, real: SplitSummary | None, made: SplitSummary | None, near: str, far: str) -> RealityGap | None:
    if real is None or made is None or real.value is None or made.value is None or not real.ci95 or not made.ci95:
        return None
    gap = real.value - made.value
    low = gap - math.hypot(real.value - real.ci95[0], made.ci95[1] - made.value)
    high = gap + math.hypot(real.ci95[1] - real.value, made.value - made.ci95[0])
    return RealityGap(system=system, real=near, generated=far, gap=gap, ci95=(low, high))
