"""Two filters that are learned, and what is known of their worth.

`RubricHead` (FineWeb-Edu, Penedo et al. 2024): ridge regression from embeddings to a teacher's points; a text is kept
whose points, rounded, reach a threshold. `NgramClassifier` (DCLM, Li et al. 2024): logistic regression on hashed words
and pairs of words, good texts against bad ones; its score is for ranking, so a share is kept, never those above 0.5.

Every figure is taken on texts that the model did not see (5 folds). It says how well the filter imitates the teacher,
or separates the two sets, not that what it keeps trains better models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from synth.errors import DataError
from synth.filtering.features import FeatureKind, features
from synth.filtering.ratings import Rating

LEAST_RATED = 50
"""Fewer ratings than this teach no head that is worth having."""
LEAST_OF_A_KIND = 20
FOLDS = 5
DRAWS = 500
"""Bootstrap samples of an interval."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AtThreshold(_Record):
    """The head against the teacher at one threshold, both as kept or not.

    `f1_range`: 95 %, bootstrap over texts. `f1_of_all`: what keeping every text would have; a head must beat it.
    """

    at_least: int
    rated_kept: float
    precision: float
    recall: float
    f1: float
    f1_range: tuple[float, float]
    f1_of_all: float


class HeadFigures(_Record):
    """How well the head imitates the teacher, and the teacher itself.

    Attributes:
        kappa: Cohen's, quadratic weights, between first and second ratings; None where fewer than 20 were rated twice.
        agreement: share of double-rated texts with the same points.
        error: mean distance between head and teacher, in points.
    """

    rated: int
    rated_twice: int
    kappa: float | None
    agreement: float | None
    error: float
    thresholds: tuple[AtThreshold, ...]


class ClassifierFigures(_Record):
    """How well good and bad are told apart: area under the ROC curve, and F1 at equal odds."""

    good: int
    bad: int
    auc: float
    f1: float


class RubricHead:
    """A linear head on a teacher's ratings."""

    def __init__(self, model: Any, kind: FeatureKind, figures: HeadFigures) -> None:
        self._model, self._kind, self.figures = model, kind, figures

    @classmethod
    def fit(cls, ratings: Sequence[Rating], kind: FeatureKind = "embeddings") -> RubricHead:
        """Learn from ratings. Raises DataError where they are too few, or all the same."""
        from sklearn.linear_model import Ridge, RidgeCV
        from sklearn.model_selection import KFold, cross_val_predict

        if len(ratings) < LEAST_RATED:
            message = f"There are {len(ratings)} ratings, and a head needs {LEAST_RATED} at least (300 is better)."
            raise DataError(message, "Rate more with `smolstudio pipeline run rate-rows`.", "filter.few_ratings")
        points = [rating.points for rating in ratings]
        if len({math.floor(value + 0.5) for value in points}) < 2:
            raise DataError(
                "All ratings are the same, so nothing can be learned from them.",
                "Change the rubric, or ask another teacher.",
                "filter.same_ratings",
            )
        numbers = features([rating.text for rating in ratings], kind)
        model = RidgeCV(alphas=(0.01, 0.03, 0.1, 0.3, 1, 3, 10)) if kind == "embeddings" else Ridge(alpha=1.0)
        folds = KFold(FOLDS, shuffle=True, random_state=0)
        found = cross_val_predict(model, numbers, points, cv=folds).clip(0, 5)
        return cls(model.fit(numbers, points), kind, _head_figures(ratings, found.tolist()))

    def score(self, texts: Sequence[str]) -> list[float]:
        """Points from 0 to 5 for each text, not rounded."""
        if not texts:
            return []
        return [float(value) for value in self._model.predict(features(texts, self._kind)).clip(0, 5)]


class NgramClassifier:
    """Good texts against bad ones by their words."""

    def __init__(self, model: Any, figures: ClassifierFigures, unseen: dict[str, float]) -> None:
        self._model, self.figures, self._unseen = model, figures, unseen

    @classmethod
    def fit(cls, good: Sequence[str], bad: Sequence[str]) -> NgramClassifier:
        """Learn from both. Raises DataError where one is too small."""
        from sklearn.linear_model import SGDClassifier
        from sklearn.metrics import f1_score, roc_auc_score
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        for name, texts in (("good", good), ("bad", bad)):
            if len(texts) < LEAST_OF_A_KIND:
                message = f"There are {len(texts)} {name} texts, and the classifier needs {LEAST_OF_A_KIND} at least."
                raise DataError(message, f"Name a file or dataset with more: {name}=…", "filter.few_texts")
        texts = [*good, *bad]
        kinds = [1] * len(good) + [0] * len(bad)
        numbers = features(texts, "ngrams")
        model = SGDClassifier("log_loss", alpha=1e-5, class_weight="balanced", random_state=0)
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        found = cross_val_predict(model, numbers, kinds, cv=folds, method="decision_function").tolist()
        figures = ClassifierFigures(
            good=len(good),
            bad=len(bad),
            auc=round(float(roc_auc_score(kinds, found)), 4),
            f1=round(float(f1_score(kinds, [value > 0 for value in found])), 4),
        )
        return cls(model.fit(numbers, kinds), figures, dict(zip(texts, found, strict=True)))

    def score(self, texts: Sequence[str]) -> list[float]:
        """Log odds of good for each text; of those that it learned from, by a model that did not see them."""
        if not texts:
            return []
        found = self._model.decision_function(features(texts, "ngrams"))
        return [self._unseen.get(text, float(value)) for text, value in zip(texts, found, strict=True)]


def _head_figures(ratings: Sequence[Rating], found: Sequence[float]) -> HeadFigures:
    from sklearn.metrics import cohen_kappa_score

    points = [rating.points for rating in ratings]
    twice = [(round(one.first), round(one.second)) for one in ratings if one.second is not None]
    kappa = None
    if len(twice) >= LEAST_OF_A_KIND:
        value = float(cohen_kappa_score(*zip(*twice, strict=True), weights="quadratic"))
        kappa = None if math.isnan(value) else round(value, 4)
    return HeadFigures(
        rated=len(ratings),
        rated_twice=len(twice),
        kappa=kappa,
        agreement=round(sum(one == other for one, other in twice) / len(twice), 4) if twice else None,
        error=round(sum(abs(a - b) for a, b in zip(points, found, strict=True)) / len(points), 4),
        thresholds=tuple(_at(threshold, points, found) for threshold in range(1, 6)),
    )


def _at(threshold: int, points: Sequence[float], found: Sequence[float]) -> AtThreshold:
    import numpy as np

    wanted = np.array(points) >= threshold - 0.5
    kept = np.array(found) >= threshold - 0.5
    places = np.random.default_rng(0).integers(0, len(points), (DRAWS, len(points)))
    low, high = np.percentile([_f1(wanted[place], kept[place]) for place in places], (2.5, 97.5))
    both = int((wanted & kept).sum())
    return AtThreshold(
        at_least=threshold,
        rated_kept=round(float(wanted.mean()), 4),
        precision=round(both / max(1, int(kept.sum())), 4),
        recall=round(both / max(1, int(wanted.sum())), 4),
        f1=round(_f1(wanted, kept), 4),
        f1_range=(round(float(low), 4), round(float(high), 4)),
        f1_of_all=round(_f1(wanted, np.ones_like(wanted)), 4),
    )


def _f1(wanted: Any, kept: Any) -> float:
    """2 TP / (2 TP + FP + FN); 1 where neither keeps any."""
    either = int(wanted.sum()) + int(kept.sum())
    return 2 * int((wanted & kept).sum()) / either if either else 1.0
