"""Measure a vision starter, write its card and hashes, and put it where the project finds it.

    python -m recipes.starters.making.vision_card starter-vision --run DIR --tower TOWER_DIR --rows 1000
    python -m recipes.starters.making.vision_card starter-vision-large --run DIR --rows 1000

DIR and TOWER_DIR are what `recipes.starters.making.vision` and `recipes.starters.making.vision_tower` wrote. The rows come from seeds
that training never draws, and ask in the generator's own words. The folder recipes/starters/weights/NAME is replaced as
a whole, after the measurement.
"""

# ruff: noqa: E501 - Markdown keeps its lines
from __future__ import annotations

import argparse
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recipes.starters.making.vision import answers, tally
from recipes.starters.vision_data import FAMILIES, UNION, examples
from synth.storage import atomic_write_text, read_json, read_jsonl, sha256_file

WEIGHTS = Path(__file__).parents[1] / "weights"
CARD_SEED = 77


class Kind(NamedTuple):
    """What a card says of a starter: the kinds of picture it is measured on, what it is, and where it began."""

    families: Mapping[str, float]
    what: str
    began: str
    made_by: str


KINDS = {
    "starter-vision": Kind(
        FAMILIES,
        "A tiny vision-language base for tuning where no model hub can be reached. It reads simple rendered pictures of 128 pixels: "
        "upright bar charts and shapes on a grid, both named by colour. It was never shown sideways bars, lines, pies, receipts, "
        "tables, forms or printed words: those are for whoever tunes it.",
        "taken from starter-text",
        "`python -m recipes.starters.making.vision_tower`, then `python -m recipes.starters.making.vision`",
    ),
    "starter-vision-large": Kind(
        UNION,
        "A stand-in for *the large model* where no endpoint is configured: starter-vision at twice the width (3.8 times its parameters), "
        "trained further on its pictures and on sideways bars, lines and pies of 128 pixels, all named by colour, with questions in "
        "wordings of its own. The vision demo draws its sideways bars with the same generator, so there this starter is a hard "
        "rival; elsewhere it is still a very small model, and a win over it says nothing about real large models.",
        "widened from starter-vision",
        "`python -m recipes.starters.making.vision --grow recipes/starters/weights/starter-vision`",
    ),
}


def family_table(rows: Sequence[Any], replies: Sequence[str]) -> str:
    """Markdown: each family and operation with its count, right answers and pictures transcribed without a fault."""
    counts: dict[str, int] = {}
    for row in rows:
        for key in (row.family, f"{row.family}/{row.source['params']['op']}"):
            counts[key] = counts.get(key, 0) + 1
    lines = ["| family / question | rows | right answer | transcribed exactly |", "|---|---|---|---|"]
    for key, (right, seen) in tally(list(rows), list(replies)).items():
        name = key if "/" in key else f"**{key}**"
        lines.append(f"| {name} | {counts[key]} | {right:.1%} | {seen:.1%} |")
    return "\n".join(lines)


def training_line(run: Path, what: str, unit: str) -> str:
    """One stage in a sentence, from its log."""
    log = [line.value for line in read_jsonl(run / "log.jsonl") if line.value]
    points = [row for row in log if "loss" in row]
    curve = [points[min(len(points) - 1, int(len(points) * part))]["loss"] for part in (0.1, 0.25, 0.5, 0.75, 1)]
    last = points[-1]
    return (
        f"- {what}: {last['step']} steps, {last['tokens']:,} {unit}, {last['seconds'] / 60:.0f} minutes; loss at 10, 25, 50, "
        f"75 and 100 %: {', '.join(f'{loss:.3f}' for loss in curve)}."
    )


def card_text(
    name: str, config: Mapping[str, Any], rows: Sequence[Any], replies: Sequence[str], stages: Sequence[str]
) -> str:
    """The model card in Markdown."""
    from statsmodels.stats.proportion import proportion_confint

    right = sum(reply.rpartition("Answer: ")[2].strip() == row.answer for row, reply in zip(rows, replies, strict=True))
    low, high = proportion_confint(right, len(rows), method="wilson")
    kind = KINDS[name]
    text, tower = config["text_config"], config["vision_config"]
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# {name}

{kind.what}

- **Class**: `SmolVLMForConditionalGeneration` with `SmolVLMProcessor`; tower of {tower["num_hidden_layers"]} layers, width {tower["hidden_size"]}, patches of {tower["patch_size"]} pixels, pixel shuffle {config["scale_factor"]}; language half of {text["num_hidden_layers"]} layers, width {text["hidden_size"]}, {kind.began}; bf16 safetensors.
- **Tokenizer**: that of starter-text; tokens that its training never met have embeddings of their own (`recipes/starters/making/untrained_tokens.py`).
- **Replies**: a transcription of the picture, the reasoning, then `Answer: X`.
- **Data**: 100 % rendered by `synth.vision` (level 1; a fifth of the pictures with blur, JPEG, noise or shadow).
- **Made by**: {kind.made_by}, on one thread of a CPU ({platform.machine()}), bf16 autocast, Muon for matrices and AdamW for the rest.

## Accuracy

Greedy answers, right to the letter after `Answer:`, on pictures from seeds that training never draws.

**All families: {right / len(rows):.1%} [{low:.1%}, {high:.1%}] of {len(rows)} rows (95 % Wilson).**

{family_table(rows, replies)}

## Training

{chr(10).join(stages)}

## Limits

English phrasings of its generator only, one picture at a time, no conversation, no facts. Do not use it for anything that
matters.
"""


def publish(name: str, run: Path, tower: Path | None, n: int) -> None:
    """Measure DIR/model, then write it with card and SHA256SUMS to weights/NAME."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(run / "model")
    model = AutoModelForImageTextToText.from_pretrained(run / "model", dtype=torch.float32).eval()
    rows = list(examples(CARD_SEED, n, tuple(KINDS[name].families)))
    replies = answers(model, processor, rows)
    stages = [training_line(tower, "tower through a reading head", "pictures")] if tower else []
    stages.append(training_line(run, "whole model on conversations", "tokens"))
    target, part = WEIGHTS / name, WEIGHTS / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run / "model", part, copy_function=shutil.copyfile)
    atomic_write_text(part / "README.md", card_text(name, read_json(part / "config.json"), rows, replies, stages))
    sums = [f"{sha256_file(path)}  {path.name}" for path in sorted(part.iterdir())]
    atomic_write_text(part / "SHA256SUMS", "\n".join(sums) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    print((target / "README.md").read_text("utf-8"))


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(KINDS))
    parser.add_argument("--run", type=Path, required=True, help="folder that recipes.starters.making.vision wrote")
    parser.add_argument("--tower", type=Path, help="folder that recipes.starters.making.vision_tower wrote")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    publish(asked.name, asked.run, asked.tower, asked.rows)


if __name__ == "__main__":
    main()
