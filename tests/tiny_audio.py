"""Tiny random Whispers of the exact class, multilingual and .en, and a small spoken dataset, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

MULTILINGUAL = ("<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")
ENGLISH_ONLY = ("<|startoflm|>", "<|startofprev|>", "<|nospeech|>")


def tiny_whisper(folder: Path, *, english_only: bool = False, seconds: int = 4, seed: int = 0) -> Path:
    """A random WhisperForConditionalGeneration with a real WhisperProcessor in `folder`; about 0.3 M parameters."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    torch.manual_seed(seed)
    specials = (
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(ENGLISH_ONLY if english_only else MULTILINGUAL),
        "<|notimestamps|>",
    )
    vocabulary = {t: i for i, t in enumerate((*sorted(pre_tokenizers.ByteLevel.alphabet()), *specials))}
    known = {} if english_only else {"language": "en", "task": "transcribe"}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], additional_special_tokens=list(specials), **known)
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=80, d_model=64, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=128, decoder_ffn_dim=128,
        max_source_positions=seconds * 50, max_target_positions=96, pad_token_id=vocabulary["<|endoftext|>"],
        bos_token_id=vocabulary["<|endoftext|>"], eos_token_id=vocabulary["<|endoftext|>"],
        decoder_start_token_id=vocabulary["<|startoftranscript|>"], suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, max_length=96,
        decoder_start_token_id=config.decoder_start_token_id,
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(chunk_length=seconds), tokenizer).save_pretrained(folder)
    return folder


def tone(hertz: float, seconds: float) -> np.ndarray:
    """A sine at 16 kHz, peak 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16_000)) / 16_000)).astype(np.float32)


def tones_dataset(folder: Path, train: int = 24, val: int = 4, longest: float = 1.8, wrong: bool = False) -> Path:
    """A dataset of tones whose transcripts name their pitch; with `wrong`, rows carry a rejected transcript."""
    from synth.audio.files import encode_flac
    from synth.dataset import Card, DatasetWriter
    from synth.example import AudioPart, make_example, user
    from synth.storage import sha256_bytes

    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number in range(train + val):
        pitch = 200 + 37 * number
        content = encode_flac(tone(pitch, 0.6 + (longest - 0.6) * (number % 5) / 4))
        part = AudioPart(path=writer.add_media(content, ".flac"), sha256=sha256_bytes(content))
        text = f"Pitch {pitch}" + " up" * (number % 4)
        writer.keep(
            make_example(
                [user(part)], text, answer=text, rejected=f"Pitch {pitch + 1}" if wrong else None, family="tones",
                template=str(pitch), scorer="wer", split="train" if number < train else "val",
            )
        )  # fmt: skip
    writer.finish(Card(name=folder.name, modality="audio"))
    return folder


def texts(rows: Sequence[object]) -> list[str]:
    """The targets of examples."""
    return [str(row.target) for row in rows]
