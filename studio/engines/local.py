"""Work as a detached process on this machine: it outlives the terminal or page that started it.

Only installed code runs: the interpreter leaves out the folder that it was started in (`-P`, and PYTHONSAFEPATH for
what the worker starts itself), so that somebody's own queue.py there is never imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

from studio.engines.engine import Work
from synth.errors import RunError
from synth.jobdir import LOG, QUEUED, JobDir, Status
from synth.storage import open_to_append, storage_faults

PYTHON = (sys.executable, "-P")
SAFE_PATH = {"PYTHONSAFEPATH": "1"}


class LocalEngine:
    """One process a piece of work; trainings take turns (`studio.engines.turns`)."""

    waiting = "It waits for its turn: one training at a time, so that each has the whole machine."

    def submit(self, work: Work) -> None:
        """Start a worker in its own session, output to the directory's log, nothing inherited that could stop it.

        Raises StorageError, and RunError where the system starts no process.
        """
        path = work.directory.path
        with storage_faults(path), open_to_append(path / LOG) as log:
            work.directory.expect()
            try:
                worker = subprocess.Popen(
                    [*PYTHON, "-m", work.module, str(path), *work.options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, **SAFE_PATH, "PYTHONUNBUFFERED": "1"},
                )
            except OSError as error:
                (path / QUEUED).unlink(missing_ok=True)
                message = f"No process could be started for {path.name}: {error.strerror or error}."
                raise RunError(message, "End other programs, and start it again.", "run.process") from error
            work.directory.expect(worker.pid)

    def status(self, job: JobDir) -> Status:
        """What the directory tells: its worker writes there."""
        return job.status()

    def cancel(self, job: JobDir, discard: bool = False) -> None:
        """Leave a request in the directory, which the worker looks for between steps."""
        job.request_stop(discard)
