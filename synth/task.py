"""The task card of a dataset: what a model is asked to do, of which kind that is, and how an answer must look.

Generators write it, imports guess it (`guess_task_card`), people change it (`synth.curation.amend.set_task`). It holds
no prompt of any system; those are built from it where a model is asked.
"""

from __future__ import annotations

import json
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
MAX_LABELS = 50
_LABEL_CHARS, _LABEL_REPEATS = 60, 4
_SHORT_WORDS = 12
_MOST = 0.9
"""Share of rows that must look alike for the card to say so."""


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


def guess_task_card(rows: Iterable[Example]) -> TaskCard:
    """What these rows look like; 200 or so are enough. A guess: whoever knows better edits it."""
    examples = list(rows)
    if not examples:
        return TaskCard(kind="free_text")
    media = [part for example in examples for part in media_parts(example)]
    instruction = _shared_system(examples)
    if any(isinstance(part, AudioPart) for part in media):
        said = instruction or "Transcribe the recording."
        return TaskCard(kind="dictation", instruction=said, answer_format="the transcript and nothing else")
    ending = _ending(examples)
    if any(isinstance(part, ImagePart) for part in media):
        return TaskCard(kind="picture_questions", instruction=instruction, answer_format=ending)
    if keys := _record_keys(examples):
        said = instruction or f"Extract these fields from the text: {', '.join(keys)}."
        return TaskCard(
            kind="extraction", instruction=said, answer_format=f"a JSON object with the keys {', '.join(keys)}"
        )
    if labels := _labels(examples):
        said = instruction or f"Say which of these the text is: {', '.join(labels)}."
        form = ending or "one of the labels and nothing else"
        return TaskCard(kind="classification", instruction=said, labels=dict.fromkeys(labels, ""), answer_format=form)
    answers = [example.target if example.answer is None else example.answer for example in examples]
    if all(example.answer is None for example in examples) or _share(len(a.split()) > _SHORT_WORDS for a in answers):
        return TaskCard(kind="free_text", instruction=instruction)
    return TaskCard(kind="question_answering", instruction=instruction, answer_format=ending)


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


def _labels(examples: Sequence[Example]) -> list[str]:
    """The answers, when they are few short words that come again and again; numbers are no labels."""
    answers = Counter(example.answer or "" for example in examples)
    few = len(answers) <= min(MAX_LABELS, len(examples) / _LABEL_REPEATS)
    short = all(0 < len(answer) <= _LABEL_CHARS and "\n" not in answer for answer in answers)
    numbers = sum(any(c.isdigit() for c in answer) for answer in answers)
    if len(answers) < 2 or not few or not short or numbers > len(answers) / 2:
        return []
    return [label for label, _ in answers.most_common()]
