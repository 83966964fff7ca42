"""A tuned model as GGUF, for llama.cpp, Ollama, LM Studio and everything built on them.

Base and adapter are merged as in training, then written as f16, q8_0 (blocks of 32 eight-bit weights) and q4_k_m
(ggml's mix of 4 and 6 bits), with the tokenizer and the chat template inside, and a Modelfile for Ollama. Llama-class
models with a byte-level BPE tokenizer whose pre-tokenizer llama.cpp knows, and SmolVLMs, whose text model is one; what
sees their pictures is a file of its own (`recipes.export.gguf_tower`).
"""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from recipes.export import gguf_tower, llama_cpp
from recipes.export.exporter import Artefact, Exporter, Tuned, learned_rows, merged_from, system_of
from recipes.export.modelfile import modelfile
from recipes.models import loading
from recipes.models.files import ModelRef
from synth.errors import ModelError
from synth.storage import atomic_write_text, read_json

KINDS = ("f16", "q8_0", "q4_k_m")  # the last is quantised by ggml itself, where it is installed
_PRE_TOKENIZERS = {
    # Pre-tokenizers of tokenizer.json, in order → what llama.cpp calls the same splitting (llama-vocab.cpp).
    ("Digits", "ByteLevel"): "smollm",
    ("ByteLevel",): "gpt-2",
}
_NORMAL, _CONTROL = 1, 3  # llama_token_attr in GGUF: tokenizer.ggml.token_type
OTHER = "Choose another target."
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")  # marks for training masks, unknown to llama.cpp


class Vocabulary(NamedTuple):
    """A byte-level BPE vocabulary as GGUF holds it."""

    pre: str
    tokens: list[str]
    kinds: list[int]
    merges: list[str]


def supports(ref: ModelRef) -> str:
    """Why a base cannot be written as GGUF; nothing when it can."""
    config, pictured = read_json(ref.path / "config.json"), gguf_tower.has_tower(ref)
    config = config["text_config"] if pictured else config
    if config.get("model_type") != "llama":
        return f"it is of class {config.get('model_type')}, and only Llama-class models can be written."
    if config.get("attention_bias") or config.get("mlp_bias"):
        return "its layers have biases, which this layout does not hold."
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        return f"its positions are scaled ({rope['rope_type']}), which is not written yet."
    try:
        words = vocabulary(ref.path)
    except ModelError as error:
        return error.message
    return gguf_tower.blocker(ref, words.tokens) if pictured else ""


def kinds() -> tuple[str, ...]:
    """The files that can be written here."""
    return KINDS if llama_cpp.installed() else KINDS[:2]


def size(tuned: Tuned) -> int:
    """Bytes of all files: two a weight, one with a scale for every 32, and five bits at most."""
    from recipes.export.merged import stored_weights

    numbers = stored_weights(tuned.ref.path)[1]
    return numbers * 4 + (numbers >> 3)


def write_all(tuned: Tuned, folder: Path, name: str) -> str:
    """A GGUF file of each kind, and a Modelfile or a tower. Raises ModelError before anything is written."""
    import torch

    words = vocabulary(tuned.ref.path)
    loaded = loading.load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    for kind in kinds():
        write(loaded.model, loaded.processor, words, folder / f"{name}-{kind}.gguf", kind)
    if gguf_tower.has_tower(tuned.ref):
        gguf_tower.write(loaded.model, loaded.processor, folder / f"{gguf_tower.PREFIX}{name}.gguf")
        return "+".join(kinds())
    system = system_of(learned_rows(tuned)[0])
    said = modelfile(f"{name}-q8_0.gguf", loaded.tokenizer, context_of(tuned.ref), system)
    atomic_write_text(folder / "Modelfile", said)
    return "+".join(kinds())


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """Each file, as llama.cpp answers with it."""
    if not llama_cpp.installed():
        return []
    context = context_of(tuned.ref)
    tower = next(folder.glob(f"{gguf_tower.PREFIX}*.gguf"), None)
    texts = [file for file in sorted(folder.glob("*.gguf")) if file != tower]
    files = {next(kind for kind in KINDS if file.stem.endswith(kind)): file for file in texts}
    found = [artefact(kind, file, context, tower) for kind, file in files.items()]
    return [one if one.name == KINDS[0] else one._replace(read_prompts=None) for one in found]  # one template in all


def artefact(kind: str, file: Path, context: int, tower: Path | None = None) -> Artefact:
    """One file, as llama.cpp answers with it. With a `tower` it is not exact: pictures are scaled by another filter."""
    ask = functools.partial(llama_cpp.opened, file, context, tower=tower)
    lengths = functools.partial(llama_cpp.read_lengths, file, context, tower)
    read = lengths if tower else functools.partial(llama_cpp.read_tokens, file, context)
    exact = kind == "f16" and tower is None
    files = (file, tower) if tower else (file,)
    return Artefact(kind, exact, llama_cpp.version(), opened=ask, files=files, holds=True, read_prompts=read)


def context_of(ref: ModelRef) -> int:
    """Tokens that the model takes."""
    config = read_json(ref.path / "config.json")
    return int(config.get("text_config", config)["max_position_embeddings"])


def vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a model's folder. Raises ModelError where llama.cpp would split text otherwise."""
    file = path / "tokenizer.json"
    if not file.is_file():
        raise ModelError("it has no tokenizer.json.", OTHER)
    found = json.loads(file.read_text("utf-8"))
    steps = found.get("pre_tokenizer") or {}
    kinds = tuple(step["type"] for step in steps.get("pretokenizers", [steps]) if step)
    if found["model"].get("type") != "BPE" or found.get("normalizer") or kinds not in _PRE_TOKENIZERS:
        raise ModelError("its tokenizer splits text in a way that llama.cpp would not repeat.", OTHER)
    ids = dict(found["model"]["vocab"])
    special = {token["content"]: token for token in found.get("added_tokens", [])}
    ids |= {content: token["id"] for content, token in special.items()}
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise ModelError("its vocabulary has gaps.", OTHER)
    marks = [_CONTROL if token in special and special[token]["special"] else _NORMAL for token in tokens]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in found["model"]["merges"]]
    return Vocabulary(_PRE_TOKENIZERS[kinds], tokens, marks, merges)


def write(model: Any, processor: Any, words: Vocabulary, file: Path, kind: str) -> None:
    """One GGUF file of a merged model's text side. `kind` is one of KINDS; norms stay in f32.

    `processor`: its tokenizer, or the processor that has one.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, quants

    writer = GGUFWriter(file, "llama")
    stored = LlamaFileType[f"MOSTLY_{kind.upper()}"]
    config = text_config(model)
    _write_config(writer, config, int(stored))
    _write_vocabulary(writer, getattr(processor, "tokenizer", processor), words, config.vocab_size)
    if processor.chat_template:
        writer.add_chat_template(gguf_tower.plain_template(plain_template(processor.chat_template)))
    for name, tensor in tensors(model):
        values = tensor.float().numpy()
        form = tensor_kind(name, values.shape, kind, config)
        if form == "F32":
            writer.add_tensor(name, values)
        elif form == "F16":
            writer.add_tensor(name, values.astype("float16"))
        else:
            number = GGMLQuantizationType[form]
            packed = quants.quantize(values, number) if form == "Q8_0" else llama_cpp.quantise(values, form)
            writer.add_tensor(name, packed, raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_kind(name: str, shape: tuple[int, ...], kind: str, config: Any) -> str:
    """In which type of ggml a tensor of this name is stored in a file of `kind`.

    q4_k_m as llama.cpp mixes it (llama-quant.cpp): 6 bits for the embedding that is also the head, and for the values
    and the last feed-forward matrix of every third layer and of the first and last eighth; 4 bits elsewhere. Rows that
    256 does not divide get the nearest type with blocks of 32.
    """
    if len(shape) == 1:
        return "F32"
    width = shape[1]
    if kind == "f16" or width % 32:
        return "F16"
    if kind == "q8_0":
        return "Q8_0"
    finer = name == "output.weight" or (name == "token_embd.weight" and config.tie_word_embeddings)
    if name.endswith(("attn_v.weight", "ffn_down.weight")):
        layer, layers = int(name.split(".")[1]), int(config.num_hidden_layers)
        finer = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
    if width % llama_cpp.BLOCK == 0:
        return "Q6_K" if finer else "Q4_K"
    return "Q8_0" if finer else "Q5_0"


def _write_config(writer: Any, config: Any, stored: int) -> None:
    head = config.head_dim or config.hidden_size // config.num_attention_heads
    writer.add_file_type(stored)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _write_vocabulary(writer: Any, tokenizer: Any, words: Vocabulary, size: int) -> None:
    padding = [f"[PAD{number}]" for number in range(len(words.tokens), size)]  # rows of the embedding without a token
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list([*words.tokens, *padding])
    writer.add_token_types([*words.kinds, *([_CONTROL] * len(padding))])
    writer.add_token_merges(words.merges)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    for add, token in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if token is not None:
            add(token)


def plain_template(template: str) -> str:
    """A chat template without the marks of what is learned, which only transformers knows."""
    return _GENERATION.sub("", template)


def text_config(model: Any) -> Any:
    """The configuration of a model's text side, its tied head as it is and not as it is said."""
    config = copy.copy(model.config.get_text_config())
    config.tie_word_embeddings = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return config


def tensors(model: Any) -> list[tuple[str, Any]]:
    """(GGUF name, tensor) of every weight, query and key rows in llama.cpp's order. A tied head is not repeated."""
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    config = text_config(model)
    state = {name.replace("model.text_model.", "model."): tensor for name, tensor in model.state_dict().items()}
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    found = [("token_embd.weight", state["model.embed_tokens.weight"])]
    found.append(("output_norm.weight", state["model.norm.weight"]))
    if not config.tie_word_embeddings:
        found.append(("output.weight", state["lm_head.weight"]))
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            tensor = state[f"model.layers.{layer}.{ours}.weight"]
            if theirs in heads:
                tensor = interleaved(tensor, heads[theirs])
            found.append((f"blk.{layer}.{theirs}.weight", tensor))
    return found


def interleaved(weight: Any, heads: int) -> Any:
    """Rows of a query or key projection, (heads * D, in), from halves to pairs: llama.cpp rotates neighbours.

    transformers rotates row i of a head with row i + D/2 (RoFormer's pairs, arXiv 2104.09864, stored apart).
    """
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width).contiguous()


def card(name: str, facts: dict[str, Any]) -> str:
    """The model card as Markdown."""
    pictured = facts["model_type"] in gguf_tower.CLASSES
    tower = f" --mmproj {gguf_tower.PREFIX}{name}.gguf" if pictured else ""
    ollama = "" if pictured else f"ollama create {name} -f Modelfile\n"
    note = "" if pictured else "Ollama does not run that template: the Modelfile holds it in Ollama's own language.\n"
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: gguf\n---\n\n# {name}\n\n"
        f"{merged_from(facts)}, as GGUF, written on {facts['created']} by smolstudio.\n\n"
        f"```\nllama-server -m {name}-q8_0.gguf{tower} --temp 0\n{ollama}```\n\n"
        "The report asked with the chat template inside, at temperature 0 and without a penalty for repeated words. "
        f"{note}"
    )


EXPORTER = Exporter(
    "gguf", "f16, q8_0 and q4_k_m GGUF, for llama.cpp and Ollama", supports, size, write_all, card, artefacts
)
