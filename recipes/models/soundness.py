"""What files of models and adapters must be before a library reads them: whole, of sane sizes, naming no imports.

Files that come from elsewhere are data, but libraries act on what they say: PEFT imports the module that an adapter's
configuration names, and transformers makes as many layers as a configuration asks for. Whatever is off is a ModelError
that says which file, and nothing was loaded by then.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import ModelError, StorageError
from synth.storage import read_json

AGAIN = "Fetch or copy it again."
MAX_HEADER_BYTES = 100 << 20
MAX_JSON_BYTES = 64 << 20
MAX_DEPTH = 8
SIZES = {
    "num_hidden_layers": 512, "encoder_layers": 512, "decoder_layers": 512, "hidden_size": 65_536, "d_model": 65_536,
    "intermediate_size": 524_288, "vocab_size": 4_000_000, "num_attention_heads": 4_096, "num_key_value_heads": 4_096,
    "num_experts": 4_096, "num_local_experts": 4_096, "max_position_embeddings": 100_000_000, "image_size": 65_536,
    "patch_size": 4_096, "num_mel_bins": 4_096, "num_labels": 1_000_000,
}  # fmt: skip
INDEX = "model.safetensors.index.json"
PART = re.compile(r"model-(\d+)-of-(\d+)\.safetensors")
# In which weights are stored that were not quantised, and counters beside them.
STORED = frozenset(["F64", "F32", "F16", "BF16", "I64", "I32", "BOOL"])
UNQUANTISED = "Take the model as it was published, in 16 or 32 bits: it is rounded to 4 bits here."
DTYPES = ("float32", "float16", "bfloat16", "float64")
LORA_KEYS = frozenset([
    "alpha_pattern", "alora_invocation_tokens", "auto_mapping", "base_model_name_or_path", "bias",
    "ensure_weight_tying", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights",
    "layers_pattern", "layers_to_transform", "lora_alpha", "lora_bias", "lora_dropout", "modules_to_save", "peft_type",
    "peft_version", "qalora_group_size", "r", "rank_pattern", "revision", "target_modules", "target_parameters",
    "task_type", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora", "use_rslora",
])  # fmt: skip
VOCABULARIES = ("tokenizer", "vocab", "tekken")  # what files begin with that hold one; sentencepiece's end in .model
USUAL = {"megatron_core": "megatron.core"}  # PEFT writes it into every adapter, and imports it for megatron_config only
MAX_RANK = 4_096


class Stored(NamedTuple):
    """A tensor of a safetensors file: its number format, in the format's words, and how many numbers it holds."""

    dtype: str
    numbers: int


def refuse_unsound_model(folder: Path, name: str) -> None:
    """Raise ModelError unless the files of a base can be read as what they claim to be."""
    _refuse_irregular(folder)
    config = read_object(folder / "config.json")
    _refuse_sizes(config, name)
    for file in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "generation_config.json"):
        if (folder / file).exists():
            read_object(folder / file)
    _refuse_quantised(config, name)
    stored = {weights.name: refuse_torn_weights(weights) for weights in weights_of(folder)}
    for file, tensors in stored.items():
        if odd := next((one for one, tensor in tensors.items() if tensor.dtype not in STORED), None):
            message = f"{name} holds {odd} as {tensors[odd].dtype} in {file}: its weights were quantised."
            raise ModelError(message, UNQUANTISED, "model.quantised")
    _refuse_missing_parts(folder, name, stored)
    if not any(file.name.startswith(VOCABULARIES) or file.suffix == ".model" for file in folder.iterdir()):
        raise ModelError(f"{name} has no tokenizer: {folder} holds no tokenizer.json.", AGAIN, "model.damaged")


def _refuse_quantised(config: dict[str, Any], name: str) -> None:
    """Raise ModelError where weights are said to be stored in fewer bits: what they decode to would be rounded anew."""
    if given := config.get("quantization_config"):
        method = given.get("quant_method") if isinstance(given, dict) else None
        message = f"The weights of {name} were quantised already ({str(method or 'in some way')[:40]})."
        raise ModelError(message, UNQUANTISED, "model.quantised")


def _refuse_missing_parts(folder: Path, name: str, stored: dict[str, dict[str, Stored]]) -> None:
    """Raise ModelError where the index of weights in several files names a file or tensor that is not there.

    `stored` has each file's tensors. Without an index, several files must not be numbered parts of a larger number.
    """
    index = folder / INDEX
    if not index.exists():
        if parts := [found for file in stored if (found := PART.fullmatch(file))]:
            most = max(int(part[2]) for part in parts)
            message = f"{name} has {len(parts)} of {most} files of weights, and no {INDEX} that says what is in them."
            raise ModelError(message, AGAIN, "model.damaged")
        return
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict):
        raise ModelError(f"{index} does not say where the weights are.", AGAIN, "model.damaged")
    for tensor, file in places.items():
        if tensor not in stored.get(str(file), {}):
            missing = f"{tensor} in {file}" if str(file) in stored else f"the file {file}"
            raise ModelError(f"{name} lacks {missing[:120]}, which {INDEX} names.", AGAIN, "model.damaged")


def weights_of(folder: Path) -> list[Path]:
    """The safetensors files of a base or adapter, by name. Raises ModelError when there are none."""
    if files := sorted(folder.glob("*.safetensors")):
        if odd := [file for file in files if not file.is_file()]:
            raise ModelError(f"{odd[0]} is no plain file.", AGAIN, "model.damaged")
        return files
    message = f"{folder} has no safetensors weights."
    raise ModelError(message, "Convert them: other formats can run code and are not read.")


def numbers_in(folder: Path) -> int:
    """How many numbers the safetensors files of a folder hold, by their heads. Raises ModelError."""
    return sum(one.numbers for file in weights_of(folder) for one in refuse_torn_weights(file).values())


def refuse_not_numbers(folder: Path, name: str) -> None:
    """Raise ModelError where a weight of a base is NaN or infinite. Each file is read once, a tensor at a time."""
    import torch
    from safetensors import safe_open

    for file in weights_of(folder):
        with safe_open(file, framework="pt") as opened:
            for tensor in opened.keys():  # noqa: SIM118 - no mapping
                values = opened.get_tensor(tensor)
                if values.is_floating_point() and not bool(torch.isfinite(values.sum(dtype=torch.float32))):
                    bad = int((~torch.isfinite(values)).sum())
                    if bad:
                        message = (
                            f"{name} holds {bad:,} weights that are no numbers (NaN or infinite), in {tensor[:100]}."
                        )
                        raise ModelError(message, AGAIN, "model.damaged")


def refuse_unsound_adapter(folder: Path) -> None:
    """Raise ModelError unless an adapter is plain LoRA whose files are whole."""
    _refuse_irregular(folder)
    config = read_object(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        raise ModelError(
            f"The adapter {folder} is no LoRA adapter.", "Train it anew as LoRA: nothing else is read.", "model.adapter"
        )
    harmless: tuple[Any, ...] = (None, {}, [], False)
    unknown = sorted(
        key for key, value in config.items() if key not in LORA_KEYS and value not in (*harmless, USUAL.get(key))
    )
    if unknown:
        message = f"The adapter {folder} asks for {', '.join(unknown[:5])}, which is not read from files."
        raise ModelError(message, "Take those keys out of its adapter_config.json, or train it anew.", "model.adapter")
    mapping = config.get("auto_mapping")
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    if library is not None and not str(library).startswith("transformers."):
        message = f"The adapter {folder} names a class outside transformers, which would be imported."
        raise ModelError(message, "Take auto_mapping out of its adapter_config.json.", "model.adapter")
    pattern = config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    if not all(isinstance(rank, int) and not isinstance(rank, bool) and 0 < rank <= MAX_RANK for rank in ranks):
        raise ModelError(f"The adapter {folder} has a rank that is not from 1 to {MAX_RANK}.", AGAIN, "model.adapter")
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        names = config.get(key) or []
        if not isinstance(names, str | list) or not all(isinstance(name, str) for name in names):
            message = f"The adapter {folder} has {key} that are no names of modules."
            raise ModelError(message, AGAIN, "model.adapter")
    alphas = config.get("alpha_pattern") or {}
    scales = [config.get("lora_alpha", 1), *(alphas.values() if isinstance(alphas, dict) else [None])]
    if not all(isinstance(scale, int | float) and not isinstance(scale, bool) for scale in scales):
        raise ModelError(f"The adapter {folder} has a lora_alpha that is no number.", AGAIN, "model.adapter")
    refuse_torn_weights(folder / "adapter_model.safetensors")


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ModelError for anything else."""
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise ModelError(f"{file} is larger than {MAX_JSON_BYTES >> 20} MiB.", AGAIN, "model.damaged")
        value = read_json(file)
    except (StorageError, OSError) as error:
        raise ModelError(f"{file} cannot be read as JSON.", AGAIN, "model.damaged") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file} holds no JSON object.", AGAIN, "model.damaged")
    return value


def refuse_torn_weights(file: Path) -> dict[str, Stored]:
    """The tensors of a safetensors file, by name. Raises ModelError unless its head is whole and they fill the rest."""
    try:
        with file.open("rb") as opened:
            total = file.stat().st_size
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, total - 8):
                raise ValueError("its header is cut")
            header = json.loads(opened.read(length))
        tensors = {key: value for key, value in header.items() if key != "__metadata__"}
        ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]
        found = {key: Stored(str(tensor["dtype"]), math.prod(tensor["shape"])) for key, tensor in tensors.items()}
    except FileNotFoundError as error:
        raise ModelError(f"There is no {file}.", AGAIN, "model.damaged") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        message = f"{file} holds no whole safetensors weights."
        raise ModelError(message, AGAIN, "model.damaged") from error
    if 8 + length + max(ends, default=0) != total:
        raise ModelError(f"{file} is cut, or longer than its tensors.", AGAIN, "model.damaged")
    return found


def _refuse_irregular(folder: Path) -> None:
    """Raise ModelError where a pipe or device lies among the files: whoever opens it would wait for ever."""
    for file in sorted(folder.iterdir()):
        if file.exists() and not file.is_file() and not file.is_dir():
            raise ModelError(f"{file} is no plain file.", AGAIN, "model.damaged")


def _refuse_sizes(config: dict[str, Any], name: str, depth: int = 0) -> None:
    for key, value in config.items():
        if isinstance(value, dict) and depth < MAX_DEPTH:
            _refuse_sizes(value, name, depth + 1)
        elif key in SIZES and value is not None and not _fits(value, SIZES[key]):
            message = f"The config.json of {name} says {key}: {str(value)[:20]}, which is not from 0 to {SIZES[key]:,}."
            raise ModelError(message, AGAIN, "model.config")
        elif key in ("dtype", "torch_dtype") and isinstance(value, str) and value not in (*DTYPES, "auto"):
            message = f"The config.json of {name} says {key}: {value[:20]}, which no weights are trained in."
            raise ModelError(message, f"Use one of {', '.join(DTYPES)}.", "model.config")


def _fits(value: Any, most: int) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= most for one in values)
