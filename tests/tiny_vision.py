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


def tiny_processor(name: str, splitting: bool = True) -> Any:
    """The class's processor at 32-pixel tiles; a picture of 64 pixels becomes four tiles and the whole."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    image = ["<image>", "<fake_token_around_image>", "<global-img>"]
    special = ["<|pad|>", "<|im_start|>", "<end_of_utterance>", *image]
    special += [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(special + letters)}, merges=[]))
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
    size = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    images = getattr(transformers, f"{name}ImageProcessor")(do_image_splitting=splitting, **size)
    more = {"image_seq_len": (SIDE // PATCH) ** 2 // SHUFFLE**2, "chat_template": TEMPLATE}
    if name == "SmolVLM":
        videos = transformers.SmolVLMVideoProcessor(**size)
        return transformers.SmolVLMProcessor(images, tokenizer, videos, **more)
    return transformers.Idefics3Processor(images, tokenizer, **more)


def tiny_vlm(folder: Path, name: str, splitting: bool = True) -> Path:
    """A random model of about 0.1 M parameters in `folder`."""
    import torch
    import transformers

    torch.manual_seed(0)
    processor = tiny_processor(name, splitting)
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
        },
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
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
