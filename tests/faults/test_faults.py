"""Faults of disks, processes and other people's files that no other tests cover: a sentence, and nothing is lost."""

from __future__ import annotations

import builtins
import contextlib
import errno
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.recipe.schema import load_recipe
from recipes.run import checkpoints
from recipes.run.directory import Run, Stopped
from recipes.text import rows
from studio import doctor
from studio.engines import jobs, turns
from studio.engines.local import PYTHON
from studio.read.history import history
from synth import temporary
from synth.dataset import DatasetDir, DatasetWriter
from synth.errors import DataError, ModelError, StorageError
from synth.importing.importer import Options, import_data
from synth.jobdir import QUEUED, QUEUED_SEC, JobDir
from synth.storage import DirLock, Journal, atomic_dir, atomic_write_text, read_json, read_jsonl, write_json
from synth.workspace import Workspace
from tests import spare
from tests.short_pipeline import SHORT
from tests.tiny import sums_dataset, tiny_llama

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


# --- storage


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_every_step_of_a_write_may_fail_and_the_old_file_stays(
    step: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    atomic_write_text(target, "old")

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*(os, "fsync") if step == "fsync" else (Path, step), refuse)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=re.escape(os.strerror(code))):
        atomic_write_text(target, "new")
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_journal_on_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(tmp_path / "j.jsonl") as journal:
        with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left"):
            patch.setattr(os, "fsync", full)
            journal.append({"n": 1})
        journal.append({"n": 2})


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """A block in which this process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_few_descriptors_are_a_sentence_and_no_running_work_is_taken_for_lost(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"n": 1})
    (tmp_path / "j.jsonl").write_text('{"n": 1}\n')
    job, before = JobDir(tmp_path / "job"), sorted(tmp_path.iterdir())
    with job.hold():
        old = time.time() - 3600
        os.utime(job.path, (old, old))
        tries: list[Callable[[], Any]] = [
            lambda: atomic_write_text(tmp_path / "a.json", "new"),
            lambda: read_json(tmp_path / "a.json"),
            lambda: list(read_jsonl(tmp_path / "j.jsonl")),
            lambda: Journal(tmp_path / "j.jsonl"),
            lambda: DirLock(tmp_path).acquire(),
            lambda: job.status(),
        ]
        for number, one in enumerate(tries):
            with no_descriptor_left(), pytest.raises(StorageError, match="Too many open files") as caught:
                one()
            assert caught.value.remedy, number
        assert job.status() == "running"
    assert [path for path in sorted(tmp_path.iterdir()) if path != job.path] == before
    assert read_json(tmp_path / "a.json") == {"n": 1}


def test_of_two_processes_that_make_one_name_the_second_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "name"
    with pytest.raises(StorageError, match="by another process"), atomic_dir(target) as mine:
        (mine / "a").write_text("mine")
        with atomic_dir(target) as theirs:
            (theirs / "a").write_text("theirs")
    assert [p.read_text() for p in tmp_path.rglob("a")] == ["theirs"]


def test_a_dataset_of_a_later_format_or_with_a_damaged_card_is_a_sentence(workspace: Workspace) -> None:
    folder = sums_dataset(workspace.datasets / "sums", train=1, val=1)
    card = json.loads((folder / "dataset.json").read_text())
    for changes, code, words in (
        ({"version": 2}, "data.newer", "format 2"),
        ({"rows_in": "many"}, "data.card", "rows_in"),
        ({"surprise": 1}, "data.card", "surprise"),
    ):
        (folder / "dataset.json").write_text(json.dumps({**card, **changes}))
        with pytest.raises(DataError, match=words) as caught:
            DatasetDir(folder)
        assert caught.value.code == code


# --- data


def test_training_on_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match="no rows to learn from"):
        rows.encode([], None, Data())


def test_media_are_stored_under_names_of_our_own(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path)
    stored = writer.add_media(b"picture", ".png")
    assert re.fullmatch(r"media/[0-9a-f]{64}\.png", stored)
    assert (tmp_path / stored).read_bytes() == b"picture"


def test_addresses_found_in_data_are_never_fetched(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    lines = ["path,question,answer", "http://127.0.0.1:9/a.png,What?,a", "//127.0.0.1/b.png,What?,b"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    with pytest.raises(DataError):
        import_data(tmp_path / "rows.csv", "mine", workspace, Options("vision"))


# --- other people's models


def model_with_code(folder: Path, **config: Any) -> Path:
    """A model that names code of its own, which leaves a trace if it ever runs."""
    tiny_llama(folder)
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    for name, value in (
        ("config.json", {"auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}, **config}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}),
    ):
        known = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**known, **value}))
    return folder


def test_a_models_own_code_is_neither_run_nor_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("the user was asked"))
    known = model_with_code(tmp_path / "known")
    assert load_for_inference(str(known)).info.params > 0
    unknown = model_with_code(tmp_path / "unknown", model_type="no-such-type")
    with pytest.raises(ModelError):
        load_for_inference(str(unknown))
    assert not list(tmp_path.rglob("ran"))


# --- processes


def test_a_second_training_waits_for_its_turn_and_can_be_taken_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "POLL_SEC", 0.01)
    sums_dataset(workspace.datasets / "sums", train=1, val=1)
    recipe = load_recipe({"base_model": "b", "data": {"dataset": "sums"}})
    first, second = (Run.create(workspace, recipe, name) for name in ("first", "second"))
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            with turns.turn(second):
                pass
        except Stopped as stop:
            ended.append(stop)

    with turns.turn(first):
        waiting = threading.Thread(target=wait)
        waiting.start()
        old = time.time() - 60
        os.utime(second.path, (old, old))
        time.sleep(0.1)
        assert second.status() == "queued"
        second.request_stop()
        waiting.join(timeout=10)
    assert len(ended) == 1
    (second.path / "stop").unlink()  # as whoever resumes it does
    with turns.turn(second), second.hold():
        assert not (second.path / "queued").exists(), "whoever has the turn waits no more"


def test_a_worker_that_is_killed_is_lost_at_once_though_it_began_just_now(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    assert job.status() == "queued"
    with job.hold():
        job.emit("phase", name="loading")
    assert job.status() == "lost"


def test_work_whose_worker_dies_before_it_begins_is_lost_at_once(workspace: Workspace) -> None:
    killed_while(STARTER, workspace.path, "lock.taken:1:KILL", "early", "20")  # its starter too, right after
    job = JobDir(workspace.tasks / "early")
    assert until(job, "lost", "done", "failed", seconds=10) == "lost"
    assert list(workspace.datasets.glob("*")) == []


def test_a_mark_in_the_future_holds_nothing(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    with job.hold():
        job.emit("phase", name="loading")
    for age, status in ((0, "queued"), (5, "queued"), (11, "lost"), (-60, "lost"), (-1e9, "lost")):
        job.expect()
        moment = time.time() - age
        os.utime(job.path / "queued", (moment, moment))
        assert job.status() == status, age


def test_a_mark_that_is_a_pipe_is_waited_for_by_nobody(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    (job.path / "events.jsonl").touch()
    os.mkfifo(job.path / "queued")
    os.utime(job.path / "queued", (0, 0))
    seen: list[str] = []
    asking = threading.Thread(target=lambda: seen.append(job.status()), daemon=True)
    asking.start()
    asking.join(10)
    assert seen == ["lost"]


@pytest.mark.parametrize("at", ["1e400", "9e9", "NaN", "9" * 400, "[" * 20_000, '"now"'])
def test_a_mark_in_the_future_that_names_a_process_holds_nothing(tmp_path: Path, at: str) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    (job.path / "events.jsonl").touch()
    mark = job.path / "queued"
    mark.write_text(f'{{"pid": {os.getpid()}, "host": "{socket.gethostname()}", "at": {at}}}')
    os.utime(mark, (0, 0))
    assert job.status() == "lost"


@pytest.mark.parametrize("dies", ["before it reads anything", "in its imports", "before it is known"])
def test_a_worker_that_dies_before_its_first_event_is_lost_within_ten_seconds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    if dies == "before it is known":  # whoever started it was killed between its mark and its process
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
    else:
        code = "raise SystemExit(1)" if dies == "before it reads anything" else "import no_such_module"
        monkeypatch.setattr("studio.engines.local.PYTHON", (sys.executable, "-c", code))
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        jobs.start_task(workspace, "synth", {"generator": "math", "settings": {}, "name": "x"}, "early")
    job = JobDir(workspace.tasks / "early")
    if dies == "before it is known":
        assert job.status() == "queued", "a worker may be on its way"
        begun = time.time() - QUEUED_SEC + 1
        for sign in (job.path / QUEUED, job.path):
            os.utime(sign, (begun, begun))
    assert until(job, "lost", "done", "failed", seconds=15) == "lost"
    assert time.monotonic() - began < 12
    assert job.events() == []


def test_a_worker_that_waits_is_queued_while_it_lives_and_no_longer(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    waiting = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    job.expect(waiting.pid)
    old = time.time() - 3600
    os.utime(job.path / "queued", (old, old))
    os.utime(job.path, (old, old))
    assert job.status() == "queued"
    waiting.kill()
    deadline = time.monotonic() + 10
    while job.status() == "queued" and time.monotonic() < deadline:
        time.sleep(0.05)  # it is a zombie now: nobody waited for it
    assert job.status() == "lost"
    waiting.wait()
    assert job.status() == "lost"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"verdict": 1}', "\x00"])
def test_an_end_that_cannot_be_read_is_a_failure_that_says_where(tmp_path: Path, content: str) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    (job.path / "exit.json").write_text(content)
    ended = job.exit()
    assert ended is not None
    assert (job.status(), ended.code) == ("failed", "run.exit")
    assert "exit.json" in ended.sentence


# --- what killed work leaves


def killed_while(code: str, place: Path, fail: str = "dir.filled:1:KILL", *more: str) -> None:
    """Run Python that is killed at a failpoint; `place` is its first argument."""
    done = spare.run([*PYTHON, "-c", code, str(place), *more], env={**os.environ, "SMOLSTUDIO_FAIL": fail})
    assert done.returncode == -signal.SIGKILL


MAKE = (
    "import sys; from pathlib import Path; from synth.storage import atomic_dir\n"
    "with atomic_dir(Path(sys.argv[1])) as folder: (folder / 'a').write_bytes(b'x' * 1000)\n"
)


def test_leftovers_of_killed_work_are_shown_and_removed_and_nothing_else_is(workspace: Workspace) -> None:
    killed_while(MAKE, workspace.datasets / "mine")
    killed_while(MAKE, workspace.runs / "r" / "checkpoints" / "step-000007")
    with atomic_dir(workspace.datasets / "live") as live:
        own = [workspace.datasets / ".mine.txt", workspace.datasets / ".notes.tmp", workspace.runs / "x.tmp", live]
        for file in own[:3]:
            file.write_text("keep")
        found = list(temporary.leftovers(workspace))
        assert sorted(leftover.bytes for leftover in found) == [1000, 1000]
        (shown,) = (finding.found for finding in [doctor._leftovers(workspace)])
        assert shown.startswith("2 of work that was killed")
        assert len(temporary.sweep(workspace)) == 2
        assert list(temporary.leftovers(workspace)) == []
        assert all(path.exists() for path in own)
    assert (workspace.datasets / "live").is_dir()


@pytest.mark.parametrize("place", ["", "pipelines/p", "pipelines/p/media", "drafts", "exports", "served", "trash/runs"])
def test_wherever_work_was_killed_its_leftovers_go(workspace: Workspace, place: str) -> None:
    killed_while(MAKE, workspace.path / place / "mine")
    (left,) = temporary.sweep(workspace)
    assert left.bytes == 1000 and left.path.parent == workspace.path / place and not left.path.exists()


def test_the_same_name_made_again_takes_the_place_of_what_was_killed(tmp_path: Path) -> None:
    for fail in ("dir.made:1:KILL", "dir.filled:1:KILL", "dir.synced:1:KILL"):
        killed_while(MAKE, tmp_path / "export", fail)
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    with atomic_dir(tmp_path / "export") as folder:
        (folder / "a").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_leftovers_of_other_machines_and_earlier_versions_go_after_a_day(workspace: Workspace) -> None:
    workspace.datasets.mkdir(parents=True)
    names = (".a.0123abcd.tmp", ".b.zzzz-1-0123abcd.tmp".replace("zzzz", "ffff"))
    for name in names:
        (workspace.datasets / name).mkdir()
        (workspace.datasets / name / "media").mkdir()
        (workspace.datasets / name / "media" / "train.jsonl").write_text("grows for days")
    assert temporary.sweep(workspace) == []
    for name in names:
        os.utime(workspace.datasets / name, (0, 0))
    assert temporary.sweep(workspace) == [], "work on another machine that takes longer than a day"
    for name in names:
        for inside in (workspace.datasets / name).rglob("*"):
            os.utime(inside, (0, 0))
        os.utime(workspace.datasets / name, (0, 0))
    assert len(temporary.sweep(workspace)) == 2


def test_a_run_is_made_whole_or_not_at_all(workspace: Workspace) -> None:
    sums_dataset(workspace.datasets / "sums", train=1, val=1)
    code = (
        "import sys; from pathlib import Path; from recipes.run.directory import Run\n"
        "from recipes.recipe.schema import load_recipe; from synth.workspace import Workspace\n"
        "recipe = load_recipe({'base_model': 'b', 'data': {'dataset': 'sums'}})\n"
        "Run.create(Workspace(Path(sys.argv[1])), recipe, 'mine')\n"
    )
    for fail in ("file.open:1:KILL", "file.renamed:1:KILL", "dir.synced:1:KILL"):
        killed_while(code, workspace.path, fail)
        assert jobs.list_runs(workspace) == [] and history(workspace) == []
    assert Run.create(workspace, load_recipe({"base_model": "b", "data": {"dataset": "sums"}}), "mine").recipe
    assert [run.id for run in jobs.list_runs(workspace)] == ["mine"]


def test_somebodys_own_copy_of_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "weights").write_text("w")

    for name in ("step-000009.bak", "step-", "step-x", "step-1 copy"):
        (tmp_path / name).mkdir()
    for step in (7, 8):
        checkpoints.write(tmp_path, step, fill, {}, keep=1)
    found = checkpoints.newest(tmp_path)
    assert found is not None and found.step == 8
    assert (tmp_path / "step-000009.bak").is_dir()


STARTER = (
    "import os, signal, sys; from pathlib import Path\n"
    "from studio.engines import jobs; from synth.workspace import Workspace\n"
    "settings = {'train': int(sys.argv[3]), 'val': 2, 'test': 2, 'test_ood': 2}\n"
    "arguments = {'generator': 'math', 'settings': settings, 'name': sys.argv[2]}\n"
    "jobs.start_task(Workspace(Path(sys.argv[1])), 'synth', arguments, sys.argv[2])\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)


def start_and_die(workspace: Workspace, name: str, count: int) -> JobDir:
    """Start work from a process that is killed right after, as a studio may be."""
    command = [sys.executable, "-c", STARTER, str(workspace.path), name, str(count)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    return JobDir(workspace.tasks / name)


def until(job: JobDir, *wanted: str, seconds: float = 240) -> str:
    deadline = time.monotonic() + seconds
    while (status := job.status()) not in wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


def processes_of(job: JobDir) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(job.path) in (p.info["cmdline"] or [])]


def test_work_outlives_whoever_started_it(workspace: Workspace) -> None:
    job = start_and_die(workspace, "small", 20)
    assert until(job, "done", "failed", "lost") == "done"
    assert DatasetDir(workspace.datasets / "small").count("train") == 20


def test_stopped_work_leaves_no_process_and_no_half_dataset(workspace: Workspace) -> None:
    job = start_and_die(workspace, "endless", 1_000_000)
    assert until(job, "running", "failed", "lost") == "running"
    job.request_stop()
    assert until(job, "stopped", "done", "failed", "lost") == "stopped"
    deadline = time.monotonic() + 60
    while processes_of(job) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(job) == []
    assert not (workspace.datasets / "endless").exists()


# --- versions of libraries

FLOORS = {"torch": (2, 6), "transformers": (5, 3), "streamlit": (1, 54), "jinja2": (3, 1, 6), "filelock": (3, 20, 3)}


def test_libraries_are_at_least_the_versions_without_known_holes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    for name, floor in FLOORS.items():
        for line in (next(w for w in wanted if re.split(r"[><=\[]", w)[0] == name), *pins):
            if re.split(r"[><=\[]", line)[0].lower() == name:
                version = tuple(map(int, re.findall(r"\d+", line.split("=")[-1].split("+")[0])))
                assert version >= floor, line


# --- stopping


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "SIGTERM"])
def test_a_comparison_whose_endpoint_hangs_ends_within_ten_seconds_when_asked(
    workspace: Workspace, lent: list[spare.Forked], how: str
) -> None:
    sums_dataset(workspace.datasets / "sums", train=4, val=4)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # accepts, and never says a word
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        systems = [{"id": "large", "kind": "endpoint", "model": "m", "base_url": url}]
        plan = {"dataset": "sums", "splits": ["val"], "systems": systems}
        job = jobs.start_task(workspace, "compare", {"plan": plan, "comparison_id": "c"}, "hangs")
        deadline = time.monotonic() + 60
        while not job.events("progress") and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        asked = time.monotonic()
        if how == "stop":
            jobs.ENGINE.cancel(job)
        else:
            lent[-1].terminate()
        assert until(job, "stopped", "failed", "lost", "done", seconds=30) == "stopped", jobs.log_tail(job)
        assert time.monotonic() - asked < 10


# --- keys


@contextlib.contextmanager
def careless_endpoint() -> Iterator[str]:
    """An endpoint that repeats the key it was sent: in answers, names, headers, and in every third as a fault."""
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append(1)
            key = self.headers["authorization"].removeprefix("Bearer ")
            usage = {"prompt_tokens": 9, "completion_tokens": 9, "note": key}
            message = {"role": "assistant", "content": f"Your key is {key}.\nAnswer: {len(asked)}", "note": key}
            body = {"id": key, "model": f"m-{key}", "choices": [{"message": message}], "usage": usage}
            said = f"no more for {key}" if len(asked) % 3 == 0 else json.dumps(body)
            self.send_response(400 if len(asked) % 3 == 0 else 200)
            self.send_header("x-request-id", key)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_key_that_an_endpoint_repeats_stands_in_no_file_and_no_command_line(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    sums_dataset(workspace.datasets / "sums", train=4, val=12)
    (tmp_path / "short.yaml").write_text(SHORT)
    (tmp_path / "seeds.jsonl").write_text("".join(f'{{"question": "question {n}"}}\n' for n in range(6)))
    with careless_endpoint() as url:
        system = {"id": "large", "kind": "endpoint", "model": "m", "base_url": url}
        plan = {"dataset": "sums", "splits": ["val"], "systems": [system]}
        teachers = {"teacher": {"model": "m", "base_url": url}}
        made = {"pipeline": str(tmp_path / "short.yaml"), "inputs": {"seeds": str(tmp_path / "seeds.jsonl")}}
        arguments = {"name": "made", "plan": {**made, "teachers": teachers, "rows": 4}}
        lines: list[str] = []
        for work in (("compare", {"plan": plan, "comparison_id": "c"}), ("pipeline", arguments)):
            job = jobs.start_task(workspace, *work)
            while job.status() in ("queued", "running"):
                for process in psutil.process_iter(["cmdline"]):
                    lines += process.info["cmdline"] or []
                time.sleep(0.05)
            assert job.status() == "done", jobs.log_tail(job)
    files = [path for path in workspace.path.rglob("*") if path.is_file()]
    assert {"report.html", "scores.jsonl", "worker.log"} <= {path.name for path in files}
    assert sum("Your key is ***" in path.read_text("utf-8", "replace") for path in files) >= 3
    assert [path for path in files if key in path.read_text("utf-8", "replace")] == []
    assert any("studio.engines.task" in line for line in lines) and not any(key in line for line in lines)
