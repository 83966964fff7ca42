"""Wraps rows in a system message, earlier turns, or worked examples in one message, as few-shot prompts do."""

import random
from collections.abc import Callable

from recipes.starters.text_data.row import SYSTEMS, Role, Row

Generator = Callable[[random.Random], Row]
_LONGEST_CHARACTERS = 900


def _block(rng: random.Random, shots: list[Row], last: Row) -> str:
    labels = rng.choice(
        (
            ("Example: {q}\n{a}\n\n", "Now you: {q}"),
            ("Q: {q}\nA: {a}\n\n", "Q: {q}\nA:"),
            ("Problem: {q}\nSolution: {a}\n\n", "Problem: {q}\nSolution:"),
            ("Question: {q}\n{a}\n\n", "Question: {q}"),
            ("### Input\n{q}\n### Output\n{a}\n\n", "### Input\n{q}\n### Output"),
        )
    )
    head = rng.choice(("", "", "Solve like the examples.\n\n", "Here are examples.\n\n"))
    done = "".join(labels[0].format(q=shot.prompt[-1][1], a=shot.target) for shot in shots)
    return head + done + labels[1].format(q=last.prompt[-1][1])


def with_examples(rng: random.Random, generate: Generator) -> Row:
    """One to four rows of the same generator as examples before the last; fewer where they would be too long."""
    row = generate(rng)
    shots: list[Row] = []
    used = len(row.prompt[-1][1]) + len(row.target)
    for _ in range(rng.randint(1, 4)):
        shot = generate(rng)
        used += len(shot.prompt[-1][1]) + len(shot.target)
        if used > _LONGEST_CHARACTERS:
            break
        shots.append(shot)
    if not shots:
        return row
    if rng.random() < 0.5:
        earlier: list[tuple[Role, str]] = []
        for shot in shots:
            earlier += [("user", shot.prompt[-1][1]), ("assistant", shot.target)]
        return row._replace(prompt=(*earlier, *row.prompt))
    return row._replace(prompt=(("user", _block(rng, shots, row)),))


def with_system(rng: random.Random, row: Row) -> Row:
    """The same row under a system message."""
    return row._replace(prompt=(("system", rng.choice(SYSTEMS)), *row.prompt))
