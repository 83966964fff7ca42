"""Exports: the merged model is the tuned one, whole or absent, and every flipped byte is found."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import recipes.export
from recipes.export import exporter, merged, targets
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from synth.errors import ModelError, StorageError
from tests import spare
from tests.tiny import tiny_llama
from tests.tiny_runs import write_adapter

pytestmark = pytest.mark.slow


class Tuned(NamedTuple):
    base: Path
    adapter: Path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("export")
    base = tiny_llama(folder / "base")
    return Tuned(base, write_adapter({"base_model": str(base)}, folder / "adapter"))


def merge(base: Path, adapter: Path, out: Path, dtype: Any = None) -> Path:
    """The target "merged", in a number format of choice."""
    write = partial(merged.write, dtype=dtype)
    size = partial(merged.size, dtype=dtype)
    target = merged.EXPORTER._replace(write=write, size=size)
    return exporter.export(target, exporter.Tuned("run-1", resolve(str(base)), adapter), out)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(3, 40)[None]).logits


def test_export_answers_as_the_tuned_model_and_loads_with_plain_transformers(tuned: Tuned, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target = merge(tuned.base, tuned.adapter, tmp_path / "out")
    plain = AutoModelForCausalLM.from_pretrained(target).eval()
    own = load_for_inference(str(tuned.base), tuned.adapter).model
    assert torch.equal(logits(plain), logits(own))
    base = load_for_inference(str(tuned.base)).model
    assert not torch.allclose(logits(plain), logits(base), atol=1e-3)
    assert AutoTokenizer.from_pretrained(target).chat_template
    assert "run-1" in (target / "README.md").read_text()
    assert exporter.verify(target) == []


def test_export_in_bf16_halves_the_weights(tuned: Tuned, tmp_path: Path) -> None:
    sizes = {}
    for dtype in ("float32", "bfloat16"):
        target = merge(tuned.base, tuned.adapter, tmp_path / dtype, dtype=dtype)
        sizes[dtype] = (target / "model.safetensors").stat().st_size
        assert merged.stored_weights(target)[0] == {"float32": "F32", "bfloat16": "BF16"}[dtype]
    assert sizes["bfloat16"] < 0.6 * sizes["float32"]


def test_flipped_byte_missing_and_added_files_are_found(tuned: Tuned, tmp_path: Path) -> None:
    target = merge(tuned.base, tuned.adapter, tmp_path / "out")
    weights = target / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (target / "config.json").unlink()
    (target / "extra.bin").write_text("x")
    assert set(exporter.verify(target)) == {
        "model.safetensors changed since the export.",
        "config.json is missing.",
        "extra.bin was added after the export.",
    }
    assert "no manifest.json" in exporter.verify(tmp_path)[0]


def test_existing_target_is_never_overwritten(tuned: Tuned, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("keep")
    with pytest.raises(StorageError, match="exists already"):
        merge(tuned.base, tuned.adapter, tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_adapter_of_another_base_is_refused_and_leaves_nothing(tuned: Tuned, tmp_path: Path) -> None:
    other = tiny_llama(tmp_path / "other", seed=7)
    with pytest.raises(ModelError, match="differ"):
        merge(other, tuned.adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_little_disk_is_refused_before_loading(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    monkeypatch.setattr(merged, "load_for_inference", lambda *_: pytest.fail("loaded although the disk is full"))
    with pytest.raises(StorageError, match=r"only 0\.00 GB free"):
        merge(tuned.base, tuned.adapter, tmp_path / "deep/out")


def test_kill_in_the_middle_leaves_nothing_under_the_final_name(tuned: Tuned, runs: Path, tmp_path: Path) -> None:
    script = f"""
    import sys
    from pathlib import Path
    from recipes.export import exporter, targets

    def hang(folder, facts):
        print("merged", flush=True)
        sys.stdin.read()

    exporter.write_manifest = hang
    targets.export_run("run-1", Path({str(runs)!r}), Path({str(tmp_path / "out")!r}), "merged")
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(script)]
    worker = spare.fork(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "merged\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert not (tmp_path / "out").exists()
    merge(tuned.base, tuned.adapter, tmp_path / "out")
    assert exporter.verify(tmp_path / "out") == []


@pytest.fixture
def runs(tuned: Tuned, tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    (folder / "run-1").mkdir(parents=True)
    (folder / "run-1/adapter").symlink_to(tuned.adapter)
    return folder


@pytest.mark.parametrize("to", ["merged", "adapter"])
def test_a_run_knows_its_base_and_every_target_seals_its_folder(runs: Path, tmp_path: Path, to: str) -> None:
    target = targets.export_run("run-1", runs, tmp_path / "out", to)
    assert exporter.verify(target) == []
    assert json.loads((target / "manifest.json").read_text())["target"] == to
    with pytest.raises(StorageError, match="exists already"):
        targets.export_run("run-1", runs, tmp_path / "out", to)


def test_an_exported_adapter_answers_as_the_run_did_and_names_no_folder_of_this_machine(
    tuned: Tuned, runs: Path, tmp_path: Path
) -> None:
    target = targets.export_run("run-1", runs, tmp_path / "out", "adapter")
    assert str(tuned.base.parent) not in "".join(f.read_text() for f in target.glob("*.[jm]*") if f.is_file())
    code = (target / "README.md").read_text().split("```python\n")[1].split("```")[0]
    ast.parse(code)
    assert "load_in_4bit=True" in code and "bnb_4bit_use_double_quant=True" in code
    again = load_for_inference(str(tuned.base), target).model
    assert torch.equal(logits(again), logits(load_for_inference(str(tuned.base), tuned.adapter).model))


def test_an_adapter_is_not_exported_once_its_base_has_changed(tuned: Tuned, runs: Path, tmp_path: Path) -> None:
    other = tiny_llama(tmp_path / "other", seed=7)
    changed = exporter.Tuned("run-1", resolve(str(other)), tuned.adapter)
    with pytest.raises(ModelError, match="other weights"):
        exporter.export(targets.exporter("adapter"), changed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_target_names_the_known_ones(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"did you mean 'merged'.*adapter \(the adapter alone"):
        targets.export_run("run-1", runs, tmp_path / "out", "merge")


TOY = """
from recipes.export.exporter import Exporter


def write(tuned, folder, name):
    (folder / "toy.txt").write_text(tuned.run)
    return "none"


def supports(ref):
    return "it speaks." if ref.modality == "audio" else ""


EXPORTER = Exporter("toy", "a toy", supports, lambda tuned: 1, write, lambda name, facts: name)
"""


def test_an_export_target_is_one_file(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "toy_target.py").write_text(TOY)
    monkeypatch.setattr(recipes.export, "__path__", [*recipes.export.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "recipes.export.toy_target", raising=False)
    target = targets.export_run("run-1", runs, tmp_path / "out", "toy")
    assert (target / "toy.txt").read_text() == "run-1"
    assert exporter.verify(target) == []
    monkeypatch.setattr("recipes.models.files.modality_of", lambda path: "audio")
    with pytest.raises(ModelError, match="cannot be exported to toy: it speaks"):
        targets.export_run("run-1", runs, tmp_path / "other", "toy")


@pytest.mark.parametrize("to", ["merged", "adapter"])
def test_nothing_is_asked_of_the_network(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    from huggingface_hub import constants

    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        asked.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    targets.export_run("run-1", runs, tmp_path / "out", to)
    assert asked == []
