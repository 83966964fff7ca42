"""A GGUF file (llama.cpp, Ollama, LM Studio) as a safetensors folder: weights, configuration, tokenizer, chat template.

The weights are what the file's quantisation left of them; they are stored as bfloat16, which rounds them once more,
far below what quantising to 4 or 8 bits did. Data only is read. It knows Llama-class text models; others are refused,
because a tokenizer that splits a text in another way than in training would go unnoticed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import ModelError, first_line

MAGIC = b"GGUF"
CODE = "model.gguf"
ARCHITECTURES = ("llama",)
# What GGUF calls the way a text is cut before byte-pair encoding; transformers' reader takes the first for all.
PLAIN, DIGITS = "gpt-2", "smollm"


class Facts(NamedTuple):
    """What the head of the file says. `kinds`: how many numbers are stored in which type, most first."""

    architecture: str
    pre: str
    kinds: dict[str, int]
    template: bool

    @property
    def precision(self) -> str:
        """What was lost, in a sentence."""
        main = next(iter(self.kinds))
        if main in ("F32", "F16", "BF16"):
            return f"The file's weights are {main}; they are kept as bfloat16."
        return (
            f"The file's weights were quantised to {main}; they are kept as bfloat16, and what quantising lost is not "
            "brought back."
        )


def read_facts(file: Path) -> Facts:
    """The head of a GGUF file. Raises ModelError for one that is damaged, or of a kind that is not read here."""
    with file.open("rb") as data:
        if data.read(4) != MAGIC:
            raise ModelError(f"{file.name} is not a GGUF file.", "Give a file that ends in .gguf.", CODE)
    try:
        from gguf import GGUFReader
    except ModuleNotFoundError as error:
        message = "Reading GGUF needs the package gguf, which is not installed."
        raise ModelError(message, "Install it: pip install gguf.", CODE) from error
    try:
        reader = GGUFReader(file)
        kinds: dict[str, int] = {}
        for tensor in reader.tensors:
            name = tensor.tensor_type.name
            kinds[name] = kinds.get(name, 0) + int(tensor.n_elements)
        found = {name: field.contents() for name, field in reader.fields.items() if _is_head(name)}
    except (ValueError, IndexError, KeyError, OSError, MemoryError, OverflowError, UnicodeDecodeError) as error:
        raise ModelError(f"{file.name} is damaged: {first_line(error)}.", "Fetch it again.", CODE) from error
    architecture, model = str(found.get("general.architecture", "")), str(found.get("tokenizer.ggml.model", ""))
    pre = str(found.get("tokenizer.ggml.pre", "default"))
    if architecture not in ARCHITECTURES:
        message = f"{file.name} holds a model of the class '{architecture or 'unknown'}'."
        raise ModelError(message, "Llama-class models are read from GGUF; take this one from the hub.", CODE)
    if model != "gpt2" or pre not in (PLAIN, DIGITS):
        message = f"The tokenizer of {file.name} is of the kind {model}/{pre}, which cannot be rebuilt faithfully."
        raise ModelError(message, "Take the model from the hub, or as a safetensors folder.", CODE)
    if not kinds:
        raise ModelError(f"{file.name} holds no weights.", "Fetch it again.", CODE)
    ordered = dict(sorted(kinds.items(), key=lambda item: -item[1]))
    return Facts(architecture, pre, ordered, bool(found.get("tokenizer.chat_template")))


def convert(file: Path, target: Path) -> str:
    """Write the model of a GGUF file into the folder `target`; returns what its precision lost. Raises ModelError."""
    import torch
    import transformers

    facts = read_facts(file)
    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **where)
        read = transformers.AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
        message = f"{file.name} cannot be read: {first_line(error)}."
        raise ModelError(message, "Take the model from the hub, or as a safetensors folder.", CODE) from error
    config = read.config.to_dict()
    config.pop("quantization_config", None)
    # A fresh network, because one that was read from GGUF counts as quantised and refuses to be saved.
    fresh = type(read)(type(read.config).from_dict({**config, "dtype": "bfloat16"}))
    fresh.load_state_dict(read.state_dict())
    fresh.generation_config = read.generation_config
    fresh.to(torch.bfloat16).save_pretrained(target)
    if facts.pre == DIGITS:
        _split_digits(tokenizer)
    tokenizer.save_pretrained(target)
    return facts.precision


def _split_digits(tokenizer: Any) -> None:
    """Cut numbers into digits before byte-pair encoding, as the model was trained; transformers' reader does not."""
    from tokenizers import pre_tokenizers

    digits = pre_tokenizers.Digits(individual_digits=True)
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, letters])


def _is_head(name: str) -> bool:
    return name in ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.chat_template")
