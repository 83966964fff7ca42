"""Embeddings of their own for tokens that training never met.

Where the output head is tied to the embeddings, every token that is never right is pushed the same way, so that all
of them end as one vector. Such a model cannot tell them apart, read or written, and tuning adapters cannot fix
that: the embeddings are frozen. Here each gets that vector plus a random one of the usual length. Before tuning
nothing changes, because the shared part keeps them as unlikely as before; after it "coupon" and "delivery" are two
words.

    python -m recipes.starters.making.untrained_tokens FOLDER

FOLDER is a model that was exported without it; renew its SHA256SUMS then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ALIKE = 0.95  # cosine; a few learned tokens are as near to one another (up to 0.99), but never in such groups
FEWEST = 8


def untrained(embeddings: Any) -> Any:
    """Which rows of [tokens, width] are the same vector, as truth values [tokens]; none when they are too few."""
    import torch

    alike = torch.nn.functional.normalize(embeddings.float(), dim=1)
    alike = alike @ alike.T > ALIKE
    found = alike[alike.sum(1).argmax()]
    return found if int(found.sum()) >= FEWEST else torch.zeros_like(found)


def separate_vectors(table: Any, seed: int = 0) -> int:
    """Change such rows of [tokens, width] in place, group by group; returns how many. A second call finds none."""
    import torch

    generator, count = torch.Generator().manual_seed(seed), 0
    while (strange := untrained(table)).any():
        known = table[~strange].float()
        length = (known - known.mean(0)).norm(dim=1).mean()
        apart = torch.randn(int(strange.sum()), table.shape[1], generator=generator)
        table[strange] += (apart * length / apart.norm(dim=1, keepdim=True)).to(table.dtype)
        count += len(apart)
    return count


def main(folder: Path) -> None:
    """Rewrite the file of weights that holds the embeddings."""
    from safetensors.torch import load_file, save_file

    for file in sorted(folder.glob("*.safetensors")):
        weights = load_file(file)
        for name in weights:
            if name.endswith("embed_tokens.weight"):
                print(f"{folder.name}: {separate_vectors(weights[name])} tokens")
                save_file(weights, file, metadata={"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
