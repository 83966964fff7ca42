"""Trainings on the machines of a Ray cluster, one for each core, or for each GPU where there are any.

    with joined(workspace, address) as cluster: engine = RayTrainings(cluster.slots(model=True))

Each is a process of its own that ends with the cluster's, its run is a folder of the shared workspace like any other,
and takes no turn: Ray says how many go at once.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from studio.engines.engine import Work
from studio.engines.local import PYTHON, SAFE_PATH
from synth.jobdir import LOG, JobDir, Status
from synth.storage import open_to_append, storage_faults
from synth.tied import TIED


class RayTrainings:
    """`studio.engines.engine.Engine` for trainings, while a cluster is joined. `at_once`: how many it has room for."""

    waiting = "It waits for a core, or a GPU, of the cluster."

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._given: dict[Path, Any] = {}

    def submit(self, work: Work) -> None:
        """Give the training to whichever machine is free."""
        import ray

        path = work.directory.path
        with storage_faults(path):
            work.directory.expect()
        gpus = int(ray.cluster_resources().get("GPU", 0) >= 1)
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_train)
        self._given[path] = remote.remote(str(path), list(work.options), str(Path.cwd()))

    def status(self, job: JobDir) -> Status:
        """What the directory tells, and while no machine has begun: queued."""
        import ray

        said, ref = job.status(), self._given.get(job.path)
        waits = ref is not None and not ray.wait([ref], timeout=0)[0]
        return "queued" if said == "lost" and waits else said

    def cancel(self, job: JobDir, discard: bool = False) -> None:
        """Leave a request in the directory, which the worker looks for between steps."""
        job.request_stop(discard)


def _train(path: str, options: list[str], home: str) -> None:
    """On a machine of the cluster: train, and wait for the end."""
    if Path(home).is_dir():
        os.chdir(home)  # what a recipe names may be relative to where it was asked
    with (
        open_to_append(Path(path) / LOG) as log,
        subprocess.Popen(
            [*PYTHON, "-m", "recipes", path, *options],
            stdin=subprocess.PIPE,  # with whose end it ends
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **SAFE_PATH, TIED: "1", "PYTHONUNBUFFERED": "1"},
        ) as training,
    ):
        training.wait()
