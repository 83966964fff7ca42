"""The memory estimate, and the preflight, against the real peaks of trainings over a grid of shapes.

    OMP_NUM_THREADS=1 PYTHONPATH=tests python tests/bench/bench_memory.py            # the table of docs/models.md
    … bench_memory.py --only audio --steps 8

Each shape is a network with random weights of a real class, or a starter, trained for some steps on rows of differing
lengths in a process of its own; the peak is its resident memory's high-water mark. Goal: each estimate within 15 %.
Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from recipes.models import estimate
from recipes.models.estimate import PROCESSOR, Batch, Choices
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.dataset import Card, DatasetWriter
from synth.example import AudioPart, ImagePart, make_example, user
from synth.storage import sha256_bytes
from synth.workspace import Workspace

GOAL = 0.15
RANK = 16
SMOL = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152,
}  # fmt: skip
RATE_HZ = 16_000
TEMPLATE_TOKENS = 32  # bytes that the template adds: one token each


def llama(width: int, layers: int, vocabulary: int) -> dict[str, int]:
    """Sizes of a Llama with heads of 64."""
    return {
        "hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers, "vocab_size": vocabulary,
        "num_attention_heads": width // 64, "num_key_value_heads": max(1, width // 128),
    }  # fmt: skip


def tower(width: int, layers: int, side: int) -> dict[str, int]:
    """Sizes of a SigLIP tower with heads of 64 and patches of 16."""
    return {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
        "num_attention_heads": width // 64, "image_size": side, "patch_size": 16,
    }  # fmt: skip


def whisper(width: int, layers: int, vocabulary: int) -> dict[str, int]:
    """Sizes of a Whisper with heads of 64."""
    both = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in (
        ("layers", layers), ("attention_heads", width // 64), ("ffn_dim", 4 * width))}  # fmt: skip
    return {"d_model": width, "vocab_size": vocabulary, **both}


class Case(NamedTuple):
    """A network, the batch, and the longest row: `prompt` and `answer` tokens, a picture, or `seconds` of sound.

    sizes: of a network made for it; a starter's name otherwise. tower: with the picture tower's.
    """

    method: str
    sizes: dict[str, int] | str
    batch: int
    prompt: int
    answer: int
    seconds: int = 0
    tower: dict[str, int] | None = None
    splitting: bool = False
    tower_tuned: bool = True
    checkpointing: bool = False


CASES = {
    "text, width 256, 16 x 64": Case("text_sft", llama(256, 6, 512), 16, 48, 16),
    "text, width 256, 16 x 256": Case("text_sft", llama(256, 6, 512), 16, 200, 56),
    "text, width 256, 32 x 256": Case("text_sft", llama(256, 6, 512), 32, 200, 56),
    "text, width 256, 8 x 1024": Case("text_sft", llama(256, 6, 512), 8, 960, 64),
    "text, width 256, vocabulary 49152, 16 x 128": Case("text_sft", llama(256, 6, 49152), 16, 64, 64),
    "text, width 512, 16 x 128": Case("text_sft", llama(512, 8, 512), 16, 96, 32),
    "text, width 512, 16 x 256": Case("text_sft", llama(512, 8, 512), 16, 200, 56),
    "text, width 512, 4 x 768": Case("text_sft", llama(512, 8, 512), 4, 700, 68),
    "text, width 128, 64 x 128": Case("text_sft", llama(128, 12, 512), 64, 96, 32),
    "text, SmolLM2-135M, 2 x 64": Case("text_sft", SMOL, 2, 48, 16),
    "text, SmolLM2-135M, 4 x 128": Case("text_sft", SMOL, 4, 96, 32),
    "text, SmolLM2-135M, 2 x 384": Case("text_sft", SMOL, 2, 320, 64),
    "recomputed: text, width 512, 16 x 256": Case("text_sft", llama(512, 8, 512), 16, 200, 56, checkpointing=True),
    "recomputed: vision, tower 384 at 256 px, five tiles, 6 rows": Case(
        "vision_sft", llama(256, 6, 512), 6, 80, 32, tower=tower(384, 6, 256), splitting=True, checkpointing=True
    ),
    "vision, starter, 16 rows": Case("vision_sft", "starter-vision", 16, 60, 24),
    "vision, starter, 48 rows": Case("vision_sft", "starter-vision", 48, 60, 24),
    "vision, tower 384 at 256 px, 8 rows": Case("vision_sft", llama(256, 6, 512), 8, 80, 32, tower=tower(384, 6, 256)),
    "vision, tower 384 at 256 px, five tiles, 6 rows": Case(
        "vision_sft", llama(256, 6, 512), 6, 80, 32, tower=tower(384, 6, 256), splitting=True
    ),
    "vision, tower 768 at 512 px without adapter, 4 rows": Case(
        "vision_sft", llama(256, 6, 512), 4, 80, 32, tower=tower(768, 12, 512), tower_tuned=False
    ),
    "vision, tower 384 at 384 px, 4 rows": Case("vision_sft", llama(512, 8, 512), 4, 80, 32, tower=tower(384, 6, 384)),
    "audio, starter, 16 x 4 s": Case("audio_sft", "starter-audio", 16, 0, 24, 4),
    "audio, starter, 48 x 8 s": Case("audio_sft", "starter-audio", 48, 0, 32, 8),
    "audio, Whisper tiny, 8 x 5 s": Case("audio_sft", whisper(384, 4, 51_865), 8, 0, 32, 5),
    "audio, Whisper tiny, 16 x 10 s": Case("audio_sft", whisper(384, 4, 51_865), 16, 0, 48, 10),
    "audio, Whisper tiny, 4 x 30 s": Case("audio_sft", whisper(384, 4, 51_865), 4, 0, 64, 30),
    "audio, Whisper base, 8 x 6 s": Case("audio_sft", whisper(512, 6, 51_865), 8, 0, 48, 6),
}


def make(case: Case, home: Path, steps: int) -> Run:
    """The network, rows of 60 to 100 % of the longest, and a run over them."""
    base = case.sizes if isinstance(case.sizes, str) else str(_network(case, home / "base"))
    folder = home / "datasets" / "rows"
    folder.mkdir(parents=True)
    writer, chance = DatasetWriter(folder), random.Random(0)
    for number in range(case.batch * steps):
        share = chance.uniform(0.6, 1.0) if number else 1.0
        asked = str(number) + "x" * max(1, int(share * case.prompt) - TEMPLATE_TOKENS - len(str(number)))
        said = _words(chance, max(4, int(share * case.answer) - 2))
        parts = [*_media(case, writer, chance, share), *([asked] if case.prompt else [])]
        writer.keep(
            make_example([user(*parts)], said, answer=said, family="a", template="a", scorer="label", split="train")
        )
    writer.finish(Card(name="rows", modality=case.method.partition("_")[0]))
    choices = {
        "method": case.method, "base_model": base, "dataset": "rows", "per_device_train_batch_size": case.batch,
        "lora_r": RANK, "lora_alpha": 2 * RANK, "torch_compile": "off", "max_length": None, "num_train_epochs": 1,
        "save_steps": 10**6, "gradient_checkpointing": case.checkpointing,
        "lora.exclude_modules": None if case.tower_tuned else ".*vision_model.*",
    }  # fmt: skip
    return Run.create(Workspace(home), load_recipe(choices))


def _words(chance: random.Random, letters: int) -> str:
    """So many letters: each is a token or less."""
    return "".join(chance.choice("abcdefgh") for _ in range(letters))


def _media(case: Case, writer: DatasetWriter, chance: random.Random, share: float) -> Iterator[Any]:
    """The row's picture or recording."""
    if case.seconds:
        import numpy as np

        from synth.audio.files import encode_flac

        sound = np.random.default_rng(chance.randrange(2**32)).normal(0, 0.1, int(share * case.seconds * RATE_HZ))
        content = encode_flac(sound.astype(np.float32))
        yield AudioPart(path=writer.add_media(content, ".flac"), sha256=sha256_bytes(content))
    elif case.method.startswith("vision"):
        import PIL.Image

        picture = PIL.Image.new("RGB", (512, 512), (chance.randrange(256), chance.randrange(256), 80))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        content = buffer.getvalue()
        yield ImagePart(path=writer.add_media(content, ".png"), sha256=sha256_bytes(content))


def _network(case: Case, folder: Path) -> Path:
    """A network of the case's class and sizes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.tiny import tiny_tokenizer
    from tests.tiny_audio import tiny_whisper
    from tests.tiny_vision import tiny_vlm

    assert isinstance(case.sizes, dict)
    if case.tower:
        return _in_bf16(tiny_vlm(folder, "SmolVLM", case.splitting, case.sizes, case.tower))
    if case.seconds:
        return _in_bf16(tiny_whisper(folder, seconds=case.seconds, sizes=case.sizes))
    torch.manual_seed(0)
    config = LlamaConfig(**case.sizes, tie_word_embeddings=True, max_position_embeddings=2048, pad_token_id=0)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder


def _in_bf16(folder: Path) -> Path:
    """The network's weights as most are published."""
    import torch
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    save_file({k: v.to(torch.bfloat16) for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    return folder


def measure(case: Case, steps: int, file: str) -> None:
    """Train in this process; its peak, what the preflight measured and what the estimate says go to `file`."""
    from recipes.methods import METHODS
    from recipes.models.memory import peak_memory
    from recipes.train.report import read_report

    with tempfile.TemporaryDirectory() as home:
        run = make(case, Path(home), steps)
        train = importlib.import_module(METHODS[case.method].module).train
        with peak_memory() as peak:
            train(run, run.recipe)
        report = read_report(run.path)
        assert report is not None and report.probe is not None
        told = estimated(case, Path(home), report.tokens.longest, report.tokens.learned)
        found = {"peak": peak.bytes, "preflight": report.probe.memory_bytes, "told": told.total, **told._asdict()}
    Path(file).write_text(json.dumps({**found, "longest": report.tokens.longest}))


def in_a_process(server: Any, case: Case, steps: int) -> dict[str, float]:
    """What `measure` found in a process that has imported everything and loaded nothing."""
    with tempfile.NamedTemporaryFile() as file:
        process = server.Process(target=measure, args=(case, steps, file.name))
        process.start()
        process.join()
        found: dict[str, float] = json.loads(Path(file.name).read_text())
    return found


def estimated(case: Case, home: Path, longest: int, share: float) -> estimate.Estimate:
    """The estimate for the longest batch, from the files of the network as `models list` reads them."""
    from recipes.models.files import STARTERS

    base = STARTERS / case.sizes if isinstance(case.sizes, str) else home / "base"
    network = estimate.network_in(base)
    assert network is not None
    batch = Batch(case.batch, longest, min(case.answer, max(1, round(share * longest))), case.seconds)
    return estimate.tuning(network, batch, Choices(RANK, case.tower_tuned, case.checkpointing), PROCESSOR)


def main() -> int:
    """Measure the cases; 1 when an estimate is off by more than the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--parts", action="store_true", help="print the parts of each estimate too")
    chosen = parser.parse_args()
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["recipes.train.training", "datasets", "trl.trainer.sft_trainer", "bitsandbytes"])
    print("| network, rows | real peak, GiB | preflight | off by | estimate | off by |\n|---|---|---|---|---|---|")
    worst = 0.0
    for name, case in CASES.items():
        if not name.startswith(chosen.only):
            continue
        found = in_a_process(server, case, chosen.steps)
        total = found["told"] - estimate.LIBRARY_FILES_BYTES  # forked, it has not read them itself
        off, early = total / found["peak"] - 1, found["preflight"] / found["peak"] - 1
        worst = max(worst, abs(off))
        peak, probe = found["peak"] / 2**30, found["preflight"] / 2**30
        print(f"| {name} | {peak:.2f} | {probe:.2f} | {early:+.0%} | {total / 2**30:.2f} | {off:+.0%} |", flush=True)
        if chosen.parts:
            print({key: round(value / 2**20, 1) for key, value in found.items()}, flush=True)
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
