"""What is published in a bucket, as its manifests say: which files a folder has, who published it and when.

Manifests come from outside: whatever in one could harm or mislead is refused here (`synth.shared` sends and fetches).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from synth.bucket import Stored
from synth.build import check_name
from synth.dataset import CARD
from synth.errors import DataError, StorageError
from synth.jobdir import LOG, QUEUED, STOP
from synth.media import check_reference
from synth.storage import sha256_bytes

MARKS = {"datasets": CARD, "runs": "recipe.yaml", "comparisons": "plan.yaml"}
"""What is shared, and the file by which such a folder is known."""
FORMAT = 1
DAMAGED = "storage.damaged"
LOCAL = {"lock", QUEUED, STOP, LOG}


class Item(NamedTuple):
    """One folder of a workspace: `datasets/invoices`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        """Where its manifest lies."""
        return f"{self}.json"


class File(BaseModel):
    """One file of a folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    sha256: str
    bytes: int = Field(ge=0)

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        parts = PurePosixPath(check_reference(path)).parts
        if "/".join(parts) != path or not parts or stays(parts):
            raise ValueError("no path of a shared file")
        return path

    @field_validator("sha256")
    @classmethod
    def _hex(cls, text: str) -> str:
        if len(text) != 64 or set(text) - set("0123456789abcdef"):
            raise ValueError("no SHA-256")
        return text

    @property
    def key(self) -> str:
        """Where its bytes lie."""
        return f"content/{self.sha256[:2]}/{self.sha256}"


class Manifest(BaseModel):
    """What a published folder holds, who published it and when."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    format: int = FORMAT
    files: tuple[File, ...]
    host: str = ""
    at: str = ""

    @field_validator("host", "at")
    @classmethod
    def _shown(cls, text: str) -> str:
        return "".join(filter(str.isprintable, text))[:80]

    @model_validator(mode="after")
    def _each_once(self) -> Manifest:
        paths = [file.path for file in self.files]
        folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
        if len(set(paths)) < len(paths) or folders & set(paths):
            raise ValueError("one path is that of two files")
        return self

    @property
    def digest(self) -> str:
        """Equal for equal folders."""
        return sha256_bytes("\n".join(f"{f.sha256} {f.path}" for f in self.files).encode())

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.bytes for file in self.files)


def manifest_of(item: Item, stored: Stored) -> tuple[Manifest, str]:
    message = f"The manifest of {item} cannot be read, or is none."
    damaged = StorageError(message, "Publish it again from where it was made, with push --replace.", DAMAGED)
    try:
        found = Manifest.model_validate_json(stored.data)
    except ValidationError as error:
        raise damaged from error
    if found.format > FORMAT:
        message = f"{item} was published by a newer smolstudio."
        raise StorageError(message, "Install that version here.", "storage.newer")
    if MARKS[item.kind] not in {file.path for file in found.files}:  # it would lie there, and be no dataset or run
        raise damaged
    return found, stored.etag


def stays(inside: tuple[str, ...]) -> bool:
    """Whether a path of a folder is of this machine alone."""
    return inside[0] in LOCAL or any(part.startswith(".") and part.endswith(".tmp") for part in inside)


def item_of(kind: str, key: str) -> Item | None:
    """What has its manifest under this key; None where the key is no such name."""
    item = Item(kind, PurePosixPath(key).name.removesuffix(".json"))
    try:
        check_name(item.name)
    except DataError:
        return None
    return item if item.key == key else None
