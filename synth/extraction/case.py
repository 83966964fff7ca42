"""One invented case: what happened to whom, where, how bad it is, and what is said about it and what is not.

The issue is drawn first and the message written from it (`synth.extraction.message`); fields that stay null are never
mentioned, and distractors (a version that works, a platform that is fine) are mentioned without being the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import NamedTuple, TypeVar

from synth.extraction.bank import HELD_OUT_LANGUAGE, LANGUAGES, PLATFORMS, Bank, Problem, bank, bare
from synth.extraction.schema import TYPES, Issue, IssueType, Priority

_TYPE_WEIGHTS: dict[IssueType, int] = {
    "bug": 8,
    "feature": 4,
    "question": 4,
    "docs": 2,
    "performance": 3,
    "security": 3,
}
LANGUAGE_WEIGHTS = {"en": 8, "de": 2, "es": 2, "fr": 2}
"""Languages of what training shows, and how often each is drawn."""
Drawn = TypeVar("Drawn", bound=str)
_HOURS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 40, 1.5, 2.5)


class Case(NamedTuple):
    """The issue and what else its message says. `impact`: whether a sentence states the priority."""

    issue: Issue
    language: str
    domain: str
    component: str
    problem: Problem
    impact: bool
    other_version: str | None
    other_platform: str | None


def draw(rng: Random, unseen: str = "", languages: Collection[str] = tuple(LANGUAGE_WEIGHTS)) -> Case:
    """A case; `unseen` is "" for what training shows, else "language" or "domain" for what it never does."""
    weights = {name: weight for name, weight in LANGUAGE_WEIGHTS.items() if name in languages}
    language = HELD_OUT_LANGUAGE if unseen == "language" else _weighted(rng, weights)
    words = bank(language)
    domain = rng.choice([d for d in words.domains if (d in words.held_out_domains) == (unseen == "domain")])
    unnamed = rng.random() < 0.15  # many people say "the app" and leave the part to whoever reads
    component = rng.choice(words.unnamed) if unnamed else rng.choice(words.domains[domain])
    kind = _weighted(rng, {t: w for t, w in _TYPE_WEIGHTS.items() if t in words.problems})
    problem = rng.choice(words.problems[kind])
    impact = rng.random() < 0.6 and not (kind in ("feature", "question", "docs") and rng.random() < 0.5)
    priority = _impact_of(rng, kind) if impact else problem.p
    version = _version(rng) if rng.random() < (0.5 if kind in ("bug", "performance", "security") else 0.15) else None
    platform = rng.choice(PLATFORMS) if rng.random() < (0.45 if kind in ("bug", "performance") else 0.12) else None
    issue = Issue(
        title=fill(problem.title, component),
        type=kind,
        priority=priority,
        component=None if unnamed else bare(component),
        version=version,
        platform=platform,
        steps=_steps(rng, words, kind, component),
        expected=_maybe(rng, problem.expected, component, 1.0 if kind == "feature" else 0.4),
        actual=_maybe(rng, problem.actual, component, 1.0),
        estimated_hours=rng.choice(_HOURS) if rng.random() < 0.1 else None,
    )
    other_version = _other(rng, version) if rng.random() < 0.15 else None
    other_platform = rng.choice([p for p in PLATFORMS if _apart(p, platform)]) if rng.random() < 0.12 else None
    return Case(issue, language, domain, component, problem, impact, other_version, other_platform)


def fill(clause: str, component: str) -> str:
    """A clause with the component in its slots: `{c}` with its article, `{C}` at the beginning, `{n}` without it."""
    return clause.format(c=component, C=component[:1].upper() + component[1:], n=bare(component))


def _weighted(rng: Random, weights: Mapping[Drawn, int]) -> Drawn:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _impact_of(rng: Random, kind: IssueType) -> Priority:
    levels: dict[Priority, int] = {"critical": 3, "high": 4, "medium": 4, "low": 1}
    if kind == "security":
        levels = {"critical": 4, "high": 4, "medium": 1, "low": 0}
    elif kind in ("feature", "question", "docs"):
        levels = {"critical": 0, "high": 1, "medium": 3, "low": 6}
    return _weighted(rng, levels)


def _maybe(rng: Random, clause: str | None, component: str, share: float) -> str | None:
    return fill(clause, component) if clause is not None and rng.random() < share else None


def _steps(rng: Random, words: Bank, kind: IssueType, component: str) -> tuple[str, ...]:
    if kind not in ("bug", "security", "performance") or rng.random() > 0.2:
        return ()
    return tuple(fill(step, component) for step in rng.sample(words.steps, rng.randint(2, min(5, len(words.steps)))))


def _version(rng: Random) -> str:
    major, minor, patch = rng.choice((0, 1, 2, 3, 4, 5, 7, 9, 12, 23, 2024)), rng.randrange(20), rng.randrange(12)
    forms = (
        f"{major}.{minor}",
        f"{major}.{minor}.{patch}",
        f"{major}.{minor}.{patch}",
        f"{major}.{minor}.0-rc{patch % 4 + 1}",
    )
    return rng.choice(forms) if rng.random() < 0.93 else str(rng.randrange(3000, 9999))


def _other(rng: Random, version: str | None) -> str:
    while (drawn := _version(rng)) and version is not None and (drawn in version or version in drawn):
        pass
    return drawn


def _apart(one: str, other: str | None) -> bool:
    return other is None or (one not in other and other not in one)


assert set(_TYPE_WEIGHTS) == set(TYPES) and {*LANGUAGE_WEIGHTS, HELD_OUT_LANGUAGE} == set(LANGUAGES)
