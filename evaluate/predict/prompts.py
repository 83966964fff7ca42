"""How a system is asked: the task in words, then the row's own prompt, after worked examples or with a schema or both.

The k examples come from the train split and are the same for every row; they are drawn with the plan's seed, one
family after another. It builds messages, not tokens or HTTP bodies.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from evaluate.plan import SystemPlan
from recipes.decode.answer_schema import answer_schema, bare_labels, has_working, record_schema, response_format
from synth.dataset import ids_of
from synth.errors import DataError, RecipeError
from synth.example import AudioPart, Example, Message, assistant, system
from synth.languages import code
from synth.media import resolve_inside
from synth.scoring.scorers import known_scorer
from synth.shelf import Mapped
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


class Questions(Mapped[Example, Question]):
    """What a system is asked about examples, each made when it is read. places: of those that are asked, or all."""

    def __init__(
        self, examples: Sequence[Example], ask: Callable[[Example], Question], places: Sequence[int] | None = None
    ) -> None:
        super().__init__(examples, ask, places)
        self._examples, self._ask, self._asked = examples, ask, places

    def at_places(self, places: Sequence[int]) -> Questions:
        """Those at some places of all questions."""
        assert self._asked is None
        return Questions(self._examples, self._ask, places)

    def ids(self) -> Iterator[str]:
        """The ids of the examples in order; no question is made for that."""
        if self._asked is None:
            return ids_of(self._examples)
        wanted = bytearray(len(self._examples))
        for place in self._asked:
            wanted[place] = 1
        return compress(ids_of(self._examples), wanted)


def ids_asked(questions: Sequence[Question]) -> Iterator[str]:
    """The ids of the examples that questions are about, in order."""
    return questions.ids() if isinstance(questions, Questions) else (one.example_id for one in questions)


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


class Framing(BaseModel):
    """What a system is sent besides a row's own turns, and what its reply is held to.

    `shown`: a JSON schema that the instructions spell out. `form`: the `response_format`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = ""
    shown: JsonDict | None = None
    shots: tuple[Message, ...] = ()
    form: JsonDict | None = None

    def around(self, own: Sequence[Message]) -> tuple[Message, ...]:
        """A row's turns with it: instructions, worked examples, then the row's own turns."""
        instructions = [m.text for m in own if m.role == "system"]
        if self.instruction and self.instruction not in instructions:
            instructions.append(self.instruction)
        if self.shown is not None:
            instructions.append(f"Reply only with a JSON object of this schema:\n{json.dumps(self.shown)}")
        head = [system("\n\n".join(instructions))] if instructions else []
        return (*head, *self.shots, *(m for m in own if m.role != "system"))

    def reply(self, text: str, bare: bool = False) -> str:
        """The answer in a reply to the schema of working and answer, as `Answer: …` or bare; any other as it is."""
        if not has_working((self.form or {}).get("json_schema", {}).get("schema", {})):
            return text
        start, end = text.find("{"), text.rfind("}")
        try:
            record = json.loads(text[start : end + 1])
            answer = str(record["answer"])
            return answer if bare else f"{record.get('working', '')}\nAnswer: {answer}"
        except (ValueError, KeyError, AttributeError, RecursionError):
            return text


class Prompter:
    """Turns examples into questions the way one system plan says."""

    def __init__(self, plan: SystemPlan, train: Sequence[Example], seed: int, media_root: Path) -> None:
        self._root = media_root
        self.shots = pick_shots(train, plan.shots, seed) if plan.with_shots else []
        self.schema = answer_schema(train) if plan.held_to_schema else None
        bounds = record_schema(train, bounded=True) if plan.held_to_schema and plan.kind == "local" else None
        bounds = bounds or (bare_labels(train) if plan.decoding_held else None)
        self.obeyed = bounds or self.schema
        if plan.decoding_held and bounds is None:
            message = f"The answers of this dataset are neither records nor labels, to which {plan.name} could be held."
            raise RecipeError(message, "Choose another prompting.", "plan.schema")
        self.framing = Framing(
            instruction=plan.instruction,
            shown=self.schema if plan.with_schema else None,
            shots=tuple(message for shot in self.shots for message in (*_turns(shot), assistant(shot.target))),
            form=response_format(self.obeyed) if self.obeyed is not None else None,
        )

    def question(self, example: Example) -> Question:
        """The messages for one example: instructions, worked examples, then the row's own turns."""
        messages, spoken = self.framing.around(example.prompt), code(example.source.get("language"))
        return Question(example.id, messages, self._root, self.framing.form, example.tools, spoken)

    def reply(self, text: str, scorer: str) -> str:
        """What the scorer reads: the answer field of a schema reply, as `Answer: …`; anything else as it is.

        A transcript is compared word by word, so that of a schema reply the answer alone is read.
        """
        return self.framing.reply(text, bare=known_scorer(scorer).shape == "transcript")


def _turns(example: Example) -> list[Message]:
    return [message for message in example.prompt if message.role != "system"]


def audio_seconds(question: Question, last_only: bool = False) -> float:
    """Length of the recordings of a question, from their headers; 0 without any, or where none can be read.

    `last_only`: as a transcription endpoint gets it, which is sent no worked examples.
    """
    parts = [part for message in question.messages for part in message.content if isinstance(part, AudioPart)]
    total = 0.0
    for part in parts[-1:] if last_only else parts:
        import soundfile

        with contextlib.suppress(RuntimeError, DataError):  # what libsndfile cannot read, the server may
            total += float(soundfile.info(str(resolve_inside(question.media_root, part.path))).duration)
    return total
