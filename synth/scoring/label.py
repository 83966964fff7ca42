"""One label of a closed set, as classification wants it."""

from __future__ import annotations

from synth.scoring import exact, names
from synth.scoring.rule import Metric, ScoreRule

RULE = ScoreRule(names.LABEL, exact.grade, Metric("accuracy", "accuracy"))
