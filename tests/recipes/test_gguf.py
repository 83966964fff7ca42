"""recipes.export.gguf_model: what llama.cpp reads is what was tuned."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, dequantize
from transformers import LlamaConfig

from recipes.decode.answer_schema import obeys
from recipes.export import gguf_model, llama_cpp, targets
from recipes.models import loading
from recipes.models.files import resolve
from synth.errors import ModelError
from tests import spare
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def starter() -> Any:
    return loading.load_for_inference(resolve("starter-text"), None, torch.float32)


@pytest.fixture(scope="module")
def written(starter: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, GGUFReader]:
    folder = tmp_path_factory.mktemp("gguf")
    words = gguf_model.vocabulary(resolve("starter-text").path)
    for kind in gguf_model.KINDS:
        gguf_model.write(starter.model, starter.tokenizer, words, folder / f"{kind}.gguf", kind)
    return {kind: GGUFReader(folder / f"{kind}.gguf") for kind in gguf_model.KINDS}


def text_of(reader: GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()


@pytest.mark.slow
def test_both_files_hold_every_weight_within_their_precision(starter: Any, written: dict[str, GGUFReader]) -> None:
    expected = dict(gguf_model.tensors(starter.model))
    for kind, tolerance in (("f16", 1e-3), ("q8_0", 1e-2), ("q4_k_m", 0.12)):
        found = {t.name: dequantize(t.data, t.tensor_type) for t in written[kind].tensors}
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            want = tensor.float().numpy()
            assert np.abs(found[name].reshape(want.shape) - want).max() <= tolerance * np.abs(want).max(), name


def test_a_tied_head_is_not_stored_twice(written: dict[str, GGUFReader]) -> None:
    assert "output.weight" not in {t.name for t in written["f16"].tensors}


def test_rotated_pairs_give_the_attention_that_halves_give() -> None:
    """Rotating neighbours of the reordered rows equals rotating halves of the rows as they were."""
    heads, size, width = 2, 8, 3
    weight, x = torch.randn(heads * size, width), torch.randn(width)
    angle = torch.rand(size // 2)

    def halves(v: torch.Tensor) -> torch.Tensor:
        first, second = v[: size // 2], v[size // 2 :]
        return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()])

    def pairs(v: torch.Tensor) -> torch.Tensor:
        even, odd = v[0::2], v[1::2]
        return torch.stack(
            [even * angle.cos() - odd * angle.sin(), odd * angle.cos() + even * angle.sin()], 1
        ).flatten()

    ours, theirs = weight @ x, gguf_model.interleaved(weight, heads) @ x
    for head in range(heads):
        mine = halves(ours[head * size : (head + 1) * size])
        llama = pairs(theirs[head * size : (head + 1) * size])
        torch.testing.assert_close(llama, torch.stack([mine[: size // 2], mine[size // 2 :]], 1).flatten())


def test_the_template_and_the_end_of_turn_travel_along(starter: Any, written: dict[str, GGUFReader]) -> None:
    template = text_of(written["f16"], "tokenizer.chat_template")
    assert "<|im_start|>assistant" in template
    assert "generation %}" not in template  # llama.cpp's template engine does not know the training marks
    assert text_of(written["f16"], "tokenizer.ggml.eos_token_id") == starter.tokenizer.eos_token_id
    assert text_of(written["f16"], "tokenizer.ggml.pre") == "smollm"
    tokens = text_of(written["f16"], "tokenizer.ggml.tokens")
    assert tokens == starter.tokenizer.convert_ids_to_tokens(list(range(len(tokens))))


def test_a_base_that_llama_cpp_would_read_otherwise_is_refused_in_a_sentence(tmp_path: Path) -> None:
    assert "only Llama-class" in gguf_model.supports(resolve("starter-audio"))
    folder = tiny_llama(tmp_path / "tiny")
    file = folder / "tokenizer.json"
    found = json.loads(file.read_text())
    found["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(found))
    assert "splits text" in gguf_model.supports(resolve(str(folder)))
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}
    (folder / "config.json").write_text(json.dumps(config))
    assert "positions are scaled" in gguf_model.supports(resolve(str(folder)))


def test_it_is_offered_as_a_target() -> None:
    assert "gguf" in targets.exporters()
    with pytest.raises(ModelError, match="did you mean 'gguf'"):
        targets.exporter("guff")


def test_k_quants_are_ggmls_own_and_hold_every_weight_within_their_precision() -> None:
    values = np.random.default_rng(0).normal(size=(8, 512)).astype(np.float32)
    for kind, tolerance in (("Q4_K", 0.2), ("Q6_K", 0.08), ("Q5_0", 0.2)):
        packed = llama_cpp.quantise(values, kind)
        back = dequantize(packed, GGMLQuantizationType[kind])
        assert back.shape == values.shape
        assert np.abs(back - values).max() < tolerance, kind
    with pytest.raises(ValueError, match="no multiple"):
        llama_cpp.quantise(values[:, :300], "Q4_K")


def test_the_mix_of_types_is_llama_cpps() -> None:
    """As llama-quantize stores q4_k_m of a tied model with 30 layers, where 256 divides a row or not."""
    config = LlamaConfig(num_hidden_layers=30, tie_word_embeddings=True)

    def kind(name: str, width: int = 512) -> str:
        return gguf_model.tensor_kind(name, (64, width), "q4_k_m", config)

    assert kind("token_embd.weight") == "Q6_K"
    assert [kind(f"blk.{layer}.ffn_down.weight") for layer in (0, 2, 3, 4, 5, 25, 26, 29)] == [
        "Q6_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q6_K", "Q6_K",
    ]  # fmt: skip
    assert kind("blk.3.attn_q.weight", 576) == "Q5_0" and kind("blk.0.attn_v.weight", 576) == "Q8_0"
    assert gguf_model.tensor_kind("output_norm.weight", (64,), "q4_k_m", config) == "F32"


def test_llama_cpp_is_held_to_texts_and_to_a_schema(starter: Any, tmp_path: Path) -> None:
    file = tmp_path / "f16.gguf"
    gguf_model.write(starter.model, starter.tokenizer, gguf_model.vocabulary(resolve("starter-text").path), file, "f16")
    prompt = starter.tokenizer("What is 2 + 3?")["input_ids"]
    labels = ["very high", 'a "low" one']
    (chosen,) = llama_cpp.opened(file, 256, {"choice": labels})([prompt], 24)
    assert chosen.text in labels and chosen.ended and chosen.tokens
    fields = {
        "a": {"type": ["string", "null"], "maxLength": 4},
        "b": {"type": "array", "items": {"type": "string", "enum": ["x", 'y "z"']}, "maxItems": 2},
        "c": {"type": "number"},
        "d": {"type": "boolean"},
    }
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    (record,) = llama_cpp.opened(file, 256, schema)([prompt], 128)
    assert record.ended and obeys(schema, json.loads(record.text)), record
    assert record.text == json.dumps(json.loads(record.text), ensure_ascii=False)  # no space to stall in
    (cut,) = llama_cpp.opened(file, 256, {"choice": labels[:1]})([prompt], 2)
    assert cut.tokens == 2 and not cut.ended


OPENED_AND_LEFT = """
import sys
from pathlib import Path
from recipes.export import llama_cpp
for _ in range(40):
    llama_cpp.opened(Path(sys.argv[1]), 64)
"""


@pytest.mark.slow
def test_a_file_that_is_opened_and_not_asked_is_let_go(starter: Any, tmp_path: Path) -> None:
    """A server that ended before its loop began waited for ever, at one of some seven times."""
    words = gguf_model.vocabulary(resolve("starter-text").path)
    gguf_model.write(starter.model, starter.tokenizer, words, tmp_path / "f", "f16")
    ended = spare.run([sys.executable, "-P", "-c", OPENED_AND_LEFT, str(tmp_path / "f")], timeout=60)
    assert ended.returncode == 0, ended.stderr
