"""The text starters' tokenizer: byte-level BPE in the scheme of SmolLM2, single-digit tokens, a ChatML template.

    python -m recipes.starters.making.text_tokenizer FILE  # anew: changed generators give another

Trained on generated rows and a list of business words, so that words of domains the starter does not know are still
few tokens. It is kept as a file, because every starter that was trained with it needs exactly it. llama.cpp knows
this pre-tokenizer as `smollm`.
"""

import itertools
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 1536
ROWS = 40_000
CONTEXT = 1024
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|im_start|>assistant\n' }}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS_FILE = Path(__file__).parents[1] / "text_data" / "business_words.txt"
TOKENIZER_FILE = Path(__file__).parents[1] / "text_data" / "tokenizer.json"


def chat_text(prompt: Sequence[tuple[str, str]]) -> str:
    """The prompt as the template writes it with the generation prompt; faster than the template engine."""
    turns = "".join(f"{START}{role}\n{text}{END}\n" for role, text in prompt)
    return f"{turns}{START}assistant\n"


def business_lines(rng: random.Random, n: int) -> Iterator[str]:
    """Lines of business words in no sense, small and capital, to give them tokens of their own."""
    known = WORDS_FILE.read_text(encoding="utf-8").split()
    for _ in range(n):
        words = rng.choices(known, k=8)
        yield " ".join(word.capitalize() if rng.random() < 0.3 else word for word in words)


def train_core(texts: Iterator[str], vocabulary: int = VOCABULARY) -> "Tokenizer":
    """Byte-level BPE of exactly `vocabulary` tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return core


def starter_tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer of all text starters."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(TOKENIZER_FILE)),
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def main(target: str) -> None:
    """Train on generated rows and business words, and write the file."""
    from recipes.starters.text_data import rows

    rng = random.Random("text-starter/tokenizer")
    drawn = itertools.islice(rows(rng), ROWS)
    texts = (f"{role}\n{text}" for row in drawn for role, text in (*row.prompt, ("assistant", row.target)))
    train_core(itertools.chain(texts, business_lines(rng, ROWS // 2))).save(target)


if __name__ == "__main__":
    main(sys.argv[1])
