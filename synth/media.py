"""Where a medium lies: the one place that turns a reference of a row into a path on disk.

    check_reference(path)             what a message part may hold; asked when the part is made
    resolve_inside(folder, path)      the file, or a DataError; asked by everything that opens one

It opens nothing and knows no format. Generators hand bytes to `AddMedia`, a sink that answers with the reference.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

from synth.errors import DataError

AddMedia = Callable[[bytes, str], str]
"""Takes the bytes of a medium and its suffix (`.png`); returns the reference."""
ReadMedia = Callable[[str], bytes]
"""Takes a reference; returns the bytes. Raises DataError."""

REASONS = {
    "broken": "{} is broken",
    "cancelled": "{}'s channels cancel each other out",
    "empty": "{} is empty",
    "frames": "{} holds several frames or pages",
    "irregular": "{} is no regular file",
    "missing": "{} is missing",
    "outside": "{} lies outside the folder",
    "too_large": "{} is too large",
    "too_long": "{} is too long",
}
"""What is wrong with a medium, by the second word of a code such as `picture.broken`, as counted reasons say it."""

_DRIVE = re.compile(r"[A-Za-z]:")


def check_reference(path: str) -> str:
    """The path as it is. Raises ValueError unless it is relative, with forward slashes and without `..` or NUL."""
    if not path or "\0" in path:
        raise ValueError("a medium's path is empty or holds a NUL")
    if "\\" in path:
        raise ValueError("a medium's path has a backslash; write it with forward slashes")
    if path.startswith("/") or _DRIVE.match(path):
        raise ValueError("a medium's path must be relative to the dataset's folder")
    if ".." in path.split("/"):
        raise ValueError("a medium's path must not lead out of the dataset's folder")
    return path


def reason(error: DataError) -> str:
    """Why a medium cannot be used, as rows that are set aside are counted: `picture.broken` -> "picture is broken"."""
    what, _, fault = error.code.partition(".")
    return REASONS[fault].format(what) if fault in REASONS else error.code


def resolve_inside(folder: Path, path: str, what: str = "medium") -> Path:
    """The absolute path of a regular file in `folder`, links followed.

    Raises DataError: the path leads outside, there is no such file, or it is a folder, pipe, device or socket, which
    reading could wait on forever. `what` is how messages call it, and the first word of their codes.
    """
    shown = path.replace("\0", "?")[:120]
    try:
        root = folder.resolve()
        file = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a circle of links
        raise DataError(f"No file can be called '{shown}'.", "Remove that row.", f"{what}.missing") from error
    if not file.is_relative_to(root):
        message = f"The {what} '{shown}' lies outside the dataset's folder."
        raise DataError(message, "Remove that row.", f"{what}.outside")
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        message = f"The {what} '{shown}' is not there or cannot be read."
        raise DataError(message, "Restore the file, or remove that row.", f"{what}.missing") from error
    if not stat.S_ISREG(mode):
        raise DataError(f"The {what} '{shown}' is no regular file.", "Remove that row.", f"{what}.irregular")
    return file


def read_inside(folder: Path, path: str, what: str = "medium") -> bytes:
    """The bytes of `resolve_inside`. Raises DataError, also when the disk refuses."""
    file = resolve_inside(folder, path, what)
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"The {what} {path} cannot be read: {error.strerror}."
        raise DataError(message, "Restore it.", f"{what}.missing") from error
