"""recipes.export.onnx_model: what onnxruntime reads is what was tuned, whole or absent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipes.export import exporter, onnx_graphs, onnx_model, onnx_runtime, targets, web_speech
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from synth.errors import ModelError, StorageError
from synth.storage import read_json, write_json
from synth.workspace import Workspace
from tests import spare
from tests.tiny import tiny_llama
from tests.tiny_audio import tiny_whisper
from tests.tiny_runs import write_adapter
from tests.tiny_text import tiny_text

pytestmark = pytest.mark.slow

OPEN = onnx_runtime.Rules(frozenset(), 512)  # nothing ends an answer


@pytest.mark.parametrize("kind", ["Llama", "SmolLM3", "Qwen3", "Granite"])
def test_each_class_writes_the_tokens_that_transformers_writes(kind: str, tmp_path: Path) -> None:
    base = tiny_text(kind, tmp_path / "base")
    assert onnx_model.supports(resolve(str(base))) == ""
    loaded = load_for_inference(str(base), None, torch.float32)
    file = tmp_path / "model.onnx"
    onnx_graphs.write(onnx_graphs.text_graph(loaded.model), file)
    prompts = [list(range(5, 5 + length)) for length in (1, 7, 40)]
    texts = [one.text for one in onnx_runtime.text_opened(file, OPEN, loaded.tokenizer)(prompts, 12)]
    for prompt, text in zip(prompts, texts, strict=True):
        settings = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False}
        with torch.inference_mode():
            tokens = loaded.model.generate(torch.tensor([prompt]), eos_token_id=None, **settings)[0, len(prompt) :]
        assert text == loaded.tokenizer.decode(tokens, skip_special_tokens=True).strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a run of a tiny Llama."""
    place = Workspace(tmp_path_factory.mktemp("onnx"))
    base = tiny_llama(place.path / "base")
    write_adapter({"base_model": str(base)}, place.runs / "run-1/adapter")
    return place


@pytest.fixture(scope="module")
def exported(place: Workspace) -> Path:
    return targets.export_run("run-1", place.runs, place.path / "exported", "onnx")


def test_onnxruntime_is_held_to_a_schema_by_the_grammar_that_our_own_decoding_obeys(
    exported: Path, place: Workspace
) -> None:
    found = targets.tuned("run-1", place.runs)
    whole, _ = onnx_model.artefacts(found, exported)
    assert whole.opened is not None and whole.holds
    labels = ["ab", "cd"]
    (chosen,) = whole.opened({"choice": labels})([[7, 8, 9]], 12)
    assert chosen.text in labels and chosen.ended
    (cut,) = whole.opened(None)([[7, 8, 9]], 3)
    assert cut.tokens == 3 and not cut.ended


def test_rows_padded_to_one_length_are_answered_as_alone_and_eight_bits_are_close(exported: Path) -> None:
    size = read_json(exported / "config.json")
    shape = (size["num_key_value_heads"], 0, size["head_dim"])

    def logits(file: str, rows: list[list[int]]) -> Any:
        longest = max(map(len, rows))
        padded = np.array([[0] * (longest - len(row)) + row for row in rows])
        seen = np.array([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        places = np.maximum(seen.cumsum(1) - 1, 0)
        session = onnx_runtime.session(exported / "onnx" / file)
        feeds = {"input_ids": padded, "attention_mask": seen, "position_ids": places}
        names = [port.name for port in session.get_inputs()]
        cache = {n: np.zeros((len(rows), *shape), np.float32) for n in names if n.startswith("past")}
        return session.run(["logits"], {**feeds, **cache})[0][:, -1]

    rows = [[7, 8, 9, 10, 11], [12, 13]]
    together = logits("model.onnx", rows)
    for place, row in enumerate(rows):
        np.testing.assert_allclose(together[place], logits("model.onnx", [row])[0], atol=1e-5)
    assert 0 < np.abs(logits("model_int8.onnx", rows) - together).max() < 0.1 * np.abs(together).max()
    assert exporter.verify(exported) == []
    both = [(exported / "onnx" / f"model{ending}.onnx").stat().st_size for ending in ("", "_int8")]
    assert both[1] < 0.8 * both[0]  # the names of its nodes are a good part of so small a graph


def test_numbers_a_thousand_times_the_rest_leave_the_others_as_they_are(tmp_path: Path) -> None:
    """As inside SmolLM2: one scale for a whole input would round all else of it away."""
    loaded = load_for_inference(str(tiny_llama(tmp_path / "base", width=256)), None, torch.float32)
    with torch.no_grad():
        for layer in loaded.model.model.layers:
            layer.mlp.up_proj.weight[0] *= 3000
            layer.mlp.down_proj.weight[:, 0] = 0  # the answer is the same without that number
    files = [tmp_path / f"{name}.onnx" for name in ("whole", "columns", "blocks")]
    onnx_graphs.write(onnx_graphs.text_graph(loaded.model), files[0])
    onnx_graphs.quantise(files[0], files[1])
    onnx_graphs.quantise_in_blocks(files[0], files[2])

    def logits(file: Path) -> Any:
        session = onnx_runtime.session(file)
        ids = np.arange(20, 60)[None]
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(40)[None]}
        past = [port for port in session.get_inputs() if port.name.startswith("past")]
        cache = {port.name: np.zeros((1, port.shape[1], 0, port.shape[3]), np.float32) for port in past}
        return session.run(["logits"], {**feeds, **cache})[0]

    whole, columns, blocks = map(logits, files)
    assert np.abs(blocks - whole).mean() < 0.25 * np.abs(columns - whole).mean()
    assert files[2].stat().st_size < 0.4 * files[0].stat().st_size


def test_what_ends_an_answer_travels_along(exported: Path, place: Workspace) -> None:
    from recipes.decode.decoder import end_ids

    loaded = load_for_inference(str(place.path / "base"))
    assert onnx_model.rules(exported).ends == end_ids(loaded)
    assert (exported / "tokenizer.json").is_file() and (exported / "chat_template.jinja").is_file()


def test_bases_that_a_graph_would_not_repeat_are_refused_in_a_sentence(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "of class smolvlm" in onnx_model.supports(resolve("starter-vision"))
    assert "of class gemma3_text" in onnx_model.supports(resolve(str(tiny_text("Gemma3", tmp_path / "gemma"))))
    base = tiny_llama(tmp_path / "base")
    config = read_json(base / "config.json")
    write_json(base / "config.json", {**config, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}})
    assert "scaled by the length" in onnx_model.supports(resolve(str(base)))
    write_json(base / "config.json", {**config, "sliding_window": 64})
    assert "a window only" in onnx_model.supports(resolve(str(base)))
    write_json(base / "config.json", config)
    monkeypatch.setattr(onnx_model, "LARGEST_BYTES", 1000)
    assert "one ONNX file holds" in onnx_model.supports(resolve(str(base)))
    monkeypatch.setattr(onnx_runtime, "lacking", lambda: ["onnxruntime"])
    with pytest.raises(ModelError, match=r"cannot be exported to onnx: this installation lacks onnxruntime \(pip"):
        targets.export_run("run-1", place.runs, tmp_path / "out", "onnx")


def test_wrong_base_full_disk_and_what_torch_cannot_trace_leave_nothing(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    other = exporter.Tuned("run-1", resolve(str(tiny_llama(tmp_path / "other", seed=7))), place.runs / "run-1/adapter")
    with pytest.raises(ModelError, match="differ"):
        exporter.export(targets.exporter("onnx"), other, out)

    def fails(error: Exception) -> None:
        def write(graph: Any, file: Path) -> None:
            file.write_bytes(b"half")
            raise error

        monkeypatch.setattr(onnx_graphs, "write", write)

    fails(RuntimeError("Constraints violated"))
    with pytest.raises(ModelError, match="base cannot be written as ONNX: Constraints violated"):
        targets.export_run("run-1", place.runs, out, "onnx")
    fails(OSError(28, "No space left on device"))
    with pytest.raises(StorageError, match="No space left"):
        targets.export_run("run-1", place.runs, out, "onnx")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageError, match=r"only 0\.00 GB free"):
        targets.export_run("run-1", place.runs, out, "onnx")
    assert not out.exists()
    assert {file.name for file in tmp_path.iterdir()} == {"other"}


def test_kill_between_two_graphs_leaves_nothing_under_the_final_name(place: Workspace, tmp_path: Path) -> None:
    script = f"""
    import sys
    from pathlib import Path
    from recipes.export import onnx_graphs, targets

    def hang(file, out):
        print("written", file.stat().st_size > 0, flush=True)
        sys.stdin.read()

    onnx_graphs.quantise_in_blocks = hang
    targets.export_run("run-1", Path({str(place.runs)!r}), Path({str(tmp_path / "out")!r}), "onnx")
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(script)]
    worker = spare.fork(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert worker.stdout is not None
    assert worker.stdout.readlines(1)[-1:] == ["written True\n"]
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert not (tmp_path / "out").exists()


def test_the_pages_features_and_words_are_those_of_the_model(tmp_path: Path) -> None:
    from recipes.models.loading import load_processor

    for base in (resolve("starter-audio"), resolve(str(tiny_whisper(tmp_path / "tiny")))):
        processor = load_processor(base)
        web_speech.write_features(processor.feature_extractor, tmp_path / f"{base.name}.onnx")
        tokenizer = processor.tokenizer
        bytes_of = web_speech.words(tokenizer, len(tokenizer))
        for text in ("order 12 boxes", "Zürich, ¿qué? 你好 🙂"):
            ids = tokenizer(text)["input_ids"]
            shown = bytes.fromhex("".join(bytes_of[token] for token in ids)).decode()
            assert shown == tokenizer.decode(ids, skip_special_tokens=True)


def test_a_page_that_would_hear_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.models.loading import load_processor

    extractor = load_processor(resolve("starter-audio")).feature_extractor
    right = tmp_path / "right.onnx"
    onnx_graphs.write_features(extractor, right)
    extractor.mel_filters = extractor.mel_filters * 1.5
    monkeypatch.setattr(onnx_graphs, "write_features", lambda _, file: shutil.copyfile(right, file))
    with pytest.raises(ModelError, match="its features differ"):
        web_speech.write_features(extractor, tmp_path / "features.onnx")
