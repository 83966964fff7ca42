"""Nothing that comes from data, answers or names drives the terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import filled
import pytest

from studio.cli.clean import CleanStream, clean
from studio.cli.terminal import ProgressLine
from studio.engines.local import PYTHON
from studio.state.notes import write_notes
from synth.progress import Progress
from synth.workspace import Workspace

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \x9b31m \x08\x08 \r \x7f \u202egnp.exe \u2066 \ud83d \x00 end"


def test_control_characters_are_written_out_and_lines_and_tabs_stay() -> None:
    shown = clean(f"first\n\tsecond é 漢 🙂\r\n{HOSTILE}")
    assert shown.startswith("first\n\tsecond é 漢 🙂\n\\u001b[2J")
    assert all(c in "\n\t" or c.isprintable() for c in shown)
    assert shown.encode("utf-8")


def test_json_with_control_characters_stays_the_same_value() -> None:
    out = io.StringIO()
    print(json.dumps({"a": HOSTILE}, ensure_ascii=False), file=CleanStream(out))  # type: ignore[arg-type]
    assert json.loads(out.getvalue()) == {"a": HOSTILE}
    assert "\x9b" not in out.getvalue() and "\u202e" not in out.getvalue()


def test_progress_moves_its_own_line_and_its_note_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", CleanStream(out))  # type: ignore[arg-type]
    ProgressLine()(Progress("train", 1, 2, "rows", 1.0, "\x1b[2J"))
    assert out.getvalue().startswith("\r\x1b[K")
    assert "\x1b[2J" not in out.getvalue() and "\\u001b[2J" in out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_command_prints_no_control_character_of_a_note_or_a_wrong_name(workspace: Workspace, encoding: str) -> None:
    filled.dataset(workspace)
    run = filled.run(workspace, "first")
    write_notes(run, HOSTILE, [])
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments in (
        ["runs", "show", "first"],
        ["runs", "show", "\x1b[2J\u202e"],
        ["runs", "note", "first", "--json"],
    ):
        done = subprocess.run([*PYTHON, "-m", "studio", "runs", *arguments], env=env, capture_output=True, check=False)
        for said in (done.stdout, done.stderr):
            text = said.decode(encoding)
            assert all(c == "\n" or c.isprintable() for c in text), text
        assert b"Traceback" not in done.stderr, done.stderr


def test_progress_bars_of_libraries_do_not_fall_into_what_a_command_prints() -> None:
    code = (
        "import studio.cli as cli\n"
        "def app():\n"
        "    from tqdm import tqdm\n"
        "    list(tqdm(range(3), desc='Loading weights'))\n"
        "cli.app = app\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
