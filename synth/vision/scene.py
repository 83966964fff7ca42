"""What every kind of scene offers, and the question type that they share.

A scene is sampled first and rendered second; a question's answer comes from the scene's data and never from the
picture. The module does not draw and does not choose splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol, TypeVar

from synth.scoring.names import EXACT
from synth.vision.canvas import Canvas


class Rejected(Exception):
    """This question cannot be asked of this scene; the reason is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SceneQuestion(NamedTuple):
    """op: the kind of question; args: the numbers and names it was made from; scorer: key of evaluate's scorers."""

    op: str
    text: str
    answer: str
    reasoning: str
    args: dict[str, Any]
    scorer: str = EXACT


class Scene(Protocol):
    """One sampled picture, before rendering."""

    @property
    def kind(self) -> str: ...

    def as_json(self) -> dict[str, Any]:
        """The data that the picture shows, enough for the independent checker."""
        ...

    def seen(self) -> str:
        """The transcription that opens a rationale: what a careful reader would write down first."""
        ...

    def draw(self, canvas: Canvas) -> None: ...

    def ops(self) -> Sequence[str]:
        """Question operations that this kind of scene can be asked."""
        ...

    def ask(self, op: str, rng: Random) -> SceneQuestion:
        """Raises Rejected with a reason where the question would be ambiguous or give itself away."""
        ...


S = TypeVar("S")
Asker = Callable[[S, Random], SceneQuestion]


def phrase(rng: Random, phrasings: Sequence[str], **values: object) -> str:
    """One phrasing, filled in, with a capital first letter."""
    text = rng.choice(phrasings).format(**values)
    return text[0].upper() + text[1:]


def run_asker(askers: Mapping[str, Asker[S]], scene: S, op: str, rng: Random) -> SceneQuestion:
    """Ask and refuse a question whose own text contains its answer (choices name theirs by design)."""
    question = askers[op](scene, rng)
    words = question.text.lower().replace("?", " ").replace(",", " ").replace(".", " ").split()
    if question.answer.lower() in words and "choices" not in question.args:
        raise Rejected("answer_in_question")
    return question


def count_word(count: int, singular: str) -> str:
    return f"{count} {singular}" if count == 1 else f"{count} {singular}s"
