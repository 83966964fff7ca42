"""A file's bytes as UTF-8 without a mark at the beginning, whatever they are packed in or encoded as.

Unpacks gzip, bzip2, xz, Zstandard and zip files with one file inside while reading; writes UTF-16, UTF-32 and
Windows-1252 anew as UTF-8. Knows nothing of rows.
"""

from __future__ import annotations

import codecs
import io
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from synth.errors import DataError

_CHUNK = 1 << 20
_PACKED = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"PK\x03\x04": ".zip",
}
_MARKS = (  # the longer ones first: a UTF-32 mark begins like a UTF-16 one
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LETTERS = bytes([*range(65, 91), *range(97, 123)])
_ACCENTED = bytes([*b"\x83\x8a\x8c\x8e\x9a\x9c\x9e\x9f", *range(0xC0, 0x100)])
_NOT_IN_CP1252 = frozenset(b"\x00\x81\x8d\x8f\x90\x9d")


class Text(NamedTuple):
    """An open file of UTF-8 lines, the name it has when unpacked, and what was done to read it ("" when nothing)."""

    file: IO[bytes]
    name: str
    note: str


def packed_as(head: bytes) -> str:
    """The suffix of the packing that a file with this beginning has; "" for none."""
    return next((suffix for magic, suffix in _PACKED.items() if head.startswith(magic)), "")


def unpack(path: Path) -> tuple[IO[bytes], str]:
    """The unpacked file, open, and its name. A zip file must hold one file. Raises DataError."""
    with readable(path), path.open("rb") as file:
        suffix = packed_as(file.read(8))
    name = path.name.removesuffix(suffix) if suffix else path.name
    if suffix == ".gz":
        import gzip

        return gzip.open(path, "rb"), name  # type: ignore[return-value]
    if suffix == ".bz2":
        import bz2

        return bz2.open(path, "rb"), name
    if suffix == ".xz":
        import lzma

        return lzma.open(path, "rb"), name
    if suffix == ".zst":
        import pyarrow as pa

        return io.BufferedReader(_Arrow(pa.input_stream(str(path), compression="zstd"))), name  # type: ignore[arg-type]
    if suffix == ".zip":
        return _only_member(path)
    return path.open("rb"), name


def open_text(path: Path) -> Text:
    """The file's text as UTF-8. Raises DataError when it is missing, empty, or in no encoding that is known here."""
    with readable(path):
        file, name = unpack(path)
        head = file.read(_CHUNK)
        file.close()
        if not head.removeprefix(codecs.BOM_UTF8).strip():
            raise DataError(f"{path.name} is empty.", "Choose a file with rows.", "data.empty")
        encoding = next((known for mark, known in _MARKS if head.startswith(mark)), "") or _without_mark(head)
        mark = len(next((mark for mark, known in _MARKS if head.startswith(mark) and known == encoding), b""))
        note = ""
        if not encoding:
            sample = _cp1252_line(path)
            encoding = "cp1252" if sample else "utf-8"
            if sample:
                note = f"{path.name} is not UTF-8; it was read as Windows-1252 (cp1252). Check its letters: {sample}"
        elif not encoding.startswith("utf-8"):
            note = f"{path.name} was read as {encoding.removesuffix('-le').removesuffix('-be').upper()}."
        file, _ = unpack(path)
        file.read(mark)
    if encoding != "utf-8":
        return Text(io.BufferedReader(_Recoded(file, encoding, path.name), _CHUNK), name, note)
    return Text(file, name, note)


class readable:
    """Turns what reading a broken or missing file raises into a DataError that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if self.path.exists() and not self.path.is_file():  # a pipe would be waited for, a device has no end
            message = f"{self.path} is no plain file."
            raise DataError(message, "Copy what it holds into one.", "data.unreadable")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import lzma
        import zlib

        if isinstance(error, FileNotFoundError):
            raise DataError(f"There is no file {self.path}.", "Check the path.", "data.missing") from error
        torn = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
        if isinstance(error, (OSError, *torn)):
            reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
            message = f"{self.path} cannot be read: {reason or type(error).__name__}."
            raise DataError(message, "Check the path, or pack the file again.", "data.unreadable") from error


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files in a zip file that a person put there. Raises DataError where one is locked."""
    files = [
        entry
        for entry in archive.infolist()
        if entry.filename  # a torn directory of the archive may lack names
        and not entry.is_dir()
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(entry.filename).parts)
    ]
    if any(entry.flag_bits & 1 for entry in files):
        name = PurePosixPath(archive.filename or "").name
        raise DataError(f"{name} is locked with a password.", "Unpack it first.", "data.format")
    return files


def _only_member(path: Path) -> tuple[IO[bytes], str]:
    archive = zipfile.ZipFile(path)
    try:
        files = members(archive)
        if len(files) != 1:
            message = f"{path.name} holds {len(files)} files."
            raise DataError(message, "Unpack it and import the folder, or the file that has the rows.", "data.format")
    except DataError:
        archive.close()
        raise
    return archive.open(files[0]), PurePosixPath(files[0].filename).name


class _Arrow(io.RawIOBase):
    """A stream of pyarrow as Python's raw one."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Recoded(io.RawIOBase):
    """A file in another encoding, read as UTF-8. A byte that the encoding has not raises DataError."""

    def __init__(self, file: IO[bytes], encoding: str, name: str) -> None:
        self._file, self._name, self._left = file, name, b""
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            data = self._file.read(_CHUNK)
            try:
                self._left = self._decoder.decode(data, final=not data).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                message = f"{self._name} is not {self._encoding.upper()} throughout: {error.reason}."
                raise DataError(message, "Save it as UTF-8.", "data.encoding") from error
            if not data:
                break
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _without_mark(head: bytes) -> str:
    """UTF-16 or UTF-32 by where the zeros of ASCII text stand; "" when it is neither."""
    start = head[:4000]
    if len(start) < 4 or b"\0" not in start:
        return ""
    zeros = [start[place::4].count(0) / max(1, len(start[place::4])) for place in range(4)]
    shapes: tuple[tuple[str, Callable[[int], bool]], ...] = (
        ("utf-32-le", lambda place: place != 0),
        ("utf-32-be", lambda place: place != 3),
        ("utf-16-le", lambda place: place % 2 == 1),
        ("utf-16-be", lambda place: place % 2 == 0),
    )
    for name, expected in shapes:
        if all((share > 0.7) if expected(place) else (share < 0.1) for place, share in enumerate(zeros)):
            return name
    return ""


def _cp1252_line(path: Path) -> str:
    """The first line beyond ASCII, where none is UTF-8 beyond ASCII and every byte means something in Windows-1252.

    Else "". Raises DataError where more than a quarter of the letters are accented, which no language of that encoding
    has: those are Cyrillic, Greek, Japanese and others in encodings of their own.
    """
    file, _ = unpack(path)
    beyond, accented, letters = "", 0, 0
    with file:
        while line := file.readline(_CHUNK):
            letters += len(line) - len(line.translate(None, _LETTERS))
            if line.isascii():
                if b"\0" in line:
                    return ""
                continue
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                if error.reason == "unexpected end of data" and len(line) == _CHUNK:
                    return ""
                if not _NOT_IN_CP1252.isdisjoint(line):
                    return ""
                beyond = beyond or line.decode("cp1252").strip()[:60]
                accented += len(line) - len(line.translate(None, _ACCENTED))
            else:
                return ""
    if 3 * accented > letters:
        message = f"{path.name} is neither UTF-8 nor Windows-1252; as that, a line of it would read: {beyond}"
        raise DataError(message, "Save it as UTF-8.", "data.encoding")
    return beyond
