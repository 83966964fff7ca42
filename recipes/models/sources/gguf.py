"""A GGUF file (llama.cpp, Ollama, LM Studio) as a safetensors folder: weights, configuration, tokenizer, chat template.

The weights are what the file's quantisation left of them; they are stored as bfloat16, which rounds them once more,
far below what quantising to 4 or 8 bits did. Data only is read. It knows text models of the classes Llama and Qwen2;
others are refused, because a tokenizer that splits a text in another way than in training would go unnoticed. So is a
file that lacks a tensor, holds one more, or says something of its network that is not in ours: transformers would fill
the first with random numbers and pass over the others.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from recipes.models.sources import gguf_file
from recipes.models.sources.gguf_file import Tensor
from synth.errors import ModelError, first_line

CODE = "model.gguf"
HUB = "Take the model from the hub, or as a safetensors folder."
ARCHITECTURES = ("llama", "qwen2")
# How a text is cut before byte-pair encoding, in GGUF's names: as GPT-2 does, numbers into digits first, or as Qwen2.
PLAIN, DIGITS, QWEN2 = "gpt-2", "smollm", "qwen2"
CONTROL, USER_DEFINED = 3, 4  # kinds of tokens that stand apart from the text
MOST_LAYERS = 512
# What a file may say of its network, each key behind the class's name. Where values stand, nothing else is read.
KEYS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("context_length", "block_count", "feed_forward_length", "embedding_length", "vocab_size"), ()),
    **dict.fromkeys(("attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon"), ()),
    **dict.fromkeys(("attention.key_length", "attention.value_length", "rope.dimension_count", "rope.freq_base"), ()),
    "tensor_data_layout": ("Meta AI original pth",),
    "attention.causal": (True,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "rope.scaling.type": ("none",),
}


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
    with file.open("rb") as data:
        if data.read(4) != gguf_file.MAGIC:
            raise ModelError(f"{file.name} is not a GGUF file.", "Give a file that ends in .gguf.", CODE)
    try:
        fields, tensors = gguf_file.read(file)
    except (ValueError, OSError) as error:
        raise ModelError(f"{file.name} is damaged: {first_line(error)}.", "Fetch it again.", CODE) from error
    _refuse_parts(file, fields)
    architecture = str(fields.get("general.architecture", "unknown"))
    words = str(fields.get("tokenizer.ggml.model", "none")), str(fields.get("tokenizer.ggml.pre", "unnamed"))
    if architecture not in ARCHITECTURES:
        message = f"{file.name} holds a model of the class '{architecture[:40]}'."
        remedy = "Llama- and Qwen2-class models are read from GGUF; take this one from the hub."
        raise ModelError(message, remedy, CODE)
    if words not in (("gpt2", PLAIN), ("gpt2", DIGITS), ("gpt2", QWEN2)):
        named = "/".join(words)[:80]
        message = f"The tokenizer of {file.name} is of the kind {named}, which cannot be rebuilt faithfully."
        raise ModelError(message, HUB, CODE)
    if not tensors or not fields.get("tokenizer.ggml.tokens"):
        raise ModelError(f"{file.name} holds no weights or no vocabulary.", "Fetch it again.", CODE)
    _refuse_another_network(file, architecture, fields)
    _refuse_other_tensors(file, architecture, fields, tensors)
    kinds: dict[str, int] = {}
    for tensor in tensors:
        kinds[tensor.kind] = kinds.get(tensor.kind, 0) + tensor.numbers
    return Head(fields, dict(sorted(kinds.items(), key=lambda item: -item[1])))


def _refuse_parts(file: Path, fields: dict[str, Any]) -> None:
    """Raise ModelError for a file that holds a part of a model, or something beside one."""
    if fields.get("split.count", 1) != 1:
        message = f"{file.name} is one of {fields['split.count']} parts of a model."
        raise ModelError(message, "Join them with llama.cpp's `llama-gguf-split --merge`, and add the result.", CODE)
    if (kind := fields.get("general.type", "model")) != "model":
        message = f"{file.name} holds no model, but is of the type '{str(kind)[:40]}'."
        raise ModelError(message, "Give the model's own file.", CODE)


def _refuse_another_network(file: Path, architecture: str, fields: dict[str, Any]) -> None:
    """Raise ModelError where the file says of its network what the class in transformers does not do."""
    own = f"{architecture}."
    said = {key.removeprefix(own): value for key, value in fields.items() if key.startswith(own)}
    for key in said:
        allowed = KEYS.get(key)
        if key.startswith("rope.scaling.") and said.get("rope.scaling.type") == "none":
            continue
        if allowed is None or (allowed and said[key] not in allowed):
            message = f"{file.name} says {architecture}.{key}: {str(said[key])[:40]}, which is not read from GGUF."
            raise ModelError(message, HUB, CODE)
    if fields.get("general.name") == "mistral":  # transformers takes it for a model of that class, by its name
        raise ModelError(f"{file.name} calls itself 'mistral', which is another class.", HUB, CODE)
    for key in ("attention.layer_norm_rms_epsilon", "rope.freq_base"):
        value = said.get(key, 1.0 if key.startswith("rope") else None)  # ggml has a base of its own where none is said
        if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
            message = f"{file.name} gives no usable {architecture}.{key}."
            raise ModelError(message, "Fetch it again, or take the model from the hub.", CODE)


def _refuse_other_tensors(file: Path, architecture: str, fields: dict[str, Any], tensors: tuple[Tensor, ...]) -> None:
    """Raise ModelError unless the tensors are just those of a network of the sizes that the file names."""

    def size(key: str, default: int | None = None) -> int:
        value = fields.get(f"{architecture}.{key}", default)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            message = f"{file.name} gives no usable {architecture}.{key}."
            raise ModelError(message, "Fetch it again, or take the model from the hub.", CODE)
        return value

    size("context_length")
    heads, width, inner, layers = (
        size(key) for key in ("attention.head_count", "embedding_length", "feed_forward_length", "block_count")
    )
    shared = size("attention.head_count_kv", heads)
    head = size("attention.key_length", width // heads or None)
    alike = {size("attention.value_length", head), size("rope.dimension_count", head), head}
    if layers > MOST_LAYERS or heads % shared or len(alike) > 1:
        message = f"{file.name} describes a network of another form than its class in transformers has."
        raise ModelError(message, HUB, CODE)
    words = len(fields["tokenizer.ggml.tokens"])
    block: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (heads * head, width),
        "attn_k.weight": (shared * head, width),
        "attn_v.weight": (shared * head, width),
        "attn_output.weight": (width, heads * head),
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (inner, width),
        "ffn_up.weight": (inner, width),
        "ffn_down.weight": (width, inner),
    }
    if architecture == "qwen2":
        block |= {f"attn_{part}.bias": block[f"attn_{part}.weight"][:1] for part in "qkv"}
    expected = {"token_embd.weight": (words, width), "output_norm.weight": (width,)}
    expected |= {f"blk.{layer}.{name}": shape for layer in range(layers) for name, shape in block.items()}
    found = {tensor.name: tensor.shape for tensor in tensors}
    if "output.weight" in found:  # else the head is the embedding
        expected["output.weight"] = (words, width)
    if missing := sorted(expected.keys() - found.keys()):
        message = f"{file.name} lacks {len(missing)} of its model's tensors, for instance {missing[0]}."
        raise ModelError(message, "Fetch it again, or take the model from the hub.", CODE)
    if more := sorted(found.keys() - expected.keys()):
        message = f"{file.name} holds {more[0][:60]}, which its class in transformers has no place for."
        raise ModelError(message, HUB, CODE)
    if odd := next((name for name in expected if expected[name] != found[name]), None):
        message = f"{file.name} says of {odd} that it is {_by(found[odd])}, where its network has {_by(expected[odd])}."
        raise ModelError(message, "Fetch it again, or take the model from the hub.", CODE)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape)


def convert(file: Path, target: Path) -> str:
    """Write the model of a GGUF file into the folder `target`; returns what its precision lost. Raises ModelError."""
    import torch
    import transformers

    head = read_head(file)
    words = _tokenizer(file, head.fields)
    try:
        read, loading = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # whatever a class of theirs raises for a file that it does not expect
        raise ModelError(f"{file.name} cannot be read: {first_line(error)}.", HUB, CODE) from error
    if missing := sorted(loading["missing_keys"]):  # transformers went on with random numbers in their place
        raise ModelError(f"{file.name} cannot be read: transformers found no {missing[0]} in it.", HUB, CODE)
    if odd := next((name for name, value in read.state_dict().items() if not bool(value.isfinite().all())), None):
        message = f"{file.name} is damaged: {odd} holds something that is not a number."
        raise ModelError(message, "Fetch it again.", CODE)
    config = read.config.to_dict()
    config.pop("quantization_config", None)
    # A fresh network, because one that was read from GGUF counts as quantised and refuses to be saved.
    fresh = type(read)(type(read.config).from_dict({**config, "dtype": "bfloat16"}))
    fresh.load_state_dict(read.state_dict())
    fresh.generation_config = read.generation_config
    fresh.to(torch.bfloat16).save_pretrained(target)
    words.save_pretrained(target)
    return head.precision


def _tokenizer(file: Path, fields: dict[str, Any]) -> Any:
    """As `tokenizer`. Raises ModelError where the head contradicts itself."""
    tokens, template = fields["tokenizer.ggml.tokens"], fields.get("tokenizer.chat_template")
    try:
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("its tokens are no texts")
        if len(set(tokens)) != len(tokens):
            raise ValueError("it holds a token twice")
        if not isinstance(template, str | None):
            raise ValueError("its chat template is no text")
        return tokenizer(fields)
    except MemoryError:
        raise
    except Exception as error:  # tokenizers raises plain Exceptions
        message = f"The tokenizer of {file.name} cannot be rebuilt: {first_line(error)}."
        raise ModelError(message, "Fetch it again, or take the model from the hub.", CODE) from error


def tokenizer(fields: dict[str, Any]) -> Any:
    """The byte-level BPE tokenizer that the head describes, chat template included.

    Built here, because transformers' reader cuts every text as GPT-2 does, whatever the file says.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    kinds = fields.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    pairs = (merge.partition(" ") for merge in fields.get("tokenizer.ggml.merges") or [])
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
