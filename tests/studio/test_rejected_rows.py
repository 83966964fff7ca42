"""Rejected rows are shown as text with their reason, whatever they came from."""

from __future__ import annotations

import pytest

from studio.cli import app
from studio.read.rejected import lines_of
from synth.dataset import Card, DatasetWriter
from synth.example import make_example, user
from synth.storage import atomic_dir
from synth.workspace import Workspace

CANDIDATE = {
    "seed": "a1",
    "detail": "soon / urgent",
    "fields": {"message": "My knee hurts."},
    "lineage": [
        {"step": "seed", "row": {}},
        {"step": "write", "prompt": "Write …", "answers": ["first", "My knee\nhurts."]},
        {"step": "agree", "label": "soon", "seen_as": "urgent"},
    ],
}


def test_a_rejected_row_is_read_by_what_it_is() -> None:
    assert lines_of(CANDIDATE) == [("found", "soon / urgent"), ("write", "My knee\nhurts.")]
    unread = {"seed": "b", "detail": "b.pdf holds no text.", "fields": {"document": "b.pdf"}, "lineage": []}
    assert lines_of(unread) == [("document", "b.pdf"), ("found", "b.pdf holds no text.")]
    imported = {"line": 3, "file": "a.csv", "text": "hot", "label": None, "tags": ["x"]}
    assert lines_of(imported) == [("line", "3"), ("file", "a.csv"), ("text", "hot"), ("tags", '["x"]')]
    assert lines_of({"prompt": "not a list"}) == [("prompt", "not a list")] and lines_of({}) == []


def test_the_command_prints_rejected_rows_as_text(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    with atomic_dir(workspace.datasets / "mixed") as folder:
        writer = DatasetWriter(folder)
        writer.keep(make_example([user("Is it hot?")], "yes", family="a", template="a"))
        writer.reject(CANDIDATE, "agree: label and seen_as disagree")
        writer.reject(make_example([user("Is it\ncold?")], "no", family="a", template="b"), "duplicate")
        writer.finish(Card(name="mixed", generator="math", created="2026-01-01T00:00:00+00:00", seconds=1.0))
    app(["data", "show", "mixed", "--split", "rejected"], standalone_mode=False)
    assert capsys.readouterr().out == (
        "[agree: label and seen_as disagree]\n  found: soon / urgent\n  write: My knee\n    hurts.\n\n"
        "[duplicate]\n  user: Is it\n    cold?\n  target: no\n\n"
    )
