"""`smolstudio data real` and `smolstudio data task`: what may change in a dataset that is finished."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, key_values, print_json, workspace_of

if TYPE_CHECKING:
    from synth.dataset import DatasetDir
    from synth.workspace import Workspace


def add(app: typer.Typer) -> None:
    """Add these commands to `smolstudio data`."""
    app.command()(real)
    app.command()(task)


def real(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    source: Annotated[Path, typer.Argument(help="File or folder with rows, as for `data import`")],
    origin: Annotated[
        str, typer.Option(help="real (from the world), hand (written by hand), stand_in (stands in for real)")
    ] = "real",
    said: Annotated[str, typer.Option("--note", help="What these rows are; shown wherever they are counted")] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="role=column, such as question=Q; without it, as the dataset was imported"),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add rows to the split test_real, which is never trained on; rows that stand in training are refused."""
    from synth.curation.amend import add_real_file
    from synth.curation.recorded import Recorded, recorded_reading
    from synth.dataset import open_dataset
    from synth.errors import DataError, did_you_mean
    from synth.example import ORIGINS

    kind = next((known for known in ORIGINS if known == origin), None)
    if kind is None:
        raise DataError(
            f"There is no origin '{origin}'{did_you_mean(origin, list(ORIGINS))}.",
            f"Choose one of {', '.join(ORIGINS)}.",
        )
    mapping = {role: "" if column is None else str(column) for role, column in key_values(columns or []).items()}
    found = open_dataset(dataset, workspace_of(workspace).datasets)
    recorded = None if mapping else recorded_reading(found.card, source)
    chosen, several = recorded or Recorded(mapping)
    report, unread, read_as = add_real_file(found, source, kind, chosen or None, said, several)
    if as_json:
        lines = [list(line) for line in unread]
        print_json({"dataset": found.name, **report._asdict(), "unread": lines, "said": list(read_as)})
        return
    print(f"{found.name}: {report.added} rows added to test_real, which has {report.total} now")
    if recorded:
        named = [f"{role} = {column}" for role, column in chosen.items()]
        named += [f"answer = {', '.join(several)}"] if several else []
        print(f"  read as {found.name} was imported: {', '.join(named)}")
    for reason, count in report.refused.items():
        print(f"  {count} refused: {reason}")
    for sentence in read_as:
        print(f"  {sentence}")
    for line, reason in unread[:20]:
        print(f"  line {line}: {reason}")


def task(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    instruction: Annotated[str | None, typer.Option(help="The instruction, as you would give it to a person")] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="classification, extraction, question_answering, free_text, picture_questions or dictation"),
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="label=what it means; once for each label, replacing all")
    ] = None,
    answer_format: Annotated[str | None, typer.Option(help="How the answer must look")] = None,
    history: Annotated[bool, typer.Option("--history", help="List its versions, and who was given them")] = False,
    restore: Annotated[int | None, typer.Option(help="Make this version the present one", min=1)] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the dataset asks of a model; with options, change it."""
    from synth.curation.amend import restore_task, set_task
    from synth.dataset import open_dataset

    place = workspace_of(workspace)
    found = open_dataset(dataset, place.datasets)
    if history:
        _history(found, place, as_json)
        return
    parts = [label.partition("=") for label in labels or []]
    meanings = {label.strip(): meaning.strip() for label, _, meaning in parts} or None
    card = found.task
    if any(value is not None for value in (instruction, kind, meanings, answer_format)):
        card = set_task(found, instruction=instruction, kind=kind, labels=meanings, answer_format=answer_format)
    if restore is not None:
        card = restore_task(found, restore)
    if as_json:
        print_json({"dataset": found.name, **card.model_dump()})
    else:
        print(card.markdown())


def _history(dataset: DatasetDir, workspace: Workspace, as_json: bool) -> None:
    from studio.read.task_uses import Uses, uses
    from synth.curation.task_history import versions

    known, used = versions(dataset), uses(workspace, dataset.name)
    if as_json:
        print_json(
            [
                {"version": one.number, "since": one.since, "task": one.task.model_dump(), "sha256": one.sha256}
                | used.get(one.sha256, Uses())._asdict()
                for one in known
            ]
        )
        return
    for one in known:
        present = ", the present one" if one is known[-1] else ""
        given = used.get(one.sha256, Uses()).sentence()
        print(f"version {one.number}, since {one.since or 'an unknown time'}{present}; given to: {given}")
        print("  " + one.task.markdown().replace("\n", "\n  "))
