"""A GGUF file (llama.cpp, Ollama, LM Studio) as a safetensors folder: weights, configuration, tokenizer, chat template.

The weights are what the file's quantisation left of them; they are stored as bfloat16, which rounds them once more,
far below what quantising to 4 or 8 bits did. Data only is read. It knows text models of the classes Llama and Qwen2;
others are refused, because a tokenizer that splits a text in another way than in training would go unnoticed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import ModelError, first_line

MAGIC = b"GGUF"
CODE = "model.gguf"
ARCHITECTURES = ("llama", "qwen2")
# How a text is cut before byte-pair encoding, in GGUF's names: as GPT-2 does, numbers into digits first, or as Qwen2.
PLAIN, DIGITS, QWEN2 = "gpt-2", "smollm", "qwen2"
CONTROL, USER_DEFINED = 3, 4  # kinds of tokens that stand apart from the text
HEAD = ("general.architecture", "tokenizer.ggml.", "tokenizer.chat_template")


class Head(NamedTuple):
    """What the file says before its weights. `kinds`: how many numbers are stored in which type, most first."""

    fields: dict[str, Any]
    kinds: dict[str, int]

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


def read_head(file: Path) -> Head:
    """The head of a GGUF file. Raises ModelError for one that is damaged, or of a kind that is not read here."""
    from gguf import GGUFReader

    with file.open("rb") as data:
        if data.read(4) != MAGIC:
            raise ModelError(f"{file.name} is not a GGUF file.", "Give a file that ends in .gguf.", CODE)
    kinds: dict[str, int] = {}
    try:
        reader = GGUFReader(file)
        for tensor in reader.tensors:
            name = tensor.tensor_type.name
            kinds[name] = kinds.get(name, 0) + int(tensor.n_elements)
        wanted = (*HEAD, *(f"{architecture}.context_length" for architecture in ARCHITECTURES))
        fields = {name: field.contents() for name, field in reader.fields.items() if name.startswith(wanted)}
    except (ValueError, IndexError, KeyError, OSError, MemoryError, OverflowError, UnicodeDecodeError) as error:
        raise ModelError(f"{file.name} is damaged: {first_line(error)}.", "Fetch it again.", CODE) from error
    architecture = str(fields.get("general.architecture", "unknown"))
    words = str(fields.get("tokenizer.ggml.model", "none")), str(fields.get("tokenizer.ggml.pre", "unnamed"))
    if architecture not in ARCHITECTURES:
        message = f"{file.name} holds a model of the class '{architecture}'."
        remedy = "Llama- and Qwen2-class models are read from GGUF; take this one from the hub."
        raise ModelError(message, remedy, CODE)
    if words not in (("gpt2", PLAIN), ("gpt2", DIGITS), ("gpt2", QWEN2)):
        message = f"The tokenizer of {file.name} is of the kind {'/'.join(words)}, which cannot be rebuilt faithfully."
        raise ModelError(message, "Take the model from the hub, or as a safetensors folder.", CODE)
    if not kinds or not fields.get("tokenizer.ggml.tokens"):
        raise ModelError(f"{file.name} holds no weights or no vocabulary.", "Fetch it again.", CODE)
    return Head(fields, dict(sorted(kinds.items(), key=lambda item: -item[1])))


def convert(file: Path, target: Path) -> str:
    """Write the model of a GGUF file into the folder `target`; returns what its precision lost. Raises ModelError."""
    import torch
    import transformers

    head = read_head(file)
    try:
        read = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
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
    tokenizer(head.fields).save_pretrained(target)
    return head.precision


def tokenizer(fields: dict[str, Any]) -> Any:
    """The byte-level BPE tokenizer that the head describes, chat template included.

    Built here, because transformers' reader cuts every text as GPT-2 does, whatever the file says.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    tokens = [str(token) for token in fields["tokenizer.ggml.tokens"]]
    kinds = fields.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    pairs = (str(merge).partition(" ") for merge in fields.get("tokenizer.ggml.merges") or [])
    merges = [(first, second) for first, _, second in pairs]
    built = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    _cut(built, fields["tokenizer.ggml.pre"])
    built.decoder = decoders.ByteLevel()
    apart = {token: kind for token, kind in zip(tokens, kinds, strict=True) if kind in (CONTROL, USER_DEFINED)}
    built.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, k in apart.items() if k == CONTROL])
    built.add_tokens([AddedToken(t, normalized=False) for t, kind in apart.items() if kind == USER_DEFINED])

    def named(role: str) -> str | None:
        number = fields.get(f"tokenizer.ggml.{role}_token_id")
        return None if number is None else tokens[int(number)]

    made = PreTrainedTokenizerFast(
        tokenizer_object=built,
        bos_token=named("bos"),
        eos_token=named("eos"),
        unk_token=named("unknown"),
        pad_token=named("padding"),
        model_max_length=int(fields[f"{fields['general.architecture']}.context_length"]),
    )
    made.chat_template = fields.get("tokenizer.chat_template")
    return made


def _cut(built: Any, how: str) -> None:
    """Have a tokenizer cut texts as a file says."""
    from tokenizers import Regex, normalizers, pre_tokenizers
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=how != QWEN2)
    first: Any = None
    if how == DIGITS:
        first = pre_tokenizers.Digits(individual_digits=True)
    elif how == QWEN2:
        built.normalizer = normalizers.NFC()
        first = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    built.pre_tokenizer = pre_tokenizers.Sequence([first, letters]) if first else letters
