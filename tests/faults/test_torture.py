"""A short campaign of kills; `make torture` runs the long one."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from synth import failpoint
from synth.errors import StorageError
from synth.storage import Journal, atomic_dir, write_json
from tests.faults import torture
from tests.faults.works import WORKS

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("torture.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_forty_kills_lose_nothing() -> None:
    works = [word for name, work in WORKS.items() if not work.torch for word in ("--work", name)]
    command = [sys.executable, str(SCRIPT), "--kills", "40", "--seed", "20260701", "--in-turns", *works]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == []
    assert found["kills"] >= 40
    assert found["refusals"] > 0, "some disks refused, and that was said in a sentence"


def test_a_campaign_spreads_its_kills_over_all_kinds_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training ends after a death or two where a curation dies twelve times; one kind is not killed at all here."""
    monkeypatch.setenv("TORTURE_TORCH", "")
    deadly = {name: number for number, name in enumerate(WORKS)}
    monkeypatch.setattr(torture.Torture, "one", lambda self, name, deaths: self.kills.update({name: deadly[name]}))
    found = torture.torture(400, 1, list(WORKS), tmp_path, say=lambda _: None)
    kills = sorted(found["by_work"].values())
    assert kills[0] == 0 and found["kills"] >= 400
    assert kills[1] >= 0.5 * 400 / len(WORKS) and kills[-1] <= 1.5 * 400 / len(WORKS), found["by_work"]


@pytest.mark.timeout(900)
def test_servers_that_are_started_and_ended_leave_nothing() -> None:
    """`python tests/faults/cycles.py --cycles 200` is the long one."""
    command = [sys.executable, str(SCRIPT.with_name("cycles.py")), "--cycles", "8", "--seed", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=880)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == [] and found["cycles"] == 8 and len(found["by_server"]) == 4


def test_failpoints_do_nothing_unless_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(failpoint.VARIABLE, raising=False)
    for place in failpoint.PLACES:
        failpoint.reach(place)
    monkeypatch.setenv(failpoint.VARIABLE, "file.synced:2:ENOSPC")
    write_json(tmp_path / "a", 1)
    with pytest.raises(StorageError, match="No space left"):
        write_json(tmp_path / "a", 2)
    write_json(tmp_path / "b", 3)
    assert [(f.name, json.loads(f.read_text())) for f in sorted(tmp_path.iterdir())] == [("a", 1), ("b", 3)]


@pytest.mark.parametrize("place", [place for place in failpoint.PLACES if place.startswith(("file", "dir"))])
@pytest.mark.parametrize("what", ["ENOSPC", "EIO"])
def test_a_disk_that_refuses_at_any_place_leaves_whole_things_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, what: str
) -> None:
    monkeypatch.setenv(failpoint.VARIABLE, f"{place}:1:{what}")
    monkeypatch.setattr(failpoint, "_reached", {})
    with pytest.raises(StorageError) as caught, atomic_dir(tmp_path / "made") as folder:
        write_json(folder / "a", {"whole": True})
    assert isinstance(caught.value.__cause__ or caught.value, OSError | StorageError)
    assert [path for path in tmp_path.iterdir() if path.name != "made"] == []
    if (tmp_path / "made").exists():
        assert json.loads((tmp_path / "made/a").read_text()) == {"whole": True}


def test_a_journal_whose_disk_refused_goes_on_with_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoint, "_reached", {})
    monkeypatch.setenv(failpoint.VARIABLE, "journal.written:2:EIO")
    with Journal(tmp_path / "j") as journal:
        journal.append({"n": 1})
        with pytest.raises(StorageError) as caught:
            journal.append({"n": 2})
        journal.append({"n": 3})
    assert getattr(caught.value.__cause__, "errno", 0) == errno.EIO
    assert all(json.loads(line) for line in (tmp_path / "j").read_text().splitlines())
