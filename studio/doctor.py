"""Is this installation sound, and what can this machine do? One finding per question, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from synth.workspace import Workspace

PACKAGES = ("studio", "recipes", "synth", "evaluate")
LIBRARIES = ("torch", "torchaudio", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "streamlit")
MIN_FREE_GB = 5.0


class Finding(NamedTuple):
    """One answer: what was asked, whether it is well, what was found."""

    what: str
    ok: bool
    found: str


def examine(workspace: Workspace) -> list[Finding]:
    """Every finding, cheap ones first. Imports torch; takes a few seconds."""
    return [
        _python(),
        *_packages(),
        *_libraries(),
        _memory(),
        _disk(workspace),
        _writable(workspace),
        _leftovers(workspace),
        *_accelerator(),
        *_starters(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", (3, 11) <= sys.version_info < (3, 14), f"{version} (needs 3.11 to 3.13)")


def _packages() -> list[Finding]:
    """`evaluate` and `recipes` are also names of other distributions: ours must be the ones that are imported."""
    here = Path(__file__).resolve().parents[1]
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        ours = origin is not None and origin.is_relative_to(here)
        remedy = "" if ours else "; another distribution hides it: install smolstudio in its own environment"
        found.append(Finding(f"package {name}", ours, f"{origin}{remedy}"))
    return found


def _libraries() -> list[Finding]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(Finding(name, True, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, False, "missing; run `pip install 'smolstudio[all]'`"))
    return found


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding(
        "machine", True, f"{cores} cores, {memory.total / 2**30:.0f} GiB memory, {memory.available / 2**30:.0f} free"
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(_existing(workspace.path)).free / 2**30
    return Finding("disk", free >= MIN_FREE_GB, f"{free:.0f} GiB free (at least {MIN_FREE_GB:.0f} advised)")


def _writable(workspace: Workspace) -> Finding:
    ok = os.access(_existing(workspace.path), os.W_OK)
    return Finding(
        "workspace", ok, f"{workspace.path}{'' if ok else ' cannot be written; choose another with --workspace'}"
    )


def _leftovers(workspace: Workspace) -> Finding:
    from synth.temporary import leftovers

    found = list(leftovers(workspace))
    size = sum(leftover.bytes for leftover in found) / 1e6
    what = f"{len(found)} of work that was killed, {size:.1f} MB; the next start removes them" if found else "none"
    return Finding("leftovers", True, what)


def _accelerator() -> list[Finding]:
    import torch

    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; work runs on the processor"
    return [
        Finding("gpu", True, gpu),
        Finding("c++ compiler", True, compiler or "none; training works without torch.compile"),
    ]


def _starters() -> list[Finding]:
    from recipes.models.files import STARTERS

    found = []
    for sums in sorted(STARTERS.glob("*/SHA256SUMS")):
        lines = [line.split() for line in sums.read_text("utf-8").splitlines() if line.strip()]
        bad = [name for digest, name in lines if not _matches(sums.with_name(name), digest)]
        remedy = f"{', '.join(bad)} changed; restore from the repository"
        found.append(Finding(sums.parent.name, not bad, remedy if bad else "weights match their checksums"))
    return found


def _matches(file: Path, digest: str) -> bool:
    from synth.storage import sha256_file

    return file.is_file() and sha256_file(file) == digest
