"""Exports: the merged model is the tuned one, whole or absent, and every flipped byte is found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from recipes.export import merged
from recipes.models import loading
from recipes.recipe.schema import load_recipe
from synth.errors import ModelError, StorageError
from tests.tiny import tiny_llama


class Tuned(NamedTuple):
    base: Path
    adapter: Path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("export")
    base = tiny_llama(folder / "base")
    loaded = loading.load_trainable(load_recipe({"base_model": str(base), "lora": {"r": 4}}))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    loading.save_adapter(loaded, folder / "adapter", run="run-1", recipe="tiny")
    return Tuned(base, folder / "adapter")


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(3, 40)[None]).logits


def test_export_answers_as_the_tuned_model_and_loads_with_plain_transformers(tuned: Tuned, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target = merged.export(str(tuned.base), str(tuned.adapter), tmp_path / "out")
    plain = AutoModelForCausalLM.from_pretrained(target).eval()
    own = loading.load_for_inference(str(tuned.base), tuned.adapter).model
    assert torch.equal(logits(plain), logits(own))
    base = loading.load_for_inference(str(tuned.base)).model
    assert not torch.allclose(logits(plain), logits(base), atol=1e-3)
    assert AutoTokenizer.from_pretrained(target).chat_template
    assert "run-1" in (target / "README.md").read_text()
    assert merged.verify(target) == []


def test_export_in_bf16_halves_the_weights(tuned: Tuned, tmp_path: Path) -> None:
    sizes = {}
    for dtype in ("float32", "bfloat16"):
        target = merged.export(str(tuned.base), str(tuned.adapter), tmp_path / dtype, dtype=dtype)
        sizes[dtype] = (target / "model.safetensors").stat().st_size
        assert merged.stored_weights(target)[0] == {"float32": "F32", "bfloat16": "BF16"}[dtype]
    assert sizes["bfloat16"] < 0.6 * sizes["float32"]


def test_flipped_byte_missing_and_added_files_are_found(tuned: Tuned, tmp_path: Path) -> None:
    target = merged.export(str(tuned.base), str(tuned.adapter), tmp_path / "out")
    weights = target / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (target / "config.json").unlink()
    (target / "extra.bin").write_text("x")
    assert set(merged.verify(target)) == {
        "model.safetensors changed since the export.",
        "config.json is missing.",
        "extra.bin was added after the export.",
    }
    assert "no manifest.json" in merged.verify(tmp_path)[0]


def test_existing_target_is_never_overwritten(tuned: Tuned, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("keep")
    with pytest.raises(StorageError, match="exists already"):
        merged.export(str(tuned.base), str(tuned.adapter), tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_adapter_of_another_base_is_refused_and_leaves_nothing(tuned: Tuned, tmp_path: Path) -> None:
    other = tiny_llama(tmp_path / "other", seed=7)
    with pytest.raises(ModelError, match="differ"):
        merged.export(str(other), str(tuned.adapter), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_little_disk_is_refused_before_loading(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    monkeypatch.setattr(loading, "load_for_inference", lambda *_: pytest.fail("loaded although the disk is full"))
    with pytest.raises(StorageError, match=r"only 0\.00 GB free"):
        merged.export(str(tuned.base), str(tuned.adapter), tmp_path / "deep/out")


def test_kill_in_the_middle_leaves_nothing_under_the_final_name(tuned: Tuned, tmp_path: Path) -> None:
    script = f"""
    import sys
    from pathlib import Path
    from recipes.export import merged

    def hang(folder, facts):
        print("merged", flush=True)
        sys.stdin.read()

    merged.write_manifest = hang
    merged.export({str(tuned.base)!r}, {str(tuned.adapter)!r}, Path({str(tmp_path / "out")!r}))
    """
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "merged\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert not (tmp_path / "out").exists()
    merged.export(str(tuned.base), str(tuned.adapter), tmp_path / "out")
    assert merged.verify(tmp_path / "out") == []


def test_a_run_knows_its_base(tuned: Tuned, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (runs / "run-1").mkdir(parents=True)
    (runs / "run-1/adapter").symlink_to(tuned.adapter)
    # The stamp names the base as the recipe did: here by its folder.
    target = merged.export_run("run-1", runs, tmp_path / "out")
    assert merged.verify(target) == []
