from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth.errors import StorageError
from synth.jobdir import EVENTS, JobDir

WORKER = (
    "import sys, time; from pathlib import Path; from synth.jobdir import EVENTS, JobDir\n"
    "job = JobDir(Path(sys.argv[1]))\n"
    "with job.hold():\n"
    "    job.emit('step', n=1); print('up', flush=True); time.sleep(60)\n"
)


def worker(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_killed_worker_is_lost_not_running(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    process = worker(job.path)
    assert job.status() == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    old = time.time() - 60
    os.utime(job.path, (old, old))
    assert job.status() == "lost"
    assert [e["n"] for e in job.events("step")] == [1]


def test_second_worker_is_refused(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    process = worker(job.path)
    with pytest.raises(StorageError, match="in use"), job.hold():
        pass
    process.kill()
    process.wait()


def test_exit_decides_the_status_and_a_new_worker_forgets_it(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    with job.hold():
        assert job.status() == "running"
        job.finish("failed", "It broke.", "x")
    assert job.status() == "failed"
    assert job.exit() == ("failed", "x", "It broke.")
    job.request_stop()
    with job.hold():
        assert not job.stop_requested()
        assert job.exit() is None
    assert job.status() == "queued"


def test_work_that_is_asked_for_again_is_queued_while_its_worker_waits_and_lost_once_that_is_dead(
    tmp_path: Path,
) -> None:
    job = JobDir(tmp_path / "job")
    with job.hold():
        job.emit("step", n=1)
        job.finish("stopped", "Stopped after step 1.", "run.stopped")
    waiting = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    job.expect(waiting.pid)
    assert (job.status(), job.exit()) == ("queued", None), "how it ended before says nothing of the worker that waits"
    waiting.kill()
    waiting.wait()
    assert (job.status(), job.exit()) == ("lost", None)
    with job.hold():
        job.finish("done")
    assert job.status() == "done"
    job.expect(os.getpid())
    assert job.status() == "done", "work that is done is never begun again"


def test_a_stop_that_comes_before_the_worker_has_begun_is_not_forgotten(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    job.expect()
    job.request_stop()
    with job.hold():
        assert job.stop_requested()
    job.request_stop()
    with job.hold():
        assert not job.stop_requested(), "nobody asked for this worker: the request was another's"


def test_a_disk_that_refuses_a_stop_or_a_worker_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left"):
        patch.setattr(Path, "replace", full)
        job.request_stop()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", full)
        with pytest.raises(StorageError, match="No space left"), job.hold():
            pass
    assert job.status() == "queued"


def test_a_torn_line_of_the_events_hides_no_other(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    assert job.events() == []
    (job.path / EVENTS).write_text('{"kind": "step", "n": 1}\n[1]\n\x00\n{"kind": "eval", "n": 2}\n{"kind": "st')
    assert [event["n"] for event in job.events()] == [1, 2]
    job.emit("step", n=3)
    assert [event["n"] for event in job.events("step")] == [1, 3]
