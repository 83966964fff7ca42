"""Every command over runs, datasets and comparisons of which one file is broken: a sentence, never a traceback.

Files are emptied, cut, replaced by JSON of another kind, by bytes, by a folder or a pipe, or removed. A command may
also succeed, where it does not need what is broken. Workers are not begun here; models and adapters that are broken are
in `tests.recipes.test_soundness`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import filled
import pytest

from studio.engines import jobs
from synth.errors import UserError
from synth.workspace import Workspace
from tests.command_tree import tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def foreign(path: Path) -> None:
    """JSON of another program, or a row of one."""
    path.write_text('{"version": 1, "name": "x", "splits": 7, "systems": {}, "id": [1], "kind": {}}\n')


def without_values(path: Path) -> None:
    """Every key that there was, and null for each."""
    rows = []
    for line in [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            rows.append(json.dumps(dict.fromkeys(json.loads(line))))
    path.write_text("".join(f"{row}\n" for row in rows))


def other_kinds(path: Path) -> None:
    """Every key that there was, and a list or number where something else was."""
    rows = []
    for line in [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            values = json.loads(line).items()
            rows.append(
                json.dumps({key: 7 if isinstance(value, str | list | dict) else ["x"] for key, value in values})
            )
    path.write_text("".join(f"{row}\n" for row in rows))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """A pipe that nobody writes to: whoever opens it like a file waits for good."""
    path.unlink()
    os.mkfifo(path)


BREAK: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a list": lambda path: path.write_text("[]\n"),
    "a number": lambda path: path.write_text("7\n"),
    "a word": lambda path: path.write_text('"x"\n'),
    "foreign": foreign,
    "without values": without_values,
    "other kinds": other_kinds,
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\x00\xd8" * 50),
    "deep": lambda path: path.write_text("[" * 100_000),
    "missing": lambda path: path.unlink(),
    "a folder": folder,
    "a pipe": pipe,
}  # fmt: skip
KEYED = ("without values", "other kinds")

RUN = [
    *(["runs", what, "good"] for what in ("show", "logs", "note", "stop", "delete")), ["runs", "restore", "good"],
    ["runs", "logs", "good", "--follow"], ["runs", "note", "good", "mine", "--tag", "t"], ["runs", "list"],
    ["runs", "diff", "good", "other"], ["runs", "diff", "other", "good"], ["runs", "resume", "good", "--detach"],
]  # fmt: skip
DATASET = [
    *(["data", what, "invoices"] for what in ("check", "show", "curate", "task")), ["data", "list"],
    ["data", "curate", "invoices", "--as", "clean"], ["data", "show", "invoices", "--split", "rejected"],
    ["data", "show", "invoices", "--split", "test"], ["data", "import", "DATA", "--name", "again"],
    ["data", "export", "invoices", "--out", "out"], ["data", "review", "list", "invoices"],
    ["data", "review", "approve", "invoices", "ROW"], ["data", "review", "apply", "invoices", "--as", "reviewed"],
    ["data", "real", "invoices", "rows.jsonl"], ["train", "recipe.yaml", "--id", "new", "--detach"],
    ["compare", "plan.yaml", "--estimate"], ["runs", "resume", "stopped", "--detach"], ["runs", "show", "good"],
]  # fmt: skip
REPORT = [["report", "first"], ["report", "first", "--reprice"]]
COMPARISON = [
    *REPORT,
    ["judge", "first", "--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--rows-leave-this-machine"],
]  # fmt: skip
RUNS, DATA, FIRST = "ws/runs/good", "ws/datasets/invoices", "ws/comparisons/first"
PARTS = {
    **{f"{RUNS}/{name}": RUN for name in ("recipe.yaml", "exit.json", "events.jsonl", "env.json", "notes.json")},
    **{
        f"{DATA}/{name}": DATASET
        for name in ("dataset.json", "train.jsonl", "val.jsonl", "test.jsonl", "rejected.jsonl")
    },
    f"{DATA}/reviews.jsonl": DATASET,
    **{f"{FIRST}/{name}": COMPARISON for name in ("report.json", "scores.jsonl")},
    f"{FIRST}/exit.json": REPORT,  # a judge does not read it, and would wait for the dead endpoint
    "ws/prices.yaml": [["prices", "list"], ["prices", "check"], ["prices", "set", "m", "input", "1"]],
    "ws/endpoints.json": [["compare", "plan.yaml", "--estimate"]],
    "plan.yaml": [["compare", "plan.yaml", "--estimate"]],
    "recipe.yaml": [["train", "recipe.yaml", "--detach"]],
    "rows.jsonl": [["data", "import", "rows.jsonl", "--name", "x"], ["data", "real", "invoices", "rows.jsonl"]],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a dataset, runs that ended and a comparison, and files beside it, of which none is broken."""
    root = tmp_path_factory.mktemp("whole")
    place = Workspace(root / "ws")
    filled.dataset(place, rows=4)
    filled.comparison(place)
    for name, verdict in (("good", "done"), ("other", "done"), ("stopped", "failed")):
        made = filled.run(place, name, verdict)
        made.note_environment({"recipe": {}, "libraries": {}}, 1)
        (made.path / "notes.json").write_text('{"note": "", "tags": []}')
    system = {"kind": "endpoint", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    systems = [{**system, "id": "one"}, {**system, "id": "two"}]
    plan = {"dataset": "invoices", "systems": systems, "small": "one", "large": "two"}
    (root / "plan.yaml").write_text(json.dumps(plan))
    (root / "recipe.yaml").write_text(
        '{"method": "text_sft", "base_model": "starter-text", "data": {"dataset": "invoices"}}'
    )
    (root / "rows.jsonl").write_text('{"question": "What is 1 + 1?", "answer": "2"}\n')
    (place.datasets / "invoices" / "reviews.jsonl").write_text("")
    (place.path / "endpoints.json").write_text("[]")
    (place.path / "prices.yaml").write_text("version: 1\n")
    return root


def said(arguments: list[str]) -> str:
    """How a command ended: "" when it did what was asked, else its sentence; anything but a sentence is raised."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            tree()(arguments, standalone_mode=False)
    except UserError as error:
        assert error.message and error.remedy, arguments
        return error.message
    except (SystemExit, click.ClickException, OSError) as error:  # the command itself says what the system refused
        return str(error)
    return ""


@pytest.mark.parametrize("part", PARTS)
def test_no_command_over_a_broken_file_ends_in_a_traceback(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    row = json.loads((whole / DATA / "train.jsonl").read_text().splitlines()[0])["id"]
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    faults = []
    for how, change in BREAK.items():
        if how in KEYED and not part.endswith((".json", ".jsonl")):
            continue
        root = tmp_path / how.replace(" ", "-")
        shutil.copytree(whole, root)
        monkeypatch.chdir(root)
        monkeypatch.setenv("SMOLSTUDIO_HOME", str(root / "ws"))
        change(root / part)
        for words in PARTS[part]:
            arguments = [{"DATA": DATA, "ROW": row}.get(word, word) for word in words]
            try:
                said(arguments)
            except Exception as error:
                faults.append(f"{how}: {' '.join(arguments)}: {error!r}"[:300])
    assert faults == []
