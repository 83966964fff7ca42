"""The next token of each row of a batch: the likeliest, or drawn at a temperature; and its log-probability.

A row's draws follow from its own recording and the numbers given, never from what else is in the batch. The same batch
gives the same transcripts; in batches of another size last digits differ, so that now and then another token is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class Steps:
    """Chooses tokens as a logits processor of `generate`, behind those that forbid tokens.

    Args:
        features: the rows of the batch, as their model takes them.
        temperature: 0 takes the likeliest token.
        numbers: what else the draws depend on, such as a seed and the number of the attempt.
    """

    def __init__(self, features: Sequence[NDArray[Any]], temperature: float = 0.0, numbers: Sequence[int] = ()) -> None:
        self._temperature = temperature
        self._chance = [np.random.default_rng([*numbers, _number(row)]) for row in features] if temperature else []
        self._logps: list[Tensor] = []

    def processors(self) -> Any:
        """The list that `generate` takes."""
        from transformers import LogitsProcessorList

        return LogitsProcessorList([self])

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) after which the chosen token is the highest."""
        import torch

        logps = scores.float().log_softmax(-1)  # (B, V)
        if self._temperature:
            reached = (logps / self._temperature).softmax(-1).double().cumsum(-1)
            drawn = torch.tensor([[chance.random()] for chance in self._chance], device=scores.device).double()
            # To the right, so that a forbidden token, which adds nothing, is never met.
            chosen = torch.searchsorted(reached, drawn * reached[:, -1:], right=True).clamp(max=scores.shape[1] - 1)
            scores = torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)
        else:
            chosen = scores.argmax(-1, keepdim=True)
        self._logps.append(logps.gather(1, chosen)[:, 0])
        return scores

    def logps(self) -> list[list[float]]:
        """For each row the log-probabilities of its tokens at temperature 1, behind its end those of nothing."""
        import torch

        found: list[list[float]] = torch.stack(self._logps, dim=1).tolist()
        return found


def _number(features: NDArray[Any]) -> int:
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(features).tobytes()).digest()[:8], "little")
