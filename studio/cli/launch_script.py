"""`smolstudio launch-script`: a job file for a cluster, printed for its owner to submit."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from studio.cli.options import WorkspaceOption, workspace_of
from synth.errors import RecipeError
from synth.workspace import ENVIRONMENT, is_address


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(name="launch-script")(launch_script)


def launch_script(
    recipe: Annotated[str, typer.Argument(help="Recipe file on the cluster, or the name of a ready recipe")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, such as data.dataset=invoices")] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="A batch script for sbatch")] = False,
    k8s: Annotated[bool, typer.Option("--k8s", help="A Job for kubectl apply")] = False,
    run_id: Annotated[str, typer.Option("--id", help="Name of the run and of the job")] = "training",
    num_processes: Annotated[int, typer.Option(help="Processes, of all machines together", min=1, max=1024)] = 1,
    num_machines: Annotated[int, typer.Option(help="Machines", min=1, max=512)] = 1,
    cpu: Annotated[bool, typer.Option("--cpu", help="Ask for no GPUs")] = False,
    cpus_per_process: Annotated[int, typer.Option(help="Processor cores for each process", min=1)] = 8,
    memory_gb_per_process: Annotated[int, typer.Option(help="GiB of memory for each process", min=1)] = 32,
    time: Annotated[str, typer.Option(help="Slurm's time limit; five minutes before it the run saves")] = "24:00:00",
    partition: Annotated[str, typer.Option(help="Slurm's partition; its default when empty")] = "",
    image: Annotated[str, typer.Option(help="Image (k8s); by default what docker/Dockerfile builds")] = "",
    claim: Annotated[str, typer.Option(help="Claim of the volume that holds the workspace (k8s)")] = (
        "smolstudio-workspace"
    ),
    workspace: WorkspaceOption = None,
) -> None:
    """Print a job file that trains a recipe on a cluster. Submitted again, it goes on from the newest checkpoint."""
    from recipes.recipe.schema import load_recipe
    from studio.engines import job_file, launched

    if slurm == k8s:
        raise RecipeError("A job file is for one kind of cluster.", "Give either --slurm or --k8s.", "recipe.job")
    if is_address(workspace or os.environ.get(ENVIRONMENT) or ""):
        message = "The machines of a job share one folder, and a bucket is none."
        remedy = "Give --workspace with the folder as the cluster sees it; fetch and publish with `smolstudio storage`."
        raise RecipeError(message, remedy, "recipe.job")
    chosen = load_recipe(recipe, overrides or [])
    if num_processes > 1:
        launched.check(chosen, launched.Launch(num_processes=num_processes))
    job = job_file.JobFile(
        name=run_id,
        recipe=recipe,
        overrides=tuple(overrides or ()),
        workspace=str(workspace_of(workspace).path),
        processes=num_processes,
        machines=num_machines,
        gpus=not cpu,
        cpus_per_process=cpus_per_process,
        memory_gb_per_process=memory_gb_per_process,
        time=time,
        partition=partition,
        image=image,
        claim=claim,
    )
    print(job_file.slurm(job) if slurm else job_file.kubernetes(job), end="")
