"""Job files: what a shell and a cluster's schema would refuse is found here, and a job that starts again goes on."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.run.directory import Run
from studio.cli import app as cli
from synth.errors import RecipeError
from synth.workspace import Workspace
from tests.tiny import sums_dataset

RECIPE = ["starter-text-sft", "data.dataset=my sums", "name=its"]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    cli(["launch-script", *RECIPE, *words], standalone_mode=False)
    return capsys.readouterr().out


def linted(script: str, shell: str = "bash") -> None:
    found = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
    assert found.returncode == 0 and not found.stderr, found.stderr


@pytest.mark.parametrize(("processes", "machines"), [(1, 1), (4, 1), (16, 2)])
def test_a_slurm_script_is_bash_and_its_directives_are_slurms(
    capsys: pytest.CaptureFixture[str], processes: int, machines: int
) -> None:
    script = printed(capsys, "--slurm", "--id", "sums-1", f"--num-processes={processes}", f"--num-machines={machines}")
    linted(script)
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    directives = dict(line[len("#SBATCH --") :].partition("=")[::2] for line in lines if line.startswith("#SBATCH"))
    # https://slurm.schedmd.com/sbatch.html
    known = {"job-name", "nodes", "ntasks-per-node", "cpus-per-task", "mem", "gpus-per-node", "time", "output"}
    assert known <= {*directives} <= {*known, "signal", "requeue", "partition"}
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first:]), "sbatch reads none after a command"
    assert (directives["nodes"], directives["ntasks-per-node"]) == (str(machines), "1")
    assert int(directives["gpus-per-node"]) == processes // machines
    assert ("accelerate.commands.launch" in script) == (processes > 1)
    assert ("--machine_rank" in script) == (machines > 1)


def documents(text: str) -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(text)]


@pytest.mark.parametrize(("processes", "machines"), [(1, 1), (4, 1), (16, 2)])
def test_a_kubernetes_job_is_yaml_of_the_apis_shape_and_its_command_is_shell(
    capsys: pytest.CaptureFixture[str], processes: int, machines: int
) -> None:
    made = documents(
        printed(capsys, "--k8s", "--id", "sums-1", f"--num-processes={processes}", f"--num-machines={machines}")
    )
    assert [one["kind"] for one in made] == (["Service", "Job"] if machines > 1 else ["Job"])
    job = made[-1]
    # batch/v1: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/
    assert (job["apiVersion"], job["metadata"]["name"]) == ("batch/v1", "sums-1")
    spec = job["spec"]
    assert {*spec} == {"completions", "parallelism", "completionMode", "backoffLimit", "template"}
    assert spec["completions"] == spec["parallelism"] == machines and spec["completionMode"] == "Indexed"
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] in ("OnFailure", "Never"), "a Job allows no other"
    (container,) = pod["containers"]
    mounts, volumes = ({one["name"] for one in found} for found in (container["volumeMounts"], pod["volumes"]))
    assert mounts == volumes
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(processes // machines)
    assert all(isinstance(v, str) for v in container["resources"]["limits"].values())
    assert container["command"][:2] == ["/bin/sh", "-c"]
    linted(container["command"][2], "sh")
    if machines > 1:
        service = made[0]
        assert service["apiVersion"] == "v1" and service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"] == spec["template"]["metadata"]["labels"]
        assert pod["subdomain"] == service["metadata"]["name"]
        assert "--main_process_ip sums-1-0.sums-1" in container["command"][2]


def test_no_gpus_are_asked_for_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "gpus-per-node" not in printed(capsys, "--slurm", "--cpu")
    assert "nvidia.com/gpu" not in printed(capsys, "--k8s", "--cpu")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slurm", "--k8s"], "for one kind of cluster"),
        ([], "for one kind of cluster"),
        (["--slurm", "--id", "My_Run"], "'My_Run' cannot name a job"),
        (["--slurm", "--num-processes", "3", "--num-machines", "2"], "cannot be shared out evenly over 2 machines"),
        (["--slurm", "--time", "a day"], "'a day' is no time limit"),
        (["--slurm", "--time", "1:00:00\n#SBATCH --uid=0"], "is no time limit"),
        (["--slurm", "--partition", "gpu\nrm -rf /"], "cannot stand in a job file"),
        (["--slurm", "--workspace", "s3://team/models"], "a bucket is none"),
        (["--k8s", "--id", "7b", "--num-processes", "2", "--num-machines", "2"], "cannot name the service"),
        (["--k8s", "--claim", ""], "cannot name a claim"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_here(words: list[str], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        cli(["launch-script", *RECIPE, *words], standalone_mode=False)
    assert said in str(refused.value) and refused.value.remedy


@pytest.mark.parametrize(
    "path", ["/data/my models", "/data/it's", '/data/"x"', "/data/$(SMOLSTUDIO_HOME)", "/data/$$x", "/a\nb"]
)
def test_odd_names_reach_the_run_as_they_are(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As bash runs Slurm's script, and as Kubernetes fills in its words before a shell runs them."""

    def filled_in(text: str) -> str:
        return re.sub(
            r"\$\$|\$\((\w+)\)", lambda m: "$" if m[0] == "$$" else {"SMOLSTUDIO_HOME": "?"}.get(m[1], m[0]), text
        )

    (tmp_path / "smolstudio").write_text(
        f'#!/bin/sh\nprintf "%s\\0" "$SMOLSTUDIO_HOME" "$@" > {tmp_path}/asked\nexit 9\n'
    )
    (tmp_path / "smolstudio").chmod(0o755)
    place = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    dataset = f"data.dataset={path}"
    for kind in ("--slurm", "--k8s"):
        cli(["launch-script", "starter-text-sft", dataset, kind, "--workspace", path], standalone_mode=False)
        text = capsys.readouterr().out
        words = ["bash", "-c", text]
        if kind == "--k8s":
            container = documents(text)[-1]["spec"]["template"]["spec"]["containers"][0]
            words = [filled_in(word) for word in container["command"]]
            place["SMOLSTUDIO_HOME"] = filled_in(container["env"][0]["value"])
        subprocess.run(words, env=place, check=False, capture_output=True)
        asked = (tmp_path / "asked").read_text().split("\0")
        assert (asked[0], asked[3]) == (path, dataset), kind
        (tmp_path / "asked").unlink()


def test_the_script_makes_the_run_once_and_starts_what_trains_it(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script itself, where srun and python only say what they were asked; smolstudio is the real one."""
    sums_dataset(workspace.datasets / "my sums")
    script = printed(capsys, "--slurm", "--id", "sums-1", "--num-processes", "4", "--num-machines", "2")
    tools, asked = tmp_path / "bin", tmp_path / "asked"
    tools.mkdir()
    said = {"scontrol": "echo first; echo second", "srun": 'shift; exec "$@"', "python": f'echo "$@" >> {asked}'}
    said["smolstudio"] = f'exec {os.sys.executable} -m studio "$@"'  # type: ignore[attr-defined]
    for name, does in said.items():
        (tools / name).write_text(f"#!/bin/bash\n{does}\n")
        (tools / name).chmod(0o755)
    place = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "x"}
    place["PYTHONPATH"] = str(Path(__file__).parents[2])
    for _ in range(2):
        subprocess.run(["bash"], input=script, text=True, env=place, check=True, capture_output=True)
    run = Run(workspace.runs / "sums-1")
    assert (run.recipe.data.dataset, run.recipe.name) == ("my sums", "its")
    first, second = asked.read_text().splitlines()
    assert first == second and first.endswith(f"-m recipes {run.path} --resume")
    assert "--num_processes 4 --num_machines 2 --machine_rank 1 --main_process_ip first" in first
