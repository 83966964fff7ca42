"""What a network says of its last hidden states: its output head, and what its class does to the head's numbers.

Running the head apart from the network saves the head's work on positions that nobody needs. Some classes scale or cap
what the head gives; whoever runs it apart has to do the same, or trains and samples from another distribution.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

COMPARED = 2  # last positions of each row on which both ways are compared
TOLERANCE = 0.02  # of the largest logit: bf16 keeps three digits


def logits_of(network: Any, hidden: Tensor) -> Tensor:
    """Logits (…, V) of last hidden states (…, D), as the network itself makes them."""
    import torch

    logits = network.get_output_embeddings()(hidden)
    config = network.config.get_text_config(decoder=True)
    if scale := getattr(config, "logits_scaling", None):  # HyperCLOVA X means the reverse of Granite by it
        logits = logits * scale if config.model_type == "hyperclovax" else logits / scale
    for name in ("lm_head_multiplier", "logit_scale"):  # Falcon-H1, Cohere
        if factor := getattr(config, name, None):
            logits = logits * factor
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
        logits = torch.tanh(logits / cap) * cap
    return logits


def is_known(network: Any, inputs: dict[str, Tensor]) -> bool:
    """Whether `logits_of` gives what the network gives for this batch, where that can be seen cheaply.

    A class that does something else to its logits is found here. It draws no random numbers in eval mode.
    """
    import torch

    if "logits_to_keep" not in inspect.signature(network.forward).parameters:
        return True  # encoder-decoder models of speech, whose heads are plain
    with torch.no_grad():
        hidden = network.base_model(**inputs, use_cache=False).last_hidden_state[:, -COMPARED:]
        own = network(**inputs, use_cache=False, logits_to_keep=COMPARED).logits
        apart = logits_of(network, hidden)
    return bool((own.float() - apart.float()).abs().max() <= TOLERANCE * own.float().abs().max())
