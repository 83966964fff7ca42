"""Rows and checks that the tables of replies share."""

from __future__ import annotations

from collections.abc import Iterable

from synth.example import Example, make_example, user
from synth.scoring.scorers import score_reply


def row(scorer: str, answer: str | None, question: str = "q", **source: object) -> Example:
    return make_example(
        (user(question),), "t", family="f", template="t", answer=answer, scorer=scorer, source=dict(source)
    )


def misread(cases: Iterable[tuple[Example, str]], right: bool) -> list[str]:
    """Replies whose verdict is not the one that a person gives them, each with what was read out of it."""
    found = []
    for example, reply in cases:
        score = score_reply(reply, example)
        if (score.value == 1.0) is not right:
            found.append(f"{example.answer!r} against {reply!r}: {score}")
    return found
