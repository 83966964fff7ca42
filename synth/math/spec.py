"""The settings of the math generator; the fields are also the form in the UI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.errors import did_you_mean
from synth.math.family import Domain, Family, difficulty
from synth.math.invoices import DOMAIN as INVOICES
from synth.math.rates import DOMAIN as RATES
from synth.math.schedules import DOMAIN as SCHEDULES

DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (INVOICES, RATES, SCHEDULES)}
ALL_FAMILIES: dict[str, Family] = {family.name: family for domain in DOMAINS.values() for family in domain.families}
SIZES = (1, 2, 3)


class Spec(BaseModel):
    """What to generate. The same spec gives the same rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, title="Seed", description="Another seed gives other rows; the same seed the same rows.", ge=0)
    train: int = Field(5000, title="Training rows", description="Rows to tune on.", ge=0, le=1_000_000)
    val: int = Field(300, title="Validation rows", description="Rows to choose settings with.", ge=0, le=100_000)
    test: int = Field(600, title="Test rows", description="New numbers in the families of training.", ge=0, le=100_000)
    test_ood: int = Field(
        300, title="Test rows, unseen families", description="Families that training never shows.", ge=0, le=100_000
    )
    domains: tuple[Literal["invoices", "rates", "schedules"], ...] = Field(
        ("invoices", "rates", "schedules"), title="Domains", description="Subjects of the problems.", min_length=1
    )
    families: tuple[str, ...] = Field(
        (), title="Families", description="Only these families, by name; empty means all of the domains."
    )
    held_out: tuple[str, ...] = Field(
        tuple(family.name for family in ALL_FAMILIES.values() if family.held_out),
        title="Held-out families",
        description="Families that appear only in the test of unseen families.",
    )
    difficulty_min: int = Field(
        1, title="Lowest difficulty", description="1 (one or two steps, small numbers) to 3.", ge=1, le=3
    )
    difficulty_max: int = Field(
        2, title="Highest difficulty", description="3 has three-digit numbers, cents and up to five steps.", ge=1, le=3
    )
    distractor_rate: float = Field(
        0.2, title="Distractors", description="Share of problems with a number that does not matter.", ge=0, le=1
    )
    unseen_phrasings: int = Field(
        2,
        title="Phrasings kept for testing",
        description="Per family, this many phrasings (of 8 or 9) appear in validation and test but not in training.",
        ge=0,
        le=4,
    )
    target_style: Literal["worked", "answer"] = Field(
        "worked", title="Target", description="Learn the worked solution, or the answer line alone."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        if self.difficulty_min > self.difficulty_max:
            raise ValueError("difficulty_min is above difficulty_max")
        for name in (*self.families, *self.held_out):
            if name not in ALL_FAMILIES:
                raise ValueError(f"there is no family '{name}'{did_you_mean(name, list(ALL_FAMILIES))}")
        if (self.train or self.val or self.test) and not self.seen_families():
            raise ValueError("no family is left for train, val and test within these domains, families and difficulty")
        if self.test_ood and not self.unseen_families():
            raise ValueError("test_ood needs a held-out family within these domains, families and difficulty")
        return self

    def seen_families(self) -> list[Family]:
        """Families of train, val and test."""
        return [family for family in self._chosen() if family.name not in self.held_out]

    def unseen_families(self) -> list[Family]:
        """Families of test_ood."""
        return [family for family in self._chosen() if family.name in self.held_out]

    def sizes(self, family: Family) -> list[int]:
        """Sizes of numbers that give the family a difficulty in the range."""
        return [s for s in SIZES if self.difficulty_min <= difficulty(family.steps, s) <= self.difficulty_max]

    def _chosen(self) -> Iterable[Family]:
        for family in ALL_FAMILIES.values():
            wanted = family.domain in self.domains and (not self.families or family.name in self.families)
            if wanted and self.sizes(family):
                yield family
