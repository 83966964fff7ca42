"""The language model's loss, with the output head run on learned positions only: for processors.

On CUDA, TRL's SFTTrainer brings a fused head of its own, in chunks and without the whole logits, which is used there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipes.models import output
from recipes.train.repeatable import in_eval_mode, untouched_randomness
from recipes.train.rows import IGNORED
from recipes.train.trainer import RunTrainer

if TYPE_CHECKING:
    from torch import Tensor


def sft_trainer(device: str) -> type[Any]:
    """TRL's SFTTrainer as a RunTrainer, with the loss that suits the device ("cpu", "cuda")."""
    from trl import SFTTrainer

    bases = (RunTrainer, SFTTrainer) if device == "cuda" else (FastHead, RunTrainer, SFTTrainer)
    return type("Trainer", bases, {})


class FastHead:
    """Mix in before RunTrainer: the language model's loss, with the output head run on learned positions only.

    The same loss as TRL's (mean over the learned tokens of the whole batch); TRL projects every position on a
    processor, prompt and padding too, and adds entropy and accuracy. A class that makes other logits than
    `recipes.models.output` knows is run whole.
    """

    _apart: bool | None = None  # whether the head is run apart; None before the first batch

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The mean loss over N learned positions of a batch (B, T) with a vocabulary of V."""
        import torch

        labels = inputs.pop("labels")[:, 1:]  # (B, T - 1)
        network = model.get_base_model()
        targets = labels != IGNORED
        count = targets.sum() if num_items_in_batch is None else num_items_in_batch
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self.args.bf16):  # type: ignore[attr-defined]
            if self._apart is None:
                with untouched_randomness(), in_eval_mode(network):
                    self._apart = output.is_known(network, inputs)
            if self._apart:
                hidden = network.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1][targets]  # (N, D)
                logits = output.logits_of(network, hidden)  # (N, V)
            else:
                logits = network(**inputs, use_cache=False).logits[:, :-1][targets]  # (N, V)
        losses: Tensor = torch.nn.functional.cross_entropy(logits.float(), labels[targets], reduction="sum")
        return losses / count
