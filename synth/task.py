"""The task card of a dataset: what a model is asked to do, of which kind that is, and how an answer must look.

Generators write it, imports guess it (`guess_task_card`), people change it (`synth.curation.amend.set_task`). It holds
no prompt of any system; those are built from it where a model is asked.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from synth.example import AudioPart, Example, ImagePart, media_parts
from synth.storage import sha256_bytes

TaskKind = Literal["classification", "extraction", "question_answering", "free_text", "picture_questions", "dictation"]
KINDS: dict[TaskKind, str] = {
    "classification": "Classification",
    "extraction": "Extraction",
    "question_answering": "Question answering",
    "free_text": "Free text",
    "picture_questions": "Questions about pictures",
    "dictation": "Dictation",
}
"""Kinds and what they are called."""
_OF_PART: dict[TaskKind, type] = {"picture_questions": ImagePart, "dictation": AudioPart}
GUESSED_FROM = 200
"""Rows, of all, whose form a task card is guessed from."""
MAX_LABELS = 50
LEAST_REPEATS = 2
"""Rows of each label, on average, where a person says that the answers are labels."""
_LABEL_CHARS, _LABEL_REPEATS = 60, 4
_SHORT_WORDS = 12
_MOST = 0.9
"""Share of rows that must look alike for the card to say so."""


def kinds_for(part: type | None) -> list[TaskKind]:
    """The kinds that rows with this medium, or with none, can have."""
    return [kind for kind in KINDS if _OF_PART.get(kind, part) == part]


class TaskCard(BaseModel):
    """What a dataset asks of a model.

    Attributes:
        instruction: what to do, as a person would be told; "" when the rows' own prompts say it all.
        labels: the answers that there are (classification) → what each means, or "".
        answer_format: how the answer must look, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = Field(default="", title="Instruction", description="As you would give it to a person.")
    kind: TaskKind = Field(default="question_answering", title="Kind of task")
    labels: dict[str, str] = Field(default={}, title="Labels", description="The answers that there are.")
    answer_format: str = Field(default="", title="Answer format", description="How the answer must look.")

    def sha256(self) -> str:
        """Hex digest of the card's content."""
        return sha256_bytes(json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False).encode())

    def in_words(self) -> str:
        """The card as one instruction: what to do, the answers that there are, how the answer must look."""
        labels = "\n".join(f"- {label}{f': {meaning}' if meaning else ''}" for label, meaning in self.labels.items())
        parts = [
            self.instruction,
            f"The possible answers:\n{labels}" if labels else "",
            f"Answer with {self.answer_format}." if self.answer_format else "",
        ]
        return "\n".join(part for part in parts if part)

    def markdown(self) -> str:
        """The card as a paragraph and a list for the dataset's README."""
        parts = [f"Task: {KINDS[self.kind].lower()}.", self.instruction]
        parts += [f"Answer: {self.answer_format}."] if self.answer_format else []
        lines = [" ".join(part for part in parts if part)]
        lines += [f"- `{label}`{f': {meaning}' if meaning else ''}" for label, meaning in self.labels.items()]
        return "\n".join(lines)


class Guess:
    """What a task card is guessed from: a sample of the rows, each as likely, and the counts of all their answers.

    Rows come one at a time; what is held does not grow with them.
    """

    def __init__(self) -> None:
        self.sample: list[Example] = []
        self.answers: Counter[str] | None = Counter()
        """Of all rows; None once they are too many to be labels."""
        self.rows = 0
        self._random = random.Random(0)

    def add(self, example: Example) -> None:
        """One more row."""
        self.rows += 1
        if len(self.sample) < GUESSED_FROM:
            self.sample.append(example)
        elif (place := int(self._random.random() * self.rows)) < GUESSED_FROM:
            self.sample[place] = example
        if self.answers is not None:
            self.answers[example.answer or ""] += 1
            if len(self.answers) > 2 * MAX_LABELS:
                self.answers = None

    def card(self) -> TaskCard:
        """What the rows look like. Whoever knows better edits it."""
        if not self.sample:
            return TaskCard(kind="free_text")
        media = [part for example in self.sample for part in media_parts(example)]
        instruction = _shared_system(self.sample)
        if any(isinstance(part, AudioPart) for part in media):
            said = instruction or "Transcribe the recording."
            return TaskCard(kind="dictation", instruction=said, answer_format="the transcript and nothing else")
        ending, labels = _ending(self.sample), {} if self.answers is None else labels_in(self.answers)
        if sum(map(numeric, labels)) > len(labels) / 2:
            labels = {}  # a person may say that these are labels
        form = ending or "one of the labels and nothing else"
        if any(isinstance(part, ImagePart) for part in media):
            if labels and len({example.prompt[-1].text for example in self.sample}) == 1:
                return TaskCard(kind="classification", instruction=instruction, labels=labels, answer_format=form)
            return TaskCard(kind="picture_questions", instruction=instruction, answer_format=ending)
        if keys := _record_keys(self.sample):
            said = instruction or f"Extract these fields from the text: {', '.join(keys)}."
            form = f"a JSON object with the keys {', '.join(keys)}"
            return TaskCard(kind="extraction", instruction=said, answer_format=form)
        if labels:
            said = instruction or f"Say which of these the text is: {', '.join(labels)}."
            return TaskCard(kind="classification", instruction=said, labels=labels, answer_format=form)
        answers = [example.target if example.answer is None else example.answer for example in self.sample]
        unknown = all(example.answer is None for example in self.sample)
        if unknown or _share(len(a.split()) > _SHORT_WORDS for a in answers):
            return TaskCard(kind="free_text", instruction=instruction)
        return TaskCard(kind="question_answering", instruction=instruction, answer_format=ending)


def guess_task_card(rows: Iterable[Example]) -> TaskCard:
    """What these rows look like, see `Guess`."""
    guess = Guess()
    for example in rows:
        guess.add(example)
    return guess.card()


def _share(flags: Iterable[bool], least: float = 0.5) -> bool:
    found = list(flags)
    return sum(found) > least * len(found)


def _shared_system(examples: Sequence[Example]) -> str:
    """The system message that nearly all rows have."""
    texts = Counter(m.text for example in examples for m in example.prompt[:1] if m.role == "system")
    text, count = texts.most_common(1)[0] if texts else ("", 0)
    return text if count >= _MOST * len(examples) else ""


def _ending(examples: Sequence[Example]) -> str:
    """How targets that are more than the answer end."""
    worked = [e for e in examples if e.answer and e.target.rstrip().endswith(f"\nAnswer: {e.answer}")]
    if len(worked) >= _MOST * len(examples):
        return "the working, then a last line `Answer: …`"
    return ""


def _record_keys(examples: Sequence[Example]) -> list[str]:
    """The keys of answers that are JSON objects, the commonest first; empty when most are none."""
    keys: Counter[str] = Counter()
    records = 0
    for example in examples:
        record = _record(example.answer or example.target)
        if record is not None:
            records += 1
            keys.update(map(str, record))
    return [key for key, _ in keys.most_common(40)] if records >= _MOST * len(examples) else []


def _record(text: str) -> Mapping[str, object] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def labels_in(answers: Mapping[str, int], repeats: int = _LABEL_REPEATS) -> dict[str, str]:
    """The answers (→ their rows) as labels, the commonest first, when they are few short texts that come again, each
    `repeats` times on average; else none.
    """
    few = 2 <= len(answers) <= min(MAX_LABELS, sum(answers.values()) / repeats)
    if not few or not all(0 < len(answer) <= _LABEL_CHARS and "\n" not in answer for answer in answers):
        return {}
    return dict.fromkeys(sorted(answers, key=lambda answer: -answers[answer]), "")


def numeric(text: str) -> bool:
    """Whether it holds a number and is no code or range: `3`, `-1`, `5 kg`, but not `P1` or `<1`."""
    return any(c.isdigit() for c in text) and not (text[0].isalpha() or text[0] in "<>≤≥~")
