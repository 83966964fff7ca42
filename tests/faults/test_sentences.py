"""Input that once ended in a traceback ends in a sentence, and hides nothing that is well."""

from __future__ import annotations

import ast
import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filled
import pytest

from evaluate.compare import run_comparison
from evaluate.cost import prices
from evaluate.plan import Plan, load_plan
from evaluate.predict.imported import read_predictions
from recipes.__main__ import as_user_error
from recipes.recipe.schema import load_recipe
from studio.cli import app
from studio.engines import jobs, task
from studio.engines.local import PYTHON
from studio.read import disagreements, mistakes
from studio.read.glance import dataset_cards, report_heads
from studio.read.history import history
from studio.state.endpoints import load_endpoints
from studio.state.notes import read_notes
from studio.views import pages
from synth.dataset import DatasetDir
from synth.documents.extracts import extracts
from synth.endpoint.wire import chat_reply, transcription_reply
from synth.errors import StorageError, UserError
from synth.importing.detect import detect
from synth.importing.files import read_rows
from synth.jobdir import JobDir
from synth.pipeline.records import read_records
from synth.pipeline.spec import find_pipeline
from synth.scoring.scorers import SCORERS
from synth.storage import atomic_write_text, read_json, read_jsonl
from synth.workspace import Workspace
from tests import spare
from tests.studio.test_views import page
from tests.studio.test_views import text as text_of
from tests.tiny import sums_dataset

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
OURS = "synth/audio/espeak_child.py"  # reads what its parent writes

DIGITS = "9" * 5000
DEEP = "(" * 20_000 + "1" + ")" * 20_000
YAMLS = {
    "a date": "seed: 2020-01-01\n",
    "a date as a name": "dataset: 2020-01-01\nname: 2020-01-01\n",
    "5,000 digits": f"seed: {DIGITS}\n",
    "deep lists": f"seed: {'[' * 20_000}\n",
    "deep maps": "seed: " + "{a: " * 20_000 + "\n",
    "a control character": "seed: \x01\n",
    "a tab": "seed:\n\t- 1\n",
    "an alias of itself": "seed: &a [*a]\n",
    "a python object": "seed: !!python/object/apply:os.system ['true']\n",
    "a list": "- 1\n",
    "a word": "word\n",
    "nothing": "",
    "a nan": "seed: .nan\n",
    "half a surrogate pair": 'name: "\\ud800"\n',
    "bytes": "seed: !!binary AAAA\n",
    "a set": "seed: !!set {a, b}\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
}


@pytest.mark.parametrize("what", YAMLS)
@pytest.mark.parametrize("read", [load_recipe, load_plan])
def test_yaml_that_means_something_else_is_a_sentence(tmp_path: Path, what: str, read: Callable[[Any], Any]) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(YAMLS[what].encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError):
        read(file if read is load_plan else str(file))


def test_files_of_a_later_format_say_so(tmp_path: Path) -> None:
    written: dict[Callable[[Any], Any], dict[str, Any]] = {
        load_recipe: {"base_model": "starter-text", "data": {"dataset": "d"}},
        load_plan: {"dataset": "d", "systems": [{"id": "a", "kind": "predictions", "path": "a.jsonl"}]},
        find_pipeline: {"title": "t", "about": "a", "inputs": {}, "steps": [{"step": "records", "path": "a"}]},
        prices.load: {},
    }
    for read, values in written.items():
        file = tmp_path / "file.yaml"
        file.write_text(json.dumps({"version": 99, **values}))
        with pytest.raises(UserError, match=r"version.*99|99.*version|format 99") as caught:
            read(file if read in (load_plan, prices.load) else str(file))
        assert caught.value.remedy


@pytest.mark.parametrize("value", [DIGITS, "2020-01-01", "[" * 20_000, ".inf", "\udcff", "\ud83d"])
def test_settings_on_the_command_line_are_sentences_too(value: str) -> None:
    with pytest.raises(UserError):
        load_recipe("starter-text-sft", [f"seed={value}"])
    with pytest.raises(UserError):
        app(["synth", "math", "-n", "x", f"train={value}"], standalone_mode=False)


HOSTILE_ANSWERS = [
    DEEP, f"Answer: {DEEP}", f"Answer: {DIGITS}", "Answer: 9**9**9", "Answer: \ud83d", "\x00", "Answer: 1e999999",
    "[" * 20_000, '{"a":' * 20_000, "$" * 20_000, "\\frac" * 5000, "Answer: 1/0", "-" * 20_000 + "1",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_no_answer_can_stop_a_scorer(name: str) -> None:
    from synth.example import make_example, user

    row = make_example(
        [user("How many?")], "Answer: 4", answer="4", family="f", template="t", split="test", scorer=name
    )
    for reply in HOSTILE_ANSWERS:
        with contextlib.suppress(UserError):
            SCORERS[name].score(reply, row)


def test_a_report_is_made_of_whatever_was_answered(workspace: Workspace, tmp_path: Path) -> None:
    answers = [*HOSTILE_ANSWERS, "\x1b]0;owned\x07", "\u202e", "", "ä" * 100_000, "\r\n" * 1000]
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums", train=4, val=len(answers)))
    lines = [{"id": row.id, "text": text} for row, text in zip(dataset.examples("val"), answers, strict=True)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    systems = [{"id": "s", "kind": "predictions", "path": str(tmp_path / "answers.jsonl")}]
    plan = Plan.model_validate({"dataset": "sums", "splits": ["val"], "systems": systems, "baselines": False})
    report = run_comparison(plan, workspace, comparison_id="c")
    assert [read_json(report)["systems"][0]["splits"]["val"]["n"]] == [len(answers)]
    for name in ("report.html", "report.md", "scores.jsonl"):
        written = (report.parent / name).read_text("utf-8")
        assert written and "\x1b" not in written and "\x00" not in written, name


def test_usage_and_durations_of_400_digits_are_unknown_and_stop_nothing() -> None:
    huge = int("9" * 400)
    assert transcription_reply({"text": "a", "duration": huge}).usage.audio_sec == 0
    assert transcription_reply({"text": "a", "usage": {"seconds": float("nan")}}).usage.audio_sec == 0
    usage = {"prompt_tokens": huge, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": huge}}
    reply = chat_reply({"choices": [{"message": {"content": "a"}}], "usage": usage})
    assert not reply.usage.reported


def test_halves_of_surrogate_pairs_are_written_as_question_marks(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "a", "half \ud83d")
    assert (tmp_path / "a").read_text() == "half ?"


# --- reading


@pytest.mark.parametrize("read", [read_json, lambda path: list(read_jsonl(path))])
@pytest.mark.parametrize("kind", ["pipe", "folder", "eio", "device"])
def test_what_is_no_plain_file_or_cannot_be_read_is_a_sentence_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], Any], kind: str
) -> None:
    path = tmp_path / "a.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.write_text("{}\n")

        def refuse(*_: Any) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError):
        read(path)


READERS: dict[str, Callable[[Path], Any]] = {
    "a plan": load_plan,
    "a recipe": lambda path: load_recipe(str(path)),
    "a pipeline": lambda path: find_pipeline(str(path)),
    "a price sheet": prices.load,
    "rows": lambda path: list(read_rows(path)),
    "rows to preview": detect,
    "seeds": lambda path: list(read_records(path)),
    "documents": lambda path: list(extracts(path)),
    "predictions": read_predictions,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("suffix", [".yaml", ".txt", ".csv", ".jsonl", ".xlsx", ".tar", ".html", ".pdf"])
def test_a_pipe_or_device_is_never_waited_for(tmp_path: Path, what: str, suffix: str) -> None:
    pipe, device, torn = (tmp_path / f"{name}{suffix}" for name in ("pipe", "device", "torn"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    torn.write_bytes(b"\xff{" + b"\x00[" * 100)
    for path in (pipe, device):
        with pytest.raises(UserError) as caught:
            READERS[what](path)
        assert caught.value.remedy, caught.value
    with contextlib.suppress(UserError):  # rows that cannot be read may also be set aside
        READERS[what](torn)


@pytest.mark.parametrize("text", [
    "Error while serializing: I/O error: No space left on device (os error 28)",
    'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
])  # fmt: skip
def test_a_full_disk_is_told_whichever_library_met_it(text: str) -> None:
    error = as_user_error(RuntimeError(text))
    assert error.code == "storage.full" and "checkpoints are kept" in error.message


def test_an_end_that_cannot_be_written_leaves_the_reason_in_the_log(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    job = jobs.start_task(workspace, "synth", {"generator": "no such", "settings": {}, "name": "x"}, "t")

    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("Cannot write exit.json: No space left on device.", "Free some space.")

    monkeypatch.setattr(JobDir, "finish", refuse)
    assert task.work(job) == 1
    said = capfd.readouterr().err
    assert "No space left" in said and "no such" in said


# --- neighbours


def test_one_bad_folder_hides_no_other(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    filled.dataset(workspace)
    filled.run(workspace, "good")
    filled.comparison(workspace, "good")
    bad: dict[Path, str] = {
        workspace.datasets / "torn" / "dataset.json": "{",
        workspace.datasets / "list" / "dataset.json": "[]",
        workspace.datasets / "later" / "dataset.json": '{"version": 99}',
        workspace.runs / "torn" / "recipe.yaml": "a: [",
        workspace.runs / "empty" / "recipe.yaml": "",
        workspace.runs / "list" / "recipe.yaml": "- 1",
        workspace.comparisons / "torn" / "report.json": "{",
        workspace.comparisons / "list" / "report.json": "[]",
        workspace.comparisons / "later" / "report.json": '{"version": 99}',
        workspace.tasks / "torn" / "task.json": "{",
    }
    for file, text in bad.items():
        file.parent.mkdir(parents=True)
        file.write_text(text)
    for place in (workspace.datasets, workspace.runs, workspace.comparisons, workspace.tasks):
        (place / "folder.json").mkdir(parents=True, exist_ok=True)
        (place / "a file").write_text("x")
        (place / "loop").symlink_to(place / "loop")
    (workspace.runs / "good" / "events.jsonl").open("ab").write(b"\xff{torn")
    assert [card.name for card in dataset_cards(workspace)] == ["invoices"]
    assert [run.id for run in history(workspace)] == ["good"]
    assert [head.id for head in report_heads(workspace)] == ["good"]
    assert list(jobs.tasks(workspace)) == []
    app(["runs", "list", "--json"], standalone_mode=False)
    assert [run["run"] for run in json.loads(capsys.readouterr().out)] == ["good"]


TORN = ["{torn", "7", "[]", '{"id": "x"}', "[" * 20_000, '{"id": "' + "\\ud83d" + '"}']


@pytest.mark.parametrize("tab", ["browse", "review", "quality"])
def test_a_torn_row_is_a_sentence_on_the_page_and_hides_no_other(workspace: Workspace, tab: str) -> None:
    filled.dataset(workspace)
    file = workspace.datasets / "invoices" / "train.jsonl"
    file.write_text("\n".join([*file.read_text().splitlines()[:3], *TORN]) + "\n")
    for row in ("", "torn"):
        shown = page("data", dataset="invoices", tab=tab, split="train", row=row)
        assert not shown.exception, shown.exception
        assert tab != "browse" or row or "train question 2" in text_of(shown)


def test_scores_that_somebody_broke_are_a_sentence_with_the_place(tmp_path: Path) -> None:
    good = {"system": "s", "example_id": "a", "split": "test", "family": "f", "score": 1.0}
    for bad in (*TORN[:5], '{"system": "s"}'):
        (tmp_path / "scores.jsonl").write_text(json.dumps(good) + "\n" + bad + "\n")
        for read in (lambda file: disagreements.systems(file), lambda file: mistakes.answers(file, "s", "test")):
            with pytest.raises(StorageError, match="at byte 81") as caught:
                read(tmp_path / "scores.jsonl")
            assert caught.value.code == "storage.row"


def test_whoever_reads_json_expects_that_it_is_nested_too_deeply() -> None:
    files = [file for package in ("synth", "recipes", "evaluate", "studio") for file in (ROOT / package).rglob("*.py")]
    caught = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Try) and "json.loads" in "".join(map(ast.unparse, node.body)):
                kinds = " ".join(ast.unparse(one.type) if one.type else "" for one in node.handlers)
                caught.append((file.relative_to(ROOT).as_posix(), kinds))
    assert len(caught) > 15
    assert [one for one in caught if "ValueError" in one[1] and "RecursionError" not in one[1] and one[0] != OURS] == []


def with_odd_neighbours(workspace: Workspace) -> None:
    """One good dataset, run and comparison among folders whose files are whole JSON of the wrong kinds."""
    filled.dataset(workspace)
    filled.run(workspace, "good")
    filled.comparison(workspace, "good")
    card = json.loads((workspace.datasets / "invoices/dataset.json").read_text())
    report = json.loads((workspace.comparisons / "good/report.json").read_text())
    cards: list[dict[str, Any]] = [
        {"created": "yesterday"}, {"created": "\ud83d"}, {"modality": "smell"},
        {"spec": {"mapping": 7}}, {"splits": {"train": -1}},
        {"rows_in": -5, "generator": "gone"}, {"notes": {"leakage": 7}}, {"version": 99}, {"task": {}},
    ]  # fmt: skip
    for number, change in enumerate(cards):
        folder = workspace.datasets / f"odd{number}"
        shutil.copytree(workspace.datasets / "invoices", folder)
        (folder / "dataset.json").write_text(json.dumps({**card, **change}))
    ends = ("[]", "7", "{}", '{"verdict": 1}', '{"verdict": "done", "code": 1, "sentence": 2}', "[" * 20_000,
            '{"verdict": "won", "code": "", "sentence": ""}',
            '{"verdict": "done", "code": "", "sentence": "", "final_loss": "low", "seconds": [1]}')  # fmt: skip
    for number, end in enumerate(ends):
        folder = workspace.runs / f"odd{number}"
        shutil.copytree(workspace.runs / "good", folder)
        (folder / "exit.json").write_text(end)
        (folder / "events.jsonl").write_text('{"kind": "step", "step": "x"}\n[]\n7\n{"kind": 1}\n' + "[" * 20_000)
    heads: list[dict[str, Any]] = [
        {"headline": None}, {"verdict": 7}, {"verdict": {"word": [1]}}, {"version": "x"}, {"version": 2**70},
        {"systems": []}, {"systems": 7}, {"dataset": None}, {"created": "yesterday"},
    ]  # fmt: skip
    for number, change in enumerate(heads):
        folder = workspace.comparisons / f"odd{number}"
        shutil.copytree(workspace.comparisons / "good", folder)
        (folder / "report.json").write_text(json.dumps({**report, **change}))
    for place in ("datasets", "runs", "comparisons", "tasks", "pipelines"):
        for name in ("dataset.json", "recipe.yaml", "report.json", "task.json", "run.json"):
            file = workspace.path / place / "pipe" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(file)


@pytest.mark.timeout(300)
def test_odd_neighbours_stop_neither_a_page_nor_a_list(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with_odd_neighbours(workspace)
    for name in [each["url_path"] for each in pages()]:
        shown = page(name)
        assert not shown.exception, (name, shown.exception)
    for command, good in (
        (["data", "list"], "invoices"), (["runs", "list"], "good"), (["runs", "list", "--json"], "good"),
        (["pipeline", "runs"], ""), (["doctor"], "leftovers"),
    ):  # fmt: skip
        with contextlib.suppress(SystemExit):
            app(command, standalone_mode=False)
        assert good in capsys.readouterr().out, command


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"tags": 1}', '[{"name": 1}]', "null"])
def test_small_files_of_ours_that_somebody_broke_are_sentences(workspace: Workspace, text: str) -> None:
    workspace.path.mkdir(parents=True)
    (workspace.path / "notes.json").write_text(text)
    (workspace.path / "endpoints.json").write_text(text)
    for read in (lambda: read_notes(workspace.path), lambda: load_endpoints(workspace)):
        try:
            read()
        except UserError as error:
            assert str(workspace.path) in error.message


COMMANDS = [
    ["runs", "show", "torn"], ["runs", "logs", "nowhere"], ["runs", "resume", "torn"], ["runs", "diff", "torn", "list"],
    ["runs", "delete", "nowhere"], ["export", "torn", "--out", "x"], ["export", "nowhere", "--out", "x"],
    ["compare", "nowhere.yaml"], ["report", "nowhere"], ["train", "nowhere"], ["train", "/dev/zero"],
    ["data", "show", "nowhere"], ["data", "show", "torn"], ["serve", "nowhere"], ["import", "nowhere", "-n", "x"],
]  # fmt: skip


@pytest.mark.slow
def test_no_command_ends_in_a_traceback(workspace: Workspace, tmp_path: Path) -> None:
    for name, text in (("torn", "a: ["), ("list", "- 1")):
        (workspace.runs / name).mkdir(parents=True)
        (workspace.runs / name / "recipe.yaml").write_text(text)
    (workspace.datasets / "torn").mkdir(parents=True)
    (workspace.datasets / "torn" / "dataset.json").write_text("{")
    for arguments in COMMANDS:
        done = spare.run([*PYTHON, "-m", "studio", *arguments], cwd=tmp_path)
        assert done.returncode in (1, 2), (arguments, done.stdout)
        assert "Traceback" not in done.stderr, (arguments, done.stderr)
