"""FSDP2: each of several processes holds its part of every frozen layer, and fetches the others' while it computes it.

Only what is frozen is shared out: adapters are small, every process holds them whole, and their gradients are added up
as in any training by several processes (`recipes.train.ranks`). What stands outside the repeated layers, such as
embeddings, is held whole too. A base is loaded whole before it is shared out.
"""

from __future__ import annotations

import hashlib
from typing import Any

from synth.errors import ModelError


def repeated_layers(model: Any) -> list[Any]:
    """The layers of a PEFT model that its class names as units that are not to be split; none where it names none."""
    names = set(getattr(model.get_base_model(), "_no_split_modules", None) or ())
    return [module for module in model.modules() if type(module).__name__ in names]


def hash_of_parts(model: Any) -> str:
    """A hash of the weights that this process holds."""
    import torch

    found = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        mine = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        found.update(mine.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def shard(model: Any, name: str) -> None:
    """Share the frozen weights of a PEFT model out, in place. Raises ModelError for a class that names no layers."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    layers = repeated_layers(model)
    if not layers:
        raise ModelError(f"The class of {name} names no layers to share out.", "Train it data-parallel, without FSDP.")
    mesh = init_device_mesh(next(model.parameters()).device.type, (dist.get_world_size(),))
    # Also after a forward that no backward follows, of which the first module called would keep its weights whole.
    how: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": True}
    shared = {parameter for layer in layers for parameter in layer.parameters() if not parameter.requires_grad}
    for layer in layers:
        fully_shard(layer, **how, ignored_params={p for p in layer.parameters() if p.requires_grad})
    fully_shard(model, **how, ignored_params={p for p in model.parameters() if p not in shared})
