"""From a trainer to an adapter: the end that every train module shares.

A train module is: `work.prepare` -> rows -> trainer -> `fit`. What fits is decided in `recipes.train.preflight`.
"""

from __future__ import annotations

from typing import Any

from recipes.models.device import device
from recipes.models.lora import save_adapter
from recipes.run.directory import Stopped, TrainResult
from recipes.train import compiling, samples
from recipes.train.ranks import own_randomness, ranks
from recipes.train.report import read_report
from recipes.train.scores import Scores, metric_of, scored_rows
from recipes.train.work import Work


def fit(trainer: Any, generator: samples.Generator | None = None) -> TrainResult:
    """Train from the start or the checkpoint to the end, and write the adapter. Raises Stopped or a UserError.

    `generator` lets the model answer validation rows meanwhile, where the recipe asks for it.
    """
    work: Work = trainer.work
    run, found, team = work.run, work.checkpoint, ranks()
    if generator and team.leads and not team.shards:
        trainer.reporter.samples = samples.Samples(work, generator)
        trainer.reporter.scores = Scores(work, generator)
    if trainer.plan.eval_steps and work.recipe.metric_for_best_model == "task":
        trainer.validation.metric = metric_of(scored_rows(work.recipe, work.dataset), work.dataset.name)
    if team.agree(run.stop_requested()):
        raise Stopped(found.step if found else 0)
    optim = work.recipe.optim
    flop = compiling.arithmetic(read_report(run.path), optim)
    if not team.shards and team.agree(compiling.wanted(optim.torch_compile, flop, device().type)):
        run.emit("phase", name="compiling")
        compiling.compile_layers(work.loaded.model)
    run.emit("phase", name="training")
    own_randomness(work.recipe.seed)
    if found and trainer.ended(found):
        trainer.reopen(found.path)
    else:
        trainer.train(resume_from_checkpoint=str(found.path) if found else None)
    if trainer.reporter.stopped and not trainer.validation.exhausted:
        raise Stopped(trainer.state.global_step)
    _keep_best(trainer)
    if trainer.reporter.scores:
        kept = trainer.validation.best_step if trainer.validation.best else None
        trainer.reporter.scores.look(kept or trainer.state.global_step, final=True)
    run.emit("phase", name="saving")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    result = TrainResult(trainer.state.global_step, trainer.seconds, trainer.tokens, losses[-1] if losses else 0.0)
    if team.leads:
        save_adapter(work.loaded, run.adapter, run=run.id, recipe=work.recipe.name)
    return result


def _keep_best(trainer: Any) -> None:
    """Put the best adapter in place, where the recipe says so, and tell what validation found."""
    validation, recipe = trainer.validation, trainer.work.recipe
    validation.restore_best(trainer.trainable())
    if sentence := validation.sentence(trainer.plan, recipe.optim.max_steps):
        last = next(reversed(validation.losses))
        falling = bool(validation.still_falling())
        trainer.work.run.emit(
            "validation", best_step=validation.best_step, last_step=last, falling=falling, sentence=sentence
        )
