"""Base models as networks: everything that turns a recipe's `base_model` into something that trains or answers.

For every modality alike (which one is read from the model's config.json):

    ref    = resolve("starter-text")              # name of a starter, a folder, or a hub id -> files on this disk
    loaded = load_trainable(recipe)               # NF4 base + fp32 LoRA, ready to train: .model .processor .info
    loaded = load_for_inference(ref, adapter)     # eval mode, adapter merged in unless merge=False
    save_adapter(loaded, run.path / "adapter")    # PEFT's files + base.json, which names and hashes the base

Files are found in `recipes.models.files`, adapters are in `recipes.models.lora`, 4-bit weights in `recipes.models.nf4`.
Every failure is a ModelError. Nothing here runs code that comes with a model, and only safetensors are read. It does
not train, generate, or decide what fits (`recipes.train.preflight`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recipes.modality import side
from recipes.models import nf4, sharding, templates
from recipes.models.device import device
from recipes.models.files import ModelRef, adapter_stamp, fastest_dtype, find_adapter, resolve, weights_sha256
from recipes.models.libraries import imported
from recipes.models.loaded import Held, Loaded, ModelInfo
from recipes.models.lora import hold_statistics, lean_lora, with_adapter, with_lora
from recipes.models.soundness import read_object, refuse_unsound_model
from recipes.recipe.options import Quant
from recipes.recipe.schema import Recipe
from synth.errors import ModelError, first_line
from synth.modality import dotted

# Given explicitly, because transformers otherwise asks on the terminal whether a model's own code may run.
SAFELY = {"local_files_only": True, "trust_remote_code": False}


def load_trainable(recipe: Recipe, runs: Path | None = None, shard: bool = False) -> Loaded:
    """Base in NF4 with a fresh LoRA on it, or with `recipe.adapter` to continue from (looked up in `runs`).

    The base is frozen; adapters are fp32. `shard`: each of several processes holds a part of the base. Call
    `torch.manual_seed` first: LoRA's A is drawn from torch's generator.
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
    weights = nf4.choose_weights(recipe.quant, ref.path, shard)
    model = _load_base(ref, dtype, recipe.quant, weights, shard)
    if recipe.adapter:
        model = with_adapter(model, ref, find_adapter(recipe.adapter, runs), trainable=True)
    else:
        model = with_lora(model, recipe.lora, ref.modality)
    nf4.keep_gradients(model)
    lean_lora(model)
    config = model.config.get_text_config()
    if getattr(config, "num_local_experts", None) == 0:
        config.router_aux_loss_coef = 0.0  # TRL would balance the experts of a Granite 4.0 that has none
    hold_statistics(model)
    model.train()
    info = _info(model, ref, weights, dtype, recipe.quant)
    if shard:
        sharding.shard(model, ref.name)
    return Loaded(model, load_processor(ref), info)


def load_for_inference(
    ref: str | ModelRef,
    adapter: str | Path | None = None,
    dtype: Any = None,
    *,
    runs: Path | None = None,
    merge: bool = True,
    revision: str | None = None,
    rounded: bool = True,
) -> Loaded:
    """A model that answers. Without adapter: the base as published. With one: the base rounded as it was in training.

    `dtype` is a torch dtype, by default what `fastest_dtype` says. `merge` folds the adapter into the weights, which
    is faster; merge=False keeps it apart, so that `model.disable_adapter()` gives the base. `rounded=False` puts the
    adapter on the base as published instead, on which it was not trained: only to measure what that would change.
    Raises ModelError when the adapter was trained on another base.
    """
    base = resolve(ref, revision) if isinstance(ref, str) else ref
    folder = find_adapter(str(adapter), runs) if adapter else None
    imported("peft" if folder else "transformers.modeling_utils")
    import torch

    dtype = dtype or fastest_dtype(base)
    stamp = adapter_stamp(folder) if folder else None
    known = stamp["quant"] if stamp and rounded else None
    quant = Quant.model_validate(known) if known else Quant(load_in_4bit=False)
    weights: Held = "rounded" if quant.load_in_4bit else "plain"
    # Rounded from the dtype of the training, so that the values are those the adapter was fitted to.
    trained_dtype = getattr(torch, stamp["dtype"]) if stamp else dtype
    model = _load_base(base, trained_dtype, quant, weights).to(dtype)
    if folder:
        model = with_adapter(model, base, folder, trainable=False)
        model = model.merge_and_unload() if merge else model
    model.eval()
    loaded = Loaded(model, load_processor(base), _info(model, base, weights, dtype, quant))
    if folder and (restore := side(base.modality).with_adapter):
        dotted(restore)(loaded, folder)
    return loaded


def load_processor(ref: ModelRef) -> Any:
    """Tokenizer (text) or processor (vision, audio), its chat template with a time limit.

    A missing padding token becomes the end token.
    """
    import transformers

    try:
        processor = getattr(transformers, side(ref.modality).processor_class).from_pretrained(ref.path, **SAFELY)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise ModelError(
            f"The tokenizer or processor of {ref.name} cannot be loaded: {first_line(error)}.",
            "Check the model's folder.",
        ) from error
    tokenizer = getattr(processor, "tokenizer", processor)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    templates.limit(processor, ref.name)
    return processor


def _load_base(ref: ModelRef, dtype: Any, quant: Quant, weights: Held, shard: bool = False) -> Any:
    import transformers

    refuse_unsound_model(ref.path, ref.name)
    model_type = str(read_object(ref.path / "config.json").get("model_type", ""))
    auto_class = getattr(transformers, side(ref.modality).auto_class_of(model_type))
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, **SAFELY}
    if weights == "packed":
        options["quantization_config"] = nf4.packed_config(quant, dtype, shard)
        options["device_map"] = str(device())
    try:
        model, loading = auto_class.from_pretrained(ref.path, output_loading_info=True, **options)
    except MemoryError:
        raise
    except Exception as error:  # whatever a class of theirs raises for a configuration that it does not expect
        raise ModelError(
            f"{ref.name} cannot be loaded: {first_line(error)}.",
            "Choose a safetensors model of a class that transformers knows.",
        ) from error
    if missing := sorted(loading["missing_keys"]):  # transformers would go on with random numbers in their place
        raise ModelError(
            f"{ref.name} lacks {len(missing)} of its model's tensors, for instance {missing[0]}.",
            "Its files are of another class than its config.json says, or incomplete: fetch them again.",
        )
    _refuse_passed_over(model, ref.name, loading["unexpected_keys"])
    if weights == "rounded":
        nf4.round_to_nf4(model, quant)
    if weights != "packed":
        model = model.to(device())
    return model


def _refuse_passed_over(model: Any, name: str, unexpected: Iterable[str]) -> None:
    """Raise ModelError where the files hold a weight or bias for a layer that computes without one.

    Other tensors that a class does not ask for are passed over, as transformers does: heads for other tasks, drafts of
    tokens to come, buffers of old versions.
    """
    layers = {place for place, _ in model.named_modules()}
    for tensor in sorted(unexpected):
        place, _, kind = tensor.rpartition(".")
        if kind in ("weight", "bias") and place in layers:
            raise ModelError(
                f"{name} holds {tensor}, which its class computes without.",
                "Its config.json does not describe its weights: fetch both again.",
                "model.config",
            )


def _info(model: Any, ref: ModelRef, weights: Held, dtype: Any, quant: Quant) -> ModelInfo:
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
