"""One invented case: what happened to whom, where, how bad it is, and what is said about it and what is not.

The issue is drawn first and the message written from it (`synth.extraction.message`); fields that stay null are never
mentioned, and distractors (a version that works, a platform that is fine) are mentioned without being the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import NamedTuple, TypeVar

from synth.extraction.bank import HELD_OUT_LANGUAGE, LANGUAGES, UNSEEN, Bank, Problem, bank, problems
from synth.extraction.named import draw_control, draw_identifier, draw_platform, draw_version
from synth.extraction.phrase import bare, capital, fill, vary
from synth.extraction.schema import TYPES, Issue, IssueType, Priority

_TYPE_WEIGHTS: dict[IssueType, int] = {
    "bug": 11,
    "feature": 4,
    "question": 3,
    "docs": 2,
    "performance": 3,
    "security": 2,
}
LANGUAGE_WEIGHTS = {"en": 8, "de": 2, "es": 2, "fr": 2}
"""Languages of what training shows, and how often each is drawn."""
Drawn = TypeVar("Drawn", bound=str)
_FAULTS = ("bug", "performance", "security")
_LEVELS: tuple[Priority, ...] = ("critical", "high", "medium", "low")
_HOURS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 40, 1.5, 2.5)
_NUMBERS = (
    3,
    7,
    8,
    12,
    15,
    20,
    25,
    30,
    40,
    45,
    50,
    60,
    70,
    90,
    99,
    100,
    120,
    255,
    403,
    404,
    413,
    429,
    500,
    502,
    503,
    1000,
    2048,
)
Settled = Callable[..., str]
UNNAMED = 0.15
"""How often a message leaves the part of the product to whoever reads."""


class Said(NamedTuple):
    """The problem in words, "" for what is not said. `it`: the predicate, where the part itself is what fails."""

    do: str
    when: str
    clause: str
    it: str
    ask: str


class Case(NamedTuple):
    """The issue and what else its message says. `impact`: the sentence that states the priority, `lost` hours that are
    no estimate; "" for none. `latest`: whether the version is only called the newest. `listed`: whether steps are.
    `phrases`: the bank that it is worded with."""

    issue: Issue
    language: str
    phrases: str
    domain: str
    component: str
    subject: str
    problem: Problem
    said: Said
    listed: bool
    impact: str
    other_version: str | None
    other_platform: str | None
    latest: bool
    lost: str

    @property
    def distractors(self) -> list[str]:
        """What the message names and the issue does not."""
        hours = [f"{self.lost} {unit}" for unit in ("hours", "Stunden", "horas", "heures") if self.lost]
        return [item for item in (self.other_version, self.other_platform, *hours) if item is not None]


def draw(rng: Random, unseen: str = "", languages: Collection[str] = tuple(LANGUAGE_WEIGHTS)) -> Case:
    """A case; `unseen` is "" for what training shows, else "language", "domain" or "phrasing": what it never does."""
    weights = {name: weight for name, weight in LANGUAGE_WEIGHTS.items() if name in languages}
    language = HELD_OUT_LANGUAGE if unseen == "language" else _weighted(rng, weights)
    phrases = f"{UNSEEN}{language}" if unseen == "phrasing" else language
    words = bank(phrases)
    domain = rng.choice([d for d in words.domains if (d in words.held_out_domains) == (unseen == "domain")])
    kind = _weighted(rng, {t: w for t, w in _TYPE_WEIGHTS.items() if t in problems(phrases)})
    problem = rng.choice(problems(phrases)[kind])
    unnamed = rng.random() < UNNAMED and unseen != "domain"  # a domain shows in its parts only
    component = vary(rng.choice(words.unnamed), rng) if unnamed else _component(rng, words, domain, unseen)
    subject = _subject(rng, words, component)
    number = str(rng.choice(_NUMBERS))

    def settled(phrase: str, **more: str) -> str:
        return fill(vary(phrase, rng), component, subject, k=number, **more).strip()

    said, actual, title_slots = _said(rng, words, kind, problem, settled)
    expected = _expected(rng, words, kind, problem, settled)
    quoted = {"actual": actual or "", "expected": expected or "", "ask": said.ask.strip("¿? "), **title_slots}
    title = capital(fill(problem.title, component, subject, **quoted))
    impact, priority = _impact(rng, words, kind, problem)
    listed = kind in _FAULTS and rng.random() < 0.13
    version = draw_version(rng) if rng.random() < (0.47 if kind in _FAULTS else 0.12) else None
    platform = draw_platform(rng) if rng.random() < (0.42 if kind in _FAULTS else 0.1) else None
    issue = Issue(
        title=title,
        type=kind,
        priority=priority,
        component=None if unnamed else bare(component),
        version=version,
        platform=platform,
        steps=_steps(rng, words, said.do, settled) if listed else (said.do,) if said.do else (),
        expected=expected,
        actual=actual,
        estimated_hours=rng.choice(_HOURS) if rng.random() < 0.06 else None,
    )
    other_platform = draw_platform(rng) if rng.random() < 0.1 else None
    return Case(
        issue=issue,
        language=language,
        phrases=phrases,
        domain=domain,
        component=component,
        subject=subject,
        problem=problem,
        said=said,
        listed=listed,
        impact=impact,
        other_version=_other(rng, version) if rng.random() < 0.15 else None,
        other_platform=other_platform if other_platform and _apart(other_platform, platform) else None,
        latest=version is None and rng.random() < 0.1,
        lost=str(rng.randrange(2, 9)) if "lost" in words.says and rng.random() < 0.05 else "",
    )


def _component(rng: Random, words: Bank, domain: str, unseen: str) -> str:
    """A part of a product; code and controls belong to no domain that is held out."""
    kind = rng.random()
    if not unseen and kind < 0.14:
        return draw_identifier(rng)
    if not unseen and kind < 0.28:
        return draw_control(rng)
    return vary(rng.choice(words.domains[domain]), rng)


def _subject(rng: Random, words: Bank, component: str) -> str:
    """What a message calls the part: with an article or a pronoun, code as it stands."""
    if any(mark in component for mark in "_/.(-\"'>") or component[1:] != component[1:].lower():
        return rng.choice((component, component, f"`{component}`"))
    called = rng.choice(words.subjects).format(c=component)
    several = words.wholes and component.endswith("s") and not component.endswith(("ss", "us"))
    return f"{called} {rng.choice(words.wholes)}" if several else called


def _said(
    rng: Random, words: Bank, kind: str, problem: Problem, settled: Settled
) -> tuple[Said, str | None, dict[str, str]]:
    """The problem in words, what happens, and the slots of its title that those do not fill."""
    do = settled(problem.do) if problem.do else ""
    when = settled(problem.when) if problem.when else ""
    if not (do or when) and kind in _FAULTS and words.actions and rng.random() < 0.55:
        if rng.random() < 0.6 or not words.conditions:
            do = settled(rng.choice(words.actions))
        else:
            when = settled(rng.choice(words.conditions))
    if problem.ask is not None:
        slots = {}
        if "{does}" in problem.ask:
            slots["does"] = settled(rng.choice(words.does["bug"][rng.choice(("high", "medium", "low"))]))
        return Said("", "", "", "", settled(problem.ask, **slots)), slots.get("does"), slots
    if problem.actual is None:
        return Said("", "", "", "", ""), None, {}
    actual = settled(problem.actual)
    by_itself = problem.clause.startswith("{s} ")
    clause = f"{settled('{s}')} {actual}" if by_itself else actual
    return Said(do, when, clause, actual if by_itself else "", ""), actual, {}


def _expected(rng: Random, words: Bank, kind: IssueType, problem: Problem, settled: Settled) -> str | None:
    """What is wished for; of a fault, what should be, which people seldom say."""
    if kind == "feature":
        return settled(problem.expected or "")
    if rng.random() > 0.2:
        return None
    phrase = problem.expected or (rng.choice(words.hopes[kind]) if kind in words.hopes else None)
    return settled(phrase) if phrase else None


def _impact(rng: Random, words: Bank, kind: IssueType, problem: Problem) -> tuple[str, Priority]:
    """A sentence that states a priority near the problem's own, and that; "" where the problem speaks for itself."""
    if rng.random() > 0.55:
        return "", problem.p
    at = _LEVELS.index(problem.p)
    level = _weighted(rng, {name: (6, 2, 0, 0)[abs(at - place)] for place, name in enumerate(_LEVELS)})
    return vary(rng.choice(words.impact[level]), rng).strip(), level


def _weighted(rng: Random, weights: Mapping[Drawn, int]) -> Drawn:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _steps(rng: Random, words: Bank, do: str, settled: Settled) -> tuple[str, ...]:
    """Steps in a list, the last of them what the message says that the person did."""
    phrases = rng.sample(words.steps, rng.randint(1 if do else 2, min(4, len(words.steps))))
    steps = [settled(phrase) for phrase in phrases]
    steps += [do] if do and do not in steps else []
    return tuple(map(capital, steps)) if rng.random() < 0.6 else tuple(steps)


def _other(rng: Random, version: str | None) -> str:
    while "." not in (drawn := draw_version(rng)) or (version is not None and (drawn in version or version in drawn)):
        pass
    return drawn


def _apart(one: str, other: str | None) -> bool:
    return other is None or (one not in other and other not in one)


assert set(_TYPE_WEIGHTS) == set(TYPES) and {*LANGUAGE_WEIGHTS, HELD_OUT_LANGUAGE} == set(LANGUAGES)
