"""`smolstudio synth` and `smolstudio data …`: make, import, check and look at datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import amend
from studio.cli import filter as filter_command
from studio.cli.options import (
    AddressOption,
    EngineOption,
    JsonOption,
    WorkspaceOption,
    describe_dataset,
    key_values,
    print_json,
    readable,
    workspace_of,
)
from studio.cli.review import review_app
from synth.modality import MODALITIES
from synth.modality import modality as modality_named

if TYPE_CHECKING:
    from synth.importing.report import ImportReport

EXPORT_FORMATS = ("messages", "trl", "sharegpt", "alpaca", "openai", "parquet", "imagefolder", "audiofolder")
data_app = typer.Typer(no_args_is_help=True, help="Check, show, import, review and clean datasets.")
data_app.add_typer(review_app, name="review")
amend.add(data_app)
filter_command.add(data_app)


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command()(synth)
    app.add_typer(data_app, name="data")


def synth(
    generator: Annotated[str, typer.Argument(help="math, extraction, urgency, attributes, vision or audio")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value settings of the generator")] = None,
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the dataset")] = "",
    spec: Annotated[Path | None, typer.Option(help="YAML file of settings; key=value wins over it")] = None,
    preview: Annotated[int, typer.Option(help="Show this many rows and write nothing")] = 0,
    engine: EngineOption = "",
    address: AddressOption = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a verified dataset."""
    from studio.cli.terminal import ProgressLine
    from studio.engines import rows
    from synth.build import build_dataset, preview_rows
    from synth.strict import read_yaml

    values: dict[str, Any] = {**(read_yaml(spec, "spec") if spec else {}), **key_values(settings or [])}
    if preview:
        for example in preview_rows(generator, values, preview):
            print(_shown(example.prompt[-1].text, example.target, example.family))
        return
    chosen = name or f"{generator}-{values.get('seed', 0)}"
    place = workspace_of(workspace)
    with rows.for_generation(place, generator, engine, address) as cluster:
        dataset = build_dataset(generator, values, chosen, place, ProgressLine(), engine=cluster)
    describe_dataset(dataset, as_json)


def _shown(prompt: str, target: str, label: str) -> str:
    return f"[{label}]\n{prompt}\n  -> " + target.replace("\n", "\n     ") + "\n"


@data_app.command()
def check(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    limits: Annotated[
        list[str] | None,
        typer.Argument(
            help="Limits for rows that models wrote: proxies=15 compression=4 self_bleu=0.6 repeated=0.3 real=0"
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check files, rows, leakage between splits, and variety of what models wrote; exit code 1 when one is wrong."""
    from synth.curation import collapse
    from synth.curation.leakage import check_dataset, markdown
    from synth.dataset import open_dataset
    from synth.scoring.label import variants_notes
    from synth.strict import validated
    from synth.task import MAX_LABELS

    allowed = validated(collapse.Limits, key_values(limits or []), "limits")

    found = open_dataset(dataset, workspace_of(workspace).datasets)
    faults = found.verify()
    counts, labels = dict.fromkeys(found.splits(), 0), dict.fromkeys(found.task.labels)
    for split in counts:
        for row in found.examples(split):
            counts[split] += 1
            if labels and row.answer and len(labels) <= MAX_LABELS:
                labels[row.answer] = None
    leakage = check_dataset(found)
    variety = collapse.check_collapse(found, allowed)
    faults += [*leakage.faults, *variety.faults]
    notes = variants_notes(list(labels) if len(labels) <= MAX_LABELS else list(found.task.labels))
    if as_json:
        figures = {"leakage": leakage.model_dump(), "masked_overlap": leakage.masked_overlap}
        figures["variety"] = variety.model_dump()
        print_json({"dataset": found.name, "rows": counts, "faults": faults, "notes": notes, **figures})
    else:
        print(f"{found.name}: {', '.join(f'{n} {s}' for s, n in counts.items())} rows read")
        print(markdown(leakage))
        print(collapse.markdown(variety), end="")
        for note in notes:
            print(f"  note: {note}")
        for fault in faults:
            print(f"  fault: {fault}")
    if faults:
        raise typer.Exit(1)


@data_app.command()
def show(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    split: Annotated[str, typer.Option(help="train, val, test, test_ood, test_real or rejected")] = "train",
    rows: Annotated[int, typer.Option(help="How many")] = 5,
    workspace: WorkspaceOption = None,
) -> None:
    """Print the first rows of a split, or rejected rows with their reasons."""
    from itertools import islice

    from studio.read.rejected import lines_of
    from synth.dataset import open_dataset
    from synth.errors import DataError
    from synth.example import SPLITS

    found = open_dataset(dataset, workspace_of(workspace).datasets)
    if split == "rejected":
        for item in islice(found.rejected(), rows):
            print(f"[{item.reason}]")
            for name, text in lines_of(item.row):
                print(f"  {name}: " + text.replace("\n", "\n    "))
            print()
        return
    if split not in SPLITS:
        raise DataError(f"There is no split '{split}'.", f"Choose one of {', '.join(SPLITS)} or rejected.")
    for example in islice(found.examples(split), rows):
        print(_shown(example.prompt[-1].text, example.target, f"{example.family} · {example.id[:12]}"))


@data_app.command(name="list")
def list_datasets(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the datasets of the workspace."""
    from studio.cli.terminal import table
    from synth.dataset import CARD, DatasetDir
    from synth.example import SPLITS

    files = sorted(workspace_of(workspace).datasets.glob(f"[!.]*/{CARD}"))
    cards = readable(files, lambda file: DatasetDir(file.parent).card)
    if as_json:
        print_json([card.model_dump(include={"name", "modality", "generator", "splits", "created"}) for card in cards])
    elif not cards:
        print("There is no dataset yet. Make one: smolstudio synth math --name invoices")
    else:
        rows = [[c.name, c.modality, *(str(c.splits.get(s, 0)) for s in SPLITS)] for c in cards]
        print(table(["dataset", "modality", *SPLITS], rows))


@data_app.command()
def curate(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    rules: Annotated[
        list[str] | None, typer.Argument(help="key=value rules, such as near=0.7 max_target_chars=600")
    ] = None,
    name: Annotated[str, typer.Option("--as", help="Name of the cleaned dataset; without it nothing is written")] = "",
    rows: Annotated[int, typer.Option(help="Without --as: how many rows to show for each reason")] = 2,
    engine: EngineOption = "",
    address: AddressOption = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which rows rules would drop and why; with --as, make the dataset without them."""
    from studio.cli.terminal import ProgressLine
    from studio.engines.rows import opened
    from synth.curation.curate import Rules, curate_dataset, preview_curation
    from synth.dataset import open_dataset
    from synth.strict import validated

    place = workspace_of(workspace)
    found = open_dataset(dataset, place.datasets)
    chosen = validated(Rules, key_values(rules or []), "rules")
    with opened(place, engine, address) as cluster:
        if name:
            describe_dataset(curate_dataset(found, name, place, chosen, ProgressLine(), engine=cluster), as_json)
            return
        seen = preview_curation(found, chosen, rows, ProgressLine(), engine=cluster)
    if as_json:
        print_json({"dataset": found.name, "kept": seen.kept, "dropped": seen.dropped, "redacted": seen.redacted})
        return
    kept = ", ".join(f"{count} {split}" for split, count in seen.kept.items())
    print(f"{found.name}: would keep {kept} rows and drop {sum(seen.dropped.values())}")
    for kind, count in seen.redacted.items():
        print(f"  {count} of them redacted: {kind}")
    for reason, count in seen.dropped.items():
        print(f"\n{count}: {reason}")
        for example in seen.samples.get(reason, []):
            print(_shown(example.prompt[-1].text, example.target, f"{example.split} · {example.id[:12]}"))


@data_app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="A file with rows (docs/formats.md has the list), or a folder")],
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the dataset")],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="role=column, such as question=Q; pictures: path, question, answer; recordings: path, transcript",
        ),
    ] = None,
    modality: Annotated[str, typer.Option(help=f"One of {', '.join(MODALITIES)}; without it, what the rows are")] = "",
    group_by: Annotated[str, typer.Option(help="Key whose rows of one value stay in one split")] = "",
    split_by_time: Annotated[str, typer.Option(help="Key with a timestamp: earlier rows train, later rows test")] = "",
    shares: Annotated[
        str,
        typer.Option(
            help="Percent of training, validation and test rows, where rows name no split; without it 80,10,10, and of "
            "few rows up to 30 for the test"
        ),
    ] = "",
    answer_columns: Annotated[
        str, typer.Option(help="Columns, with commas between them, that together are the answer: one JSON object")
    ] = "",
    question: Annotated[str, typer.Option(help="What is asked about each picture whose row brings no question")] = "",
    split_near_duplicates: Annotated[
        bool, typer.Option("--split-near-duplicates", help="Let rows that say nearly the same fall into several splits")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import your own rows; faulty ones are set aside with their line numbers, keys that play no part are listed."""
    from synth.importing.detect import modality_of
    from synth.importing.importer import Options
    from synth.importing.preview import only_reading, usual_shares
    from synth.importing.splits import shares_of

    mapping = {role: "" if column is None else str(column) for role, column in key_values(columns or []).items()}
    several = [column.strip() for column in answer_columns.split(",") if column.strip()]
    kind, guessed = modality or modality_of(source, bool(question.strip())), dict[str, str]()
    import_rows = modality_named(kind).import_rows()
    if not mapping:
        mapping = guessed = only_reading(source, kind, [*several, group_by, split_by_time], bool(several))
    how: dict[str, Any] = {
        "group_by": group_by,
        "split_by_time": split_by_time,
        "answer_columns": tuple(several),
        "question": question.strip(),
        "split_near_duplicates": split_near_duplicates,
    }
    chosen = shares_of(shares) if shares else usual_shares(source, Options(kind, mapping or None, **how))
    report = import_rows(source, name, workspace_of(workspace), mapping or None, shares=chosen, **how)
    _say_import(name, report, guessed, as_json)


def _say_import(name: str, report: ImportReport, guessed: Mapping[str, str], as_json: bool) -> None:
    """What an import did, and which columns were taken for what."""
    if as_json:
        kept = {"dataset": name, "modality": report.modality, "kept": report.kept, "splits": report.splits}
        print_json(
            {
                **({**kept, "guessed": guessed} if guessed else kept),
                **report.record(),
                "reasons": report.reasons,
                "rejected": [list(r) for r in report.rejected],
            }
        )
        return
    from synth.importing.preview import few_test_rows

    first, *more = report.lines()
    print(f"{name}: {first}")
    if guessed:
        said = ", ".join(f"{role} = {column}" for role, column in guessed.items())
        print(f"  guessed from the columns: {said}; for others, give --map {next(iter(guessed))}=COLUMN …")
    for line in more:
        print(f"  {line}")
    if few := few_test_rows(report.splits.get("test", 0)):
        print(f"  {few}")
    for number, reason in report.rejected[:20]:
        print(f"  line {number}: {reason}")
    if report.rejected_rows > 20:
        print(f"  … and {report.rejected_rows - 20} more, in rejected.jsonl")


@data_app.command()
def export(
    dataset: Annotated[str, typer.Argument(help="Name or folder of a dataset")],
    to: Annotated[str, typer.Option(help=f"One of {', '.join(EXPORT_FORMATS)}")] = "messages",
    out: Annotated[Path | None, typer.Option(help="Folder to make; without it, NAME-FORM here")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a dataset in another program's form, its splits apart; what is imported again is equal."""
    from synth.dataset import open_dataset
    from synth.exporting.folder import export_dataset

    found = open_dataset(dataset, workspace_of(workspace).datasets)
    folder = out or Path(f"{found.name}-{to}")
    rows = export_dataset(found, to, folder)
    if as_json:
        print_json({"dataset": found.name, "form": to, "folder": str(folder), "rows": rows})
    else:
        print(f"{folder}: {', '.join(f'{count} {split}' for split, count in rows.items())} rows as {to}")
