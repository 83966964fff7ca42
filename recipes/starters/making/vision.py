"""Train a vision starter on rendered pictures.

    python -m recipes.starters.making.vision --text-starter FOLDER --tower FILE --minutes 60 --out DIR
    python -m recipes.starters.making.vision --steps 4000 --seed 0 --out DIR       # the same loss curve each time
    python -m recipes.starters.making.vision --grow recipes/starters/weights/starter-vision --muon-lr 0.0025 \
        --adam-lr 4e-4 --batch 5 --slots 22 --minutes 30 --out DIR

The first takes its language half from a text starter and its tower from `recipes.starters.making.vision_tower`. The
last makes starter-vision-large: the small starter at twice the width, which goes on with more kinds of picture. DIR
holds log.jsonl, state.safetensors (the same command goes on from it) and model/ (what transformers loads). `python
-m recipes.starters.making.vision_card NAME --run DIR` then measures it and puts it where the project finds it.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from recipes.starters.making.team import join
from recipes.starters.making.text_training import Plan
from recipes.starters.making.vision_model import build, export, grow, load_tower
from recipes.starters.making.vision_training import VisionTrainer
from recipes.starters.vision_data import FAMILIES, UNION, examples

CHECK_ROWS = 160
CHECK_SEED = 31


def answers(model: Any, processor: Any, rows: list[Any], batch: int = 64, max_new_tokens: int = 90) -> list[str]:
    """Greedy replies to examples, through the real processor."""
    import torch
    from PIL import Image

    from recipes.starters.scratch import media_file
    from synth.example import media_parts, text_of

    replies: list[str] = []
    tokenizer = processor.tokenizer
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        chats = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text_of(e)}]}] for e in some]
        texts = [processor.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
        images = [[Image.open(media_file(None, media_parts(e)[0].path)).convert("RGB")] for e in some]
        inputs = processor(text=texts, images=images, return_tensors="pt", padding=True, padding_side="left")
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            out = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        replies += tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [reply.strip() for reply in replies]


def tally(rows: list[Any], replies: list[str]) -> dict[str, tuple[float, float]]:
    """By family and operation: share of right answers, and of pictures transcribed exactly."""
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row, reply in zip(rows, replies, strict=True):
        said = reply.rpartition("Answer: ")[2].strip() == row.answer
        seen = row.target.rpartition("\nAnswer: ")[0].rpartition("\n")[0]
        outcome = (said, reply.startswith(seen))
        right[row.family].append(outcome)
        right[f"{row.family}/{row.source['params']['op']}"].append(outcome)
    return {k: (sum(a for a, _ in v) / len(v), sum(b for _, b in v) / len(v)) for k, v in sorted(right.items())}


def measure_and_export(trainer: Any) -> None:
    """Export the model as it is and log its accuracy by family on a small fixed set."""
    export(trainer.model, trainer.processor, trainer.out / "model")
    rows = list(examples(CHECK_SEED, CHECK_ROWS, tuple(trainer.families)))
    trainer.model.eval()
    by_family = tally(rows, answers(trainer.model, trainer.processor, rows))
    trainer.log(**{name: [round(x, 2) for x in by_family[name]] for name in trainer.families if name in by_family})


def starting_model(asked: argparse.Namespace) -> tuple[Any, Any]:
    """The model (fp32) and processor that training begins with."""
    import torch

    from recipes.starters.making.text_tokenizer import starter_tokenizer

    if asked.grow:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        small = AutoModelForImageTextToText.from_pretrained(asked.grow, dtype=torch.float32)
        return grow(small, asked.seed), AutoProcessor.from_pretrained(asked.grow)
    model, processor = build(asked.text_starter, None if asked.text_starter else starter_tokenizer(), seed=asked.seed)
    if asked.tower:
        load_tower(model, asked.tower)
    return model, processor


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text-starter", type=Path, help="folder of the language half; fresh weights without it")
    parser.add_argument("--tower", type=Path, help="tower.safetensors of recipes.starters.making.vision_tower")
    parser.add_argument("--grow", type=Path, help="folder of the starter to widen, in place of the two above")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=10, help="packed sequences per step")
    parser.add_argument("--length", type=int, default=384, help="tokens per packed sequence")
    parser.add_argument("--slots", type=int, default=44, help="pictures per step at most")
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=1.5e-3)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--save-sec", type=float, default=400.0)
    asked = parser.parse_args()
    if asked.minutes is None and asked.steps is None:
        parser.error("give --minutes or --steps")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(asked.threads)
    model, processor = starting_model(asked)
    model.set_attn_implementation("eager")  # on short sequences, torch's fused attention is slow to differentiate
    plan = Plan(
        seed=asked.seed, steps=asked.steps, minutes=asked.minutes, batch=asked.batch, length=asked.length,
        muon_lr=asked.muon_lr, adam_lr=asked.adam_lr, compile=not asked.no_compile, save_sec=asked.save_sec,
    )  # fmt: skip
    trainer = VisionTrainer(model, processor, plan, asked.out, asked.slots, join(), UNION if asked.grow else FAMILIES)
    resumed = trainer.resume()
    size = sum(p.numel() for p in model.parameters())
    trainer.log(
        parameters=size,
        language=bool(asked.text_starter),
        tower=bool(asked.tower),
        grown=bool(asked.grow),
        resumed=resumed,
        plan=plan._asdict(),
    )
    trainer.run(measure_and_export)


if __name__ == "__main__":
    main()
