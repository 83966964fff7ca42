"""The export for mlx-lm, asked in mlx-lm itself, which computes on this processor."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from recipes.export import exporter, mlx_model
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from synth.storage import read_json, write_json
from tests.tiny_runs import write_adapter
from tests.tiny_text import tiny_text

pytestmark = pytest.mark.slow
runs_here = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in mlx_model.PACKAGES), reason="mlx-lm is not installed"
)
OFFERED = ("Llama", "Qwen3", "SmolLM3", "Granite")
THETA = 37.0  # no class's default, and far enough from it to be seen within a few tokens


def tuned(kind: str, folder: Path) -> exporter.Tuned:
    """A random model of a class with rotary positions of its own, and an adapter that changes it."""
    base = tiny_text(kind, folder / "base", seed=5)
    config = read_json(base / "config.json")
    config["rope_parameters"] = _rotated(config["rope_parameters"])
    write_json(base / "config.json", config)
    adapter = write_adapter({"base_model": str(base)}, folder / "adapter")
    return exporter.Tuned("run-1", resolve(str(base)), adapter)


def _rotated(found: dict[str, object]) -> dict[str, object]:
    if "rope_theta" in found:
        return {**found, "rope_theta": THETA}
    return {name: _rotated(part) if isinstance(part, dict) else part for name, part in found.items()}


def greedy(model: exporter.Tuned, prompts: list[list[int]], most: int) -> list[str]:
    loaded = load_for_inference(model.ref, model.adapter, torch.float32)
    texts = []
    for prompt in prompts:
        ids = loaded.model.generate(torch.tensor([prompt]), max_new_tokens=most, do_sample=False)
        texts.append(loaded.tokenizer.decode(ids[0][len(prompt) :], skip_special_tokens=True).strip())
    return texts


@runs_here
@pytest.mark.parametrize("kind", OFFERED)
def test_mlx_lm_answers_as_the_tuned_model_of_every_class_that_is_offered(kind: str, tmp_path: Path) -> None:
    model = tuned(kind, tmp_path)
    assert mlx_model.supports(model.ref) == ""
    out = exporter.export(mlx_model.EXPORTER, model, tmp_path / "mlx")
    prompts = [[1, *range(40 + 3 * n, 70 + 3 * n)] for n in range(6)]
    said = mlx_model.answers(out, prompts, 6)
    expected = greedy(model, prompts, 6)
    assert sum(a == b for a, b in zip(said, expected, strict=True)) >= 5, (said, expected)


def test_the_folder_holds_what_mlx_lm_looks_for(tmp_path: Path) -> None:
    out = exporter.export(mlx_model.EXPORTER, tuned("Llama", tmp_path), tmp_path / "mlx")
    config = read_json(out / "config.json")
    assert (config["rope_theta"], config["rope_scaling"], config["model_type"]) == (THETA, None, "llama")
    assert {"model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md", "manifest.json"} <= {
        file.name for file in out.iterdir()
    }
    assert "chat_template" in (out / "tokenizer_config.json").read_text() or (out / "chat_template.jinja").is_file()
    assert exporter.verify(out) == []
    facts = read_json(out / "manifest.json")
    assert (facts["target"], facts["dtype"]) == ("mlx", "float16")
    assert "library_name: mlx" in (out / "README.md").read_text()


def test_scaled_and_layered_rotary_positions_keep_their_settings() -> None:
    scaled = {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 32.0}}
    assert mlx_model.with_rotary(scaled)["rope_scaling"] == {"rope_type": "llama3", "factor": 32.0}
    layers = {"full_attention": {"rope_theta": 1e6, "rope_type": "default"}, "sliding_attention": {"rope_theta": 1e4}}
    found = mlx_model.with_rotary({"rope_parameters": layers})
    assert (found["rope_theta"], found["rope_local_base_freq"]) == (1e6, 1e4)
    assert found["rope_parameters"] == layers
    assert mlx_model.with_rotary({"model_type": "x"}) == {"model_type": "x"}


def test_a_class_that_nobody_compared_is_refused_by_name(tmp_path: Path) -> None:
    why = mlx_model.supports(resolve(str(tiny_text("FalconH1", tmp_path))))
    assert why.startswith("it is of class falcon_h1, and only llama, ")
