"""Train the audio starter from nothing, or go on: a small Whisper on generated speech only.

    python -m recipes.starters.making.audio pool --scratch DIR --rows 40000      # speak once; resumable
    torchrun --nproc-per-node 2 -m recipes.starters.making.audio train --scratch DIR --minutes 70 --threads 1 --batch 24
                                                                          # resumable with the same command
    python -m recipes.starters.making.audio measure --scratch DIR                # WER on voices that were held out

With --grow FOLDER of the small starter, pool and train make starter-audio-large: that starter at twice the width, which
goes on with a ward's words and units (`--rows 26000`, then `--minutes 70 --threads 1 --batch 12 --muon-lr 0.0015
--adam-lr 2e-4`).

DIR receives pool/, held-out/, log.jsonl, state.safetensors and model/ (what transformers loads).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from recipes.starters.audio_data import FAMILIES, TAUGHT, UNION, sentences
from recipes.starters.making import audio_model, audio_pool
from recipes.starters.making.team import Team, join
from recipes.starters.making.text_training import Plan, Trainer
from recipes.starters.making.untrained_tokens import separate_vectors
from synth.storage import atomic_dir

TEXTS_FOR_TOKENIZER = 40_000
HELD_OUT_ROWS = 600
CHECK_ROWS = 32
CTC_WEIGHT = 0.3


class Errors(NamedTuple):
    """Corpus counts: word edits and reference words, case and punctuation ignored."""

    edits: int
    words: int

    @property
    def rate(self) -> float:
        return self.edits / max(1, self.words)


class AudioTrainer(Trainer):
    """The shared training loop on mel windows. From nothing, the encoder also predicts the transcript by CTC.

    That head makes attention find its alignment early (hybrid CTC/attention, arXiv 1609.06773); it is not exported. A
    model that goes on has its alignment, and a fresh head would only disturb it.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        rows: Sequence[audio_pool.Row],
        plan: Plan,
        out: Path,
        team: Team | None = None,
        goes_on: bool = False,
    ) -> None:
        import torch

        self.rows, self.processor, self.goes_on = rows, processor, goes_on
        self.blank = len(processor.tokenizer)
        model.ctc_head = torch.nn.Linear(model.config.d_model, self.blank + 1)
        super().__init__(model, processor.tokenizer, lambda rng: iter(()), plan, out, team)

    def batch(self) -> audio_pool.Batch:
        number = self.step * self.team.size + self.team.rank
        return audio_pool.batch(self.rows, self.tokenizer, self.plan.batch, self.plan.seed, number)

    def size(self, batch: audio_pool.Batch) -> int:
        return int((batch.labels != -100).sum())

    def loss(self, model: Any, batch: audio_pool.Batch) -> Any:
        """Cross-entropy of the decoder; from nothing, plus CTC_WEIGHT times CTC per token of the encoder."""
        import torch

        out = model(input_features=batch.features, labels=batch.labels)
        if self.goes_on:
            return out.loss
        scores = model.ctc_head(out.encoder_last_hidden_state).float().log_softmax(-1).transpose(0, 1)
        prefix = (
            len(self.tokenizer.prefix_tokens) - 1
        )  # labels begin with language and task, and end with the end token
        words = batch.labels[:, prefix:]
        lengths = (words != -100).sum(1) - 1
        steps = torch.full((len(words),), scores.shape[0])
        ctc = torch.nn.functional.ctc_loss(
            scores, words.clamp(min=0), steps, lengths, blank=self.blank, reduction="none", zero_infinity=True
        )
        return out.loss + CTC_WEIGHT * ctc.sum() / lengths.sum()


def build_processor(folder: Path) -> Any:
    """The starter's processor, the same each time."""
    stream = sentences(Random("audio-starter/tokenizer"), tuple(FAMILIES))
    return audio_model.build_processor((next(stream).written for _ in range(TEXTS_FOR_TOKENIZER)), folder)


def export(model: Any, processor: Any, folder: Path) -> None:
    """Write bf16 safetensors (files of at most 15 MB) and the processor; the folder is replaced as a whole."""
    import copy

    import torch

    plain = copy.deepcopy(model).to(torch.bfloat16)
    del plain.ctc_head
    separate_vectors(plain.get_input_embeddings().weight.data)
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_dir(folder) as temporary:
        plain.save_pretrained(temporary, max_shard_size="14MB")
        processor.save_pretrained(temporary)


def transcribe(model: Any, processor: Any, rows: Sequence[audio_pool.Row], size: int = 32) -> list[str]:
    """Greedy transcripts of clean windows, in order."""
    import numpy as np
    import torch

    model.eval()
    texts: list[str] = []
    for start in range(0, len(rows), size):
        windows = [audio_pool.window(row.mel.astype(np.float32)) for row in rows[start : start + size]]
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            ids = model.generate(input_features=torch.from_numpy(np.stack(windows)), do_sample=False, num_beams=1)
        texts += processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return texts


def errors(references: Sequence[str], hypotheses: Sequence[str]) -> Errors:
    """Corpus word errors, case and punctuation ignored (digits and currency signs count)."""
    import jiwer

    plain = [re.sub(r"[^\w$.' ]|\.(?!\d)", "", text.lower()).split() for text in (*references, *hypotheses)]
    half = len(references)
    out = jiwer.process_words([" ".join(w) for w in plain[:half]], [" ".join(w) for w in plain[half:]])
    return Errors(out.substitutions + out.deletions + out.insertions, out.substitutions + out.deletions + out.hits)


def starting_model(asked: argparse.Namespace) -> tuple[Any, Any]:
    """The model (fp32) and processor that training begins with; draws from torch's generator."""
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    if asked.grow:
        processor = WhisperProcessor.from_pretrained(asked.grow)
        small = WhisperForConditionalGeneration.from_pretrained(asked.grow, dtype=torch.float32)
        return audio_model.grow(small, processor.tokenizer), processor
    processor = build_processor(asked.scratch / "tokenizer")
    return audio_model.build_model(processor.tokenizer), processor


def train(asked: argparse.Namespace) -> None:
    """Train to the end of --minutes or --steps, with a checked and exported model every few minutes."""
    import torch

    torch.set_num_threads(asked.threads)
    rows = audio_pool.load(asked.scratch / "pool")
    held_out = audio_pool.load(asked.scratch / "held-out")[:CHECK_ROWS]
    torch.manual_seed(asked.seed)
    model, processor = starting_model(asked)
    model.set_attn_implementation("eager")  # at 200 positions a step takes three quarters of torch's fused one
    plan = Plan(
        seed=asked.seed,
        steps=asked.steps,
        minutes=asked.minutes,
        batch=asked.batch,
        muon_lr=asked.muon_lr,
        adam_lr=asked.adam_lr,
        save_sec=asked.save_sec,
        warmup=40,
        compile=False,
    )
    trainer = AudioTrainer(model, processor, rows, plan, asked.scratch, join(), bool(asked.grow))
    resumed = trainer.resume()
    count = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("ctc_head"))
    trainer.log(
        parameters=count,
        rows=len(rows),
        grown=bool(asked.grow),
        resumed=resumed,
        processes=trainer.team.size,
        plan=plan._asdict(),
    )

    def check(_: Trainer) -> None:
        export(model, processor, asked.scratch / "model")
        transcripts = transcribe(model, processor, held_out)
        found = errors([row.text for row in held_out], transcripts)
        trainer.log(held_out_wer=round(found.rate, 4), said=held_out[0].text, transcripts=transcripts[0])

    trainer.run(check)


def measure(asked: argparse.Namespace) -> None:
    """Print WER on held-out voices and on training voices, fresh sentences, by the exported model."""
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    torch.set_num_threads(asked.threads)
    folder = asked.scratch / "model"
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor = WhisperProcessor.from_pretrained(folder)
    rows = audio_pool.load(asked.scratch / "held-out")
    found = errors([row.text for row in rows], transcribe(model, processor, rows))
    print(f"held-out voices: WER {found.rate:.2%} ({found.edits} edits, {found.words} words, {len(rows)} rows)")


def pool(asked: argparse.Namespace) -> None:
    """Speak the pool and the held-out rows, in `--threads` processes."""
    families = UNION if asked.grow else TAUGHT
    audio_pool.build(asked.scratch / "held-out", HELD_OUT_ROWS, held_out=True, families=families)
    audio_pool.build(asked.scratch / "pool", asked.rows, workers=asked.threads, families=families)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["pool", "train", "measure"])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--save-sec", type=float, default=Plan().save_sec)
    parser.add_argument("--muon-lr", type=float, default=Plan().muon_lr)
    parser.add_argument("--adam-lr", type=float, default=Plan().adam_lr)
    parser.add_argument("--grow", type=Path, help="folder of the starter to widen")
    asked = parser.parse_args()
    if asked.action == "train" and asked.minutes is None and asked.steps is None:
        parser.error("give --minutes or --steps")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    {"pool": pool, "train": train, "measure": measure}[asked.action](asked)


if __name__ == "__main__":
    main()
