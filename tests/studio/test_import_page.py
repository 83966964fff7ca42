"""The Import page reads rows as the command does: the same rows, splits, unused keys, rejected rows and notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from studio.engines import jobs, task
from studio.engines.engine import Work
from studio.widgets import ui
from synth.dataset import DatasetDir
from synth.importing.importer import import_data
from synth.importing.preview import shares_for
from synth.workspace import Workspace
from tests.studio.test_data_page import button, write
from tests.studio.test_views import page, text

pytestmark = pytest.mark.slow

COUNTS: list[dict[str, Any]] = [{"question": f"How many in box {n}?", "answer": str(n * 7)} for n in range(38)]
CASES: dict[str, list[dict[str, Any]]] = {
    "several answers": [
        *({"question": f"Who lives in house {n}?", "answers": [f"Ada {n}", f"Countess {n}"]} for n in range(38)),
        {"question": "Who?", "answers": []},
    ],
    "a log": [
        {
            "request": json.dumps({"messages": [{"role": "user", "content": f"Where is tram {n}?"}]}),
            "response": json.dumps({"choices": [{"message": {"role": "assistant", "content": f"At stop {n * 3}"}}]}),
            "cost": 0.01,
            "region": "north",
        }
        for n in range(40)
    ],
    "parts beside the columns": [
        {**row, "accepted_answers": [f"{row['answer']} pieces"], "shelf": "x", "split": "test" if n > 30 else "train"}
        for n, row in enumerate(COUNTS)
    ],
    "scores inside turns": [
        {
            "messages": [
                {"role": "user", "content": f"Where is tram {n}?"},
                {"role": "assistant", "content": "here", "feedback": "up" if n % 3 else "down"},
            ],
            "shelf": "x",
        }
        for n in range(40)
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_the_page_shows_and_keeps_what_the_command_does(
    name: str, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(asked: Work) -> None:
        with asked.directory.hold():
            task.work(asked.directory)

    monkeypatch.setattr(jobs.ENGINE, "submit", at_once)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in CASES[name]))
    app = page("data", tab="import", modality="text")
    write(app, "… or a file or folder on this machine", str(rows))
    app.run()
    shares = {n.label: n.value for n in app.number_input}
    test, val = shares["Test, %"] / 100, shares["Validation, %"] / 100
    by_command = import_data(
        rows, "by-command", workspace, _with_shares({"train": 1 - test - val, "val": val, "test": test})
    )
    shown = text(app)
    assert f"{by_command.kept:,} rows:" in shown
    assert all(ui.inert(note) in shown for note in by_command.notes)
    unused = [d.value.to_dict("records") for d in app.dataframe if "For example" in d.value.columns]
    assert [row["Column"] for table in unused for row in table] == [key.key for key in by_command.unused]
    rejected = [d.value.to_dict("records") for d in app.dataframe if list(d.value.columns) == ["line", "reason"]]
    assert [row["reason"] for table in rejected for row in table] == [reason for _, reason in by_command.rejected]
    button(app, "Import")
    assert f"{by_command.kept:,} rows kept, {by_command.rejected_rows:,} set aside" in text(app)
    command, clicks = (DatasetDir(workspace.datasets / made) for made in ("by-command", "my-data"))
    assert clicks.card.splits == command.card.splits
    assert [list(clicks.examples(s)) for s in clicks.splits()] == [
        [row.model_copy(update={"family": "my-data"}) for row in command.examples(s)] for s in command.splits()
    ]


def _with_shares(shares: dict[Any, float]) -> Any:
    from synth.importing.importer import Options

    return Options("text", shares={split: round(share, 4) for split, share in shares.items()})


def test_a_column_that_nothing_tells_is_asked_for_and_then_the_test_share_follows_the_rows(
    tmp_path: Path, workspace: Workspace
) -> None:
    file = tmp_path / "rows.csv"
    rows = [f"Where is tram {n} of the blue line?,{('yes', 'no')[n % 2]},{('Ada', 'Eve')[n % 2]}" for n in range(160)]
    file.write_text("\n".join(["message,known,by whom", *rows]))
    app = page("data", tab="import", modality="text")
    write(app, "… or a file or folder on this machine", str(file))
    app.run()
    assert "No column is chosen for the right answer" in text(app) and "known, by whom" in text(app)
    choice(app, "The right answer").set_value("known")
    app.run()
    assert _share(app) == round(100 * shares_for(160)["test"]) > 10
    next(n for n in app.number_input if n.label == "Test, %").set_value(25)
    app.run()
    again = page("data", tab="import", modality="text", path=str(file))
    assert _share(again) == 25, "what a person set is kept over a refresh"
    choice(again, "The right answer").set_value("by whom")
    again.run()
    assert _share(again) == 25


def _share(app: AppTest) -> int:
    return int(next(n for n in app.number_input if n.label == "Test, %").value)


def choice(app: AppTest, label: str) -> Any:
    return next(box for box in app.selectbox if box.label == label)
