"""How a system is asked: the task in words, then the row's own prompt, after worked examples or with a schema or both.

The k examples come from the train split and are the same for every row; they are drawn with the plan's seed, one
family after another. It builds messages, not tokens or HTTP bodies.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from evaluate.plan import SystemPlan
from recipes.decode.answer_schema import ANSWER_SCHEMA, answer_schema, record_schema, response_format
from synth.errors import RecipeError
from synth.example import Example, Message, assistant, system
from synth.languages import code
from synth.scoring.scorers import known_scorer
from synth.storage import JsonDict


class Question(NamedTuple):
    """What one system is asked about one example. `media_root`: the dataset folder that media paths start from.

    `language`: the code of the one that a recording is said to be in, "" where nothing is said.
    """

    example_id: str
    messages: tuple[Message, ...]
    media_root: Path
    response_format: JsonDict | None = None
    tools: tuple[JsonDict, ...] = ()
    language: str = ""


def pick_shots(train: Iterable[Example], count: int, seed: int) -> list[Example]:
    """`count` examples, families in turn; the same for the same rows and seed."""
    rng = random.Random(f"shots/{seed}")
    families: dict[str, list[Example]] = {}
    for example in train:
        families.setdefault(example.family, []).append(example)
    pools = [rng.sample(rows, len(rows)) for _, rows in sorted(families.items())]
    rng.shuffle(pools)
    turns = max((len(pool) for pool in pools), default=0)
    chosen = [pool[turn] for turn in range(turns) for pool in pools if turn < len(pool)]
    return chosen[:count]


class Prompter:
    """Turns examples into questions the way one system plan says."""

    def __init__(self, plan: SystemPlan, train: Sequence[Example], seed: int, media_root: Path) -> None:
        self._plan = plan
        self._root = media_root
        self.shots = pick_shots(train, plan.shots, seed) if plan.with_shots else []
        self.schema = answer_schema(train) if plan.held_to_schema else None
        bounds = record_schema(train, bounded=True) if plan.held_to_schema and plan.kind == "local" else None
        self.obeyed = bounds or self.schema
        self._form = response_format(self.obeyed) if self.obeyed is not None else None
        if plan.decoding_held and self.schema is ANSWER_SCHEMA:
            message = f"The answers of this dataset are no records, so that {plan.name} cannot be held to a schema."
            raise RecipeError(message, "Choose another prompting.", "plan.schema")

    def question(self, example: Example) -> Question:
        """The messages for one example: instructions, worked examples, then the row's own turns."""
        own = list(example.prompt)
        instructions = [m.text for m in own if m.role == "system"]
        if self._plan.instruction and self._plan.instruction not in instructions:
            instructions.append(self._plan.instruction)
        if self._plan.with_schema:
            instructions.append(f"Reply only with a JSON object of this schema:\n{json.dumps(self.schema)}")
        shown = [message for shot in self.shots for message in (*_turns(shot), assistant(shot.target))]
        head = [system("\n\n".join(instructions))] if instructions else []
        messages, spoken = (*head, *shown, *_turns(example)), code(example.source.get("language"))
        return Question(example.id, messages, self._root, self._form, example.tools, spoken)

    def reply(self, text: str, scorer: str) -> str:
        """What the scorer reads: the answer field of a schema reply, as `Answer: …`; anything else as it is.

        A transcript is compared word by word, so that of a schema reply the answer alone is read.
        """
        if self.schema is not ANSWER_SCHEMA:
            return text
        start, end = text.find("{"), text.rfind("}")
        try:
            record = json.loads(text[start : end + 1])
            answer = str(record["answer"])
            return (
                answer
                if known_scorer(scorer).shape == "transcript"
                else f"{record.get('working', '')}\nAnswer: {answer}"
            )
        except (ValueError, KeyError, AttributeError, RecursionError):
            return text


def _turns(example: Example) -> list[Message]:
    return [message for message in example.prompt if message.role != "system"]
