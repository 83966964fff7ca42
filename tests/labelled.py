"""Own labelled rows for tests: what an import of somebody's table leaves in a dataset."""

from __future__ import annotations

from collections.abc import Iterable

from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.example import Example, Split, make_example, user
from synth.task import TaskCard
from synth.workspace import Workspace


def labelled_row(text: str, label: str, split: Split, template: str) -> Example:
    return make_example(
        [user(text)],
        label,
        answer=label,
        family="own",
        template=template,
        scorer="label",
        split=split,
        origin={"kind": "imported"},  # type: ignore[arg-type]
    )


def imported(workspace: Workspace, rows: Iterable[Example], task: TaskCard, name: str = "messages") -> DatasetDir:
    folder = workspace.datasets / name
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for one in rows:
        writer.keep(one)
    writer.finish(Card(name=name, generator="import", task=task))
    return DatasetDir(folder)
