"""Every test has its own workspace, no network hub, no keyring, and two threads per operation.

Where tests run side by side it is one thread.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# What is imported and collected stays to the end: the collector need not walk it again and again.
gc.disable()
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does
os.environ.setdefault("SMOLSTUDIO_SPEED_SECONDS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
# Thousands of files are made safe on disk here and thrown away: where memory can hold them, no test waits for a disk.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 8 << 30 and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"  # whoever tests keeps their own keys

import pytest

from synth.workspace import Workspace, resolve_workspace
from tests import raised
from tests.spare import lent

__all__ = ["lent"]
raised.watch()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A fresh workspace, set as SMOLSTUDIO_HOME."""
    monkeypatch.setenv("SMOLSTUDIO_HOME", str(tmp_path / "workspace"))
    monkeypatch.setenv("SMOLSTUDIO_MODELS", str(tmp_path / "models"))
    return resolve_workspace()


@pytest.fixture(autouse=True)
def codes(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test raises the codes of errors that `raised.json` says it does."""
    raised.SEEN.clear()
    yield
    promised = raised.PROMISED[request.node.nodeid]
    assert promised <= raised.SEEN, f"raised.json says that this test raises {sorted(promised - raised.SEEN)}"
