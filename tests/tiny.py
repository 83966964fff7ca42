"""Tiny random models of the real classes, made in a second, for tests of every modality."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer(folder: Path) -> None:
    """Byte-level BPE without merges, single digits, ChatML: SmolLM2's scheme in 260 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(special + letters)}, merges=[]))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token="<|im_start|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def tiny_llama(folder: Path, seed: int = 0, layers: int = 2, width: int = 64) -> Path:
    """A random Llama with ChatML tokenizer in `folder`; fp32, about 0.1 M parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder


def sums_dataset(folder: Path, train: int = 64, val: int = 8) -> Path:
    """A dataset folder of small sums with worked targets of differing lengths."""
    import random

    from synth.dataset import Card, DatasetWriter
    from synth.example import make_example, user

    folder.mkdir(parents=True)
    writer, chance = DatasetWriter(folder), random.Random(0)
    for number in range(train + val):
        a, b = chance.randrange(10**4), chance.randrange(10 ** chance.randrange(1, 4))
        writer.keep(
            make_example(
                [user(f"Row {number}: what is {a} + {b}?")],
                f"{a} + {b} = {a + b}\nAnswer: {a + b}",
                answer=str(a + b),
                rejected=f"{a} + {b} = {a + b + 1}\nAnswer: {a + b + 1}",
                family="sums",
                template="sums-1",
                scorer="math",
                split="train" if number < train else "val",
            )
        )
    writer.finish(Card(name=folder.name))
    return folder
