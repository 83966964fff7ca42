"""Base models, 4-bit weights and adapters: everything that turns a recipe's `base_model` into a network.

For every modality alike (Llama, SmolVLM and Whisper classes; which one is read from the model's config.json):

    ref    = resolve("starter-text")              # name of a starter, a folder, or a hub id -> files on this disk
    loaded = load_trainable(recipe)               # NF4 base + fp32 LoRA, ready to train: .model .processor .info
    loaded = load_for_inference(ref, adapter)     # eval mode, adapter merged in unless merge=False
    save_adapter(loaded, run.path / "adapter")    # PEFT's files + base.json, which names and hashes the base

`loaded.processor` is a tokenizer (text) or the model's processor (vision, audio); `loaded.tokenizer` is always the
tokenizer. Every failure is a ModelError. Nothing here runs code that comes with a model, and only safetensors are
read. This is the only module that imports bitsandbytes. It does not train, generate, or decide what fits
(`recipes.train.preflight`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal, NamedTuple

from recipes.models import templates
from recipes.models.files import (
    BASE_STAMP,
    Modality,
    ModelRef,
    adapter_stamp,
    fastest_dtype,
    find_adapter,
    resolve,
    starters,
    weights_sha256,
)
from recipes.recipe.options import Lora, Quant
from recipes.recipe.schema import Recipe
from synth.errors import ModelError
from synth.storage import atomic_dir, write_json

__all__ = [
    "Loaded",
    "ModelInfo",
    "ModelRef",
    "adapter_stamp",
    "find_adapter",
    "keep_gradients",
    "load_for_inference",
    "load_processor",
    "load_trainable",
    "resolve",
    "save_adapter",
    "short_attention",
    "starters",
]

SHORT_TOKENS = 320
# Said aloud, because transformers otherwise asks on the terminal whether a model's own code may run.
SAFELY = {"local_files_only": True, "trust_remote_code": False}


class ModelInfo(NamedTuple):
    """Facts for reports and checks. `weights`: how the base is held; `dtype`: of the frozen weights."""

    ref: ModelRef
    weights: Literal["packed", "rounded", "plain"]
    dtype: str
    params: int
    trainable_params: int
    sha256: str
    quant: dict[str, Any] | None


class Loaded(NamedTuple):
    model: Any
    processor: Any
    info: ModelInfo

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)


def load_trainable(recipe: Recipe, runs: Path | None = None) -> Loaded:
    """Base in NF4 with a fresh LoRA on it, or with `recipe.adapter` to continue from (looked up in `runs`).

    The base is frozen; adapters are fp32. Call `torch.manual_seed` first: LoRA's A is drawn from torch's generator.
    """
    import torch

    ref = resolve(recipe.base_model, recipe.revision)
    if ref.modality != recipe.modality:
        raise ModelError(
            f"{recipe.base_model} is a {ref.modality} model, but {recipe.method} trains {recipe.modality}.",
            "Choose another base_model or another method.",
            "model.modality",
        )
    dtype = torch.bfloat16 if recipe.optim.bf16 else torch.float32
    weights = choose_weights(recipe.quant, ref.path)
    model = _load_base(ref, dtype, recipe.quant, weights)
    if recipe.adapter:
        model = _with_adapter(model, ref, find_adapter(recipe.adapter, runs), trainable=True)
    else:
        model = _with_lora(model, recipe.lora, ref.modality)
    keep_gradients(model)
    lean_lora(model)
    model.train()
    return Loaded(model, load_processor(ref), _info(model, ref, weights, dtype, recipe.quant))


def load_for_inference(
    ref: str | ModelRef,
    adapter: str | Path | None = None,
    dtype: Any = None,
    *,
    runs: Path | None = None,
    merge: bool = True,
    revision: str | None = None,
) -> Loaded:
    """A model that answers. Without adapter: the base as published. With one: the base rounded as it was in training.

    `dtype` is a torch dtype, by default what `fastest_dtype` says. `merge` folds the adapter into the weights, which
    is faster; merge=False keeps it apart, so that `model.disable_adapter()` gives the base.
    Raises ModelError when the adapter was trained on another base.
    """
    import torch

    base = resolve(ref, revision) if isinstance(ref, str) else ref
    folder = find_adapter(str(adapter), runs) if adapter else None
    dtype = dtype or fastest_dtype(base)
    stamp = adapter_stamp(folder) if folder else None
    quant = Quant.model_validate(stamp["quant"]) if stamp and stamp.get("quant") else Quant(load_in_4bit=False)
    weights: Literal["rounded", "plain"] = "rounded" if quant.load_in_4bit else "plain"
    # Rounded from the dtype of the training, so that the values are those the adapter was fitted to.
    trained_dtype = getattr(torch, stamp["dtype"]) if stamp else dtype
    model = _load_base(base, trained_dtype, quant, weights).to(dtype)
    if folder:
        model = _with_adapter(model, base, folder, trainable=False)
        model = model.merge_and_unload() if merge else model
    model.eval()
    loaded = Loaded(model, load_processor(base), _info(model, base, weights, dtype, quant))
    if folder and base.modality == "audio":
        from recipes.audio import backends

        backends.restore_window(loaded, folder)
    return loaded


def load_processor(ref: ModelRef) -> Any:
    """Tokenizer (text) or processor (vision, audio), its chat template with a time limit.

    A missing padding token becomes the end token.
    """
    from transformers import AutoProcessor, AutoTokenizer

    cls = AutoTokenizer if ref.modality == "text" else AutoProcessor
    try:
        processor = cls.from_pretrained(ref.path, **SAFELY)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"The tokenizer or processor of {ref.name} cannot be loaded: {_first_line(error)}.",
            "Check the model's folder.",
        ) from error
    tokenizer = getattr(processor, "tokenizer", processor)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    templates.limit(processor, ref.name)
    return processor


def choose_weights(quant: Quant, path: Path) -> Literal["packed", "rounded", "plain"]:
    """How to hold the base: rounded weights where memory allows on a processor, packed ones on CUDA."""
    if not quant.load_in_4bit:
        return "plain"
    if quant.weights != "auto":
        return quant.weights
    import psutil
    import torch

    if torch.cuda.is_available():
        return "packed"
    stored = sum(f.stat().st_size for f in path.glob("*.safetensors"))
    # Half of what is free: activations, the adapter and its optimiser state need the rest.
    return "rounded" if 2 * stored < psutil.virtual_memory().available / 2 else "packed"


def keep_gradients(model: Any) -> None:
    """Forbid bitsandbytes to repack `model` for inference, on this and every later forward.

    On processors with AVX512-BF16 one eval-mode forward repacks a Linear4bit in place, and the packed branch has no
    autograd: what is trained after it gets no gradient, without any error (bitsandbytes 0.50, nn/modules.py).
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def lean_lora(model: Any) -> None:
    """Give the plain LoRA layers of `model` a forward with fewer passes over memory; the function is PEFT's.

    PEFT casts the input to fp32 (autocast casts it back) and scales the wide output; here the narrow middle is scaled.
    Measured on one core: about a tenth of a QLoRA step. Disabled, merged or several adapters take PEFT's own path.
    """
    from types import MethodType

    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer) and hasattr(module, "in_features") and not module.lora_variant:
            module.forward = MethodType(_lean_forward, module)


def _lean_forward(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    import torch

    active = layer.active_adapters
    if args or kwargs or layer.disable_adapters or layer.merged or len(active) != 1 or active[0] not in layer.lora_A:
        return type(layer).forward(layer, x, *args, **kwargs)
    name = active[0]
    narrow = layer.lora_A[name](layer.lora_dropout[name](x)) * layer.scaling[name]
    return layer.base_layer(x) + torch.nn.functional.linear(narrow, layer.lora_B[name].weight, layer.lora_B[name].bias)


def short_attention(model: Any, longest: int) -> None:
    """On a processor, let `model` compute attention plainly when rows are short: `longest` tokens at most.

    torch's fused attention is slow to differentiate there: 4 times slower than the plain form at 100 tokens, 2 times
    at 256, equal at 512, where the plain form's memory (square of the length) begins to hurt.
    """
    if model.device.type == "cpu" and longest <= SHORT_TOKENS:
        model.get_base_model().set_attn_implementation("eager")


def save_adapter(loaded: Loaded, folder: Path, **more: Any) -> None:
    """Write the adapter in PEFT's format, with a stamp of its base; `more` (JSON values) is added to the stamp.

    Whole or not at all; an earlier adapter in `folder` is replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_dir(folder) as temporary:
        loaded.model.save_pretrained(
            temporary, safe_serialization=True, selected_adapters=["default"], save_embedding_layers=False
        )
        (temporary / "README.md").unlink(missing_ok=True)  # PEFT's template, all blanks
        ref = loaded.info.ref
        write_json(
            temporary / BASE_STAMP,
            {
                "base_model": ref.name,
                "kind": ref.kind,
                "revision": ref.revision,
                "modality": ref.modality,
                "sha256": loaded.info.sha256,
                "quant": loaded.info.quant,
                "dtype": loaded.info.dtype,
                **more,
            },
        )


def _load_base(ref: ModelRef, dtype: Any, quant: Quant, weights: str) -> Any:
    import torch
    import transformers

    classes = {
        "text": "AutoModelForCausalLM",
        "vision": "AutoModelForImageTextToText",
        "audio": "AutoModelForSpeechSeq2Seq",
    }
    weights_sha256(ref.path)  # refuses a folder without safetensors before transformers looks for other formats
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, **SAFELY}
    if weights == "packed":
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quant.bnb_4bit_quant_type,
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=quant.bnb_4bit_use_double_quant,
        )
        options["device_map"] = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        found = getattr(transformers, classes[ref.modality]).from_pretrained(
            ref.path, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"{ref.name} cannot be loaded: {_first_line(error)}.",
            "It must be a safetensors model of a class that transformers knows.",
        ) from error
    model, loading = found
    if missing := sorted(loading["missing_keys"]):  # transformers would go on with random numbers in their place
        raise ModelError(
            f"{ref.name} lacks {len(missing)} of its model's tensors, for instance {missing[0]}.",
            "Its files are of another class than its config.json says, or incomplete: fetch them again.",
        )
    if weights == "rounded":
        round_to_nf4(model, quant)
    if weights != "packed" and torch.cuda.is_available():
        model = model.to("cuda")
    return model


def round_to_nf4(model: Any, quant: Quant) -> None:
    """Replace, in place, every weight that 4-bit loading would quantise by its NF4 value.

    The same values that `Linear4bit` decodes at each step (with double quantisation when `quant` says so), so the
    arithmetic is QLoRA's, paid with memory instead of time. Output heads stay exact, as in transformers.
    """
    import torch
    from bitsandbytes import functional

    heads = {id(getattr(m, "weight", None)) for m in (model.get_output_embeddings(), model.get_input_embeddings())}
    for module in model.modules():
        if not isinstance(module, torch.nn.Linear) or id(module.weight) in heads:
            continue
        packed, state = functional.quantize_4bit(
            module.weight.data,
            quant_type=quant.bnb_4bit_quant_type,
            compress_statistics=quant.bnb_4bit_use_double_quant,
        )
        module.weight.data = functional.dequantize_4bit(packed, state).to(module.weight.dtype)


def _with_lora(model: Any, lora: Lora, modality: Modality) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules),
        exclude_modules=lora.exclude_modules,
        # PEFT's wrapper for sequence-to-sequence passes input_ids, which Whisper refuses.
        task_type=None if modality == "audio" else "CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(
            f"LoRA cannot be put on this model: {_first_line(error)}.",
            "Check lora.target_modules and lora.exclude_modules.",
        ) from error


def _with_adapter(model: Any, ref: ModelRef, folder: Path, *, trainable: bool) -> Any:
    from peft import PeftModel

    stamp = adapter_stamp(folder)
    if stamp and stamp["sha256"] != weights_sha256(ref.path):
        raise ModelError(
            f"The adapter {folder} was trained on {stamp['base_model']}, whose weights differ from those "
            f"of {ref.name}.",
            "Load it on its own base.",
            "model.wrong_base",
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"The adapter {folder} has no adapter_model.safetensors.", "Other formats are not read.")
    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"The adapter {folder} does not fit {ref.name}: {_first_line(error)}.",
            "Load it on its own base.",
            "model.wrong_base",
        ) from error


def _info(model: Any, ref: ModelRef, weights: Any, dtype: Any, quant: Quant) -> ModelInfo:
    sizes = [(_true_size(p), p.requires_grad) for p in model.parameters()]
    trainable = sum(n for n, grad in sizes if grad)
    kept = quant.model_dump(exclude={"weights"}) if quant.load_in_4bit else None
    return ModelInfo(
        ref,
        weights,
        str(dtype).removeprefix("torch."),
        sum(n for n, _ in sizes),
        trainable,
        weights_sha256(ref.path),
        kept,
    )


def _true_size(parameter: Any) -> int:
    state = getattr(parameter, "quant_state", None)
    return int(state.shape.numel()) if state is not None else int(parameter.numel())


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")[:200]
