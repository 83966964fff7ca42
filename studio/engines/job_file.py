"""A cluster's job file for a run: a Slurm batch script, or a Kubernetes Job, that its owner submits as it is.

    text = slurm(recipe, JobFile(run="invoices-1", processes=8, machines=2, …))
    text = kubernetes(recipe, …)

It prints text; it starts nothing and knows no cluster. The job makes the run where the workspace is shared, and
`accelerate launch` on each machine trains it; started again, it goes on from the newest checkpoint.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.errors import RecipeError

PORT = 29500
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")  # of a label in Kubernetes, with room for a suffix
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # of a Service, whose name begins with a letter
CLAIM = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
PLAIN = re.compile(r"[\w./:@,-]*", re.ASCII)
TIME = re.compile(r"(\d+-)?\d{1,2}:\d{2}:\d{2}")


class JobFile(BaseModel):
    """What a cluster has to know. `processes` are those of all `machines` together; `recipe` is as `train` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    workspace: str
    processes: int = Field(ge=1, le=4096)
    machines: int = Field(default=1, ge=1, le=512)
    gpus: bool = True
    cpus_per_process: int = Field(default=8, ge=1)
    memory_gb_per_process: int = Field(default=32, ge=1)
    time: str = "24:00:00"
    partition: str = ""
    image: str = ""
    claim: str = "smolstudio-workspace"

    @model_validator(mode="after")
    def _fits(self) -> JobFile:
        if not NAME.fullmatch(self.name):
            message = f"'{self.name}' cannot name a job."
            raise RecipeError(message, "Use lower-case letters, digits and hyphens, 52 at most.", "recipe.job")
        if self.processes % self.machines:
            message = f"{self.processes} processes cannot be shared out evenly over {self.machines} machines."
            raise RecipeError(message, "Give a multiple of --num-machines.", "recipe.job")
        if not TIME.fullmatch(self.time):
            message = f"'{self.time}' is no time limit."
            raise RecipeError(
                message, "Write it as hours:minutes:seconds, or days-hours:minutes:seconds.", "recipe.job"
            )
        for word in (self.partition, self.image, self.claim):
            if not PLAIN.fullmatch(word):
                message = f"{word!r} cannot stand in a job file."
                raise RecipeError(message, "Use letters, digits and any of . _ - / : @ ,.", "recipe.job")
        return self

    @property
    def per_machine(self) -> int:
        """Processes on each machine."""
        return self.processes // self.machines


def slurm(job: JobFile) -> str:
    """A batch script for `sbatch`."""
    directives = {
        "job-name": job.name,
        "nodes": job.machines,
        "ntasks-per-node": 1,
        "cpus-per-task": job.cpus_per_process * job.per_machine,
        "mem": f"{job.memory_gb_per_process * job.per_machine}G",
        **({"gpus-per-node": job.per_machine} if job.gpus else {}),
        "time": job.time,
        **({"partition": job.partition} if job.partition else {}),
        "output": f"{job.name}-%j.log",
        "signal": "B:TERM@300",
        "requeue": None,
    }
    lines = [f"#SBATCH --{key}" + ("" if value is None else f"={value}") for key, value in directives.items()]
    made = _make_run(job)
    on_each = _launch(job, '"$SLURM_NODEID"', '"$main"')
    return "\n".join(
        [
            "#!/bin/bash",
            f"# Submit with: sbatch {job.name}.sh    The workspace must be the same folder on every machine.",
            *lines,
            "set -euo pipefail",
            f"export SMOLSTUDIO_HOME={shlex.quote(job.workspace)}",
            f'run="$SMOLSTUDIO_HOME/runs/{job.name}"',
            *made,
            'main=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)',
            "export main run",
            "# five minutes before the time limit the run saves and stops, and the job is queued again to go on",
            "again=",
            "trap 'again=1; touch \"$run/stop\"' TERM",
            f"srun --kill-on-bad-exit=1 bash -c {shlex.quote(on_each)} &",
            "code=0",
            "wait $! || code=$?",
            'if [ -n "$again" ]; then wait $! || true; scontrol requeue "$SLURM_JOB_ID"; exit 0; fi',
            "exit $code",
            "",
        ]
    )


def kubernetes(job: JobFile) -> str:
    """An indexed Job, with a headless Service where there are several machines. Raises RecipeError."""
    _refuse_names(job)
    main = f"{job.name}-0.{job.name}"
    made = [*_make_run(job)] if job.machines == 1 else _made_by_first(job)
    start = _launch(job, '"$JOB_COMPLETION_INDEX"', main)
    script = "\n".join(["set -eu", f'run="$SMOLSTUDIO_HOME/runs/{job.name}"', *made, "exec " + start])
    amounts: dict[str, Any] = {
        "cpu": str(job.cpus_per_process * job.per_machine),
        "memory": f"{job.memory_gb_per_process * job.per_machine}Gi",
        **({"nvidia.com/gpu": str(job.per_machine)} if job.gpus else {}),
    }
    container = {
        "name": "train",
        "image": job.image or ("smolstudio:cuda" if job.gpus else "smolstudio"),  # as docker/Dockerfile names them
        "command": ["/bin/sh", "-c", _literal(script)],
        "env": [{"name": "SMOLSTUDIO_HOME", "value": _literal(job.workspace)}],
        "resources": {"requests": amounts, "limits": amounts},
        "volumeMounts": [
            {"name": "workspace", "mountPath": job.workspace},
            {"name": "memory", "mountPath": "/dev/shm"},
        ],
    }
    pod = {
        "restartPolicy": "OnFailure",
        **({"subdomain": job.name} if job.machines > 1 else {}),
        "containers": [container],
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": job.claim}},
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    labels = {"app": job.name}
    work = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name},
        "spec": {
            "completions": job.machines,
            "parallelism": job.machines,
            "completionMode": "Indexed",
            "backoffLimit": 4 * job.machines,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": job.name},
        "spec": {"clusterIP": "None", "selector": labels, "publishNotReadyAddresses": True},
    }
    parts = [service, work] if job.machines > 1 else [work]
    head = (
        f"# Submit with: kubectl apply -f {job.name}.yaml    The claim {job.claim} must allow every machine to write.\n"
    )
    return head + "---\n".join(yaml.safe_dump(part, sort_keys=False, width=1000) for part in parts)


def _refuse_names(job: JobFile) -> None:
    """Raise RecipeError for what Kubernetes would not take for a name."""
    if job.machines > 1 and not LABEL.fullmatch(job.name):
        message = f"'{job.name}' cannot name the service by which several machines find each other."
        raise RecipeError(message, "Begin --id with a letter.", "recipe.job")
    if not CLAIM.fullmatch(job.claim):
        message = f"'{job.claim}' cannot name a claim."
        raise RecipeError(message, "Use lower-case letters, digits, dots and hyphens.", "recipe.job")


def _literal(text: str) -> str:
    """The text as Kubernetes leaves it, which else fills in $(NAME) and makes one $ of two."""
    return re.sub(r"\$(?=[$(])", "$$", text)


def _make_run(job: JobFile) -> list[str]:
    """Lines that make the run unless it is there."""
    words = shlex.join(["smolstudio", "train", job.recipe, *job.overrides, "--id", job.name, "--create-only"])
    return [
        f'[ -d "$run" ] || {words}',
        """if grep -q '"verdict": "done"' "$run/exit.json" 2>/dev/null; then exit 0; fi""",
        'rm -f "$run/stop"',
    ]


def _made_by_first(job: JobFile) -> list[str]:
    """As `_make_run`, where the first of several machines does it and the others wait."""
    return [
        'if [ "$JOB_COMPLETION_INDEX" = 0 ]; then',
        *(f"  {line}" for line in _make_run(job)),
        "else",
        '  until [ -f "$run/recipe.yaml" ]; do sleep 1; done',
        "fi",
    ]


def _launch(job: JobFile, machine: str, main: str) -> str:
    """The command that starts the processes of one machine; `machine` is its number, `main` the first one's name."""
    if job.processes == 1:
        return 'python -P -m recipes "$run" --resume'
    several = f" --machine_rank {machine} --main_process_ip {main}" if job.machines > 1 else ""
    return (
        f"python -P -m accelerate.commands.launch --multi_gpu --num_processes {job.processes} "
        f"--num_machines {job.machines}{several} --main_process_port {PORT} --mixed_precision no --dynamo_backend no "
        '-m recipes "$run" --resume'
    )
