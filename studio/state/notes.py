"""What people write on a run: a note and tags, in `notes.json` beside its recipe, so that no hash knows of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from synth.errors import RunError, StorageError
from synth.jobdir import JobDir
from synth.storage import read_json, write_json

FILE = "notes.json"
LONGEST_NOTE = 20_000
LONGEST_TAG = 40
TAG = re.compile(rf"[\w][\w .+-]{{0,{LONGEST_TAG - 1}}}")


class Notes(NamedTuple):
    """A note (Markdown is not read) and tags, in the order in which they were given."""

    note: str = ""
    tags: tuple[str, ...] = ()


def read_notes(run: Path) -> Notes:
    """The notes of a run directory; empty ones when nobody wrote any. Raises StorageError for a torn file."""
    file = run / FILE
    if not file.is_file():
        return Notes()
    value = read_json(file)
    if not isinstance(value, dict) or not isinstance(value.get("tags", []), list):
        raise StorageError(f"{file} holds no notes.", "Correct or delete it.", "storage.notes")
    return Notes(str(value.get("note", "")), tuple(map(str, value.get("tags", ()))))


def write_notes(run: JobDir, note: str, tags: Iterable[str]) -> Notes:
    """Replace the notes of a run. Raises RunError for a tag that is none, StorageError when the disk refuses."""
    notes = Notes(note.strip()[:LONGEST_NOTE], checked_tags(tags))
    age = run.path.stat()
    write_json(run.path / FILE, notes._asdict())
    os.utime(run.path, ns=(age.st_atime_ns, age.st_mtime_ns))  # a note does not make a run younger; see JobDir.status
    return notes


def checked_tags(words: Iterable[str]) -> tuple[str, ...]:
    """Tags without doubles and outer white space. Raises RunError."""
    tags = tuple(dict.fromkeys(word.strip() for word in words))
    bad = [tag for tag in tags if not TAG.fullmatch(tag)]
    if bad:
        message = f"{bad[0]!r} is no tag."
        raise RunError(message, "Use up to 40 letters, digits, spaces and any of . _ + -.", "run.tag")
    return tags
