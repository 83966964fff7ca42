"""Faults of disks, processes and other people's files that no other tests cover: a sentence, and nothing is lost."""

from __future__ import annotations

import builtins
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

import psutil
import pytest

from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run, Stopped
from recipes.text import rows
from studio.engines import turns
from synth.dataset import DatasetDir, DatasetWriter
from synth.errors import DataError, ModelError, StorageError
from synth.importing.importer import Options, import_data
from synth.jobdir import JobDir
from synth.storage import Journal, atomic_dir, atomic_write_text
from synth.workspace import Workspace
from tests.tiny import sums_dataset, tiny_llama

ROOT = Path(__file__).resolve().parents[2]


# --- storage


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_every_step_of_a_write_may_fail_and_the_old_file_stays(
    step: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    atomic_write_text(target, "old")

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*(os, "fsync") if step == "fsync" else (Path, step), refuse)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=re.escape(os.strerror(code))):
        atomic_write_text(target, "new")
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_journal_on_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(tmp_path / "j.jsonl") as journal:
        with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left"):
            patch.setattr(os, "fsync", full)
            journal.append({"n": 1})
        journal.append({"n": 2})


def test_of_two_processes_that_make_one_name_the_second_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "name"
    with pytest.raises(StorageError, match="by another process"), atomic_dir(target) as mine:
        (mine / "a").write_text("mine")
        with atomic_dir(target) as theirs:
            (theirs / "a").write_text("theirs")
    assert [p.read_text() for p in tmp_path.rglob("a")] == ["theirs"]


def test_a_dataset_of_a_later_format_or_with_a_damaged_card_is_a_sentence(workspace: Workspace) -> None:
    folder = sums_dataset(workspace.datasets / "sums", train=1, val=1)
    card = json.loads((folder / "dataset.json").read_text())
    for changes, code, words in (
        ({"version": 2}, "data.newer", "format 2"),
        ({"rows_in": "many"}, "data.card", "rows_in"),
        ({"surprise": 1}, "data.card", "surprise"),
    ):
        (folder / "dataset.json").write_text(json.dumps({**card, **changes}))
        with pytest.raises(DataError, match=words) as caught:
            DatasetDir(folder)
        assert caught.value.code == code


# --- data


def test_training_on_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match="no rows to learn from"):
        rows.encode([], None, Data())


def test_media_are_stored_under_names_of_our_own(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path)
    stored = writer.add_media(b"picture", ".png")
    assert re.fullmatch(r"media/[0-9a-f]{64}\.png", stored)
    assert (tmp_path / stored).read_bytes() == b"picture"


def test_addresses_found_in_data_are_never_fetched(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    lines = ["path,question,answer", "http://127.0.0.1:9/a.png,What?,a", "//127.0.0.1/b.png,What?,b"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    with pytest.raises(DataError):
        import_data(tmp_path / "rows.csv", "mine", workspace, Options("vision"))


# --- other people's models


def model_with_code(folder: Path, **config: Any) -> Path:
    """A model that names code of its own, which leaves a trace if it ever runs."""
    tiny_llama(folder)
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    for name, value in (
        ("config.json", {"auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}, **config}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}),
    ):
        known = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**known, **value}))
    return folder


def test_a_models_own_code_is_neither_run_nor_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("the user was asked"))
    known = model_with_code(tmp_path / "known")
    assert load_for_inference(str(known)).info.params > 0
    unknown = model_with_code(tmp_path / "unknown", model_type="no-such-type")
    with pytest.raises(ModelError):
        load_for_inference(str(unknown))
    assert not list(tmp_path.rglob("ran"))


# --- processes


def test_a_second_training_waits_for_its_turn_and_can_be_taken_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "POLL_SEC", 0.01)
    sums_dataset(workspace.datasets / "sums", train=1, val=1)
    recipe = load_recipe({"base_model": "b", "data": {"dataset": "sums"}})
    first, second = (Run.create(workspace, recipe, name) for name in ("first", "second"))
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            with turns.turn(second):
                pass
        except Stopped as stop:
            ended.append(stop)

    with turns.turn(first):
        waiting = threading.Thread(target=wait)
        waiting.start()
        old = time.time() - 60
        os.utime(second.path, (old, old))
        time.sleep(0.1)
        assert second.status() == "queued"
        second.request_stop()
        waiting.join(timeout=10)
    assert len(ended) == 1
    with turns.turn(second):
        assert not (second.path / "queued").exists(), "whoever has the turn waits no more"


def test_a_worker_that_is_killed_is_lost_at_once_though_it_began_just_now(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    assert job.status() == "queued"
    with job.hold():
        job.emit("phase", name="loading")
    assert job.status() == "lost"


STARTER = (
    "import os, signal, sys; from pathlib import Path\n"
    "from studio.engines import jobs; from synth.workspace import Workspace\n"
    "settings = {'train': int(sys.argv[3]), 'val': 2, 'test': 2, 'test_ood': 2}\n"
    "arguments = {'generator': 'math', 'settings': settings, 'name': sys.argv[2]}\n"
    "jobs.start_task(Workspace(Path(sys.argv[1])), 'synth', arguments, sys.argv[2])\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)


def start_and_die(workspace: Workspace, name: str, count: int) -> JobDir:
    """Start work from a process that is killed right after, as a studio may be."""
    command = [sys.executable, "-c", STARTER, str(workspace.path), name, str(count)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    return JobDir(workspace.tasks / name)


def until(job: JobDir, *wanted: str, seconds: float = 240) -> str:
    deadline = time.monotonic() + seconds
    while (status := job.status()) not in wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


def processes_of(job: JobDir) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(job.path) in (p.info["cmdline"] or [])]


def test_work_outlives_whoever_started_it(workspace: Workspace) -> None:
    job = start_and_die(workspace, "small", 20)
    assert until(job, "done", "failed", "lost") == "done"
    assert DatasetDir(workspace.datasets / "small").count("train") == 20


def test_stopped_work_leaves_no_process_and_no_half_dataset(workspace: Workspace) -> None:
    job = start_and_die(workspace, "endless", 1_000_000)
    assert until(job, "running", "failed", "lost") == "running"
    job.request_stop()
    assert until(job, "stopped", "done", "failed", "lost") == "stopped"
    deadline = time.monotonic() + 60
    while processes_of(job) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(job) == []
    assert not (workspace.datasets / "endless").exists()


# --- versions of libraries

FLOORS = {"torch": (2, 6), "transformers": (5, 3), "streamlit": (1, 54), "jinja2": (3, 1, 6), "filelock": (3, 20, 3)}


def test_libraries_are_at_least_the_versions_without_known_holes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    for name, floor in FLOORS.items():
        for line in (next(w for w in wanted if re.split(r"[><=\[]", w)[0] == name), *pins):
            if re.split(r"[><=\[]", line)[0].lower() == name:
                version = tuple(map(int, re.findall(r"\d+", line.split("=")[-1].split("+")[0])))
                assert version >= floor, line
