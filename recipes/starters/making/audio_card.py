"""Measure an audio starter, write its card and hashes, and put it where the project finds it.

    python -m recipes.starters.making.audio_card starter-audio --scratch DIR
    python -m recipes.starters.making.audio_card starter-audio-large --scratch DIR

DIR is what `python -m recipes.starters.making.audio` wrote. The sentences come from seeds that training never draws. The
folder recipes/starters/weights/NAME is replaced as a whole, after the measurement.
"""

# ruff: noqa: E501 - Markdown keeps its lines
from __future__ import annotations

import argparse
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recipes.starters.making import audio, audio_pool
from recipes.starters.making.card import WEIGHTS
from synth.storage import atomic_write_text, read_json, read_jsonl, sha256_file

WHAT = {
    "starter-audio": (
        "A tiny speech model for tuning where no model hub can be reached. It writes down short general English sentences and "
        "numbers in synthetic voices. It was never shown drug names, codes, dates, clock times or units of measurement: those are "
        "for whoever tunes it."
    ),
    "starter-audio-large": (
        "A stand-in for *the large model* where no endpoint is configured: starter-audio at twice the width (3.9 times its "
        "parameters), trained further on its sentences and on a ward's: drugs, doses, readings, dates and clock times, in sentences that the "
        "audio generator never uses and in no order. It is still a very small model: a win over it says nothing about real large models."
    ),
}
"""What the card of each starter opens with."""


class Rate(NamedTuple):
    """Word errors of a group of rows: corpus counts, and the rate's 95 % interval by resampling rows."""

    name: str
    found: audio.Errors
    low: float
    high: float
    rows: int


def measure(folder: Path, scratch: Path) -> list[Rate]:
    """Greedy transcripts (fp32 weights, bf16 products) of the rows in held-out voices, by kind of sentence."""
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor = WhisperProcessor.from_pretrained(folder)
    rows = audio_pool.load(scratch / "held-out")
    transcripts = audio.transcribe(model, processor, rows)
    kinds = [_kind(row.text) for row in rows]
    groups = ["all", *sorted(set(kinds))]
    return [_rate(g, [i for i, kind in enumerate(kinds) if g in ("all", kind)], rows, transcripts) for g in groups]


def _kind(text: str) -> str:
    return "with numbers" if any(c.isdigit() for c in text) else "words only"


def _rate(name: str, which: Sequence[int], rows: Sequence[audio_pool.Row], transcripts: Sequence[str]) -> Rate:
    import numpy as np

    each = [audio.errors([rows[i].text], [transcripts[i]]) for i in which]
    sums = np.array(each, dtype=float)
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(0, len(sums), size=(2000, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return Rate(name, audio.Errors(*(int(n) for n in sums.sum(axis=0))), float(low), float(high), len(which))


def card_text(name: str, config: dict[str, Any], rates: Sequence[Rate], log: Sequence[dict[str, Any]]) -> str:
    """The model card in Markdown."""
    first = next(row for row in log if "plan" in row)
    points = [row for row in log if "loss" in row]
    table = "\n".join(
        f"| {rate.name} | {rate.rows} | {rate.found.words} | {100 * rate.found.rate:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}] |"
        for rate in rates
    )
    curve = ", ".join(
        f"{points[min(len(points) - 1, int(len(points) * part))]['loss']:.2f}" for part in (0.1, 0.25, 0.5, 0.75, 1)
    )
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: automatic-speech-recognition
language: en
---
# {name}

{WHAT[name]}

- **Class**: `WhisperForConditionalGeneration`, {first["parameters"] / 1e6:.1f} M parameters: {config["encoder_layers"]} encoder and {config["decoder_layers"]} decoder layers, width {config["d_model"]}; bf16 safetensors.
- **Window**: 8 s of 16 kHz mono, 80 mel bands, 20-ms frames (a published Whisper: 30 s, 10 ms).
- **Tokenizer**: `WhisperTokenizer`, byte-level BPE of {config["vocab_size"]} tokens, single digits; `<|en|><|transcribe|><|notimestamps|>`; tokens that its training never met have embeddings of their own (`recipes/starters/making/untrained_tokens.py`).
- **Data**: 100 % generated: sentences by `recipes/starters/audio_data.py`, spoken by espeak-ng (84 voices, three accents), with rooms, telephone lines, noise and SpecAugment. {first["rows"]} utterances were spoken.
- **Made by**: `python -m recipes.starters.making.audio{" --grow recipes/starters/weights/starter-audio" if first.get("grown") else ""}` on {platform.machine()}, Muon for matrices and AdamW for the rest, bf16 autocast{"" if first.get("grown") else ", a CTC head on the encoder while training"}.

## Word error rate

Greedy, fresh sentences without noise, in 24 voices that training never heard. Case and punctuation are ignored; 95 % intervals by resampling utterances.

| rows | utterances | words | WER |
|---|---|---|---|
{table}

## Training

{points[-1]["step"]} steps of {first["plan"]["batch"] * first["processes"]} windows, {points[-1]["tokens"] / 1e6:.1f} M tokens, {points[-1]["seconds"] / 60:.0f} minutes of wall time (the machine was shared). Loss ({"cross-entropy" if first.get("grown") else "cross-entropy plus 0.3 CTC"} per token, nats) at 10, 25, 50, 75, 100 %: {curve}.

## Limits

Formant-synthesis voices only: real speakers were never heard, and real recordings will come out badly before tuning. English only, a few
hundred words. Do not use it for anything that matters.
"""


def publish(name: str, scratch: Path) -> None:
    """Measure DIR/model, then write it with card and SHA256SUMS to weights/NAME."""
    rates = measure(scratch / "model", scratch)
    target, part = WEIGHTS / name, WEIGHTS / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(scratch / "model", part, copy_function=shutil.copyfile)
    log = [line.value for line in read_jsonl(scratch / "log.jsonl") if line.value]
    atomic_write_text(part / "README.md", card_text(name, dict(read_json(part / "config.json")), rates, log))
    sums = [f"{sha256_file(path)}  {path.name}" for path in sorted(part.iterdir())]
    atomic_write_text(part / "SHA256SUMS", "\n".join(sums) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    for rate in rates:
        print(f"{rate.name}: WER {rate.found.rate:.2%} [{rate.low:.2%}, {rate.high:.2%}] on {rate.rows} utterances")


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(WHAT))
    parser.add_argument("--scratch", type=Path, required=True, help="folder that the training wrote")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    publish(asked.name, asked.scratch)


if __name__ == "__main__":
    main()
