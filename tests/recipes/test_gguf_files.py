"""GGUF files that are damaged, hostile, or would be read as another model than they hold: refused in words."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.export import gguf_model
from recipes.models import store
from recipes.models.adding import add
from recipes.models.loading import load_for_inference
from synth.errors import ModelError
from tests.tiny import tiny_llama

UINT, FLOAT, TEXT, LIST = 4, 6, 8, 9
FORMS = {0: "B", UINT: "I", 5: "i", FLOAT: "f", 7: "?", 10: "Q"}
Fields = dict[str, tuple[int, Any]]
Tensors = dict[str, tuple[list[int], int, bytes]]
Change = Callable[[Fields, Tensors], Any]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def stored(kind: int, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if kind == TEXT:
        return text(value)
    if kind == LIST:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(stored(inner, one) for one in values)
    return struct.pack(f"<{FORMS[kind]}", value)


def contents(file: Path) -> tuple[Fields, Tensors]:
    from gguf import GGUFReader

    reader, fields = GGUFReader(file), {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        kind, value = int(field.types[0]), field.contents()
        inner = int(field.types[1]) if len(field.types) > 1 else TEXT
        fields[name] = (kind, (inner, value) if kind == LIST else value)
    tensors = {t.name: ([int(n) for n in t.shape], int(t.tensor_type), t.data.tobytes()) for t in reader.tensors}
    return fields, tensors


def write(file: Path, fields: Fields, tensors: Tensors, **claims: Any) -> Path:
    """A GGUF file; `claims` are what its head says otherwise: keys, count (of tensors), place (of the second)."""
    count, keys = claims.get("count", len(tensors)), claims.get("keys", len(fields))
    head, data = b"GGUF" + struct.pack("<IQQ", 3, count, keys), b""
    for key, (kind, value) in fields.items():
        head += text(key) + struct.pack("<I", kind) + stored(kind, value)
    for number, (name, (shape, kind, values)) in enumerate(tensors.items()):
        place = claims["place"] if number == 1 and "place" in claims else len(data)
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", kind, place)
        data += values + b"\0" * (-len(values) % 32)
    file.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return file


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fields, Tensors]:
    folder = tmp_path_factory.mktemp("llama")
    loaded = load_for_inference(str(tiny_llama(folder)), dtype=torch.float32)
    gguf_model.write(loaded.model, loaded.tokenizer, gguf_model.vocabulary(folder), folder / "sound.gguf", "f16")
    return contents(folder / "sound.gguf")


def says(key: str, kind: int, value: Any) -> Change:
    return lambda fields, _: fields.update({key: (kind, value)})


def lacks(*names: str) -> Change:
    return lambda fields, tensors: [part.pop(name, None) for name in names for part in (fields, tensors)]


def holds(name: str, shape: list[int], values: bytes = b"") -> Change:
    size = 4 * int(torch.tensor(shape).prod())
    return lambda _, tensors: tensors.update({name: (shape, 0, values or b"\0" * size)})


def swapped(name: str) -> Change:
    def change(_: Fields, tensors: Tensors) -> None:
        shape, kind, values = tensors[name]
        tensors[name] = (shape[::-1], kind, values)

    return change


def no_number(_: Fields, tensors: Tensors) -> None:
    shape, kind, values = tensors["blk.0.attn_q.weight"]
    tensors["blk.0.attn_q.weight"] = (shape, kind, b"\xff" * len(values))


def twice(fields: Fields, _: Tensors) -> None:
    kind, (inner, tokens) = fields["tokenizer.ggml.tokens"]
    fields["tokenizer.ggml.tokens"] = (kind, (inner, [*tokens[:-1], tokens[5]]))


OTHERS: dict[str, tuple[Change, str]] = {
    "a tensor is missing": (lacks("blk.0.attn_q.weight"), r"lacks 1 of its model's tensors.*blk\.0\.attn_q\.weight"),
    "the embedding is missing": (lacks("token_embd.weight"), "lacks 1 of its model's tensors"),
    "more layers than it says": (says("llama.block_count", UINT, 1), "no place for"),
    "fewer layers than it says": (says("llama.block_count", UINT, 3), "lacks 9 of its model's tensors"),
    "a bias": (holds("blk.0.attn_q.bias", [64]), r"holds blk\.0\.attn_q\.bias, which its class .* no place for"),
    "stretched positions": (holds("rope_freqs.weight", [8]), r"holds rope_freqs\.weight"),
    "scaled positions": (says("llama.rope.scaling.type", TEXT, "linear"), r"says llama\.rope\.scaling\.type: linear"),
    "scaled positions, as of old": (says("llama.rope.scale_linear", FLOAT, 4.0), r"llama\.rope\.scale_linear: 4\.0"),
    "experts": (says("llama.expert_count", UINT, 8), r"says llama\.expert_count: 8"),
    "a key that nobody knows": (says("llama.logit_scale", FLOAT, 3.0), r"says llama\.logit_scale: 3\.0"),
    "half of a head turns": (says("llama.rope.dimension_count", UINT, 8), "of another form"),
    "other heads": (says("llama.attention.head_count", UINT, 3), "of another form"),
    "no heads": (says("llama.attention.head_count", UINT, 0), "no usable llama.attention.head_count"),
    "no epsilon": (lacks("llama.attention.layer_norm_rms_epsilon"), "no usable .*epsilon"),
    "no context": (lacks("llama.context_length"), "no usable llama.context_length"),
    "a context in words": (says("llama.context_length", TEXT, "long"), "no usable llama.context_length"),
    "a million layers": (says("llama.block_count", UINT, 10**6), "of another form"),
    "a name that means another class": (says("general.name", TEXT, "mistral"), "is another class"),
    "one part of several": (says("split.count", UINT, 2), "one of 2 parts"),
    "an adapter": (says("general.type", TEXT, "adapter"), "holds no model, but is of the type 'adapter'"),
    "a transposed matrix": (swapped("blk.0.ffn_up.weight"), "128 x 64|64 x 128"),
    "not a number": (no_number, "is not a number"),
    "a token twice": (twice, "holds a token twice"),
    "an end that is no token": (says("tokenizer.ggml.eos_token_id", UINT, 10**6), "cannot be rebuilt"),
    "tokens that are numbers": (says("tokenizer.ggml.tokens", LIST, (UINT, list(range(259)))), "are no texts"),
    "merges of no tokens": (says("tokenizer.ggml.merges", LIST, (TEXT, ["zz yy"])), "cannot be rebuilt"),
    "a template that is a number": (says("tokenizer.chat_template", UINT, 5), "template is no text"),
    "endless lists": (says("evil", LIST, struct.pack("<IQ", 0, 2**60)), "is damaged: it holds a list of"),
    "lists of lists": (says("evil", LIST, struct.pack("<IQ", LIST, 1) * 5000), "is damaged: it holds lists of lists"),
    "a text beyond the end": (says("evil", TEXT, struct.pack("<Q", 2**62)), "is damaged: it is cut off"),
    "an alignment of nothing": (says("general.alignment", UINT, 0), "is damaged: its alignment"),
    "too many dimensions": (holds("x", [1] * 70), "is damaged: x has 70 dimensions"),
    "a tensor of nothing": (holds("x", [0, 4]), "is damaged: x has no shape"),
    "more numbers than there are": (holds("x", [2**32, 2**31], b"\0" * 4), "is damaged: it is cut off"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_would_be_read_as_another_model_is_refused(
    name: str, sound: tuple[Fields, Tensors], tmp_path: Path
) -> None:
    change, sentence = OTHERS[name]
    fields, tensors = (dict(part) for part in sound)
    change(fields, tensors)
    with pytest.raises(ModelError, match=sentence):
        add(str(write(tmp_path / "odd.gguf", fields, tensors)))
    assert store.added() == [] and not list(store.home().glob("converted/*"))


@pytest.mark.parametrize("claims", [{"keys": 2**60}, {"count": 2**60}, {"place": 0}, {"place": 2**63}, {"place": 7}])
def test_claims_that_the_file_does_not_keep_are_refused_at_once(
    claims: dict[str, int], sound: tuple[Fields, Tensors], tmp_path: Path
) -> None:
    begun = time.monotonic()
    with pytest.raises(ModelError, match="is damaged"):
        add(str(write(tmp_path / "odd.gguf", *sound, **claims)))
    assert time.monotonic() - begun < 20


def test_the_file_as_it_was_and_one_with_a_head_of_its_own_are_read(
    sound: tuple[Fields, Tensors], tmp_path: Path
) -> None:
    fields, tensors = sound
    tied = load_for_inference(str(add(str(write(tmp_path / "tied.gguf", fields, tensors))).path))
    shape, kind, values = tensors["token_embd.weight"]
    own = write(tmp_path / "own.gguf", fields, {**tensors, "output.weight": (shape, kind, bytes(len(values)))})
    apart = load_for_inference(str(add(str(own)).path))
    assert tied.model.config.tie_word_embeddings and not apart.model.config.tie_word_embeddings
    assert bool(apart.model.lm_head.weight.eq(0).all()) and not bool(tied.model.lm_head.weight.eq(0).all())
