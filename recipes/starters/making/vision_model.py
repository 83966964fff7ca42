"""The vision starter's shape: a SmolVLM with a small tower, its language half taken from a text starter.

`build` makes the model and its real SmolVLMProcessor; `export` writes both to a folder that transformers loads.
Training is in `vision_training`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.starters.making.growth import widen
from recipes.starters.making.untrained_tokens import separate_vectors
from recipes.starters.vision_data import SIZE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, SmolVLMForConditionalGeneration, SmolVLMProcessor

PATCH = 16
SHUFFLE = 2
IMAGE_TOKENS = (SIZE // PATCH) ** 2 // SHUFFLE**2
MAX_TILES = 4
"""Rows and columns of tiles that the tokenizer has position tokens for when image splitting is on."""

IMAGE, AROUND, GLOBAL = "<image>", "<fake_token_around_image>", "<global-img>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{% set parts = [{'type': 'text', 'text': message['content']}] "
    "if message['content'] is string else message['content'] %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in parts %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
IMAGE_RUN = f"{AROUND}{GLOBAL}{IMAGE * IMAGE_TOKENS}{AROUND}"
"""What the processor writes for one picture that is not split."""


class Tower(NamedTuple):
    """The vision tower's shape; heads are 48 wide."""

    width: int = 192
    layers: int = 4
    heads: int = 4
    inner: int = 512


def add_image_tokens(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The text starter's tokenizer with SmolVLM's image tokens after its own."""
    from transformers import PreTrainedTokenizerFast

    tiles = [f"<row_{r}_col_{c}>" for r in range(1, MAX_TILES + 1) for c in range(1, MAX_TILES + 1)]
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE, AROUND, GLOBAL, *tiles]})
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token=tokenizer.pad_token,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        extra_special_tokens={
            "image_token": IMAGE,
            "fake_image_token": AROUND,
            "global_image_token": GLOBAL,
            "end_of_utterance_token": tokenizer.eos_token,
        },
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def make_processor(tokenizer: PreTrainedTokenizerFast) -> SmolVLMProcessor:
    """The real processor at this starter's size, splitting off; `do_image_splitting=True` per call turns it on."""
    from transformers import SmolVLMProcessor
    from transformers.models.smolvlm import SmolVLMImageProcessor, SmolVLMVideoProcessor

    edge = {"longest_edge": SIZE}
    return SmolVLMProcessor(
        SmolVLMImageProcessor(do_image_splitting=False, size=edge, max_image_size=edge),
        tokenizer,
        SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=IMAGE_TOKENS,
        chat_template=CHAT_TEMPLATE,
    )


def build(
    text_starter: Path | None,
    tokenizer: PreTrainedTokenizerFast | None = None,
    tower: Tower | None = None,
    seed: int = 0,
) -> tuple[SmolVLMForConditionalGeneration, SmolVLMProcessor]:
    """A SmolVLM (fp32) whose language half comes from the folder of a text starter, or is fresh when that is None."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, SmolVLMConfig, SmolVLMForConditionalGeneration

    torch.manual_seed(seed)
    tower = tower or Tower()
    text = AutoModelForCausalLM.from_pretrained(text_starter, dtype=torch.float32) if text_starter else None
    tokenizer = add_image_tokens(AutoTokenizer.from_pretrained(text_starter) if text_starter else tokenizer)
    language = text.config.to_dict() if text is not None else _fresh_language(tokenizer)
    language.pop("_name_or_path", None)  # where the text starter lay is nobody's business
    config = SmolVLMConfig(
        text_config={**language, "model_type": "llama", "vocab_size": len(tokenizer)},
        vision_config={
            "hidden_size": tower.width, "intermediate_size": tower.inner, "num_hidden_layers": tower.layers,
            "num_attention_heads": tower.heads, "image_size": SIZE, "patch_size": PATCH,
        },
        scale_factor=SHUFFLE,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    if text is not None:
        _take_language(model, text)
    return model, make_processor(tokenizer)


def grow(small: SmolVLMForConditionalGeneration, seed: int = 0) -> SmolVLMForConditionalGeneration:
    """A SmolVLM (fp32) of twice the width in tower and language half that computes what `small` does."""
    import copy

    import torch
    from transformers import SmolVLMForConditionalGeneration

    torch.manual_seed(seed)
    config = copy.deepcopy(small.config)
    for half in (config.text_config, config.vision_config):
        for field in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
            if hasattr(half, field):
                setattr(half, field, 2 * getattr(half, field))
    wide = SmolVLMForConditionalGeneration(config)
    wide.generation_config = copy.deepcopy(small.generation_config)
    shuffled = {"model.connector.modality_projection.proj.weight": config.scale_factor**2}
    widen(small, wide, final_norm="model.text_model.norm", shuffled=shuffled, seed=seed)
    return wide


def _fresh_language(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    from recipes.starters.making.text_model import Shape, new_model

    config: dict[str, Any] = new_model(Shape(), tokenizer, seed=0).config.to_dict()
    return config


def _take_language(model: Any, text: Any) -> None:
    """Copy the text starter's weights; the new image tokens keep their fresh embeddings, at the scale of the old."""
    import torch

    old = text.model.embed_tokens.weight
    new = model.model.text_model.embed_tokens.weight
    missing, unexpected = model.model.text_model.load_state_dict(
        {k: v for k, v in text.model.state_dict().items() if k != "embed_tokens.weight"}, strict=False
    )
    if unexpected or set(missing) - {"embed_tokens.weight"}:
        raise ValueError(f"the text starter does not fit: missing {missing}, unexpected {unexpected}")
    with torch.no_grad():
        new.normal_(0.0, float(old.std()))
        new[: old.shape[0]] = old
    model.tie_weights()


def load_tower(model: Any, file: Path) -> None:
    """Take tower and connector from what `recipes.starters.making.vision_tower` wrote."""
    from safetensors.torch import load_file

    _, unexpected = model.model.load_state_dict(load_file(file), strict=False)
    if unexpected:
        raise ValueError(f"{file} is not a tower of this shape: {unexpected}")


def export(model: Any, processor: Any, folder: Path) -> None:
    """Write bf16 safetensors (shards of at most 15 MB) and processor; the folder is replaced as a whole."""
    import copy

    import torch

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    plain = copy.deepcopy(model).to(torch.bfloat16)
    separate_vectors(plain.get_input_embeddings().weight.data)
    plain.save_pretrained(part, max_shard_size="15MB")
    processor.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
