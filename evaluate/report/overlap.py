"""Whether training shows the tested rows, or nearly: what the dataset's card says of it, for the box of the verdict.

Reads the card only (the note of the import and of the check for leakage); looks at no row and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synth.curation.leakage import LeakageReport
from synth.importing.waiting import NEAR_DUPLICATES, NearDuplicates

TRAINED = ("train", "val")


def note(card: Mapping[str, object], splits: Sequence[str]) -> str | None:
    """In sentences: rows of the tested splits that stand in training or nearly; None where none is known of.

    Cards of earlier versions, and of datasets that were written by hand, may know of nothing.
    """
    notes = card.get("notes")
    if not isinstance(notes, Mapping):
        return None
    tested = {split.partition(".")[0] for split in splits} - set(TRAINED)
    spec = card.get("spec")
    allowed = isinstance(spec, Mapping) and bool(spec.get("split_near_duplicates"))
    imported = _imported(notes.get(NEAR_DUPLICATES), allowed, str(card.get("name", "")))
    said = [*_leaked(notes.get("leakage"), tested), *imported]
    if not said:
        return None
    return f"{' '.join(said)} A system that was tuned on them looks better here than on rows that are new to it."


def _leaked(found: object, tested: set[str]) -> list[str]:
    """Tested rows that stand in the training rows; equal ones are among the near-duplicates where there is text."""
    if not isinstance(found, Mapping):
        return []
    said = []
    for pair in LeakageReport.model_validate(found).pairs:
        rows = max(pair.near_duplicates, pair.equal_prompts)
        if pair.one == "train" and pair.other in tested and rows:
            who = f"1 row of {pair.other} says" if rows == 1 else f"{rows:,} rows of {pair.other} say"
            said.append(f"{who} the same as a row of train, or nearly.")
    return said


def _imported(found: object, allowed: bool, name: str) -> list[str]:
    """Near-duplicates that the import could not keep on one side, or did not look for."""
    if not isinstance(found, Mapping):
        return []
    known = NearDuplicates(**{key: value for key, value in found.items() if key in NearDuplicates._fields})
    said = []
    if known.apart:
        said.append(
            f"{known.apart:,} imported rows differ from very many others in a few words only and are in several "
            "splits, so training nearly shows some of the tested ones."
        )
    if known.looked_for == "wording":
        said.append(f"When the data was imported, rows that say nearly the same were not looked for; {_count(name)}.")
    if allowed:
        said.append(f"When the data was imported, rows that say nearly the same could part; {_count(name)}.")
    return said


def _count(name: str) -> str:
    return f"“smolstudio data check {name}” counts them"
