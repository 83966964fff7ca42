"""Files of models, adapters, runs and data that run code when they are unpickled or believed: none ever does."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.export import targets
from recipes.models import adding, loading
from recipes.recipe.schema import load_recipe
from recipes.run import checkpoints
from studio.serving import servable
from synth.errors import UserError
from synth.importing.detect import detect
from synth.importing.importer import import_data
from synth.workspace import Workspace
from tests.tiny import tiny_llama
from tests.tiny_runs import write_adapter

pytestmark = pytest.mark.slow

RAN = "ran"


class Canary:
    """Unpickled, it leaves a file behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder / RAN),)


def pickled(folder: Path) -> bytes:
    return pickle.dumps(Canary(folder))


def zipped(folder: Path) -> bytes:
    """A pickle as torch has laid it out since 1.6."""
    file = folder / "made.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(folder))
        archive.writestr("archive/version", "3\n")
    data = file.read_bytes()
    file.unlink()
    return data


PICKLES = ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "training_args.bin", "optimizer.pt",
           "scheduler.pt", "rng_state.pth", "adapter_model.bin", "tokenizer.pkl", "consolidated.00.pth")  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and an adapter of it."""
    folder = tmp_path_factory.mktemp("whole")
    base = tiny_llama(folder / "base")
    write_adapter({"base_model": str(base)}, folder / "adapter")
    return folder


def loaders(base: Path, workspace: Workspace, out: Path) -> list[Callable[[], Any]]:
    """Everything that opens a base or an adapter."""
    recipe = {"base_model": str(base), "lora": {"r": 4}}
    adapter = workspace.runs / "tuned" / "adapter"
    return [
        lambda: loading.load_for_inference(str(base), dtype=torch.float32),
        lambda: loading.load_for_inference(str(base), adapter, torch.float32),
        lambda: loading.load_trainable(load_recipe(recipe)),
        lambda: loading.load_trainable(load_recipe({**recipe, "adapter": str(adapter)})),
        lambda: targets.export_run("tuned", workspace.runs, out / "merged", "merged"),
        lambda: targets.export_run("tuned", workspace.runs, out / "alone", "adapter"),
        lambda: servable.servable(str(base), None, workspace),
        lambda: servable.servable(str(base), str(adapter), workspace),
        lambda: adding.add(str(base), "added"),
    ]


def laid_out(whole: Path, workspace: Workspace, tmp_path: Path) -> tuple[Path, Path]:
    base, adapter = tmp_path / "base", workspace.runs / "tuned" / "adapter"
    shutil.copytree(whole / "base", base)
    shutil.copytree(whole / "adapter", adapter)
    stamp = json.loads((adapter / "base.json").read_text())
    (adapter / "base.json").write_text(json.dumps({**stamp, "base_model": str(base)}))
    return base, adapter


@pytest.mark.parametrize("make", [pickled, zipped])
@pytest.mark.parametrize("instead", [False, True])
def test_no_loader_unpickles_what_lies_beside_or_instead_of_weights(
    whole: Path, workspace: Workspace, tmp_path: Path, make: Callable[[Path], bytes], instead: bool
) -> None:
    base, adapter = laid_out(whole, workspace, tmp_path)
    for folder in (base, adapter):
        for name in PICKLES:
            (folder / name).write_bytes(make(tmp_path))
        if instead:
            for weights in folder.glob("*.safetensors"):
                weights.unlink()
    tried = loaders(base, workspace, tmp_path)
    for number, load in enumerate(tried):
        if instead:
            with pytest.raises(UserError) as caught:
                load()
            assert "safetensors" in str(caught.value) and caught.value.remedy, number
        else:
            load()
        assert not (tmp_path / RAN).exists(), number
    if instead:  # nor when the pickle is called as the weights are
        for folder, name in ((base, "model.safetensors"), (adapter, "adapter_model.safetensors")):
            (folder / name).write_bytes(make(tmp_path))
        for number, load in enumerate(tried):
            with pytest.raises(UserError):
                load()
            assert not (tmp_path / RAN).exists(), number


def test_a_canary_that_is_unpickled_is_seen(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path))
    assert (tmp_path / RAN).is_dir()


def test_no_checkpoint_and_no_data_is_unpickled(workspace: Workspace, tmp_path: Path) -> None:
    for name in (*PICKLES, "state.json", "rows.jsonl", "rows.npy", "rows.npz", "rows.parquet", "rows.csv", "a.pkl"):
        for make in (pickled, zipped):
            (tmp_path / name).write_bytes(make(tmp_path))
            for read in (detect, lambda path: import_data(path, "mine", workspace)):
                with pytest.raises(UserError):
                    read(tmp_path / name)
            assert not (tmp_path / RAN).exists(), name
    step = tmp_path / "checkpoints" / "step-000007"
    step.mkdir(parents=True)
    (step / "manifest.json").write_bytes(pickled(tmp_path))
    assert checkpoints.newest(step.parent) is None and not (tmp_path / RAN).exists()


REMOTE = "somebody/their-model"
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "code of another repository": ("config.json", {"auto_map": {
        "AutoConfig": f"{REMOTE}--evil.C", "AutoModelForCausalLM": f"{REMOTE}--evil.M"}}),
    "a tokenizer of another repository": (
        "tokenizer_config.json", {"auto_map": {"AutoTokenizer": [f"{REMOTE}--evil.T", None]}}),
    "a name to ask for": ("config.json", {"_name_or_path": REMOTE, "_commit_hash": "main"}),
    "trust": ("config.json", {"trust_remote_code": True, "auto_map": {"AutoModelForCausalLM": f"{REMOTE}--evil.M"}}),
    "a kernel of a hub": ("config.json", {"_attn_implementation": f"kernels-community/evil:{REMOTE}"}),
    "attention of a hub": ("config.json", {"attn_implementation": "kernels-community/evil"}),
    "a tokenizer that lies elsewhere": ("tokenizer_config.json", {
        "tokenizer_file": f"https://127.0.0.1:9/{REMOTE}", "name_or_path": REMOTE}),
    "weights that lie elsewhere": ("model.safetensors.index.json", {
        "metadata": {}, "weight_map": {"a": f"https://127.0.0.1:9/{REMOTE}", "b": "../../secret.safetensors"}}),
    "generation of another repository": ("generation_config.json", {"custom_generate": REMOTE}),
    "a quantiser that imports": ("config.json", {"quantization_config": {"quant_method": "evil", "modules": ["os"]}}),
}  # fmt: skip
ADAPTERS: dict[str, dict[str, Any]] = {
    "a base of a hub": {"base_model_name_or_path": REMOTE, "revision": "main"},
    "weights of a hub": {"init_lora_weights": REMOTE},
    "a class that is imported": {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}},
}


@pytest.mark.parametrize("what", [*CONFIGS, *ADAPTERS])
def test_no_config_switches_on_foreign_code_or_the_network(
    whole: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    from huggingface_hub import constants

    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        asked.append(arguments)
        raise OSError("no network")

    base, adapter = laid_out(whole, workspace, tmp_path)
    (base / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / RAN)!r})\n")
    monkeypatch.syspath_prepend(str(base))
    name, said = CONFIGS.get(what, ("", {}))
    file = base / name if name else adapter / "adapter_config.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **(said or ADAPTERS[what])}))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked"))
    for number, load in enumerate(loaders(base, workspace, tmp_path)):
        try:
            load()
        except UserError as error:
            assert error.remedy, number
        assert asked == [] and not (tmp_path / RAN).exists(), number
