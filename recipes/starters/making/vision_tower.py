"""First stage of the vision starter: teach the tower alone to transcribe, through a small reading head.

    python -m recipes.starters.making.vision_tower --minutes 25 --threads 1 --out DIR

A picture's transcription is a list of two-word items ("red 4", "blue circle"). A head with one learned query per item
reads them off the tower's image tokens, which costs a fraction of training through the language half and gives the
tower a dense signal from the first step. Only tower and connector go on to `recipes.starters.making.vision`
(--tower DIR/tower.safetensors).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.starters.making.team import join
from recipes.starters.making.text_training import Plan, Trainer
from recipes.starters.vision_data import FAMILIES, SIZE, VisionRow, rows
from synth.vision.canvas import COLOURS
from synth.vision.shapes import SHAPES

if TYPE_CHECKING:
    import torch

ITEMS = 6
"""Items that the head reads at most; the easiest level shows up to five."""
FIRST = ("", *COLOURS)
SECOND = ("", *SHAPES, *map(str, range(1, 11)), *map(str, range(20, 101, 10)))
CHECK_PICTURES = 400


class Read(NamedTuple):
    """pixels [n, 3, 128, 128] in [-1, 1]; first and second word of each item as indices [n, ITEMS], 0 for none."""

    pixels: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor


def collate(drawn: list[VisionRow]) -> Read:
    """Rows whose only turn is a transcription."""
    import numpy as np
    import torch

    pixels = np.stack([np.asarray(row.image, dtype=np.float32).transpose(2, 0, 1) for row in drawn]) / 127.5 - 1
    words = torch.zeros(2, len(drawn), ITEMS, dtype=torch.long)
    for n, row in enumerate(drawn):
        for i, item in enumerate(row.turns[0][1].split(", ")):
            one, two = item.split()
            words[0, n, i], words[1, n, i] = FIRST.index(one), SECOND.index(two)
    return Read(torch.from_numpy(pixels.astype(np.float32)), words[0], words[1])


def make_reader(vision_model: Any, connector: Any, width: int) -> Any:
    """A module of the tower, the connector and the reading head; called with pixels, it returns both words' logits."""
    import torch
    from torch import nn

    class Reader(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.vision_model, self.connector = vision_model, connector
            self.queries = nn.Parameter(torch.randn(1, ITEMS, width) * 0.02)
            layer = nn.TransformerDecoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            self.decoder = nn.TransformerDecoder(layer, 2)
            self.norm = nn.LayerNorm(width)
            self.first, self.second = nn.Linear(width, len(FIRST)), nn.Linear(width, len(SECOND))

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen = image_tokens(self.vision_model, self.connector, pixels)
            read = self.norm(self.decoder(self.queries.expand(len(pixels), -1, -1), seen))
            return self.first(read), self.second(read)

    return Reader()


def image_tokens(tower: Any, connector: Any, pixels: torch.Tensor) -> torch.Tensor:
    """[pictures, tokens, width of the language half] from whole pictures of the tower's own size."""
    import torch

    grid = SIZE // tower.embeddings.patch_size
    patches = torch.ones(pixels.shape[0], grid, grid, dtype=torch.bool)
    hidden = tower.embeddings(pixel_values=pixels, patch_attention_mask=patches)
    hidden = tower.post_layernorm(tower.encoder(inputs_embeds=hidden, attention_mask=None).last_hidden_state)
    tokens: torch.Tensor = connector(hidden)
    return tokens


class TowerTrainer(Trainer):
    """The text starters' loop over transcribed pictures; the plan's batch counts pictures."""

    def loss(self, model: Any, batch: Read) -> torch.Tensor:
        """Mean cross-entropy over both words of all items, absent ones included."""
        import torch

        first, second = model(batch.pixels)
        one = torch.nn.functional.cross_entropy(first.float().flatten(0, 1), batch.first.flatten())
        two = torch.nn.functional.cross_entropy(second.float().flatten(0, 1), batch.second.flatten())
        return one + two

    def size(self, batch: Read) -> int:
        """Pictures in a batch."""
        return len(batch.pixels)

    def batch(self) -> Read:
        """Batch number `step`."""
        stream = rows(Random(f"tower/{self.place}"), list_share=1.0)
        return collate([next(stream) for _ in range(self.plan.batch)])


def measure_and_save(trainer: Trainer) -> None:
    """Write tower and connector, and log by family the share of pictures read without any fault."""
    import torch
    from safetensors.torch import save_file

    model: Any = trainer.model
    kept = {k: v.contiguous() for k, v in model.state_dict().items() if k.startswith(("vision_model.", "connector."))}
    save_file(kept, trainer.out / "tower.safetensors")
    right: dict[str, list[bool]] = {family: [] for family in FAMILIES}
    model.eval()
    for drawn in _check_batches():
        batch = collate(drawn)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            first, second = model(batch.pixels)
        same = ((first.argmax(-1) == batch.first) & (second.argmax(-1) == batch.second)).all(1)
        for row, good in zip(drawn, same.tolist(), strict=True):
            right[row.family].append(good)
    trainer.log(**{family: round(sum(v) / max(1, len(v)), 3) for family, v in right.items()})


def _check_batches() -> Iterator[list[VisionRow]]:
    stream = rows(Random("tower/check"), list_share=1.0)
    for _ in range(CHECK_PICTURES // 100):
        yield [next(stream) for _ in range(100)]


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64, help="pictures per step")
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=1e-3)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--save-sec", type=float, default=150.0)
    asked = parser.parse_args()
    if asked.minutes is None and asked.steps is None:
        parser.error("give --minutes or --steps")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    from recipes.starters.making.text_tokenizer import starter_tokenizer
    from recipes.starters.making.vision_model import build

    torch.set_num_threads(asked.threads)
    whole, _ = build(None, starter_tokenizer(), seed=asked.seed)
    whole.set_attn_implementation("eager")  # on short sequences, torch's fused attention is slow to differentiate
    inner = whole.model
    model = make_reader(inner.vision_model, inner.connector, inner.config.text_config.hidden_size)
    plan = Plan(
        seed=asked.seed, steps=asked.steps, minutes=asked.minutes, batch=asked.batch, muon_lr=asked.muon_lr,
        adam_lr=asked.adam_lr, compile=not asked.no_compile, save_sec=asked.save_sec,
    )  # fmt: skip
    trainer = TowerTrainer(model, None, None, plan, asked.out, join())  # type: ignore[arg-type]
    trainer.log(parameters=sum(p.numel() for p in model.parameters()), resumed=trainer.resume(), plan=plan._asdict())
    trainer.run(measure_and_save)


if __name__ == "__main__":
    main()
