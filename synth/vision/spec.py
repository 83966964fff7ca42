"""Settings of the vision generator; each field's title and description also label the form."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.vision.degrade import Effect

Kind = Literal["bar", "hbar", "line", "pie", "receipt", "table", "form", "shapes"]
KINDS: tuple[Kind, ...] = ("bar", "hbar", "line", "pie", "receipt", "table", "form", "shapes")
StyleName = Literal["plain", "dark", "paper", "slate", "typed", "journal"]
STYLE_NAMES: tuple[StyleName, ...] = ("plain", "dark", "paper", "slate", "typed", "journal")


class Spec(BaseModel):
    """What to render and how many questions to keep per split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, title="Seed", description="The same seed and settings give the same rows.")
    train: int = Field(default=2000, ge=0, le=1_000_000, title="Training rows")
    val: int = Field(default=200, ge=0, le=100_000, title="Validation rows")
    test: int = Field(
        default=400,
        ge=0,
        le=100_000,
        title="Test rows",
        description="New pictures of combinations that training shows.",
    )
    test_ood: int = Field(
        default=200,
        ge=0,
        le=100_000,
        title="Held-out test rows",
        description="Combinations of chart type, style and question that training never shows.",
    )
    kinds: tuple[Kind, ...] = Field(default=KINDS, min_length=1, title="Kinds of picture")
    styles: tuple[StyleName, ...] = Field(
        default=STYLE_NAMES,
        min_length=2,
        title="Styles",
        description="At least two, because each style holds some questions out.",
    )
    difficulty: int = Field(
        default=2,
        ge=1,
        le=3,
        title="Difficulty",
        description="1: colours as names. 2: printed words and numbers. 3: more of them, two series.",
    )
    size: int = Field(default=384, ge=96, le=1024, title="Picture size", description="Width and height in pixels.")
    model_size: int = Field(
        default=384,
        ge=96,
        le=1024,
        title="Model's input size",
        description="Longest edge, in pixels, that the model sees; smaller text is rejected.",
    )
    questions_per_image: int = Field(default=2, ge=1, le=5, title="Questions per picture")
    target: Literal["rationale", "answer"] = Field(
        default="rationale",
        title="What the model learns to say",
        description="rationale: what is seen, the reasoning, then the answer. answer: the answer alone.",
    )
    degrade: tuple[Effect, ...] = Field(
        default=(), title="Degradations", description="Each happens to about half of the pictures."
    )
    degrade_strength: float = Field(default=1.0, ge=0.1, le=3.0, title="Strength of degradations")

    @model_validator(mode="after")
    def _no_doubles(self) -> Spec:
        for name, values in (("kinds", self.kinds), ("styles", self.styles), ("degrade", self.degrade)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names something twice")
        return self
