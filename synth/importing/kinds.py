"""What rows of each modality need when they are imported: the one place here that knows modalities apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from synth.audio.generate import INSTRUCTION
from synth.audio.grammar import text_id
from synth.example import ImagePart, Message
from synth.scoring import names

CLASS_QUESTION = "What does the picture show?"
"""What is asked where a picture comes with the name of its class and no question."""


def _nothing(prompt: Sequence[Message], target: str) -> str:
    return ""


def _picture(prompt: Sequence[Message], target: str) -> str:
    hashes = [part.sha256[:24] for message in prompt for part in message.content if isinstance(part, ImagePart)]
    return f"image-{hashes[0]}" if hashes else ""


def _transcript(prompt: Sequence[Message], target: str) -> str:
    return text_id(target)


class RowKind(NamedTuple):
    """Rows of one modality.

    Attributes:
        layout: the usual one, by which columns are guessed and a lack is explained.
        medium, noun: the part that every row needs, and what a person calls it; "" for plain text.
        asks: whether a row needs a question in words; `question` is what is asked where it has none.
        names_all_columns: whether a mapping names every column that is used.
        renames: role of a column → part of a layout, where they differ.
        scorer: of every row; "" where it follows from the answer.
        shared, unit: what makes two rows one sampling unit, from prompt and target ("" = only the same prompt), and
            what a person calls that.
    """

    layout: str
    medium: str = ""
    noun: str = ""
    asks: bool = True
    question: str = ""
    names_all_columns: bool = False
    renames: Mapping[str, str] = {}
    scorer: str = ""
    shared: Callable[[Sequence[Message], str], str] = _nothing
    unit: str = "prompt"


ROW_KINDS: dict[str, RowKind] = {
    "text": RowKind("question_answer", names_all_columns=True),
    "vision": RowKind("pictures", "images", "picture", renames={"path": "images"}, shared=_picture, unit="picture"),
    "audio": RowKind(
        "recordings",
        "audio",
        "recording",
        asks=False,
        question=INSTRUCTION,
        renames={"path": "audio", "transcript": "answer"},
        scorer=names.WER,
        shared=_transcript,
        unit="transcript",
    ),
}
