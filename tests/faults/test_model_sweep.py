"""Every command that opens a base or an adapter, over broken ones: a sentence with a remedy, and nothing is half made.

Trainings are begun in this process instead of in a worker, and a server that would be started is a fault.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.__main__ import main as train_here
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.engines import jobs
from synth.errors import UserError
from synth.workspace import Workspace
from tests.command_tree import tree
from tests.tiny import sums_dataset, tiny_llama
from tests.tiny_runs import write_adapter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BASE, ADAPTER = "base", "ws/runs/tuned/adapter"
Change = Callable[[Path], Any]


def holds(name: str, data: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(data)


def gone(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink(missing_ok=True) for name in names]


def cut(name: str) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1000])


def says(name: str, **changes: Any) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **changes}))

    return change


def put(name: str, make: Change) -> Change:
    """Something that is no plain file, in the place of one or beside the others."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def pipe(name: str) -> Change:
    return put(name, os.mkfifo)


def endless(name: str) -> Change:
    return put(name, lambda file: file.symlink_to("/dev/zero"))


def header(value: str) -> bytes:
    return len(value).to_bytes(8, "little") + value.encode()


INFINITE = header('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1e999]}}')
WEIGHTS, TUNED, CONFIG = "model.safetensors", "adapter_model.safetensors", "adapter_config.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
BASES: dict[str, Change] = {
    "empty weights": holds(WEIGHTS, b""), "cut weights": cut(WEIGHTS), "no weights": gone(WEIGHTS),
    "weights of infinite size": holds(WEIGHTS, INFINITE), "a folder for weights": put(WEIGHTS, Path.mkdir),
    "a pipe for weights": pipe(WEIGHTS), "a device for weights": endless(WEIGHTS),
    "a list for a config": holds("config.json", b"[]"), "an empty config": holds("config.json", b""),
    "a pipe for a config": pipe("config.json"), "no config": gone("config.json"),
    "no tokenizer": gone(*TOKENIZER), "a list for a tokenizer": holds("tokenizer.json", b"[]"),
    "a pipe for a tokenizer": pipe("tokenizer.json"), "a pipe for a template": pipe("chat_template.jinja"),
    "a pipe beside it": pipe("merges.txt"),
    "an absurd dtype": says("config.json", dtype="float7"),
    "too many layers": says("config.json", num_hidden_layers=10**9),
}  # fmt: skip
ADAPTERS: dict[str, Change] = {
    "empty weights": holds(TUNED, b""), "cut weights": cut(TUNED), "no weights": gone(TUNED),
    "weights of infinite size": holds(TUNED, INFINITE), "a folder for weights": put(TUNED, Path.mkdir),
    "a pipe for weights": pipe(TUNED), "a list for a config": holds(CONFIG, b"[]"), "a pipe for a config": pipe(CONFIG),
    "no config": gone(CONFIG), "a list of ranks": says(CONFIG, rank_pattern=[8]), "no rank": says(CONFIG, r=None),
    "modules that are none": says(CONFIG, target_modules=7), "an absurd alpha": says(CONFIG, lora_alpha=[1]),
    "a pipe for a stamp": pipe("base.json"), "a pipe beside it": pipe("notes.txt"),
    **{f"a stamp of {name!r}": says("base.json", **change) for name, change in {
        "another dtype": {"dtype": "float7"}, "a dtype that is none": {"dtype": ["float32"]},
        "no hash": {"sha256": None}, "no base": {"base_model": 7}, "an absurd revision": {"revision": [1]},
        "an absurd rounding": {"quant": {"load_in_4bit": "perhaps"}}, "another rounding": {"quant": [4]},
    }.items()},
    "a stamp of nothing": holds("base.json", b"{}"), "a list for a stamp": holds("base.json", b"[]"),
}  # fmt: skip
TRAIN = ["train", "recipe.yaml", "--id", "new"]
ASKING_BASE = [
    TRAIN, [*TRAIN, "--preflight"], ["runs", "resume", "stopped"], ["crossval", "recipe.yaml", "--id", "new"],
    ["sweep", "recipe.yaml", "--space", "optim.learning_rate=1e-4,1e-3", "--trials", "2", "--id", "new"],
    *(["export", "tuned", "--out", "out", "--to", to] for to in ("merged", "adapter", "gguf")),
    ["push", "tuned", "--to", "hub:me/mine"], ["serve", BASE], ["serve", "tuned"],
    ["serve", BASE, "--adapter", "tuned"], ["compare", "plan.yaml", "--id", "new"],
    ["models", "add", BASE, "--as", "mine"],
]  # fmt: skip
ASKING_ADAPTER = [
    ["train", "again.yaml", "--id", "new"], ["train", "again.yaml", "--id", "new", "--preflight"],
    *(["export", "tuned", "--out", "out", "--to", to] for to in ("merged", "adapter", "gguf")),
    ["push", "tuned", "--to", "hub:me/mine"], ["serve", "tuned"], ["serve", BASE, "--adapter", "tuned"],
    ["compare", "plan.yaml", "--id", "new"],
]  # fmt: skip
LISTS = [["runs", "list"], ["runs", "show", "tuned"], ["models", "list"], ["data", "list"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a run that tuned it, one that was stopped, and a recipe and plan that use them; none is broken."""
    root = tmp_path_factory.mktemp("whole")
    place, base = Workspace(root / "ws"), tiny_llama(root / BASE)
    sums_dataset(place.datasets / "sums", train=16, val=16)
    common = {"base_model": BASE, "lora": {"r": 4}, "data": {"dataset": "sums"}}
    for name, ended in (("tuned", "done"), ("stopped", "failed")):
        run = Run.create(place, load_recipe({**common, "base_model": str(base)}), name)
        with run.hold():
            run.finish(ended, "It ended.", "")  # type: ignore[arg-type]
    write_adapter({"base_model": str(base)}, root / ADAPTER, "tuned")
    (root / "recipe.yaml").write_text(json.dumps(common))
    (root / "again.yaml").write_text(json.dumps({**common, "adapter": "tuned"}))
    systems = [{"id": "tuned", "kind": "local", "model": BASE, "adapter": "tuned"}]
    (root / "plan.yaml").write_text(json.dumps({"dataset": "sums", "splits": ["val"], "systems": systems}))
    return root


def copied(whole: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that the commands are about to work in, its base where the copy has it."""
    shutil.copytree(whole, root)
    for file in (root / ADAPTER / "base.json", *root.glob("ws/runs/*/recipe.yaml")):
        file.write_text(file.read_text().replace(str(whole / BASE), str(root / BASE)))
    monkeypatch.chdir(root)
    monkeypatch.setenv("SMOLSTUDIO_HOME", str(root / "ws"))
    monkeypatch.setenv("SMOLSTUDIO_MODELS", str(root / "models"))
    return root


def refuse_to_serve(*_: Any) -> None:
    raise AssertionError("a server was started")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings run in this process, and only when a terminal would wait for them."""

    def submit(work: Any) -> None:
        heard = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        with contextlib.redirect_stderr(io.StringIO()):
            train_here([str(work.directory.path), *work.options])
        for number, handler in heard.items():
            signal.signal(number, handler)

    monkeypatch.setattr(jobs.ENGINE, "submit", submit)
    monkeypatch.setattr(os, "execve", refuse_to_serve)


def ended(command: list[str]) -> str:
    """The sentence that a command ended with, "" where it did what was asked."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = tree()(command, standalone_mode=False)
        except UserError as error:
            assert error.message and error.remedy and error.code not in ("run.bug", "task.bug"), (command, error)
            return error.message
    said = out.getvalue() + err.getvalue()
    assert not code or (said and "unexpected" not in said), command
    return said if code else ""


def made(root: Path) -> list[str]:
    """What must not be there after a refusal: adapters, exports, reports, names, and half of anything."""
    names = ("out", "ws/runs/new/adapter", "ws/comparisons/new/report.json", "models/names/mine.json")
    return [name for name in names if (root / name).exists()] + [
        path.name for path in (*root.rglob("*.tmp"), *root.glob("ws/served/*"))
    ]


def sweep(root: Path, commands: list[list[str]]) -> list[str]:
    """What was wrong with how each command ended."""
    faults = []
    for command in commands:
        for name in ("runs", "comparisons", "sweeps"):
            for path in (root / "ws" / name).glob("new*"):
                shutil.rmtree(path)
        try:
            if not ended(command):
                faults.append(f"{' '.join(command)}: was done")
        except (Exception, SystemExit) as error:
            faults.append(f"{' '.join(command)}: {error!r}"[:400])
        faults += [f"{' '.join(command)}: left {name}" for name in made(root)]
    for command in LISTS:
        ended(command)
    return faults


@pytest.mark.parametrize("what", BASES)
def test_no_command_over_a_broken_base_ends_in_a_traceback_or_half_a_result(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    root = copied(whole, tmp_path / "broken", monkeypatch)
    BASES[what](root / BASE)
    assert sweep(root, ASKING_BASE) == []


@pytest.mark.parametrize("what", ADAPTERS)
def test_no_command_over_a_broken_adapter_ends_in_a_traceback_or_half_a_result(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    root = copied(whole, tmp_path / "broken", monkeypatch)
    ADAPTERS[what](root / ADAPTER)
    assert sweep(root, ASKING_ADAPTER) == []


def test_the_same_commands_do_what_is_asked_where_nothing_is_broken(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(whole, tmp_path / "sound", monkeypatch)
    for command in (
        ["export", "tuned", "--out", "out", "--to", "adapter"], ["models", "add", BASE, "--as", "mine"],
        ["push", "tuned", "--to", "hub:me/mine"], [*TRAIN, "max_steps=2"],
    ):  # fmt: skip
        assert ended(command) == "", command
    for command in (["serve", BASE], ["serve", BASE, "--adapter", "tuned"]):
        with pytest.raises(AssertionError, match="a server was started"):
            ended(command)
