"""Files of models and adapters that are torn, absurd or name imports end in a sentence before a library reads them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.export import targets
from recipes.models import loading, lora
from recipes.models.soundness import refuse_unsound_adapter, refuse_unsound_model
from recipes.recipe.schema import load_recipe
from studio.serving import serve
from synth.errors import ModelError
from synth.workspace import Workspace
from tests.tiny import tiny_llama

Change = Callable[[Path], Any]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("sound") / "base")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    loaded = loading.load_trainable(load_recipe({"base_model": str(base), "lora": {"r": 4}}))
    folder = tmp_path_factory.mktemp("sound") / "adapter"
    lora.save_adapter(loaded, folder, run="run-1", recipe="tiny")
    return folder


def says(file: str, **changes: Any) -> Change:
    def change(folder: Path) -> None:
        known = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**known, **changes}))

    return change


def cut(file: str, size: int) -> Change:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:size])


def holds(file: str, data: bytes) -> Change:
    return lambda folder: (folder / file).write_bytes(data)


def header(value: Any) -> bytes:
    data = json.dumps(value).encode()
    return len(data).to_bytes(8, "little") + data


TORN = [
    b"",
    b"\x00" * 7,
    b"\xff" * 8 + b"{}",
    b"\x02\x00\x00\x00\x00\x00\x00\x00[]",
    header({"a": 1}),
    header({"a": {}}),
]
BAD_BASES: list[Change] = [
    *[holds(WEIGHTS, data) for data in TORN],
    *[cut(WEIGHTS, size) for size in (20, 3000, 100_000)],
    lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"x"),
    *[holds("config.json", data) for data in (b"", b"[]", b"7", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000)],
    *[holds("tokenizer.json", data) for data in (b"", b"[]", b"{}", b"{")],
    holds("tokenizer_config.json", b"[]"),
    says("config.json", dtype="float7"),
    says("config.json", torch_dtype="int8", dtype="int8"),
    *[says("config.json", num_hidden_layers=count) for count in (10**9, -1, "many", 2.5, True)],
    says("config.json", hidden_size=10**9),
    says("config.json", vocab_size=10**12),
    says("config.json", text_config={"num_hidden_layers": 10**9}),
    says("config.json", model_type=7),
    says("config.json", model_type="no-such-type"),
    says("config.json", hidden_size=60),
]


def stored(change: Callable[[dict[str, torch.Tensor]], None]) -> Change:
    def changed(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return changed


def in_parts(drop: str, **index: str) -> Change:
    """Weights in two files; `drop` is deleted, and `index` says of tensors that they are elsewhere."""

    def change(folder: Path) -> None:
        tensors, parts = load_file(folder / WEIGHTS), {}
        (folder / WEIGHTS).unlink()
        for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
            file = f"model-0000{number}-of-00002.safetensors"
            save_file({name: tensors[name] for name in names}, folder / file)
            parts |= dict.fromkeys(names, file)
        whole = {"metadata": {}, "weight_map": {**parts, **index}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(whole))
        if drop:
            (folder / drop).unlink()

    return change


UP = "model.layers.0.mlp.up_proj.weight"
OTHERS: dict[str, tuple[Change, str]] = {
    "a part is missing": (in_parts("model-00002-of-00002.safetensors"), "lacks the file model-00002-of-00002"),
    "no index": (in_parts("model.safetensors.index.json"), "has 2 of 2 files of weights, and no"),
    "a part elsewhere": (in_parts("", **{UP: "../base/model.safetensors"}), "lacks the file ../base/model"),
    "in another part": (in_parts("", extra="model-00001-of-00002.safetensors"), "lacks extra in model-00001"),
    "eight bits": (stored(lambda tensors: tensors.update({UP: tensors[UP].to(torch.int8)})), "I8 in model.safetensors"),
    "float8": (stored(lambda tensors: tensors.update({UP: tensors[UP].to(torch.float8_e4m3fn)})), "as F8_E4M3"),
    "four bits": (
        says("config.json", quantization_config={"quant_method": "bitsandbytes"}),
        r"already \(bitsandbytes\)",
    ),
    "a bias": (
        stored(lambda tensors: tensors.update({UP.replace("weight", "bias"): torch.ones(128)})),
        "up_proj.bias, which its class computes without",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_base_whose_weights_would_be_read_as_others_is_refused(base: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(base, folder)
    change, sentence = OTHERS[name]
    change(folder)
    with pytest.raises(ModelError, match=sentence):
        loading.load_for_inference(str(folder), dtype=torch.float32)


def test_a_base_in_several_files_is_read(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "parts")
    in_parts("")(tmp_path / "parts")
    whole, parts = (loading.load_for_inference(str(f), dtype=torch.float32).model for f in (base, tmp_path / "parts"))
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_model_without_a_chat_template_says_so(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(base, folder)
    (folder / "chat_template.jinja").unlink()
    loaded = loading.load_for_inference(str(folder), dtype=torch.float32)
    with pytest.raises(ModelError, match="has no chat template"):
        loaded.tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)


@pytest.mark.parametrize("number", range(len(BAD_BASES)))
def test_a_base_that_is_not_what_it_claims_is_a_sentence(base: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(base, folder)
    BAD_BASES[number](folder)
    with pytest.raises(ModelError):
        loading.load_for_inference(str(folder), dtype=torch.float32)


CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
BAD_ADAPTERS: list[Change] = [
    *[holds(ADAPTER, data) for data in TORN],
    cut(ADAPTER, 3000),
    lambda folder: (folder / ADAPTER).unlink(),
    *[holds(CONFIG, data) for data in (b"", b"[]", b"{", b"{}")],
    holds("base.json", b"[]"),
    says(CONFIG, megatron_config={"a": 1}),
    says(CONFIG, megatron_config={"a": 1}, megatron_core="evil"),
    says(CONFIG, megatron_core="evil"),
    says(CONFIG, auto_mapping={"base_model_class": "Evil", "parent_library": "evil"}),
    says(CONFIG, loftq_config={"a": "evil"}),
    says(CONFIG, eva_config={"a": 1}),
    says(CONFIG, layer_replication=[[0, 10**9]]),
    says(CONFIG, runtime_config={"a": 1}),
    says(CONFIG, surprise=1),
    says(CONFIG, peft_type="EVIL"),
    says(CONFIG, peft_type="IA3"),
    *[says(CONFIG, r=rank) for rank in (0, -1, 10**9, "8", None, True)],
    says(CONFIG, rank_pattern={"q_proj": 10**9}),
]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BAD_ADAPTERS)))
def test_an_adapter_that_is_not_what_it_claims_is_a_sentence_in_every_command(
    base: Path, adapter: Path, workspace: Workspace, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = workspace.runs / "bad" / "adapter"
    shutil.copytree(adapter, folder)
    BAD_ADAPTERS[number](folder)
    for read in (
        lambda: loading.load_for_inference(str(base), folder, torch.float32),
        lambda: targets.export_run("bad", workspace.runs, tmp_path / "merged", "merged"),
        lambda: targets.export_run("bad", workspace.runs, tmp_path / "alone", "adapter"),
        lambda: serve.servable("bad", None, workspace),
    ):
        with pytest.raises(ModelError):
            read()
    assert not (tmp_path / "ran").exists() and "evil" not in sys.modules
    assert not (tmp_path / "merged").exists() and not (tmp_path / "alone").exists()


def test_what_we_write_is_sound(base: Path, adapter: Path) -> None:
    refuse_unsound_model(base, "base")
    refuse_unsound_adapter(adapter)
