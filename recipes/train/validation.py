"""What validation found in a training: which step was the best, when to stop early, and what to say in the end.

`Validation` holds the losses, the task's scores where the recipe asks for them, and a copy of the best adapter, and
goes into every checkpoint, so that a training that was killed and resumed stops at the same step and keeps the same
adapter. The end of a run repeats the sentence of its `validation` event. It answers and scores nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recipes.recipe.plan import Plan
from recipes.run.directory import Run
from synth.scoring.rule import Metric
from synth.storage import JsonDict

if TYPE_CHECKING:
    from torch import Tensor

EVENT = "validation"
# Schedules end at a learning rate of almost zero, where the loss lies flat unless there was much left to learn.
STILL_FALLING = 0.03  # share of the loss lost over the last fifth of the steps
NEGLIGIBLE = 0.001  # nats a token: a fall by less changes no answer, and does not keep a training going


class Validation:
    """Losses by step, in order. `patience` evaluations without a better one end the training, 0 never does.

    `best` holds the adapter of the best step by tensor name, empty unless it is to be kept. The best step is that of
    the lowest loss; with a `metric`, that of the highest of `scores`, the lower loss among equals.
    """

    def __init__(self, patience: int, keep_best: bool) -> None:
        self.patience = patience
        self.keep_best = keep_best
        self.metric: Metric | None = None
        self.losses: dict[int, float] = {}
        self.scores: dict[int, float] = {}
        self.best: dict[str, Tensor] = {}

    def add(self, step: int, loss: float, adapter: dict[str, Any], score: float | None = None) -> None:
        """Note the loss after `step`, and its score with a metric; and the adapter when it is the best so far."""
        self.losses[step] = loss
        if score is not None:
            self.scores[step] = score
        if self.keep_best and step == self.best_step:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in adapter.items()}

    @property
    def best_step(self) -> int | None:
        """The first of the best steps, None before any."""
        finite = {
            step: (-self.scores.get(step, 0.0), loss) for step, loss in self.losses.items() if math.isfinite(loss)
        }
        return min(finite, key=finite.__getitem__, default=None)

    @property
    def exhausted(self) -> bool:
        """Whether nothing got better for `patience` evaluations; a loss, by more than NEGLIGIBLE amounts."""
        lowest, waited = math.inf, 0
        for step, loss in self.losses.items():
            value, least = (-self.scores.get(step, 0.0), 0.0) if self.metric else (loss, NEGLIGIBLE)
            lowest, waited = (value, 0) if value < lowest - least else (lowest, waited + 1)
        return 0 < self.patience <= waited

    def state(self) -> JsonDict:
        """What a checkpoint keeps besides `best`."""
        return {"losses": list(self.losses.items()), "scores": list(self.scores.items()), "ended": self.exhausted}

    def restore(self, state: JsonDict, best: dict[str, Tensor]) -> None:
        """Back to where `state` was taken."""
        self.losses = {int(step): float(loss) for step, loss in state["losses"]}
        self.scores = {int(step): float(score) for step, score in state.get("scores", [])}
        self.best = best

    def restore_best(self, adapter: dict[str, Any]) -> None:
        """Put the best adapter in place of the last one."""
        import torch

        with torch.no_grad():
            for name, saved in self.best.items():
                adapter[name].copy_(saved)

    def still_falling(self) -> list[int]:
        """Steps whose losses show that the training ended too early; empty when they do not."""
        steps = list(self.losses)
        if len(steps) < 3 or min(self.losses, key=self.losses.__getitem__) != steps[-1]:
            return []
        before = max((step for step in steps if step <= 0.8 * steps[-1]), default=steps[0])
        fall = self.losses[before] - self.losses[steps[-1]]
        if fall < max(10 * NEGLIGIBLE, STILL_FALLING * abs(self.losses[before])):
            return []
        return [step for step in steps if step >= before]

    def sentence(self, plan: Plan, max_steps: int) -> str:
        """What a person should know about the losses; empty when there is nothing to say."""
        best = self.best_step
        if best is None:
            return ""
        last = next(reversed(self.losses))
        if falling := self.still_falling():
            figures = ", ".join(f"{self.losses[step]:.3f} at step {step}" for step in falling)
            longer = f"optim.max_steps={2 * max_steps}" if max_steps > 0 else _twice(plan.epochs)
            kept = f"{self._scored(self.metric, best, last)} " if self.metric else ""
            return f"{kept}The validation loss was still falling at the end ({figures}): train longer, with {longer}."
        early = f"Ended early, after step {last} of {plan.steps}. " if self.exhausted and last < plan.steps else ""
        if self.metric:
            return early + self._scored(self.metric, best, last)
        if best == last:
            return f"{early}The validation loss was lowest at the end ({self.losses[best]:.3f})."
        lowest = f"validation loss was lowest ({self.losses[best]:.3f}; {self.losses[last]:.3f} at step {last})"
        if self.keep_best:
            return f"{early}The adapter is that of step {best}, where the {lowest}."
        return f"{early}The {lowest} at step {best}; load_best_model_at_end=true would keep the adapter of that step."

    def _scored(self, metric: Metric, best: int, last: int) -> str:
        def at(step: int) -> str:
            score = self.scores.get(step, 0.0)
            return f"{100 * (1 - score if metric.lower_is_better else score):.1f} %"

        scored = f"answers to validation rows scored best ({metric.label} {at(best)}"
        if best == last:
            return f"The {scored}) at the end."
        kept = "The adapter is that of" if self.keep_best else "load_best_model_at_end=true would keep the adapter of"
        return f"{kept} step {best}, whose {scored}; {at(last)} at step {last})."


def _twice(epochs: float) -> str:
    return f"optim.num_train_epochs={2 * epochs:g}"


def last_sentence(run: Run) -> str:
    """What the newest training of the run found; empty when it was not validated."""
    return next((str(event["sentence"]) for event in reversed(run.events(EVENT))), "")
