"""Grow a trained starter to twice the width without changing what it computes (Net2Net, Chen et al. 2016).

Every activation of the wide model is the narrow one twice. A matrix W becomes [[W/2 + N, W/2 - N], [W/2 + M, W/2 - M]]:
N and M cancel on doubled inputs, yet give the copies different gradients, so that they part during training. Heads keep
their width and double in number. One piece for all classes: it goes by the shapes of the two models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any


def widen(
    small: Any,
    wide: Any,
    *,
    final_norm: str,
    shuffled: Mapping[str, int] | None = None,
    source: Callable[[str], str] = lambda name: name,
    silent: Collection[str] = (),
    seed: int = 0,
    noise: float = 0.3,
) -> None:
    """Fill `wide`, a model of the same class with doubled widths, in place; both in fp32.

    Args:
        final_norm: name of the norm before the tied head; the head sums over both copies, so the norm is halved.
        shuffled: weights whose input is so many activations end to end (pixel shuffle), by name.
        source: the parameter of `small` that one of `wide` starts from; for added layers.
        silent: parameters that start at zero, so that an added layer adds nothing.
        noise: relative to the standard deviation of each weight.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    given = {name: value.detach().float() for name, value in small.named_parameters()}
    tables = {
        f"{name}.weight" for name, module in wide.named_modules() if isinstance(module, torch.nn.Embedding)
    }  # what they hold is activations, not weights between activations
    with torch.no_grad():
        for name, target in wide.named_parameters():
            weight = given[source(name)]
            if name in silent:
                target.zero_()
            elif name in tables:
                target.copy_(torch.cat([weight, weight], dim=1))
            elif weight.ndim == 1:
                both = torch.cat([weight, weight])
                target.copy_(both / 2 if name.startswith(f"{final_norm}.") else both)
            elif target.shape[1] == weight.shape[1]:  # its input is the picture or the sound, which does not double
                target.copy_(torch.cat([weight, weight]))
            else:
                target.copy_(_doubled(weight, (shuffled or {}).get(name, 1), noise, generator))


def _doubled(weight: Any, blocks: int, noise: float, generator: Any) -> Any:
    """[out, in, ...] -> [2 out, 2 in, ...]; the input consists of `blocks` activations, each of which is doubled."""
    import torch

    rows = []
    for _ in range(2):
        columns = []
        for part in weight.chunk(blocks, dim=1):
            apart = torch.randn(part.shape, generator=generator) * weight.std() * noise
            columns += [part / 2 + apart, part / 2 - apart]
        rows.append(torch.cat(columns, dim=1))
    return torch.cat(rows)
