"""A Whisper in CTranslate2's layout (faster-whisper's folders) as a safetensors folder for transformers.

model.bin is a list of named tensors; they are renamed, and the fused projections of queries, keys and values taken
apart. Keys have no bias in Whisper, so theirs must be zero. Only floating-point files are read: weights quantised to
int8 have scales beside them, and faster-whisper publishes float16. Data only is read; nothing is computed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from synth.errors import ModelError, UserError, first_line
from synth.storage import read_json, sha256_bytes, sha256_file

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, TOKENIZER, CONFIG = "model.bin", "tokenizer.json", "config.json"
VERSION, SPEC = 6, "WhisperSpec"
CODE = "model.ctranslate2"
DTYPES = {0: "float32", 1: "int8", 2: "int16", 3: "int32", 4: "float16", 5: "bfloat16"}
WIDTHS = {"float32": 4, "int8": 1, "int16": 2, "int32": 4, "float16": 2, "bfloat16": 2}
FLOATS = ("float32", "float16", "bfloat16")
LARGEST_TENSOR_BYTES = 1 << 31
SAMPLE_RATE_HZ, WINDOW_SEC = 16_000, 30
MULTILINGUAL = 51_865  # tokens; English-only Whispers have one fewer
PLACES = "position_encodings/encodings"


class Stored(NamedTuple):
    """A tensor of the file: shape, number format, little-endian bytes."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes


def is_folder(path: Path) -> bool:
    """Whether a folder is in this layout."""
    return (path / WEIGHTS).is_file() and not (path / "model.safetensors").exists()


def sha256(folder: Path) -> str:
    """SHA-256 over all files that a conversion reads."""
    files = [file for name in (WEIGHTS, TOKENIZER, CONFIG) if (file := folder / name).is_file()]
    return sha256_bytes("\n".join(f"{file.name} {sha256_file(file)}" for file in files).encode())


def convert(folder: Path, target: Path) -> str:
    """Write the Whisper of a CTranslate2 folder into `target`; returns what its precision lost. Raises ModelError."""
    if not (folder / TOKENIZER).is_file():
        message = f"{folder.name} holds no {TOKENIZER}, which older conversions lack."
        raise ModelError(message, f"Copy {TOKENIZER} of the same Whisper from the hub into it, and try again.", CODE)
    stored = read_tensors(folder / WEIGHTS)
    linear = stored.get("encoder/layer_0/ffn/linear_0/weight")
    kind = linear.dtype if linear else "nothing"
    if kind not in FLOATS:
        raise _quantised(f"The weights of {folder.name}", kind)
    try:
        network, processor = _whisper(folder, stored, kind)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # whatever their classes raise for numbers that do not go together
        message = f"{folder.name} cannot be read as a Whisper: {first_line(error)}."
        raise ModelError(message, "Fetch it again, or take the model from the hub.", CODE) from error
    network.save_pretrained(target)
    processor.save_pretrained(target)
    return f"The weights are those of the file, in {kind}."


def _whisper(folder: Path, stored: dict[str, Stored], kind: str) -> tuple[Any, Any]:
    """The network and its processor. Raises ModelError, and what transformers raises."""
    import torch
    import transformers

    config = _config(folder, stored)
    network = transformers.WhisperForConditionalGeneration(config)
    tensors = {name: value.to(getattr(torch, kind)) for name, value in renamed(stored)}
    head = "proj_out.weight"
    tensors.setdefault(head, tensors["model.decoder.embed_tokens.weight"])
    expected = network.state_dict()
    wrong = sorted(name for name in expected if name not in tensors or tensors[name].shape != expected[name].shape)
    if wrong or tensors.keys() - expected.keys():
        first = (wrong or sorted(tensors.keys() - expected.keys()))[0]
        message = f"{folder.name} is not laid out as a Whisper: {first} is missing or of another shape."
        raise ModelError(message, "Take the model from the hub.", CODE)
    if odd := next((name for name, value in tensors.items() if not bool(value.isfinite().all())), None):
        message = f"{folder.name} is damaged: {odd} holds something that is not a number."
        raise ModelError(message, "Fetch it again.", CODE)
    if not torch.equal(tensors[head], tensors["model.decoder.embed_tokens.weight"]):
        message = f"{folder.name} has a head of its own; a Whisper's is its embedding."
        raise ModelError(message, "Take the model from the hub.", CODE)
    network.to(getattr(torch, kind)).load_state_dict(tensors)
    network.generation_config = _generation(folder, config)
    return network, _processor(folder, config)


def read_tensors(file: Path) -> dict[str, Stored]:
    """The tensors of a model.bin by name. Raises ModelError for a file that is damaged, or no Whisper."""
    damaged = ModelError(f"{file.name} is damaged or cut off.", "Fetch it again.", CODE)
    with file.open("rb") as data:

        def take(count: int) -> bytes:
            found = data.read(count)
            if len(found) != count:
                raise damaged
            return found

        def number(form: str) -> int:
            return int(struct.unpack(f"<{form}", take(struct.calcsize(form)))[0])

        def text() -> str:
            return take(number("H")).rstrip(b"\0").decode("ascii", "replace")

        version, spec = number("I"), text()
        number("I")  # the revision of the specification
        if version != VERSION or spec != SPEC:
            message = f"{file.name} holds {spec[:40]!r} in version {version} of the format."
            raise ModelError(message, f"Whisper in version {VERSION} is read; convert the model again.", CODE)
        found: dict[str, Stored] = {}
        for _ in range(number("I")):
            name = text()
            shape = tuple(number("I") for _ in range(number("B")))
            dtype, size = DTYPES.get(number("B"), ""), number("I")
            if not dtype or size > LARGEST_TENSOR_BYTES or size != WIDTHS[dtype] * int(np.prod(shape, dtype=object)):
                raise damaged
            found[name] = Stored(shape, dtype, take(size))
    return found


def renamed(stored: dict[str, Stored]) -> Iterator[tuple[str, Tensor]]:
    """The tensors under transformers' names. Raises ModelError where something is not as Whisper has it."""
    for name, tensor in stored.items():
        part, _, rest = name.partition("/")
        if "/" not in rest and not rest.startswith("layer_norm"):
            continue  # numbers that describe the network, such as num_heads
        if rest.startswith("layer_norm/"):
            yield f"model.{part}.layer_norm.{_kind(rest)}", _tensor(tensor)
        elif rest.startswith("layer_"):
            layer, _, inner = rest.partition("/")
            prefix = f"model.{part}.layers.{layer.removeprefix('layer_')}"
            yield from _layer(prefix, inner, tensor)
        elif rest in OUTSIDE:
            yield f"model.{part}.{OUTSIDE[rest]}", _tensor(tensor)
        elif rest == "projection/weight":
            yield "proj_out.weight", _tensor(tensor)
        else:
            raise ModelError(f"A Whisper has no tensor {name}.", "Take the model from the hub.", CODE)


OUTSIDE = {
    "conv1/weight": "conv1.weight",
    "conv1/bias": "conv1.bias",
    "conv2/weight": "conv2.weight",
    "conv2/bias": "conv2.bias",
    "embeddings/weight": "embed_tokens.weight",
    "position_encodings/encodings": "embed_positions.weight",
}
PROJECTIONS = {
    "self_attention/linear_0": ("self_attn", ("q_proj", "k_proj", "v_proj")),
    "self_attention/linear_1": ("self_attn", ("out_proj",)),
    "attention/linear_0": ("encoder_attn", ("q_proj",)),
    "attention/linear_1": ("encoder_attn", ("k_proj", "v_proj")),
    "attention/linear_2": ("encoder_attn", ("out_proj",)),
}
NORMS = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
}


def _layer(prefix: str, inner: str, stored: Stored) -> Iterator[tuple[str, Tensor]]:
    head, kind = inner.rpartition("/")[0], _kind(inner)
    if head in NORMS:
        yield f"{prefix}.{NORMS[head]}.{kind}", _tensor(stored)
    elif head in PROJECTIONS:
        attention, parts = PROJECTIONS[head]
        for part, value in zip(parts, _tensor(stored).chunk(len(parts)), strict=True):
            if part == "k_proj" and kind == "bias":
                if bool(value.any()):
                    raise ModelError(f"{prefix} has a bias for keys.", "Take the model from the hub.", CODE)
                continue
            yield f"{prefix}.{attention}.{part}.{kind}", value.clone()
    elif head in ("ffn/linear_0", "ffn/linear_1"):
        yield f"{prefix}.{'fc1' if head.endswith('0') else 'fc2'}.{kind}", _tensor(stored)
    else:
        raise ModelError(f"A Whisper's layer has no tensor {inner}.", "Take the model from the hub.", CODE)


def _kind(name: str) -> str:
    last = name.rpartition("/")[2]
    return {"gamma": "weight", "beta": "bias"}.get(last, last)


def _tensor(stored: Stored) -> Tensor:
    """The values in float32, which holds float16 and bfloat16 exactly. Raises ModelError for whole numbers."""
    import torch

    if stored.dtype not in FLOATS:
        raise _quantised("Some of its weights", stored.dtype)
    found: Tensor = torch.frombuffer(bytearray(stored.data), dtype=getattr(torch, stored.dtype))
    return found.reshape(stored.shape).float()


def _quantised(what: str, kind: str) -> ModelError:
    return ModelError(f"{what} are stored as {kind}.", "Take a float16 conversion, or the model from the hub.", CODE)


def _config(folder: Path, stored: dict[str, Stored]) -> Any:
    from transformers import WhisperConfig

    try:
        (vocabulary, width), (positions, _) = (stored[f"decoder/{n}"].shape for n in ("embeddings/weight", PLACES))
        return WhisperConfig(
            vocab_size=vocabulary,
            d_model=width,
            num_mel_bins=stored["encoder/conv1/weight"].shape[1],
            encoder_layers=_layers(stored, "encoder"),
            decoder_layers=_layers(stored, "decoder"),
            encoder_attention_heads=_integer(stored["encoder/num_heads"]),
            decoder_attention_heads=_integer(stored["decoder/num_heads"]),
            encoder_ffn_dim=stored["encoder/layer_0/ffn/linear_0/weight"].shape[0],
            decoder_ffn_dim=stored["decoder/layer_0/ffn/linear_0/weight"].shape[0],
            max_source_positions=stored[f"encoder/{PLACES}"].shape[0],
            max_target_positions=positions,
            **_special(folder),
        )
    except (KeyError, ValueError, IndexError) as error:
        message = f"{folder.name} lacks what describes a Whisper: {str(error)[:80]}."
        raise ModelError(message, "Take the model from the hub.", CODE) from error


def _layers(stored: dict[str, Stored], part: str) -> int:
    names = {name.split("/")[1] for name in stored if name.startswith(f"{part}/layer_") and name.count("/") > 2}
    return len(names)


def _integer(stored: Stored) -> int:
    return int.from_bytes(stored.data, "little")


def _special(folder: Path) -> dict[str, int]:
    """Numbers of the tokens that begin and end a transcript. Raises KeyError for a tokenizer that is no Whisper's."""
    known = {token["content"]: int(token["id"]) for token in read_json(folder / TOKENIZER)["added_tokens"]}
    end, start, _ = (known[token] for token in ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"))
    return {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}


def _generation(folder: Path, config: Any) -> Any:
    """What transformers' generate needs: the end, and the tokens that no transcript has."""
    from transformers import GenerationConfig

    file = folder / CONFIG
    given = read_json(file) if file.is_file() else {}

    def never(key: str) -> list[int] | None:
        numbers: list[int] | None = given.get(key)
        if any(not isinstance(number, int) or not 0 <= number < config.vocab_size for number in numbers or ()):
            raise ValueError(f"{key} of its {CONFIG} are no tokens of its vocabulary")
        return numbers

    return GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        max_length=config.max_target_positions,
        suppress_tokens=never("suppress_ids"),
        begin_suppress_tokens=never("suppress_ids_begin"),
    )


def _processor(folder: Path, config: Any) -> Any:
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizer

    end = "<|endoftext|>"
    spoken = {"language": "en", "task": "transcribe"} if config.vocab_size >= MULTILINGUAL else {}
    tokenizer = WhisperTokenizer(
        tokenizer_object=Tokenizer.from_file(str(folder / TOKENIZER)),
        bos_token=end,
        eos_token=end,
        pad_token=end,
        unk_token=end,
        **spoken,
    )
    sound = WhisperFeatureExtractor(
        feature_size=config.num_mel_bins, sampling_rate=SAMPLE_RATE_HZ, chunk_length=WINDOW_SEC
    )
    return WhisperProcessor(sound, tokenizer)
