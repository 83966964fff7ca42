"""The MobileLLM question at our size, measured: deep and narrow or shallow and wide, grouped heads, tied embeddings.

Every shape has the same seed, data, optimiser and time; the loss at the end is that on the same held-out rows.
"""

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.starters.making.text_model import Shape, new_model
from recipes.starters.making.text_training import Plan, Trainer, pack, packed_loss
from recipes.starters.text_data import rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SHAPES = {
    "6 x 256, GQA 4/2, tied (chosen)": Shape(),
    "6 x 256, MHA 4/4, tied": Shape(kv_heads=4),
    "6 x 256, GQA 4/2, untied": Shape(tied=False),
    "12 x 192, GQA 3/1, tied (deep)": Shape(width=192, layers=12, heads=3, kv_heads=1, inner=512),
    "3 x 384, GQA 6/2, tied (wide)": Shape(width=384, layers=3, heads=6, kv_heads=2, inner=1024),
}
HELD_OUT_BATCHES = 4


def sweep(tokenizer: "PreTrainedTokenizerFast", plan: Plan, out: Path) -> None:
    """Train each shape from nothing for plan.minutes or plan.steps; `sweep.json` gets one row a shape."""
    import torch

    held_out = [
        pack(tokenizer, rows(random.Random(f"sweep/{k}")), plan.batch, plan.length) for k in range(HELD_OUT_BATCHES)
    ]
    table: list[dict[str, str | int | float]] = []
    for name, shape in SHAPES.items():
        model = new_model(shape, tokenizer, plan.seed)
        model.set_attn_implementation("eager")
        trainer = Trainer(
            model, tokenizer, rows, plan._replace(compile=False, save_sec=1e9, warmup=20), out / str(len(table))
        )
        started = time.process_time()
        trainer.run(lambda _: None)
        used = time.process_time() - started
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            losses = [packed_loss(model, batch).item() for batch in held_out]
        row = {
            "shape": name,
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": trainer.step,
            "tokens_per_cpu_sec": round(trainer.tokens / used),
            "loss": round(sum(losses) / len(losses), 3),
        }
        table.append(row)
        print(json.dumps(row), flush=True)
        (out / "sweep.json").write_text(json.dumps(table, indent=2), encoding="utf-8")
