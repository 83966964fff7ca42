from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth.errors import StorageError
from synth.jobdir import JobDir

WORKER = (
    "import sys, time; from pathlib import Path; from synth.jobdir import JobDir\n"
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
