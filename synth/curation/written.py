"""What a teacher wrote on the way to a row, by the lineage that pipelines keep: the answer of the step that wrote most.

A pipeline asks for several things: a list of topics once, a text for each row, a label for it, a verdict. The writing
step is the one whose different answers hold the most words, so neither the topics nor the verdicts are taken for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from synth.example import Example


def answers_of(lineage: Any) -> dict[str, str]:
    """Asking step → its first answer."""
    found = {}
    for note in lineage if isinstance(lineage, list | tuple) else ():
        answers = note.get("answers") if isinstance(note, Mapping) else None
        if isinstance(answers, list | tuple) and answers:
            found[str(note.get("step", ""))] = str(answers[0])
    return found


def writing_step(rows: Iterable[Example]) -> str | None:
    """The step that wrote these rows; None where no row has a lineage with answers."""
    different: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        for step, answer in answers_of(row.source.get("lineage")).items():
            different[step].add(answer)
    sizes = {step: sum(len(answer.split()) for answer in answers) for step, answers in different.items()}
    return max(sizes, key=lambda step: sizes[step]) if sizes else None
