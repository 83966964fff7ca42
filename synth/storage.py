"""The only code that commits bytes: atomic files and folders, append-only journals, locks, hashes.

A write is: temp file in the same folder, flush, fsync, replace, fsync the folder. A journal is JSONL that is only
appended to; a torn last line (a kill in the middle of a write) is cut when the journal is opened again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from io import BufferedRandom, BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import StorageError
from synth.failpoint import reach
from synth.temporary import sweep_beside, temporary

JsonDict = dict[str, Any]


class JsonLine(NamedTuple):
    """One line of a JSONL file: its number (from 1) and its object, or why it cannot be read."""

    number: int
    value: JsonDict | None
    fault: str


@contextlib.contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        remedy = "Choose a folder that can be written, or free some space."
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.", remedy) from error


def fsync_dir(path: Path) -> None:
    """Make renames in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write `data` under its final name or not at all. Raises StorageError."""
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BufferedWriter]:
    """A file to write, which takes its final name when all is written, or not at all. Raises StorageError."""
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made = temporary(path)
        try:
            with made.open("wb") as file:
                reach("file.open")
                yield file
                file.flush()
                reach("file.written")
                os.fsync(file.fileno())
                reach("file.synced")
            made.replace(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        reach("file.renamed")
        fsync_dir(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write_bytes` for UTF-8 text; halves of surrogate pairs become question marks."""
    atomic_write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, keys in the order given, atomically."""
    atomic_write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _regular(path: str, flags: int) -> int:
    """Open what is a plain file; a pipe or device would be waited for, or never end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file")
    return descriptor


def open_to_append(path: Path) -> BufferedRandom:
    """A journal or log of ours, made where it is missing. Raises OSError for a link, which may lead anywhere."""

    def opener(name: str, flags: int) -> int:
        if Path(name).is_symlink():
            raise OSError(errno.ELOOP, "it is a link to another file")
        descriptor = os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no plain file")
        return descriptor

    return open(path, "ab+", opener=opener)


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[BufferedReader]:
    """A plain file to read. Raises StorageError for anything else, such as a pipe, and when it cannot be read."""
    with _reading(path), open(path, "rb", opener=_regular) as file:
        yield file


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises StorageError when it is absent or torn."""
    try:
        with open(path, "rb", opener=_regular) as file:
            return json.loads(file.read().decode("utf-8"))
    except FileNotFoundError as error:
        raise StorageError(f"{path} does not exist.", "Check the name.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} cannot be read as JSON: {error}.", "Restore it or make it again.") from error


@contextlib.contextmanager
def atomic_dir(target: Path) -> Iterator[Path]:
    """A temp folder beside `target` that takes its name when the block ends well, and vanishes when it does not.

    What killed makers of the same name left goes first. Raises StorageError when `target` exists already: nothing is
    ever overwritten.
    """
    if target.exists():
        raise StorageError(f"{target} exists already.", "Choose another name, or delete it first.")
    with storage_faults(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_beside(target)
        made = temporary(target)
        made.mkdir()
        try:
            reach("dir.made")
            yield made
            reach("dir.filled")
            for file in made.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            reach("dir.synced")
            if target.exists():
                raise StorageError(f"{target} was made by another process meanwhile.", "Choose another name.")
            made.rename(target)
            reach("dir.renamed")
            fsync_dir(target.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a `StorageError` that names `path`, which is read."""
    try:
        yield
    except OSError as error:
        remedy = "Check the name and the disk, or restore it from a copy."
        raise StorageError(f"Cannot read {path}: {error.strerror or error}.", remedy, "storage.read") from error


def read_jsonl(path: Path) -> Iterator[JsonLine]:
    """Lines of a JSONL file, one at a time; a line that is no JSON object comes with its fault instead of a value.

    Raises StorageError when the file cannot be read.
    """
    with open_plain(path) as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                value = json.loads(raw)
            except (ValueError, RecursionError) as error:
                yield JsonLine(number, None, f"not JSON: {error}")
                continue
            if isinstance(value, dict):
                yield JsonLine(number, value, "")
            else:
                yield JsonLine(number, None, "not a JSON object")


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Journal:
    """An append-only JSONL file; each line is on disk when `append` returns (when `durable`).

    Opening cuts a torn last line, so that a killed process never spoils the lines after it.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path = path
        self.durable = durable
        with storage_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open_to_append(path)
            self._cut_torn_tail()

    def _cut_torn_tail(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        kept = size
        while kept > 0:
            step = min(kept, 1 << 16)
            self._file.seek(kept - step)
            newline = self._file.read(step).rfind(b"\n")
            if newline >= 0:
                kept = kept - step + newline + 1
                break
            kept -= step
        if kept < size:
            self._file.truncate(kept)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one object as one line. Raises StorageError when the disk refuses."""
        self.append_line(_compact(row).encode("utf-8", "replace"))
        with storage_faults(self.path):
            self._file.flush()
            reach("journal.written")
        if self.durable:
            self.sync()

    def sync(self) -> None:
        """Return when every line that was appended is on disk. Raises StorageError."""
        with storage_faults(self.path):
            os.fsync(self._file.fileno())
            reach("journal.synced")

    def append_line(self, line: bytes) -> None:
        """Add an object that is JSON already; on disk after `append` or `close`. Raises StorageError."""
        try:
            self._file.write(line + b"\n")
        except OSError:
            with storage_faults(self.path):
                raise

    def close(self) -> None:
        """Flush to disk and close."""
        with storage_faults(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content. Raises StorageError."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DirLock:
    """An OS lock on `<directory>/lock`: it ends with the process, however the process ends."""

    def __init__(self, directory: Path, wait_sec: float = 0.0) -> None:
        from filelock import FileLock

        self.directory = directory
        self.wait_sec = wait_sec
        self._lock = FileLock(str(directory / "lock"), thread_local=False)

    def acquire(self) -> None:
        """Take the lock, within `wait_sec`. Raises StorageError when another process holds it all that time."""
        from filelock import Timeout

        with storage_faults(self.directory / "lock"):
            try:
                self._lock.acquire(timeout=self.wait_sec)
            except Timeout as error:
                message = f"{self.directory} is in use by another process."
                raise StorageError(message, "Wait for it to end, or stop it first.", "storage.locked") from error
            reach("lock.taken")

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def held_elsewhere(self) -> bool:
        """Whether any other holder (process or object) has the lock. Raises StorageError where that is unknown."""
        from filelock import FileLock, Timeout

        if not (self.directory / "lock").exists():
            return False
        probe = FileLock(str(self.directory / "lock"), thread_local=False)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # whoever runs would be taken for lost
                with storage_faults(self.directory / "lock"):
                    raise
            return False  # of a disk that cannot be written, on which nobody works
        probe.release()
        return False

    def __enter__(self) -> DirLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
