"""Datasets, runs and comparisons in a bucket, so that machines without a common disk share them.

    content/ab/abcdef…            every file once, by the SHA-256 of its bytes
    datasets/NAME.json            a manifest: which files a folder has; written last, and under a condition

A folder is published whole: until its manifest is there, nothing of it can be seen. Two machines that publish one name
are told apart by the store (`Bucket.create`, `Bucket.replace`), not by a lock. The workspace keeps, under `shared/`,
which manifest each of its folders was last equal to: who changed what since is known from that, on both sides.

Nothing is ever merged, and nothing is deleted from the bucket. Sweeps, pipelines' work, logs and the checkpoints of
trainings that are done stay on their machine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from synth.bucket import Address, Bucket, Missing, Taken, Unavailable
from synth.build import check_name
from synth.errors import StorageError, UserError, did_you_mean
from synth.jobdir import JobDir
from synth.published import DAMAGED, MARKS, File, Item, Manifest, item_of, manifest_of, stays
from synth.storage import DirLock, atomic_dir, atomic_write_text, fsync_dir, read_json, sha256_bytes, sha256_file
from synth.temporary import temporary
from synth.workspace import Workspace

ADDRESS = "address.txt"
AT_ONCE = 8
WHOLE_BYTES = 8 << 20  # files up to this are read once, and sent as they were hashed
WAIT_SEC = 600.0

Outcome = Literal["published", "fetched", "unchanged"]
Say = Callable[[str], None]


class Base(NamedTuple):
    """The manifest to which a folder of this workspace was last equal, and what its files looked like then."""

    etag: str
    digest: str
    stamp: str


class Shared:
    """A workspace and the address at which its folders are shared. Every method raises StorageError."""

    def __init__(self, workspace: Workspace, place: Address) -> None:
        self.workspace = workspace
        self.address = place
        self.bucket = Bucket(place)
        self._notes = workspace.path / "shared" / place.folder

    def listed(self) -> dict[Item, str]:
        """What is published, with the tags of the manifests; objects that have no name of one are others' affair."""
        keys = {key: (kind, tag) for kind in MARKS for key, tag in self.bucket.tags(kind).items()}
        return {item: tag for key, (kind, tag) in keys.items() if (item := item_of(kind, key))}

    def here(self) -> list[Item]:
        """The folders of the workspace that can be published."""
        parts = ((kind, self.workspace.path / kind) for kind in MARKS)
        return [
            Item(kind, file.parent.name) for kind, part in parts for file in sorted(part.glob(f"[!.]*/{MARKS[kind]}"))
        ]

    def manifest(self, item: Item) -> tuple[Manifest, str]:
        """What is published under this name, and its tag. Raises Missing."""
        return manifest_of(item, self.bucket.read(item.key))

    def find(self, text: str, known: list[Item]) -> Item:
        """The one of `known` that the text names. Raises StorageError."""
        names = [str(item) for item in known]
        matches = [item for item in known if text in (str(item), item.name)]
        if len(matches) != 1:
            kinds = " or ".join(str(item) for item in matches)
            remedy = f"Write {kinds}." if matches else f"There is {', '.join(names[:20]) or 'nothing'}."
            hint = did_you_mean(text, [*names, *(item.name for item in known)])
            raise StorageError(f"'{text}' names nothing here{hint}.", remedy, "storage.unknown")
        return matches[0]

    def changed(self, item: Item) -> bool:
        """Whether a folder may differ from what it was last equal to, by the looks of its files."""
        base = self.base(item)
        return base is None or base.stamp != _stamp(self._folder(item), list(_files(self._folder(item))))

    def busy(self, item: Item) -> bool:
        """Whether somebody works on the folder, or is about to."""
        return item.kind != "datasets" and JobDir(self._folder(item)).status() in ("queued", "running")

    def publish(self, item: Item, replace: bool = False) -> Outcome:
        """Make a folder of this workspace what others fetch under its name.

        Raises StorageError when somebody works on it, and when others published that name since it was fetched
        (unless `replace`, which also sends every file again, whatever lies there).
        """
        folder = self._folder(item)
        if self.busy(item):
            message = f"{item} is being written and was not published."
            raise StorageError(message, "Publish it when it has ended, or stop it first.", "storage.busy")
        self.bucket.require_conditions("smolstudio.json")
        with DirLock(folder, WAIT_SEC):
            files = list(_files(folder))
            stamp = _stamp(folder, files)
            made = Manifest(
                files=tuple(_hashed(folder, file) for file in files),
                host=socket.gethostname(),
                at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            )
            base, there = self.base(item), self._there(item, replace)
            if there and not replace and there[0].digest == made.digest:
                self._remember(item, Base(there[1], made.digest, stamp))
                return "unchanged"
            if there and not replace and (base is None or base.etag != there[1]):
                raise self._conflict(item, there[0], "published")
            self._send(folder, made, replace)
            if _stamp(folder, list(_files(folder))) != stamp:
                message = f"{item} changed while it was being sent, and was not published."
                raise StorageError(message, "Publish it again when nobody writes there.", "storage.busy")
            etag = self._enter(item, made, there[1] if there else None)
            self._remember(item, Base(etag, made.digest, stamp))
        return "published"

    def fetch(self, item: Item, replace: bool = False) -> Outcome:
        """Make the folder of this workspace what is published under its name.

        Raises StorageError when it was changed here since (unless `replace`), and when what comes is damaged.
        """
        folder = self._folder(item)
        found, etag = self.manifest(item)
        if not folder.exists():
            self._receive(item, found, folder)
        else:
            if self.busy(item):
                message = f"{item} is being written here and was not fetched."
                raise StorageError(message, "Fetch it when it has ended, or stop it first.", "storage.busy")
            with DirLock(folder, WAIT_SEC):
                base = self.base(item)
                own = Manifest(files=tuple(_hashed(folder, file) for file in _files(folder))).digest
                if own == found.digest:
                    self._remember(item, Base(etag, own, _stamp(folder, list(_files(folder)))))
                    return "unchanged"
                if not replace and (base is None or base.digest != own):
                    raise self._conflict(item, found, "fetched")
                fresh = temporary(folder)
                self._receive(item, found, fresh)
                old = temporary(folder)
                folder.rename(old)
                fresh.rename(folder)
                fsync_dir(folder.parent)
                shutil.rmtree(old, ignore_errors=True)
        self._remember(item, Base(etag, found.digest, _stamp(folder, list(_files(folder)))))
        return "fetched"

    def equal_at(self, item: Item) -> float | None:
        """When the folder was last equal to what is published, in seconds since the epoch; None = never."""
        note = self._notes / item.key
        return note.stat().st_mtime if note.is_file() else None

    def know(self) -> None:
        """Keep the address with the workspace, whose pages then offer it."""
        atomic_write_text(self._notes / ADDRESS, f"{self.address}\n")

    def fetch_new(self, say: Say) -> None:
        """Fetch what was published since this workspace last looked; what was deleted here stays so.

        What cannot be fetched, because it is damaged or was changed here too, is told and keeps nothing else away.
        """
        self.know()
        with DirLock(self._notes, WAIT_SEC):  # another command of this machine may be at it
            for item, etag in self.listed().items():
                base = self.base(item)
                seen = base is not None and base.etag == etag
                if seen or self.busy(item):
                    continue
                try:
                    if self.fetch(item) == "fetched":
                        say(f"Fetched {item} from {self.address}.")
                except Unavailable:
                    raise
                except UserError as error:
                    say(f"Not fetched: {error}")

    def publish_made(self, say: Say) -> None:
        """Publish what is here and was made or changed since. Raises the first StorageError after trying all."""
        faults: list[UserError] = []
        for item in self.here():
            if self.busy(item):
                say(f"{item} is still being written; publish it later: smolstudio storage push {self.address} {item}")
                continue
            try:
                if self.changed(item) and self.publish(item) == "published":
                    say(f"Published {item} to {self.address}.")
            except UserError as error:
                faults.append(error)
        if faults:
            raise faults[0]

    def _folder(self, item: Item) -> Path:
        if item.kind not in MARKS:
            raise StorageError(f"There is no kind '{item.kind}'.", f"Choose one of {', '.join(MARKS)}.")
        return self.workspace.path / item.kind / check_name(item.name)

    def _there(self, item: Item, replace: bool) -> tuple[Manifest, str] | None:
        """What is published, and its tag; one that cannot be read holds nothing where it is to be replaced."""
        try:
            stored = self.bucket.read(item.key)
        except Missing:
            return None
        try:
            return manifest_of(item, stored)
        except StorageError as error:
            if replace and error.code == DAMAGED:
                return Manifest(files=()), stored.etag
            raise

    def _send(self, folder: Path, made: Manifest, again: bool) -> None:
        def send(file: File) -> None:
            if not again and self.bucket.size(file.key) == file.bytes:
                return
            source = folder / Path(file.path)
            if file.bytes > WHOLE_BYTES:
                self.bucket.put(file.key, source)
                return
            data = source.read_bytes()
            if sha256_bytes(data) == file.sha256:  # else it changed, which the caller finds
                self.bucket.put(file.key, data)

        _each(send, {file.sha256: file for file in made.files}.values())

    def _enter(self, item: Item, made: Manifest, etag: str | None) -> str:
        data = (made.model_dump_json(indent=1) + "\n").encode()
        try:
            return self.bucket.create(item.key, data) if etag is None else self.bucket.replace(item.key, data, etag)
        except Taken:
            now, tag = self.manifest(item)
            if now.digest == made.digest:  # ours, whose answer was lost, or one that is equal
                return tag
            raise self._conflict(item, now, "published") from None

    def _receive(self, item: Item, found: Manifest, target: Path) -> None:
        with atomic_dir(target) as made:

            def receive(file: File) -> None:
                path = made / Path(file.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as out, contextlib.suppress(Missing):
                    for part in self.bucket.parts(file.key, file.bytes):
                        out.write(part)
                if path.stat().st_size != file.bytes or sha256_file(path) != file.sha256:
                    message = f"{file.path} of {item} at {self.address} is damaged. Nothing of {item} was changed here."
                    remedy = f"Where it was made: smolstudio storage push {self.address} {item} --replace."
                    raise StorageError(message, remedy, DAMAGED)

            _each(receive, found.files)

    def _conflict(self, item: Item, there: Manifest, done: Literal["published", "fetched"]) -> StorageError:
        who = f"{there.host or 'another machine'}, {there.at}" if there.at else "another machine"
        command = "push" if done == "published" else "pull"
        message = f"{item} at {self.address} ({who}) is not what it is here, so that it was not {done}. Both are kept."
        remedy = f"Give yours another name, or choose: smolstudio storage {command} {self.address} {item} --replace."
        return StorageError(message, remedy, "storage.conflict")

    def base(self, item: Item) -> Base | None:
        """What a folder was last equal to; None where nobody knows."""
        try:
            value = read_json(self._notes / item.key)
            return Base(str(value["etag"]), str(value["digest"]), str(value["stamp"]))
        except (StorageError, KeyError, TypeError):
            return None

    def _remember(self, item: Item, base: Base) -> None:
        if not (self._notes / ADDRESS).is_file():
            self.know()
        atomic_write_text(self._notes / item.key, json.dumps(base._asdict()) + "\n")


def working_copy(place: Address) -> Workspace:
    """The folder of this machine in which an address is worked on."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Workspace(Path(data).expanduser().absolute() / "smolstudio" / place.folder)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are shared, in order. Raises StorageError for links and what is no file."""
    ended = JobDir(folder).exit()
    done = ended is not None and ended.verdict == "done"
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        if stays(inside) or (done and inside[0] == "checkpoints"):
            continue
        if file.is_dir() and not file.is_symlink():
            continue
        if file.is_symlink() or not file.is_file():
            message = f"{file} is a link or no plain file, so that {folder.name} is not shared."
            raise StorageError(message, "Put a copy in its place, or remove it.", "storage.link")
        yield file


def _hashed(folder: Path, file: Path) -> File:
    path = file.relative_to(folder).as_posix()
    try:
        return File(path=path, sha256=sha256_file(file), bytes=file.stat().st_size)
    except ValidationError as error:
        message = f"{path} of {folder.name} has a name that other systems cannot have."
        raise StorageError(message, "Rename the file.", "storage.name") from error


def _stamp(folder: Path, files: list[Path]) -> str:
    """What changes when a file is written, without reading any."""
    looks = []
    for file in files:
        found = file.stat()
        looks.append(f"{file.relative_to(folder)} {found.st_size} {found.st_mtime_ns}")
    return sha256_bytes("\n".join(looks).encode("utf-8", "surrogateescape"))


def _each(work: Callable[[File], Any], files: Any) -> None:
    """Do it for all, some at once; the first fault ends it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(work, file) for file in files]
        try:
            for one in waiting:
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
