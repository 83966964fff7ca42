"""report.json as a model: every figure that the HTML, Markdown, terminal and studio views show, with what it means.

    python -m evaluate.report.schema > docs/report.schema.json      # after any change here, in parts or in money

A new figure is a field of its part here, filled by whoever computes it. Missing is None, never 0. Money is USD, times
are seconds, rates 0..1. A difference is positive where it favours the small system, for error rates too.
Builds nothing (`report_json`) and reads no file (`reading`).
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from evaluate.report import export_parts, money, parts, record_parts, speech_parts
from evaluate.report.parts import Part

VERSION = 2


class DatasetPart(Part):
    """Which rows were answered."""

    name: str
    path: str = Field(description="Folder, relative to the workspace where it lies inside.")
    splits: dict[str, int] = Field(description="Rows compared per split.")
    available: dict[str, int] = Field(description="Rows that the dataset holds per split.")
    folds: int = Field(
        default=0, description="Models of a cross-validation, each asked the rows that it did not learn; 0 = none."
    )
    generator: str
    sha256: dict[str, str]
    chance: dict[str, float] = Field(
        default={},
        description="Per split, the score of always giving the commonest answer; 0 where none stands out.",
    )


class MeasuredSystem(Part):
    """A system before prices: what it is, how it was asked, how right, how fast."""

    id: str
    label: str
    kind: Literal["local", "endpoint", "predictions"]
    base_model: str
    revision: str | None
    adapter: str | None
    artefact: str = Field(default="", description="Which model of an export it is; empty = none of an export.")
    stored_bytes: int | None = Field(default=None, description="Weights on the disk.")
    memory_bytes: int | None = Field(
        default=None, description="Memory that it took at most, loaded and answering, above what was there before."
    )
    tokens_per_s: float | None = Field(
        default=None, description="Tokens of answers a second, from `requests_per_s`; None = not measured, or untold."
    )
    method: str | None
    prompting: str
    shots: int
    max_new_tokens: int | None
    params: int | None
    stand_in: bool
    train_seed: int | None
    hardware: str
    metric: str
    higher_is_better: bool
    normaliser: str | None
    splits: dict[str, parts.SplitSummary]
    usage: money.AnswersUsage = Field(description="Of the rows that the verdict and the price are about.")
    usage_all: money.AnswersUsage | None = Field(default=None, description="Of all rows; None = as `usage`.")
    batch: bool = Field(default=False, description="Imported batch results, billed at the batch's discount.")
    speed: money.SpeedPart | None = Field(default=None, description="None = not measured in turns.")
    latency_s: parts.Latency
    requests_per_s: float | None
    audio_sec_per_s: float | None
    batch_size: int | None
    wall_seconds: float | None
    load_seconds: float | None
    error_reasons: dict[str, int] = Field(default={}, description="Why rows have no answer, the commonest three.")
    priced_as: str | None = Field(description="Row of the price sheet; None = machine time, or unpriced.")


class SystemPart(MeasuredSystem):
    """A system: what it is, how it was asked, how right, how fast, how dear."""

    cost: money.Cost


class ProvenancePart(Part):
    created: str
    comparison_id: str
    recipe: dict[str, dict[str, Any]]
    hashes: dict[str, str]
    versions: dict[str, str]
    machine: dict[str, str]
    plan: dict[str, Any]
    prices_checked: dict[str, str]
    prices_stale: tuple[str, ...]


class VerdictPart(Part):
    """One word and a sentence; `word` None: there was nothing to compare."""

    word: parts.Word | None
    sentence: str
    split: str
    rows_to_decide: int | None
    qualifier: str = ""
    withheld: tuple[str, ...] = ()


class Report(Part):
    """report.json."""

    version: Literal[2]
    title: str
    headline: str
    small: str
    large: str | None
    primary_split: str
    margin: float
    margin_fixed: float | None = Field(
        default=None, description="The margin that stood before answers existed, where `margin` was moved since."
    )
    basis: parts.BasisPart
    prompt_choice: parts.PromptChoice | None = None
    reality_gaps: tuple[parts.RealityGap, ...] = ()
    dataset: DatasetPart
    systems: tuple[SystemPart, ...]
    comparisons: tuple[parts.Comparison, ...]
    baselines: tuple[parts.Baseline, ...]
    families: tuple[parts.Family, ...]
    families_in_all: dict[str, int]
    family_counts: dict[str, parts.FamilyCounts]
    seeds: tuple[parts.Seeds, ...]
    format_check: tuple[parts.FormatCheck, ...]
    gallery: parts.Gallery | None
    judge: parts.JudgePart | None
    speech: dict[str, dict[str, speech_parts.SpeechErrors]] | None
    normalisers_disagree: tuple[speech_parts.NormalisersDisagree, ...] = ()
    by_class: parts.ByClass | None = Field(default=None, description="Where gold answers are a small set of labels.")
    by_field: tuple[record_parts.ByField, ...] = Field(
        default=(), description="Where gold answers are JSON objects: per split, every field of every system."
    )
    exports: tuple[export_parts.ExportPart, ...] = Field(
        default=(), description="Exports beside the tuned model that they were made of."
    )
    forgetting: tuple[parts.ForgettingPart, ...]
    machine: money.MachinePart
    ledger: tuple[money.LedgerLine, ...]
    fixed_costs: money.FixedCosts
    human_usd_per_answer: float | None = Field(default=None, description="What a person costs, from the plan.")
    monthly_volumes: tuple[int, ...]
    what_if: money.WhatIf
    break_even: money.BreakEvenPart
    sensitivity: money.Sensitivity
    cascade: money.Cascade | None
    prices: tuple[money.Price, ...]
    provenance: ProvenancePart
    verdict: VerdictPart
    stand_in_note: str | None
    real_rows_note: str | None = Field(default=None, description="How many real rows would decide, how to add them.")
    overlap_note: str | None = Field(
        default=None, description="Tested rows that training shows or nearly shows, as far as the dataset's card knows."
    )
    margin_note: str | None = Field(default=None, description="That the margin was moved after answers existed.")
    notes: tuple[str, ...]
    assumptions: tuple[str, ...]
    limits: tuple[str, ...]
    not_measured: tuple[str, ...]
    repriced: bool = False

    @property
    def small_system(self) -> SystemPart:
        """The system under test."""
        return next(one for one in self.systems if one.id == self.small)

    @property
    def large_system(self) -> SystemPart | None:
        """The system to replace."""
        return self.system(self.large)

    def system(self, system_id: str | None) -> SystemPart | None:
        """The system of that id."""
        return next((one for one in self.systems if one.id == system_id), None)

    def main(self, split: str) -> parts.Comparison | None:
        """The comparison of small with large on a split."""
        return next((row for row in self.comparisons if row.main and row.split == split), None)


def json_schema() -> str:
    """The JSON schema of report.json, as docs/report.schema.json holds it."""
    return json.dumps(Report.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
