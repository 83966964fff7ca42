"""Tiny random speech models of the exact classes, and a small spoken dataset, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

TASKS = ("<|translate|>", "<|transcribe|>")
# Linear layers of all these classes that carry an adapter.
EVERY_LINEAR = ["q_proj", "k_proj", "v_proj", "out_proj", "o_proj", "fc1", "fc2", "gate_proj", "up_proj", "down_proj"]
ENGLISH_ONLY = ("<|startoflm|>", "<|startofprev|>", "<|nospeech|>")
MULTILINGUAL = ("<|en|>", "<|sv|>", *TASKS, *ENGLISH_ONLY)


def tiny_whisper(
    folder: Path, *, english_only: bool = False, seconds: int = 4, seed: int = 0, sizes: dict[str, int] | None = None
) -> Path:
    """A random WhisperForConditionalGeneration with a real WhisperProcessor in `folder`; about 0.3 M parameters, or of
    the `sizes` that are named as in its configuration.
    """
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
    small = {
        "vocab_size": len(tokenizer), "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
        "max_target_positions": 96,
    }  # fmt: skip
    config = WhisperConfig(
        num_mel_bins=80, max_source_positions=seconds * 50, pad_token_id=vocabulary["<|endoftext|>"],
        bos_token_id=vocabulary["<|endoftext|>"], eos_token_id=vocabulary["<|endoftext|>"],
        decoder_start_token_id=vocabulary["<|startoftranscript|>"], suppress_tokens=None, begin_suppress_tokens=None,
        **{**small, **(sizes or {})},
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, max_length=96,
        decoder_start_token_id=config.decoder_start_token_id,
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(chunk_length=seconds), tokenizer).save_pretrained(folder)
    return folder


def tiny_moonshine(folder: Path, seed: int = 0) -> Path:
    """A random MoonshineForConditionalGeneration in `folder`, with the files of the published one: a
    Wav2Vec2FeatureExtractor and a byte-fallback BPE that names no special tokens.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from transformers import (
        GenerationConfig,
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        PreTrainedTokenizerFast,
        Wav2Vec2FeatureExtractor,
    )

    torch.manual_seed(seed)
    specials = ["<unk>", "<s>", "</s>"]
    letters = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *map(chr, range(33, 127))]
    bpe = models.BPE(vocab={t: i for i, t in enumerate(letters)}, merges=[], unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in specials])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    config = MoonshineConfig(
        vocab_size=len(letters), hidden_size=64, intermediate_size=128, encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        max_position_embeddings=194, pad_head_dim_to_multiple_of=8, decoder_start_token_id=1, bos_token_id=1,
        eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    model = MoonshineForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=1, decoder_start_token_id=1, eos_token_id=2, pad_token_id=2, max_length=194
    )
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


QWEN3_ASR_TEMPLATE = (
    "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n"
    "{% for turn in messages if turn.role == 'user' %}{% for part in turn.content if part.type == 'audio' %}"
    "<|audio_start|><|audio_pad|><|audio_end|>{% endfor %}{% endfor %}<|im_end|>\n"
    "{% for turn in messages if turn.role == 'assistant' %}<|im_start|>assistant\n"
    "{% for part in turn.content %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_qwen3_asr(folder: Path, seed: int = 0) -> Path:
    """A random Qwen3ASRForConditionalGeneration with a real Qwen3ASRProcessor, whose template renders the turns of
    the published one.
    """
    import torch
    from tokenizers import pre_tokenizers
    from transformers import (
        GenerationConfig,
        Qwen2Tokenizer,
        Qwen3ASRConfig,
        Qwen3ASRFeatureExtractor,
        Qwen3ASRForConditionalGeneration,
        Qwen3ASRProcessor,
    )

    torch.manual_seed(seed)
    audio = {"audio_token": "<|audio_pad|>", "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>"}
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<asr_text>", *audio.values())
    vocabulary = {t: i for i, t in enumerate((*sorted(pre_tokenizers.ByteLevel.alphabet()), *specials))}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=audio
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<asr_text>"]}, False)
    ends = [vocabulary["<|endoftext|>"], vocabulary["<|im_end|>"]]
    config = Qwen3ASRConfig(
        audio_config={
            "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 128, "d_model": 64,
            "downsample_hidden_size": 8, "output_dim": 64,
        },
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 512,
            "tie_word_embeddings": True,
        },
        audio_token_id=vocabulary["<|audio_pad|>"], pad_token_id=ends[1], eos_token_id=ends,
    )  # fmt: skip
    model = Qwen3ASRForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1], max_new_tokens=512)
    model.save_pretrained(folder)
    Qwen3ASRProcessor(Qwen3ASRFeatureExtractor(), tokenizer, QWEN3_ASR_TEMPLATE).save_pretrained(folder)
    return folder


def tiny_parakeet(folder: Path, seed: int = 0) -> Path:
    """A random ParakeetForCTC whose vocabulary, as the published one's, has small letters only, and no digits."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        ParakeetCTCConfig,
        ParakeetFeatureExtractor,
        ParakeetForCTC,
        ParakeetProcessor,
        ParakeetTokenizer,
    )

    torch.manual_seed(seed)
    letters = ["<unk>", "\u2581", *map(chr, range(ord("a"), ord("z") + 1)), "'", "<pad>"]
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(letters)}, merges=[], unk_token="<unk>"))
    core.add_special_tokens([AddedToken(token, special=True) for token in ("<unk>", "<pad>")])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    tokenizer = ParakeetTokenizer(tokenizer_object=core, unk_token="<unk>", pad_token="<pad>")
    config = ParakeetCTCConfig(
        vocab_size=len(letters), pad_token_id=len(letters) - 1,
        encoder_config={
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
            "subsampling_conv_channels": 16, "subsampling_factor": 2, "dropout": 0.0, "attention_dropout": 0.0,
            "activation_dropout": 0.0,
        },
    )  # fmt: skip
    ParakeetForCTC(config).save_pretrained(folder)
    ParakeetProcessor(ParakeetFeatureExtractor(), tokenizer, decoder_type="ctc").save_pretrained(folder)
    return folder


def tiny_speech_model(kind: str, folder: Path) -> Path:
    """The tiny model named `kind`: multilingual, english_only (both Whispers), moonshine, qwen3_asr or parakeet_ctc."""
    makers = {"moonshine": tiny_moonshine, "qwen3_asr": tiny_qwen3_asr, "parakeet_ctc": tiny_parakeet}
    return makers[kind](folder) if kind in makers else tiny_whisper(folder, english_only=kind == "english_only")


def tone(hertz: float, seconds: float) -> np.ndarray:
    """A sine at 16 kHz, peak 0.5."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16_000)) / 16_000)).astype(np.float32)


def tones_dataset(
    folder: Path, train: int = 24, val: int = 4, longest: float = 1.8, wrong: bool = False, letters: bool = False
) -> Path:
    """A dataset of tones whose transcripts name their pitch, as a number or in letters; with `wrong`, rows carry a
    rejected transcript.
    """
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
        named = chr(ord("a") + number % 26) * 2 if letters else pitch
        text = f"Pitch {named}" + " up" * (number % 4)
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
