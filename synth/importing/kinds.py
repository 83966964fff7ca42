"""What rows of each modality need when they are imported: the one place here that knows modalities apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from synth.audio.generate import INSTRUCTION
from synth.audio.grammar import text_id
from synth.example import ImagePart, Message
from synth.scoring import names

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif")
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
        endings: of the names of files that rows name; () for plain text.
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
    endings: tuple[str, ...] = ()


ROW_KINDS: dict[str, RowKind] = {
    "text": RowKind("question_answer", names_all_columns=True),
    "vision": RowKind(
        "pictures",
        "images",
        "picture",
        renames={"path": "images"},
        shared=_picture,
        unit="picture",
        endings=PICTURE_SUFFIXES,
    ),
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
        endings=SOUND_SUFFIXES,
    ),
}


def names_files(rows: Sequence[Mapping[str, object]], column: str, endings: tuple[str, ...]) -> bool:
    """Whether every cell of a column that is filled, of which there is one, ends as the name of such a file."""
    cells = [cell for row in rows if (cell := row.get(column)) not in (None, "")]
    return bool(cells) and all(isinstance(c, str) and c.strip().casefold().endswith(endings) for c in cells)


def file_columns(rows: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
    """(modality, column) for each column that names pictures or recordings in all rows that fill it."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    kinds = [(modality, kind.endings) for modality, kind in ROW_KINDS.items() if kind.endings]
    return [(modality, c) for c in columns for modality, endings in kinds if names_files(rows, c, endings)]
