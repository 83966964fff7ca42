"""What exporting cost: each export of a comparison beside the tuned model that it was made of, on the same rows.

    exports.build(results.systems, units)   # where both are systems of the plan; their sizes and speeds are in theirs

The same paired difference as everywhere; no verdict, because nobody has to choose between the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluate.report.export_parts import ExportPart
from evaluate.report.results import SystemResult
from evaluate.report.wording import points
from evaluate.stats import measures, paired


def build(systems: Sequence[SystemResult], units: measures.Units) -> list[ExportPart]:
    """Each export whose original is there, per split with two common rows or more."""
    found = []
    for system in systems:
        original = _original(system, systems) if system.artefact else None
        if original is None:
            continue
        for split, unit in units.items():
            both = measures.pair(system, original, split, unit)
            gain = measures.difference(both, system.metric)
            if gain is not None:
                same = sum(a.answer_text == b.answer_text for a, b in zip(both.small, both.large, strict=True))
                found.append(
                    ExportPart(
                        system=system.id,
                        original=original.id,
                        split=split,
                        n=len(both.small),
                        same=same,
                        ahead=gain.delta,
                        ci95=(gain.low, gain.high),
                        sentence=_sentence(system, original, split, gain),
                    )
                )
    return found


def _original(export: SystemResult, systems: Sequence[SystemResult]) -> SystemResult | None:
    """The tuned model that it was made of, asked in the same way where there are several."""
    same = [one for one in systems if one.adapter == export.adapter and not one.artefact and one.kind == "local"]
    same = [one for one in same if one.metric == export.metric]
    return next((one for one in same if one.prompting == export.prompting), same[0] if same else None)


def _sentence(export: SystemResult, original: SystemResult, split: str, gain: paired.Difference) -> str:
    """'q4 costs you 0.4 points [0.1, 0.9] on test against Tuned'."""
    if gain.low <= 0 <= gain.high:
        known = f"{points(gain.delta)} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        effect = f"differs by {known}, which these rows cannot tell from nothing,"
    elif gain.delta < 0:
        effect = f"costs {-100 * gain.delta:.1f} points [{-100 * gain.high:.1f}, {-100 * gain.low:.1f}]"
    else:
        effect = f"is {100 * gain.delta:.1f} points [{100 * gain.low:.1f}, {100 * gain.high:.1f}] better"
    return f"{export.label} {effect} on {split}, against {original.label}."
