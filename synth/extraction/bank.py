"""The phrases that messages are made of, by language: YAML files beside this module, read once and checked.

Each language of training has a second bank, `unseen/…`: the same parts of products, in wordings that training never
shows.

What happens goes into a message word for word, which is what makes it recoverable. It draws nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from synth.extraction.schema import IssueType, Priority
from synth.strict import read_yaml, validated

FOLDER = Path(__file__).with_name("phrases")
LANGUAGES = ("en", "de", "es", "fr", "pt")
HELD_OUT_LANGUAGE = "pt"
UNSEEN = "unseen/"
"""Before a language, the name of its bank that training never shows."""
_LENT = ("domains", "held_out_domains", "unnamed", "subjects", "wholes", "doing")

Levels = dict[Priority, tuple[str, ...]]


class Problem(BaseModel):
    """One thing that can be said, as phrases; `p` is its priority by itself.

    `do` is what the person did, `when` a circumstance. `actual` is what happens, `clause` that with its subject.
    `title` may hold `{actual}`, `{expected}`, `{ask}` and `{does}`, the fault that a question is about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    p: Priority
    do: str = ""
    when: str = ""
    actual: str | None = None
    clause: str = ""
    expected: str | None = None
    ask: str | None = None
    noun: bool = False

    @property
    def key(self) -> str:
        """What tells it from others."""
        return self.title if "{n}" in self.title else self.actual or self.expected or self.ask or self.title

    @property
    def title_phrase(self) -> str:
        """The title with the phrases that it quotes."""
        parts = {"actual": self.actual, "expected": self.expected, "ask": (self.ask or "").strip("¿? ")}
        return functools.reduce(lambda title, key: title.replace(f"{{{key}}}", parts[key] or ""), parts, self.title)


class Bank(BaseModel):
    """A language's phrases, see the head of `en.yaml`. `problems` are whole ones, where parts cannot be combined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domains: dict[str, tuple[str, ...]]
    held_out_domains: tuple[str, ...]
    unnamed: tuple[str, ...]
    subjects: tuple[str, ...] = ("{c}",)
    wholes: tuple[str, ...] = ()
    doing: str = "{do}"
    actions: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    problems: dict[IssueType, tuple[Problem, ...]] = {}
    does: dict[IssueType, Levels] = {}
    clauses: dict[IssueType, Levels] = {}
    wishes: dict[Literal["verb", "noun"], tuple[str, ...]] = {}
    asks: Levels = {}
    hopes: dict[IssueType, tuple[str, ...]] = {}
    says: dict[str, tuple[str, ...]]
    steps: tuple[str, ...]
    impact: Levels
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    chatter: tuple[str, ...]
    second: tuple[str, ...]


@functools.cache
def bank(name: str) -> Bank:
    """The phrases of a language, or of `unseen/` and a language, whose parts and grammar are those of the first."""
    phrases = read_yaml(FOLDER / f"{name}.yaml", "phrases")
    if name.startswith(UNSEEN):
        known = read_yaml(FOLDER / f"{name.removeprefix(UNSEEN)}.yaml", "phrases")
        phrases |= {key: known[key] for key in _LENT if key in known}
    return validated(Bank, phrases, "phrases")


@functools.cache
def problems(name: str) -> dict[IssueType, tuple[Problem, ...]]:
    """Everything that can be said with a bank, by type."""
    words = bank(name)
    found = {kind: list(group) for kind, group in words.problems.items()}
    for kind, problem in _combined(words):
        found.setdefault(kind, []).append(problem)
    return {kind: tuple(group) for kind, group in found.items()}


def _combined(words: Bank) -> Iterator[tuple[IssueType, Problem]]:
    """Problems that are made of parts."""
    for kind, levels in words.does.items():
        for p, phrases in levels.items():
            for phrase in phrases:
                yield kind, Problem(title="{N} {actual}", p=p, actual=phrase, clause="{s} " + phrase)
    for kind, levels in words.clauses.items():
        for p, phrases in levels.items():
            for phrase in phrases:
                yield kind, Problem(title="{actual}", p=p, actual=phrase, clause=phrase)
    for form, phrases in words.wishes.items():
        for phrase in phrases:
            yield "feature", Problem(title="{expected}", p="low", expected=phrase, noun=form == "noun")
    for p, phrases in words.asks.items():
        for phrase in phrases:
            title = "Is it intended that {n} {does}" if "{does}" in phrase else "{ask}"
            yield "question", Problem(title=title, p=p, ask=phrase)
