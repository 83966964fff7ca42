from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from synth.errors import StorageError
from synth.storage import DirLock, Journal, atomic_dir, atomic_write_text, read_json, read_jsonl, write_json


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        atomic_write_text(target, "new")
    assert read_json(target) == {"old": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_unwritable_folder_is_a_sentence_with_a_remedy(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError) as caught:
        atomic_write_text(blocked / "below" / "a.txt", "x")
    assert "Cannot write" in str(caught.value)
    assert "Choose a folder" in str(caught.value)


def test_journal_cuts_a_torn_tail_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.append({"n": 1})
    path.write_bytes(path.read_bytes() + b'{"n": 2, "torn')
    with Journal(path) as journal:
        journal.append({"n": 3})
    assert [line.value for line in read_jsonl(path)] == [{"n": 1}, {"n": 3}]


def test_journal_with_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": ' + b"1" * 200_000)
    with Journal(path):
        pass
    assert path.read_bytes() == b""


def test_bad_middle_line_comes_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"n":1}\nnot json\n\n[1]\n{"n":2}\n')
    faults = [(line.number, line.fault.split(":")[0]) for line in read_jsonl(path) if line.value is None]
    assert faults == [(2, "not JSON"), (4, "not a JSON object")]


def test_deep_nesting_is_a_row_fault_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"a":' + "[" * 200_000 + "\n")
    assert [line.value for line in read_jsonl(path)] == [None]


def test_interrupted_folder_never_appears(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_dir(tmp_path / "out") as folder:
        (folder / "half.txt").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="exists already"), atomic_dir(tmp_path / "out"):
        pass


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from synth.storage import DirLock\n"
        "lock = DirLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert DirLock(tmp_path).held_elsewhere()
    with pytest.raises(StorageError, match="in use"):
        DirLock(tmp_path).acquire()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not DirLock(tmp_path).held_elsewhere()
