"""The audio starter's shape: a small Whisper with its own tokenizer and an 8-second window. Untrained; see `audio`.

Everything is a real transformers class (`WhisperForConditionalGeneration`, `WhisperProcessor`), so that whatever
tunes, serves or exports a published Whisper does the same here. 20-ms frames instead of 10 halve the encoder's work.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recipes.starters.making.growth import widen

SAMPLE_RATE_HZ = 16_000
WINDOW_SEC = 8
HOP_SAMPLES = 320
FFT_SAMPLES = 512
MEL_BANDS = 80
VOCABULARY = 640
SPECIALS = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip


def build_tokenizer(texts: Iterable[str], folder: Path) -> Any:
    """A WhisperTokenizer with byte-level BPE learnt from `texts`; digits stay single. `folder` receives intermediate
    files.
    """
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import WhisperTokenizer

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIALS), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    learnt = json.loads(learner.to_str())["model"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = dict(learnt["vocab"])
    for special in SPECIALS:
        vocabulary[special] = len(vocabulary)
    tokenizer = WhisperTokenizer(
        vocab=vocabulary,
        merges=[tuple(pair) for pair in learnt["merges"]],
        language="en",
        task="transcribe",
        predict_timestamps=False,
        model_max_length=96,
        additional_special_tokens=list(SPECIALS),
    )
    return tokenizer


def build_extractor() -> Any:
    """The WhisperFeatureExtractor: 8-second windows, 80 mel bands, 400 frames."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(
        feature_size=MEL_BANDS,
        sampling_rate=SAMPLE_RATE_HZ,
        hop_length=HOP_SAMPLES,
        chunk_length=WINDOW_SEC,
        n_fft=FFT_SAMPLES,
    )


def build_processor(texts: Iterable[str], folder: Path) -> Any:
    """The WhisperProcessor: tokenizer as `build_tokenizer`, features as `build_extractor`."""
    from transformers import WhisperProcessor

    return WhisperProcessor(build_extractor(), build_tokenizer(texts, folder))


def build_model(tokenizer: Any, *, width: int = 192, encoder_layers: int = 4, decoder_layers: int = 2) -> Any:
    """An untrained WhisperForConditionalGeneration in fp32; draw from torch's generator, so seed it first."""
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    ids = tokenizer.convert_tokens_to_ids
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=MEL_BANDS,
        d_model=width,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=WINDOW_SEC * SAMPLE_RATE_HZ // HOP_SAMPLES // 2,
        max_target_positions=96,
        pad_token_id=ids("<|endoftext|>"),
        bos_token_id=ids("<|endoftext|>"),
        eos_token_id=ids("<|endoftext|>"),
        decoder_start_token_id=ids("<|startoftranscript|>"),
        suppress_tokens=None,  # the defaults name tokens of the published vocabulary
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        max_length=96,
        is_multilingual=True,
        lang_to_id={"<|en|>": ids("<|en|>")},
        task_to_id={"transcribe": ids("<|transcribe|>"), "translate": ids("<|translate|>")},
        language="en",
        task="transcribe",
        no_timestamps_token_id=ids("<|notimestamps|>"),
        prev_sot_token_id=ids("<|startofprev|>"),
        return_timestamps=False,
    )
    return model


def grow(small: Any, tokenizer: Any) -> Any:
    """A Whisper (fp32) of twice the width that computes what `small` does; draw from torch's generator first."""
    shape = small.config
    wide = build_model(
        tokenizer,
        width=2 * shape.d_model,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
    )
    widen(small, wide, final_norm="model.decoder.layer_norm")
    return wide
