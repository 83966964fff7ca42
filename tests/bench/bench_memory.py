"""The memory estimate, and the preflight, against the real peaks of trainings over a grid of shapes.

    OMP_NUM_THREADS=1 PYTHONPATH=tests python tests/bench/bench_memory.py            # the table of docs/models.md
    … bench_memory.py --only 'width 256' --steps 8

Each shape is a network with random weights, trained for some steps on rows of differing lengths in a process of its
own; the peak is its resident memory's high-water mark. Goal: each estimate within 15 %. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from recipes.models import estimate
from recipes.models.attention import SHORT_TOKENS
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.dataset import Card, DatasetWriter
from synth.example import make_example, user
from synth.workspace import Workspace

GOAL = 0.15
RANK = 16
SMOL = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152,
}  # fmt: skip


def llama(width: int, layers: int, vocabulary: int) -> dict[str, int]:
    """Sizes of a Llama with heads of 64."""
    return {
        "hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers, "vocab_size": vocabulary,
        "num_attention_heads": width // 64, "num_key_value_heads": max(1, width // 128),
    }  # fmt: skip


class Case(NamedTuple):
    """A network, the batch, and the longest row: `prompt` and `answer` tokens."""

    sizes: dict[str, int]
    batch: int
    prompt: int
    answer: int


CASES = {
    "width 256, 16 x 64": Case(llama(256, 6, 512), 16, 48, 16),
    "width 256, 16 x 256": Case(llama(256, 6, 512), 16, 200, 56),
    "width 256, 32 x 256": Case(llama(256, 6, 512), 32, 200, 56),
    "width 256, 8 x 1024": Case(llama(256, 6, 512), 8, 960, 64),
    "width 256, vocabulary 49152, 16 x 128": Case(llama(256, 6, 49152), 16, 64, 64),
    "width 512, 16 x 128": Case(llama(512, 8, 512), 16, 96, 32),
    "width 512, 16 x 256": Case(llama(512, 8, 512), 16, 200, 56),
    "width 512, 4 x 768": Case(llama(512, 8, 512), 4, 700, 68),
    "width 128, 64 x 128": Case(llama(128, 12, 512), 64, 96, 32),
    "SmolLM2-135M, 2 x 64": Case(SMOL, 2, 48, 16),
    "SmolLM2-135M, 4 x 128": Case(SMOL, 4, 96, 32),
    "SmolLM2-135M, 2 x 384": Case(SMOL, 2, 320, 64),
}


def make(case: Case, home: Path, steps: int) -> Run:
    """The network, rows of 60 to 100 % of the longest, and a run over them."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.tiny import tiny_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(**case.sizes, tie_word_embeddings=True, max_position_embeddings=2048, pad_token_id=0)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(home / "base")
    tiny_tokenizer(home / "base")
    folder = home / "datasets" / "rows"
    folder.mkdir(parents=True)
    writer, chance = DatasetWriter(folder), random.Random(0)
    overhead = 32  # bytes that the template adds: one token each
    for number in range(case.batch * steps):
        share = chance.uniform(0.6, 1.0) if number else 1.0
        asked = str(number) + "x" * max(1, int(share * case.prompt) - overhead - len(str(number)))
        said = "y" * max(1, int(share * case.answer) - 2)
        writer.keep(
            make_example([user(asked)], said, answer=said, family="a", template="a", scorer="label", split="train")
        )
    writer.finish(Card(name="rows"))
    choices = {
        "base_model": str(home / "base"), "dataset": "rows", "per_device_train_batch_size": case.batch,
        "lora_r": RANK, "lora_alpha": 2 * RANK, "torch_compile": "off", "max_length": None, "num_train_epochs": 1,
        "save_steps": 10**6,
    }  # fmt: skip
    return Run.create(Workspace(home), load_recipe(choices))


def measure(case: Case, steps: int, file: str) -> None:
    """Train in this process; its peak and what the preflight measured go to `file`."""
    from recipes.models.memory import peak_memory
    from recipes.text import text_sft
    from recipes.train.report import read_report

    with tempfile.TemporaryDirectory() as home:
        run = make(case, Path(home), steps)
        with peak_memory() as peak:
            text_sft.train(run, run.recipe)
        report = read_report(run.path)
        assert report is not None and report.probe is not None
        found = {"peak": peak.bytes, "preflight": report.probe.memory_bytes, "longest": report.tokens.longest}
    Path(file).write_text(json.dumps(found))


def in_a_process(server: Any, case: Case, steps: int) -> dict[str, int]:
    """What `measure` found in a process that has imported everything and loaded nothing."""
    with tempfile.NamedTemporaryFile() as file:
        process = server.Process(target=measure, args=(case, steps, file.name))
        process.start()
        process.join()
        found: dict[str, int] = json.loads(Path(file.name).read_text())
    return found


def estimated(case: Case, longest: int) -> estimate.Estimate:
    """The estimate for the longest batch."""
    sizes = case.sizes
    width, inner, heads = sizes["hidden_size"], sizes["intermediate_size"], sizes["num_attention_heads"]
    attention = 2 * width**2 + 2 * width**2 * sizes["num_key_value_heads"] // heads
    parameters = sizes["num_hidden_layers"] * (attention + 3 * width * inner) + sizes["vocab_size"] * width
    shape = estimate.shape_of(sizes, parameters)
    assert shape is not None
    plain = longest <= SHORT_TOKENS
    return estimate.tuning(
        shape, rank=RANK, batch=case.batch, tokens=longest, learned=case.answer, plain_attention=plain
    )


def main() -> int:
    """Measure the cases; 1 when an estimate is off by more than the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--steps", type=int, default=6)
    chosen = parser.parse_args()
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["recipes.train.training", "datasets", "trl.trainer.sft_trainer", "bitsandbytes"])
    print("| network, rows x tokens | real peak, GiB | preflight | estimate | off by |\n|---|---|---|---|---|")
    worst = 0.0
    for name, case in CASES.items():
        if not name.startswith(chosen.only):
            continue
        found = in_a_process(server, case, chosen.steps)
        guess = estimated(case, found["longest"])
        total = guess.total - estimate.LIBRARY_FILES_BYTES  # forked, it has not read them itself
        off = total / found["peak"] - 1
        worst = max(worst, abs(off))
        peak, probe = found["peak"] / 2**30, found["preflight"] / 2**30
        print(f"| {name} | {peak:.2f} | {probe:.2f} | {total / 2**30:.2f} | {off:+.0%} |", flush=True)
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
