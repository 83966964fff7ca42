"""Parts of report.json that speak of accuracy: splits, comparisons, families, gallery, judge.

Shapes only; `speech_parts` has those of transcripts, `schema` puts them together, `evaluate.stats` computes what
stands in them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluate.stats.clusters import NO_INTERVAL

Bounds = tuple[float, float]
OpenBounds = tuple[float | None, float | None]
Word = Annotated[str, Field(pattern=r"^(On [a-z-]+ rows only: )?(BETTER|NOT WORSE|WORSE|INCONCLUSIVE|WITHHELD)$")]
"""The outcome, with its qualifier where no real row was tested: "On generated rows only: BETTER"."""
Kind = Literal["real", "imported", "hand", "stand_in", "teacher", "template"]


class Part(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CarriedPart(Part):
    """The few rows that hold half of a system's errors or more, and its error rate on all others."""

    rows: int
    share: float = Field(description="Of all its errors.")
    value_without: float
    ci95_without: Bounds


class SplitSummary(Part):
    """One system on one split. `value` None: nothing could be scored."""

    n: int
    scored: int
    unscored: int
    errors: int = Field(description="Rows without an answer; they are unscored.")
    metric: str
    value: float | None
    ci95: Bounds | None
    method: str = Field(description="How the interval was made.")
    templates: int = Field(description="Templates among the scored rows.")
    unit: str = Field(default="template", description="What one independent draw is: template, group or family.")
    clusters: int | None = Field(default=None, description="Such units among the scored rows.")
    format_faults: int = Field(description="Answers that hold the right result in a form the scorer cannot read.")
    value_if_format_forgiven: float | None
    truncated: int = Field(default=0, description="Answers cut off at the length limit, loops left out.")
    looped: int = Field(default=0, description="Answers cut off while they said the same again and again.")
    refused: int = Field(default=0, description="Answers that the model or a filter declined.")
    unreadable: int = Field(default=0, description="Answers without anything of the kind that was asked for.")
    carried: CarriedPart | None = Field(default=None, description="Where few rows carry an error rate.")

    @property
    def has_interval(self) -> bool:
        """Whether `ci95` says anything: one or two clusters carry no interval."""
        return self.ci95 is not None and not self.method.endswith(NO_INTERVAL)


class BasisPart(Part):
    """On whose rows the verdict stands: the most real ones there are."""

    split: str
    kind: Kind = Field(description="Where the rows of that split come from.")
    kinds: dict[str, Kind] = Field(description="The same of every split.")
    qualifier: str = Field(description="What statements on these rows begin with; empty on real and imported ones.")
    rows: int
    real_rows: int = Field(description="Real rows among all that were tested.")
    real_rows_low: int | None = Field(description="Real rows that would decide: `rows_to_decide_range`, else as here …")
    real_rows_high: int | None = Field(description="… and if the difference is half of this; None: no end.")
    remedy: str = Field(description="The command that adds real rows; empty when they are there.")


class PromptChoice(Part):
    """How the large model's prompt was chosen."""

    on: str = Field(description="Whose rows: `val`, which are not tested; `test` in a cross-validation.")
    rows: int
    given: str = Field(description="The system that the plan names.")
    chosen: str
    values: dict[str, float] = Field(description="system id -> value on those rows, higher is better")
    searched: int = Field(description="Instructions among them that the model wrote itself.")


class RealityGap(Part):
    """One system's value on real rows minus that on generated ones, in the metric's own direction."""

    system: str
    real: str
    generated: str
    gap: float
    ci95: Bounds


class Latency(Part):
    """Seconds of one answer; `basis` says of what."""

    p50: float | None
    p95: float | None
    basis: str


class Outcomes(Part):
    """Rows by who was right, and the exact two-sided p of the discordant ones."""

    both: int
    only_small: int
    only_large: int
    neither: int
    p: float


class RowsNeeded(Part):
    """Between how many rows, and clusters like the pilot's, it would be decided; `high` None: no end."""

    low: int
    high: int | None
    clusters_low: int
    clusters_high: int | None


class Comparison(Part):
    """The small system against another one on one split."""

    small: str
    large: str
    split: str
    main: bool = Field(description="Whether `large` is the system to replace.")
    n: int
    dropped_unscored: int
    clusters: int
    unit: str = Field(default="template", description="What the clusters are: template, group, family, or row.")
    design_effect: float | None = Field(default=None, description="Rows that say as much as one independent row.")
    delta: float
    ci95: Bounds
    lower_one_sided95: float
    sd: float | None
    p: float
    p_holm: float
    p_mcnemar: float | None
    outcomes: Outcomes | None
    method: str
    margin: float
    minimum_detectable_effect: float | None
    verdict: Word
    sentence: str
    rows_to_decide: int | None = Field(description="The low end of the range.")
    rows_to_decide_range: RowsNeeded | None = None
    verdict_if_format_forgiven: Word | None = Field(
        default=None, description="The outcome if right answers in an unreadable form counted; None = the same."
    )
    verdict_if_unanswered: Word | None = Field(
        default=None, description="The outcome if rows without an answer went against it; None = the same."
    )
    withheld: tuple[str, ...] = Field(default=(), description="Why no verdict is given; empty when one is.")


class Baseline(Part):
    """The large model under one prompt, and the small system's gain against it."""

    system: str
    prompting: str
    shots: int
    value: float | None
    ci95: Bounds | None
    format_faults: int
    gain: float | None
    gain_ci95: Bounds | None
    strongest: bool


class FamilyValue(Part):
    """One system on one family."""

    value: float | None
    ci95: Bounds | None
    n: int


class Family(Part):
    """One family of one split: every system's value and the main difference."""

    split: str
    family: str
    n: int
    values: dict[str, FamilyValue]
    delta: float | None
    ci95: Bounds | None
    clusters: int | None
    p: float | None
    p_holm: float | None


class ClassFigures(Part):
    """One gold label of a classification, for one system."""

    label: str
    gold: int = Field(description="Rows whose right answer it is.")
    given: int = Field(description="Rows that were given it.")
    right: int
    recall: float
    recall_ci95: Bounds
    precision: float | None
    f1: float


class Mistake(Part):
    """Rows of one label that were given another; an answer outside the labels stands as it was read."""

    gold: str
    given: str
    rows: int


class SystemByClass(Part):
    """One system's classification."""

    macro_f1: float
    ci95: Bounds
    classes: tuple[ClassFigures, ...]
    mistakes: tuple[Mistake, ...] = Field(description="The most frequent ones.")

    def row_of(self, label: str) -> int | None:
        """The place of a label among the classes."""
        return next((place for place, one in enumerate(self.classes) if one.label == label), None)


class ByClass(Part):
    """A classification on one split; `majority`: share of rows that the best constant answer gets right."""

    split: str
    majority_label: str
    majority: float
    systems: dict[str, SystemByClass]
    macro_f1_ahead: float | None = Field(description="Small minus large on the rows of both.")
    macro_f1_ahead_ci95: Bounds | None


class FamilyCounts(Part):
    """Families won and lost; `mean_delta` weighs each family alike."""

    compared: int
    ahead: int
    level: int
    behind: int
    surely_ahead: int
    surely_behind: int
    mean_delta: float


class Seeds(Part):
    """Spread of the metric over systems that differ only in training seed."""

    group: str
    split: str
    systems: tuple[str, ...]
    values: tuple[float, ...]
    n: int
    mean: float
    sd: float
    smallest: float
    largest: float
    low: float | None
    high: float | None


class FormatExample(Part):
    example_id: str
    gold: str
    text: str


class FormatCheck(Part):
    """Right answers of one system that the scorer could not read."""

    system: str
    n: int
    right_but_unreadable: int
    examples: tuple[FormatExample, ...]


class GalleryAnswer(Part):
    score: float | None
    answer: str
    text: str
    why: str
    format_fault: bool


class GalleryItem(Part):
    """A row where the two systems differ, or both are wrong."""

    kind: Literal["only_small", "only_large", "both_wrong"]
    example_id: str
    split: str
    family: str
    prompt: str
    gold: str
    media: tuple[str, ...]
    small: GalleryAnswer
    large: GalleryAnswer


class Gallery(Part):
    """Counts are of all rows; items are a sample."""

    small: str
    large: str
    counts: dict[str, dict[str, int]]
    shown_per_kind: int
    items: tuple[GalleryItem, ...]


class Agreement(Part):
    n: int
    share: float
    ci95: Bounds
    kappa: float | None


class JudgePart(Part):
    """What a judge model preferred; it never enters the verdict."""

    model: str
    pairs: int
    judged: int
    small_wins: int
    large_wins: int
    ties_or_flips: int
    ahead: float
    ci95: Bounds
    verdict: Word
    sentence: str
    agreement_of_orders: Agreement
    first_position_wins: float | None
    suspicious_pairs: int
    ahead_without_suspicious: float | None
    calibration: Agreement | None
    pairs_in_all: int = 0
    usd: float | None = None


class Share(Part):
    value: float
    ci95: Bounds


class ForgettingPart(Part):
    """Accuracy on the base's own families before and after tuning, each family as (rows, base right, tuned right)."""

    system_id: str
    n: int
    base_right: int
    tuned_right: int
    families: dict[str, tuple[int, int, int]]
    base: Share | None
    tuned: Share | None
    lost: float | None = None
    lost_ci95: Bounds | None = None
