"""Speech: generation against real time, training against a plain transformers script, transcription speed.

    python tests/bench/bench_audio.py               # generate, train, transcribe
    python tests/bench/bench_audio.py generate      # one of: generate, train, published, transcribe

Training is measured on whisper-tiny's shape with random weights (train) and on the published Whisper tiny.en
(published, only where asked for), against transformers' Seq2SeqTrainer with PEFT as its documentation shows it:
30-second windows. Both learn the same: rows masked alike (SpecAugment) and in the same batches, the transcript and its
end, from the same adapter, at the same rate, on as many threads. With several rounds the sides take turns, and the
middle is shown. Both then answer for the loss on the same held-out rows, each in its own window. CPU time is shown
beside wall time, because it does not depend on what else the machine does. Exit code 1 below a goal (60 x real time
per core; 1.2 x; 1.5 x).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

from recipes.audio import audio_answers, audio_rows, audio_sft
from recipes.audio.backends import audio_backend
from recipes.models.files import resolve, starters
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.train.rows import IGNORED
from recipes.train.work import Work, cores, load_rows
from recipes.train.work import prepare as prepare_training
from synth.audio import Spec
from synth.build import build_dataset
from synth.context import Context
from synth.dataset import DatasetDir
from synth.example import Example
from synth.generators import generator
from synth.storage import sha256_bytes
from synth.workspace import Workspace

GENERATED, HELD_OUT = 200, 32
WARM = 2
GOALS = {"generate": 60.0, "train": 1.2, "published": 1.5}
LEARNING_RATE, WARMUP = 5e-4, 0.05


class Size(NamedTuple):
    """Of a training that is measured."""

    batch: int
    steps: int
    rounds: int


SIZES = {"train": Size(4, 6, 1), "published": Size(8, 10, 2)}


class Clock(NamedTuple):
    """Seconds of wall and of processor time, child processes included."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        spent = os.times()
        return cls(time.monotonic(), spent.user + spent.system + spent.children_user + spent.children_system)

    def since(self, start: Clock) -> Clock:
        return Clock(self.wall - start.wall, self.cpu - start.cpu)


def bench_generate() -> float:
    """Seconds of finished speech for each second of processor time (espeak-ng's process included)."""
    torch.set_num_threads(1)
    checked = generator("audio").candidates
    context = Context(lambda content, suffix: f"media/{sha256_bytes(content)}{suffix}")
    for _ in checked(Spec(train=4, val=0, test=0, test_ood=0), context):
        pass  # imports and filters
    start, seconds = Clock.now(), 0.0
    spec = Spec(train=GENERATED, val=0, test=0, test_ood=0, domains=("medical", "field", "orders", "calls"))
    for candidate in checked(spec, context):
        if candidate.example and not candidate.reason:
            seconds += candidate.example.source["seconds"]
    spent = Clock.now().since(start)
    print(
        f"generate: {seconds:.0f} s of speech, {seconds / spent.wall:.0f} x real time by wall, "
        f"{seconds / spent.cpu:.0f} x per second of one core"
    )
    return seconds / spent.cpu


def random_whisper_tiny(folder: Path) -> Path:
    """openai/whisper-tiny's shape with random weights and the starter's tokenizer."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperProcessor

    from recipes.starters.making.audio import build_processor

    tokenizer = build_processor(folder / "tokenizer").tokenizer
    ids = tokenizer.convert_tokens_to_ids
    end = ids("<|endoftext|>")
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=51_865, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536, pad_token_id=end, bos_token_id=end,
        eos_token_id=end, decoder_start_token_id=ids("<|startoftranscript|>"), suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(folder / "model")
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder / "model")
    return folder / "model"


class Side(NamedTuple):
    """One training: the mean time of a step, and the loss on held-out rows for each learned token."""

    wall: float
    cpu: float
    loss: float


def side(spent: list[Clock], loss: float) -> Side:
    """From the clocks at the ends of the steps; the first WARM are left out."""
    total, steps = spent[-1].since(spent[WARM - 1]), len(spent) - WARM
    return Side(total.wall / steps, total.cpu / steps, loss)


def held_out_loss(model: Any, processor: Any, dataset: DatasetDir) -> float:
    """Mean loss of the tokens of unseen transcripts, in the processor's window."""
    rows, total, count = list(dataset.examples("val")), 0.0, 0
    given = len(processor.tokenizer("").input_ids) - 1  # what every transcript begins with
    model.eval()
    for row in rows:
        sound = audio_rows.recording(row, dataset)
        features = processor.feature_extractor(sound, sampling_rate=16_000, return_tensors="pt").input_features
        ids = torch.tensor([processor.tokenizer(row.target).input_ids])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = model(input_features=features, decoder_input_ids=ids[:, :-1]).logits[0, given - 1 :]
        total += float(torch.nn.functional.cross_entropy(logits.float(), ids[0, given:], reduction="sum"))
        count += len(ids[0]) - given
    return total / count


def watch(spent: list[Clock]) -> Any:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            spent.append(Clock.now())

    return Watch()


class Own(NamedTuple):
    """Our training, not begun: its trainer, what belongs to it, and its rows in the order in which they are learned,
    each with its number, on which its mask depends.
    """

    trainer: Any
    work: Work
    learned: list[tuple[int, Example]]


def build(base: Path, workspace: Workspace, name: str, size: Size) -> Own:
    """audio_sft, ready to train."""
    recipe = load_recipe(
        "whisper-tiny",
        [f"base_model={base}", f"data.dataset={name}", f"threads={torch.get_num_threads()}", f"max_steps={size.steps}",
         f"batch_size={size.batch}", "optim.gradient_accumulation_steps=1", "eval_steps=0", "save_steps=1000",
         f"optim.learning_rate={LEARNING_RATE}", f"optim.warmup_ratio={WARMUP}"],
    )  # fmt: skip
    work = prepare_training(Run.create(workspace, recipe), recipe)
    rows, _ = load_rows(work)
    recordings = [audio_rows.recording(row, work.dataset) for row in rows]
    backend = audio_backend(work.loaded)
    backend.fit(backend.window_seconds(recordings))
    trainer = audio_sft.build_trainer(work, audio_sft.encode(rows, recordings, backend, recipe.data), None)
    return Own(trainer, work, [(number, rows[number]) for batch in trainer.batches for number in batch])


def ours(own: Own) -> Side:
    """audio_sft."""
    spent: list[Clock] = []
    own.trainer.add_callback(watch(spent))
    own.trainer.train()
    loaded = own.work.loaded
    return side(spent, held_out_loss(loaded.model, loaded.processor, own.work.dataset))


def plain(base: Path, own: Own, home: Path, size: Size) -> Side:
    """Seq2SeqTrainer with PEFT on a 4-bit base, as their documentation shows it, on what `own` would learn."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import (
        BitsAndBytesConfig,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )

    processor = WhisperProcessor.from_pretrained(base)
    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = WhisperForConditionalGeneration.from_pretrained(
        base, quantization_config=quantised, dtype=torch.float32, device_map="cpu"
    )
    targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    model = get_peft_model(model, LoraConfig(r=32, lora_alpha=64, target_modules=targets))
    set_peft_model_state_dict(model, get_peft_model_state_dict(own.work.loaded.model))
    given = len(processor.tokenizer("").input_ids) - 1  # what every transcript begins with
    rows: list[dict[str, Any]] = []
    for number, example in own.learned:
        sound = audio_rows.recording(example, own.work.dataset)
        features = processor.feature_extractor(sound, sampling_rate=16_000).input_features[0]
        sounding = -(-len(sound) // processor.feature_extractor.hop_length)
        chance = np.random.default_rng((own.work.recipe.seed, 0, number))
        ids = torch.tensor(processor.tokenizer(example.target).input_ids)
        rows.append({"input_features": audio_rows.masked(features, sounding, chance), "ids": ids})

    def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
        read = torch.nn.utils.rnn.pad_sequence(
            [i["ids"][:-1] for i in items], batch_first=True, padding_value=processor.tokenizer.eos_token_id
        )
        labels = torch.nn.utils.rnn.pad_sequence([i["ids"][1:] for i in items], batch_first=True, padding_value=IGNORED)
        labels[:, : given - 1] = IGNORED
        features = torch.from_numpy(np.stack([i["input_features"] for i in items]))
        return {"input_features": features, "decoder_input_ids": read, "labels": labels}

    spent: list[Clock] = []
    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            str(home / "plain"), per_device_train_batch_size=size.batch, max_steps=size.steps,
            learning_rate=LEARNING_RATE, lr_scheduler_type="cosine", warmup_steps=WARMUP, bf16=True, use_cpu=True,
            report_to="none", remove_unused_columns=False, label_names=["labels"], save_strategy="no",
            disable_tqdm=True, train_sampling_strategy="sequential",
        ),
        train_dataset=rows,
        data_collator=collate,
        callbacks=[watch(spent)],
    )  # fmt: skip
    trainer.train()
    return side(spent, held_out_loss(model, processor, own.work.dataset))


def spoken(workspace: Workspace, size: Size) -> DatasetDir:
    """Enough recordings for all steps."""
    counts = {"train": size.batch * size.steps, "val": HELD_OUT, "test": 0, "test_ood": 0}
    return build_dataset("audio", {**counts, "silence_share": 0}, "speech", workspace)


def bench_train(home: Path, kind: str) -> float:
    """Our utterances per second over theirs: the lesser of the ratios by wall and by processor time; 0 for a loss that
    is 2 % higher than theirs, where the base is a published one."""
    torch.set_num_threads(cores())
    size, workspace = SIZES[kind], Workspace(home / kind)
    dataset = spoken(workspace, size)
    base = resolve("whisper-tiny.en").path if kind == "published" else random_whisper_tiny(home)
    turns: dict[str, Callable[[Own], Side]] = {
        "Seq2SeqTrainer + PEFT": lambda own: plain(base, own, home, size),
        "audio_sft": ours,
    }
    sides: dict[str, list[Side]] = {name: [] for name in turns}
    for number in range(size.rounds):
        for name in list(turns) if number % 2 == 0 else reversed(turns):
            sides[name].append(turns[name](build(base, workspace, dataset.name, size)))
    theirs, own = (Side(*map(median, zip(*found, strict=True))) for found in sides.values())
    for name, one in zip(turns, (theirs, own), strict=True):
        speeds = [f"{size.batch / found.wall:.2f}" for found in sides[name]]
        print(
            f"{kind}, {name}: {size.batch / one.wall:.2f} utterances/s by wall (rounds: {', '.join(speeds)}), "
            f"{size.batch / one.cpu:.2f} per CPU second, held-out loss {one.loss:.4f}"
        )
    print(f"{kind}: {theirs.wall / own.wall:.2f} x by wall, {theirs.cpu / own.cpu:.2f} x by CPU time")
    equal = kind != "published" or own.loss <= theirs.loss * 1.02
    return min(theirs.wall / own.wall, theirs.cpu / own.cpu) if equal else 0.0


def bench_transcribe(home: Path) -> float:
    """Seconds of sound for each processor second, by the starter if it is installed, else by a random whisper-tiny."""
    torch.set_num_threads(cores())
    workspace = Workspace(home / "more")
    dataset = spoken(workspace, SIZES["train"])
    base = "starter-audio" if "starter-audio" in starters() else str(random_whisper_tiny(home / "base"))
    loaded = load_for_inference(base)
    examples: list[Example] = list(dataset.examples("train"))
    recordings = [audio_rows.recording(example, dataset) for example in examples]
    backend = audio_backend(loaded)
    audio_answers.transcribe(backend, backend.prepare(recordings[:1]), 2)  # imports and caches
    start = Clock.now()
    audio_answers.transcribe(backend, backend.prepare(recordings), 64)
    spent = Clock.now().since(start)
    seconds = sum(map(len, recordings)) / 16_000
    print(
        f"transcribe, {Path(base).name}: RTFx {seconds / spent.wall:.1f} by wall, {seconds / spent.cpu:.1f} per CPU s"
    )
    return seconds / spent.cpu


def main() -> int:
    """Run the benches that the command line names; 1 when one misses its goal."""
    asked = sys.argv[1:] or ["generate", "train", "transcribe"]
    found = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        benches = {
            "generate": bench_generate,
            "train": lambda: bench_train(home, "train"),
            "published": lambda: bench_train(home, "published"),
            "transcribe": lambda: bench_transcribe(home),
        }
        for bench in asked:
            found[bench] = benches[bench]()
    missed = [bench for bench, value in found.items() if value < GOALS.get(bench, 0)]
    print("all goals met" if not missed else f"below the goal: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
