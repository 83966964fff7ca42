"""How long a training lasts and when it is validated: what `auto` in a recipe stands for, given the number of rows.

Knows numbers only; `recipes.train.trainer` applies a plan and keeps it in the run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from recipes.recipe.schema import Recipe

# A fresh adapter needs a number of updates, not of passes: with two passes over 299 rows (38 steps) a model answered
# 62 % right, with fifteen (285 steps) 100 %. Beyond 30 passes rows are learned by heart.
TARGET_STEPS = 300
MOST_EPOCHS = 30
EVALUATIONS = 10  # each of 200 rows at most: about a seventh of the time of 300 steps of 16 rows


class Plan(NamedTuple):
    """`epochs` passes over `rows` rows in `steps` optimiser steps, validated every `eval_steps` (0: never)."""

    rows: int
    epochs: float
    steps: int
    eval_steps: int


def plan(recipe: Recipe, rows: int, processes: int = 1) -> Plan:
    """The plan of a recipe for so many training rows, replay included; each process takes a batch of its own."""
    optim = recipe.optim
    batches = math.ceil(rows / (optim.per_device_train_batch_size * processes))
    per_epoch = max(1, math.ceil(batches / optim.gradient_accumulation_steps))
    epochs = optim.num_train_epochs
    if epochs == "auto":
        epochs = float(min(MOST_EPOCHS, math.ceil(TARGET_STEPS / per_epoch)))
    steps = math.ceil(epochs * per_epoch)
    if optim.max_steps > 0:
        steps, epochs = optim.max_steps, optim.max_steps / per_epoch
    every = recipe.eval_steps
    return Plan(rows, epochs, steps, max(1, round(steps / EVALUATIONS)) if every == "auto" else every)
