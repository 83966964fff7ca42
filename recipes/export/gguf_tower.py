"""What sees the pictures of a SmolVLM (Idefics3's class too) as a GGUF of its own, which llama.cpp calls mmproj.

llama.cpp cuts a picture into tiles, a small one of the whole after them, and writes an empty line before that. So does
the processor of these models while it splits pictures; where it does not, llama.cpp would still write one tile more.
The weights stay in f16: the tower is small beside the text model, and its first products are the picture's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from recipes.models.files import ModelRef
from synth.storage import read_json

CLASSES = ("smolvlm", "idefics3")
PREFIX = "mmproj-"
_ACTIVATION = "gelu_pytorch_tanh"
_TOWER = "model.vision_model."
_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
# llama.cpp shows a template texts only: pictures are marks inside them.
_FIRST_IS_PICTURE = re.compile(r"(\w+\['content'\]\[0\])\['type'\] == 'image'")


def has_tower(ref: ModelRef) -> bool:
    """Whether a base is of a class that sees pictures, of those that can be written."""
    return read_json(ref.path / "config.json").get("model_type") in CLASSES


def blocker(ref: ModelRef, tokens: list[str]) -> str:
    """Why llama.cpp would not see pictures as the model was tuned to; nothing when it would.

    `tokens`: the vocabulary, in byte-level letters.
    """
    tower, settings = read_json(ref.path / "config.json")["vision_config"], _picture_settings(ref.path)
    if not settings.get("do_image_splitting"):
        return "its processor does not cut pictures into tiles, and llama.cpp always does."
    if "ĊĊ" not in tokens:
        return "its vocabulary has no token for an empty line, which llama.cpp writes among the tiles of a picture."
    if settings.get("max_image_size", {}).get("longest_edge") != tower.get("image_size"):
        return "its processor cuts pictures into tiles of another size than its tower sees."
    if tower.get("hidden_act", _ACTIVATION) != _ACTIVATION:
        return f"its tower computes {tower['hidden_act']}, which this layout does not hold."
    return ""


def _picture_settings(path: Path) -> dict[str, Any]:
    """How the processor prepares pictures, from the file of a processor or, in older models, one of its own."""
    file = path / "processor_config.json"
    found: dict[str, Any] = read_json(file).get("image_processor", {}) if file.is_file() else {}
    older = path / "preprocessor_config.json"
    return found or (read_json(older) if older.is_file() else {})


def write(model: Any, processor: Any, file: Path) -> None:
    """The tower and the layer after it, of a merged model."""
    from gguf import GGUFWriter, LlamaFileType

    writer = GGUFWriter(file, "clip")
    writer.add_type("mmproj")
    writer.add_file_type(int(LlamaFileType.MOSTLY_F16))
    _write_config(writer, model.config, processor.image_processor)
    for name, tensor in tensors(model):
        values = tensor.float().numpy()
        writer.add_tensor(name, values.astype("float16") if _halved(name, values.ndim) else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _halved(name: str, dimensions: int) -> bool:
    return dimensions > 1 and "position_embd" not in name


def _write_config(writer: Any, config: Any, pictures: Any) -> None:
    from gguf import VisionProjectorType

    tower = config.vision_config
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(VisionProjectorType.IDEFICS3)
    writer.add_vision_projection_dim(config.text_config.hidden_size)
    writer.add_vision_image_size(tower.image_size)
    writer.add_vision_patch_size(tower.patch_size)
    writer.add_vision_embedding_length(tower.hidden_size)
    writer.add_vision_feed_forward_length(tower.intermediate_size)
    writer.add_vision_block_count(tower.num_hidden_layers)
    writer.add_vision_head_count(tower.num_attention_heads)
    writer.add_vision_attention_layernorm_eps(tower.layer_norm_eps)
    writer.add_vision_projector_scale_factor(config.scale_factor)
    writer.add_vision_use_gelu(True)
    writer.add_vision_preproc_image_size(pictures.size["longest_edge"])
    writer.add_vision_image_mean(list(pictures.image_mean))
    writer.add_vision_image_std(list(pictures.image_std))


def tensors(model: Any) -> list[tuple[str, Any]]:
    """(GGUF name, tensor) of every weight that stands before the text model."""
    state = model.state_dict()
    embedding = f"{_TOWER}embeddings."
    found = [
        ("v.patch_embd.weight", state[f"{embedding}patch_embedding.weight"]),
        ("v.patch_embd.bias", state[f"{embedding}patch_embedding.bias"]),
        ("v.position_embd.weight", state[f"{embedding}position_embedding.weight"]),
        ("mm.model.fc.weight", state["model.connector.modality_projection.proj.weight"]),
    ]
    for part in ("weight", "bias"):
        found.append((f"v.post_ln.{part}", state[f"{_TOWER}post_layernorm.{part}"]))
        for layer in range(model.config.vision_config.num_hidden_layers):
            ours = f"{_TOWER}encoder.layers.{layer}."
            found += [(f"v.blk.{layer}.{to}.{part}", state[f"{ours}{name}.{part}"]) for name, to in _LAYER.items()]
    return found


def plain_template(template: str) -> str:
    """A chat template that asks whether a turn begins with a picture, as it can be asked in llama.cpp."""
    return _FIRST_IS_PICTURE.sub(r"\1['text'][:9] == '<__media_'", template)
