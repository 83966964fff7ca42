"""What a training tells the outside, and what it hears from it.

The events of a run, in its events.jsonl, each with `at` and `kind`. This module writes step and eval, others the rest:

    phase       name: mining | loading | encoding | preflight | checking | compiling | training | saving, as it begins
    progress    of mining: the fields of `synth.progress.Progress`
    pairs       pairs, without, answers: what mining gave (`recipes.train.preference`)
    accuracy    when, right, sentence: validation rows before and after preference tuning (`recipes.train.dpo_eval`)
    ranks       of several processes, as they begin: machines, devices (a name for each rank)
    step        step, total_steps, epoch, loss, learning_rate, grad_norm, tokens, tokens_per_s, memory_mb, seconds,
                eta_sec, and for DPO rewards/… and logps/… (of rank 0); rank_memory_mb where there are several ranks
    eval        step, loss
    samples     step, rows: see `recipes.train.samples`
    score       step, metric, value, rows, lower_is_better, final: see `recipes.train.scores`
    plan        rows, epochs, steps, eval_steps: see `recipes.recipe.plan`
    validation  best_step, last_step, falling, sentence: see `recipes.train.validation`
    checkpoint  step, path
    warning     sentence

and ends the training between two steps when a stop was requested, with a checkpoint unless it is to be discarded. It
keeps no state that a checkpoint would need; that is in `recipes.train.trainer`.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from transformers import TrainerCallback

from recipes.models.device import device, device_name, on_gpu
from recipes.run.directory import Run
from recipes.train.ranks import ranks
from recipes.train.samples import Samples
from recipes.train.scores import Scores
from synth.progress import Progress


class RunCallback(TrainerCallback):  # type: ignore[misc]
    """Events and stop requests. `trainer` is the RunTrainer whose counters of tokens and seconds are told."""

    def __init__(self, run: Run, trainer: Any) -> None:
        self.run = run
        self.trainer = trainer
        self.samples: Samples | None = None
        self.scores: Scores | None = None
        self.stopped = False
        self._begin = (0.0, 0, 0)  # time, step and tokens when this session began

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._begin = (time.monotonic(), state.global_step, self.trainer.tokens)
        if ranks().world > 1:
            self.run.emit("ranks", machines=ranks().names(socket.gethostname()), devices=ranks().names(device_name()))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step, last = state.global_step, state.max_steps
        if step == last:
            control.should_log = True  # the end is told even where it falls between two logged steps
        elif ranks().agree(self.run.stop_requested()):
            self.stopped = control.should_training_stop = True
            control.should_save = not ranks().agree(self.run.discard_requested())
            return
        if self.samples and self.samples.due(step, last):
            self.samples.show(step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        begin, first_step, first_token = self._begin
        memory = rank_memory_mb()
        done, total = state.global_step - first_step, state.max_steps - first_step
        progress = Progress("training", done, total, "steps", time.monotonic() - begin)
        self.run.emit(
            "step",
            step=state.global_step,
            total_steps=state.max_steps,
            epoch=round(state.epoch or 0.0, 4),
            loss=logs["loss"],
            learning_rate=logs.get("learning_rate"),
            grad_norm=logs.get("grad_norm"),
            tokens=self.trainer.tokens,
            tokens_per_s=round((self.trainer.tokens - first_token) / max(progress.seconds, 1e-9), 1),
            memory_mb=max(memory),
            **({"rank_memory_mb": memory} if len(memory) > 1 else {}),
            seconds=round(self.trainer.seconds, 2),
            eta_sec=None if progress.eta_sec is None else round(progress.eta_sec, 1),
            **{k: v for k, v in logs.items() if k.startswith(("rewards/", "logps/"))},
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        more = {k.removeprefix("eval_"): v for k, v in metrics.items() if "rewards/" in k}
        self.run.emit("eval", step=state.global_step, loss=metrics.get("eval_loss"), **more)
        if self.scores:
            self.scores.look(state.global_step)


def rank_memory_mb() -> list[int]:
    """MiB in use by each process of the training."""
    import torch

    return [int(one.item()) for one in ranks().all_of(torch.tensor([memory_mb()]))]


def memory_mb() -> int:
    """MiB in use: of the GPU at its peak where there is one, else of this process."""
    import psutil
    import torch

    if on_gpu():
        return int(torch.cuda.max_memory_allocated(device()) >> 20)
    return int(psutil.Process().memory_info().rss >> 20)
