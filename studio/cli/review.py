"""`smolstudio data review …`: decide about rows by hand, see who decided what, and make the reviewed dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of

if TYPE_CHECKING:
    from synth.curation.review import Action
    from synth.dataset import DatasetDir

review_app = typer.Typer(no_args_is_help=True, help="Approve, reject and edit rows by hand; make the reviewed dataset.")

DatasetArgument = Annotated[str, typer.Argument(help="Name or folder of a dataset")]
RowsArgument = Annotated[list[str], typer.Argument(help="Ids of rows, or their beginnings (see `data show`)")]
ByOption = Annotated[str, typer.Option("--by", help="Who decides [default: the user of this machine]")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; a rejection needs one")]


def _dataset(name: str, workspace: Path | None) -> DatasetDir:
    from synth.dataset import open_dataset

    return open_dataset(name, workspace_of(workspace).datasets)


def _decide(dataset: DatasetDir, rows: list[str], action: Action, by: str, reason: str) -> None:
    from synth.curation.review import default_reviewer, record

    for row in rows:
        made = record(dataset, row, action, by or default_reviewer(), reason)
        print(f"{made.row[:12]}: {action}, by {made.by}")


def _decision(action: Action, about: str) -> None:
    """A command that makes one decision about each of the rows."""

    @review_app.command(action, help=about)
    def decide(
        dataset: DatasetArgument,
        rows: RowsArgument,
        by: ByOption = "",
        reason: ReasonOption = "",
        workspace: WorkspaceOption = None,
    ) -> None:
        _decide(_dataset(dataset, workspace), rows, action, by, reason)


_decision("approve", "Say that rows are right.")
_decision("reject", "Say that rows are wrong, and why.")
_decision("reset", "Take back all decisions about rows; the trail keeps them.")


@review_app.command()
def edit(
    dataset: DatasetArgument,
    row: Annotated[str, typer.Argument(help="Id of a row, or its beginning")],
    question: Annotated[str | None, typer.Option(help="New text of the last user turn")] = None,
    answer: Annotated[str | None, typer.Option(help="New short gold answer")] = None,
    rationale: Annotated[str | None, typer.Option(help="New working")] = None,
    target: Annotated[str | None, typer.Option(help="New target; left out, it follows the other texts")] = None,
    force: Annotated[bool, typer.Option("--force", help="Keep it although the checks speak against it")] = False,
    by: ByOption = "",
    reason: ReasonOption = "",
    workspace: WorkspaceOption = None,
) -> None:
    """Change texts of a row; it is checked again, and refused when a check speaks against it."""
    from synth.curation.review import default_reviewer, record

    given = {"question": question, "answer": answer, "rationale": rationale, "target": target}
    values = {field: text for field, text in given.items() if text is not None}
    found = _dataset(dataset, workspace)
    made = record(found, row, "edit", by or default_reviewer(), reason, values, force)
    print(f"{made.row[:12]}: edited {', '.join(made.changes)}, by {made.by}")
    for doubt in made.doubts:
        print(f"  saved although: {doubt}")


@review_app.command(name="list")
def list_reviews(
    dataset: DatasetArgument,
    state: Annotated[str, typer.Option(help="Only rows that are approved, rejected or edited")] = "",
    row: Annotated[str, typer.Option(help="Show every decision about this row")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the rows somebody decided about, or the whole trail of one row."""
    from studio.cli.terminal import table
    from synth.curation.review import find_row, read_reviews, states

    found = _dataset(dataset, workspace)
    reviews = read_reviews(found)
    trails = {key: trail for key, trail in reviews.trails.items() if not state or state in states(trail)}
    if row:
        whole = find_row(found, row).id
        trails = {whole: reviews.trail(whole)}
    if as_json:
        shown = {
            key: {"states": states(trail), "decisions": [review.model_dump(mode="json") for review in trail]}
            for key, trail in trails.items()
        }
        print_json({"dataset": found.name, **reviews.counts(), "faults": reviews.faults, "rows": shown})
        return
    counts = ", ".join(f"{count:,} {name}" for name, count in reviews.counts().items())
    print(f"{found.name}: {counts} of {sum(found.card.splits.values()):,} rows")
    listed = [review for trail in trails.values() for review in (trail if row else trail[-1:])]
    if listed:
        lines = [
            [r.row[:12], " ".join(states(trails[r.row])) or "-", r.action, r.by, r.at, r.reason[:60]] for r in listed
        ]
        print(table(["row", "stands", "last" if not row else "decision", "by", "at", "reason"], lines))
    for fault in reviews.faults:
        print(f"  fault: {fault}")


@review_app.command()
def apply(
    dataset: DatasetArgument,
    name: Annotated[str, typer.Option("--as", help="Name of the reviewed dataset")],
    approved_only: Annotated[
        bool, typer.Option("--approved-only", help="Drop rows that nobody approved or edited")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the dataset that follows from the decisions; the reviewed one stays as it is."""
    from studio.cli.options import describe_dataset
    from studio.cli.terminal import ProgressLine
    from synth.curation.review import apply_reviews

    source = _dataset(dataset, workspace)
    describe_dataset(apply_reviews(source, name, workspace_of(workspace), approved_only, ProgressLine()), as_json)
