"""Tiny random models of the real vision classes (Idefics3 for SmolVLM, SmolVLM for SmolVLM2) with real processors."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from synth.context import Context
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.vision import Spec, generate
from synth.workspace import Workspace

CLASSES = ("Idefics3", "SmolVLM")
SIDE, PATCH, SHUFFLE = 32, 8, 2
# As published with SmolVLM-Instruct.
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def tiny_processor(name: str, splitting: bool = True, side: int = SIDE, patch: int = PATCH) -> Any:
    """The class's processor at 32-pixel tiles; a picture of 64 pixels becomes four tiles and the whole."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    image = ["<image>", "<fake_token_around_image>", "<global-img>"]
    special = ["<|pad|>", "<|im_start|>", "<end_of_utterance>", *image]
    special += [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]
    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ĊĊ"]  # an empty line is one token in SmolVLM too
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(special + letters)}, merges=[("Ċ", "Ċ")]))
    core.add_special_tokens(special)
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )
    size = {"size": {"longest_edge": 2 * side}, "max_image_size": {"longest_edge": side}}
    images = getattr(transformers, f"{name}ImageProcessor")(do_image_splitting=splitting, **size)
    more = {"image_seq_len": (side // patch) ** 2 // SHUFFLE**2, "chat_template": TEMPLATE}
    if name == "SmolVLM":
        videos = transformers.SmolVLMVideoProcessor(**size)
        return transformers.SmolVLMProcessor(images, tokenizer, videos, **more)
    return transformers.Idefics3Processor(images, tokenizer, **more)


def tiny_vlm(
    folder: Path,
    name: str,
    splitting: bool = True,
    text: dict[str, int] | None = None,
    tower: dict[str, int] | None = None,
) -> Path:
    """A random model in `folder`, of about 0.1 M parameters unless sizes of its parts are given."""
    import torch
    import transformers

    torch.manual_seed(0)
    seen = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": SIDE, "patch_size": PATCH, **(tower or {}),
    }  # fmt: skip
    processor = tiny_processor(name, splitting, seen["image_size"], seen["patch_size"])
    config = getattr(transformers, f"{name}Config")(
        text_config={
            "model_type": "llama",
            "vocab_size": len(processor.tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            **(text or {}),
        },
        vision_config=seen,
        scale_factor=SHUFFLE,
        image_token_id=processor.tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    getattr(transformers, f"{name}ForConditionalGeneration")(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def picture_dataset(workspace: Workspace, name: str = "pictures", paired: bool = False, rows: int = 12) -> DatasetDir:
    """Rendered questions about shapes, with wrong answers when `paired`."""
    folder = workspace.datasets / name
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    spec = Spec(train=rows, val=4, test=4, test_ood=0, kinds=("shapes",), difficulty=1, size=96, model_size=96)
    rng = Random(0)
    for candidate in generate(spec, Context(writer.add_media)):
        if candidate.example is not None:
            wrong = f"Answer: {rng.randint(50, 99)}" if paired else None
            writer.keep(candidate.example.model_copy(update={"rejected": wrong}))
    writer.finish(Card(name=name, modality="vision"))
    return DatasetDir(folder)


def _byte_tokenizer(special: list[str], **named: str) -> Any:
    """Bytes and these special tokens, `<|im_end|>` at the end of a turn."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(special + letters)}, merges=[]))
    core.add_special_tokens(special)
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<|pad|>", eos_token="<|im_end|>", extra_special_tokens=named
    )


def _chatml(picture: str) -> str:
    """The turns of ChatML with `picture` in the place of each picture."""
    return (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}"
        "{% if p.type == 'image' %}" + picture + "{% else %}{{ p.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


TURNS = ["<|pad|>", "<|im_start|>", "<|im_end|>"]


def _qwen_pictures(folder: Path) -> dict[str, Any]:
    """Write the processor that Qwen3-VL and Qwen3.5 have in common; returns what their configurations share."""
    import transformers

    special = [*TURNS, "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = _byte_tokenizer(special)
    place = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    size = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    how = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": size}
    images = transformers.Qwen2VLImageProcessor(**how)
    videos = transformers.Qwen3VLVideoProcessor(**how)
    template = _chatml("<|vision_start|><|image_pad|><|vision_end|>")
    transformers.Qwen3VLProcessor(images, tokenizer, videos, chat_template=template).save_pretrained(folder)
    return {
        "image_token_id": place["<|image_pad|>"], "video_token_id": place["<|video_pad|>"],
        "vision_start_token_id": place["<|vision_start|>"], "vision_end_token_id": place["<|vision_end|>"],
        "tie_word_embeddings": True,
        "text_config": {
            "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "pad_token_id": 0,
            "eos_token_id": place["<|im_end|>"],
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e4, "mrope_section": [6, 5, 5], "mrope_interleaved": True,
            },
        },
        "vision_config": {
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "patch_size": 8,
            "spatial_merge_size": 2, "out_hidden_size": 64, "num_position_embeddings": 64,
        },
    }  # fmt: skip


def _save(model: Any, end: int, folder: Path) -> Path:
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)
    return folder


def tiny_qwen3_vl(folder: Path) -> Path:
    """A random Qwen3VLForConditionalGeneration: dynamic resolution, M-RoPE, features of several tower layers."""
    import torch
    import transformers

    torch.manual_seed(0)
    values = _qwen_pictures(folder)
    values["vision_config"]["deepstack_visual_indexes"] = [0]
    model = transformers.Qwen3VLForConditionalGeneration(transformers.Qwen3VLConfig(**values))
    return _save(model, values["text_config"]["eos_token_id"], folder)


def tiny_qwen3_5(folder: Path) -> Path:
    """A random Qwen3_5ForConditionalGeneration: as Qwen3-VL, with a gated delta net before each full attention."""
    import torch
    import transformers

    torch.manual_seed(0)
    values = _qwen_pictures(folder)
    values["text_config"] |= {
        "layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 16, "linear_value_head_dim": 16,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    }  # fmt: skip
    values["text_config"]["rope_parameters"] |= {"mrope_section": [2, 1, 1], "partial_rotary_factor": 0.25}
    model = transformers.Qwen3_5ForConditionalGeneration(transformers.Qwen3_5Config(**values))
    return _save(model, values["text_config"]["eos_token_id"], folder)


def tiny_internvl(folder: Path) -> Path:
    """A random InternVLForConditionalGeneration as InternVL3's: pictures cut into tiles, a Qwen2 language model."""
    import torch
    import transformers

    torch.manual_seed(0)
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }  # fmt: skip
    tokenizer = _byte_tokenizer([*TURNS, *named.values()], **named)
    size = {"height": 32, "width": 32}
    images = transformers.GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4)
    videos = transformers.InternVLVideoProcessor(size=size)
    transformers.InternVLProcessor(
        images, tokenizer, videos, image_seq_length=4, chat_template=_chatml("<IMG_CONTEXT>")
    ).save_pretrained(folder)
    config = transformers.InternVLConfig(
        text_config={
            "model_type": "qwen2", "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0,
            "eos_token_id": tokenizer.eos_token_id, "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4,
    )  # fmt: skip
    return _save(transformers.InternVLForConditionalGeneration(config), tokenizer.eos_token_id, folder)


def tiny_lfm2_vl(folder: Path) -> Path:
    """A random Lfm2VlForConditionalGeneration: a SigLIP-2 tower of any aspect ratio, a hybrid language model."""
    import torch
    import transformers

    torch.manual_seed(0)
    named = {
        "image_token": "<image>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>",
        "image_thumbnail": "<|img_thumbnail|>",
    }  # fmt: skip
    tokenizer = _byte_tokenizer([*TURNS, *named.values()], **named)
    images = transformers.Lfm2VlImageProcessor(
        encoder_patch_size=8, downsample_factor=2, min_image_tokens=4, max_image_tokens=16, tile_size=64, min_tiles=1,
        max_tiles=1, do_image_splitting=False, use_thumbnail=False, max_num_patches=64,
    )  # fmt: skip
    template = _chatml("<image>")
    transformers.Lfm2VlProcessor(images, tokenizer, chat_template=template).save_pretrained(folder)
    config = transformers.Lfm2VlConfig(
        text_config={
            "model_type": "lfm2", "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0,
            "layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False, "eos_token_id": 2,
        },
        vision_config={
            "model_type": "siglip2_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "patch_size": 8, "num_patches": 64,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), projector_hidden_size=64, downsample_factor=2,
    )  # fmt: skip
    return _save(transformers.Lfm2VlForConditionalGeneration(config), tokenizer.eos_token_id, folder)


DYNAMIC = {"Qwen3VL": tiny_qwen3_vl, "Qwen3_5": tiny_qwen3_5, "Lfm2Vl": tiny_lfm2_vl, "InternVL": tiny_internvl}
