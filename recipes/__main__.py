"""The worker: `python -m recipes RUN_DIR [--resume | --check]` does one training, in this process, and ends with
exit.json. With --check it ends after the preflight, and --resume then trains.

Every failure becomes one sentence in exit.json and on standard error; tracebacks go to worker.log only. It never
starts other processes. Started by `accelerate launch`, it is one of several that train together: the first of them
does all that is said here, the others follow it and write nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recipes.methods import METHODS
from recipes.models.libraries import imported
from recipes.run.directory import DISCARDED, RECIPE, Follower, Run, Stopped, TrainResult
from recipes.train import dpo_eval, ranks, validation
from synth.errors import RunError, StorageError, UserError
from synth.extras import missing_extra
from synth.tied import end_with_parent

CODES = {"done": 0, "failed": 1, "stopped": 3}
LEFT = 4  # code of a process that ended because another one did
LAST_WORDS_SEC = 10.0


Turn = Callable[[Run], contextlib.AbstractContextManager[None]]


def at_once(run: Run) -> contextlib.AbstractContextManager[None]:
    """The turn of a training that waits for no other."""
    return contextlib.nullcontext()


def main(arguments: list[str] | None = None, turn: Turn = at_once) -> int:
    """Returns the process's exit code: 0 done, 1 failed, 2 not started, 3 stopped.

    `turn` is entered before the training and left after it; it may wait, and raises Stopped when it waited in vain.
    """
    parser = argparse.ArgumentParser(prog="python -m recipes", description="Train the recipe of a run directory.")
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--resume", action="store_true", help="continue from the newest checkpoint that verifies")
    parser.add_argument("--check", action="store_true", help="stop after the preflight, before the first step")
    parser.add_argument("--shard", action="store_true", help="of several processes, each holds a part of the base")
    parser.add_argument("--watched", action="store_true", help="whoever started this says which process was lost")
    chosen = parser.parse_args(arguments)
    end_with_parent()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # oneDNN keeps a compiled kernel with its scratch memory for each shape of a batch, 1,024 by default. With 64 the
    # text demo takes 2.2 GB instead of 2.8 after 150 steps, and no longer.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    logging.basicConfig(
        filename=chosen.run / "worker.log" if chosen.run.is_dir() else None, format="%(asctime)s %(name)s %(message)s"
    )
    run = Run(chosen.run.absolute())
    try:
        team = ranks.join(chosen.shard)
    except RunError as error:
        print(error, file=sys.stderr)
        return LEFT
    if not team.leads:
        return follow(Follower(run.path))
    try:
        check_start(run, chosen.resume)
        with turn(run):
            check_start(run, chosen.resume)
            with run.hold():
                return work(run, chosen.check, chosen.watched)
    except Stopped:
        return _end(run, "stopped", "Taken out of the queue before it began.", "run.stopped", step=0)
    except (RunError, StorageError) as error:
        # Another worker has the run, or there is nothing to do: its directory is left as it is.
        print(error, file=sys.stderr)
        return 2


def follow(run: Follower) -> int:
    """Train beside rank 0, which says how it ended."""
    try:
        recipe = run.recipe
        imported(METHODS[recipe.method].module).train(run, recipe)
    except Stopped:
        pass
    except BaseException as error:
        logging.exception("rank %d failed", ranks.ranks().rank)
        if ranks.as_lost(error) is None:
            # Rank 0 meets the same fault and says so, unless it is killed first because this process ended.
            until = time.monotonic() + LAST_WORDS_SEC
            while run.exit() is None and time.monotonic() < until:
                time.sleep(0.1)
            return CODES["failed"]
        return LEFT
    return 0


def check_start(run: Run, resume: bool) -> None:
    """Raise RunError unless the run may start now (or go on, with `resume`)."""
    if not (run.path / RECIPE).is_file():
        raise RunError(f"{run.path} is not a run: it has no recipe.yaml.", "Start one with `smolstudio train`.")
    status = run.status()
    if status == "done":
        raise RunError(f"{run.id} is done already.", "Start a new run.", "run.done")
    if status == "running":
        raise RunError(f"{run.id} is running already.", "Wait for it, or stop it first.", "run.running")
    if not resume and run.has_checkpoints():
        raise RunError(f"{run.id} has checkpoints of an earlier start.", "Resume it.", "run.started")


def work(run: Run, check_only: bool = False, watched: bool = False) -> int:
    """Train, and write how it ended, unless another process was lost and `watched` says that somebody names it.

    The caller holds the run's lock.
    """
    if ranks.ranks().world == 1:  # among others SIGTERM means that one of them is gone
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: run.request_stop())
    if check_only:
        run.request_stop()  # trainings look for it after their preflight, before their first step
    try:
        recipe = run.recipe
        result: TrainResult = imported(METHODS[recipe.method].module).train(run, recipe)
    except Stopped as stop:
        if run.discard_requested():
            run.drop_checkpoints()
            return _end(run, "stopped", f"Discarded after step {stop.step}: nothing was kept of it.", DISCARDED)
        sentence = (
            f"Stopped after step {stop.step}; resume continues from there."
            if stop.step
            else "Checked, and nothing was trained yet; resume begins."
        )
        return _end(run, "stopped", sentence, "run.stopped", step=stop.step)
    except BaseException as error:
        logging.exception("training failed")
        fault = as_user_error(error)
        if watched and fault.code == ranks.LOST_ONE:
            return LEFT
        return _end(run, "failed", str(fault), fault.code)
    sentence = f"Trained {result.steps} steps in {result.seconds:.0f} s; final loss {result.final_loss:.3f}."
    more = (validation.last_sentence(run), dpo_eval.last_sentence(run))
    return _end(run, "done", " ".join([sentence, *filter(None, more)]), "", **result._asdict())


def _end(run: Run, verdict: Any, sentence: str, code: str, **more: Any) -> int:
    run.finish(verdict, sentence, code, **more)
    print(sentence, file=sys.stderr)
    # `accelerate launch` takes any other code for a fault, and ends the processes that are still at work.
    return 0 if ranks.ranks().world > 1 and verdict == "stopped" else CODES[verdict]


def as_user_error(error: BaseException) -> UserError:
    """The sentence for any failure of a training."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
        return missing
    if lost := ranks.as_lost(error):
        return lost
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return RunError(
            "Memory ran out during training; checkpoints are kept.",
            "Halve optim.per_device_train_batch_size and double optim.gradient_accumulation_steps, "
            "or set optim.gradient_checkpointing to true, or choose a smaller model.",
            "run.memory",
        )
    if "No space left" in text or "StorageFull" in text:  # also what safetensors says, which raises no OSError
        return StorageError("The disk is full; checkpoints are kept.", "Free some space and resume.", "storage.full")
    if isinstance(error, OSError):
        return StorageError(f"The disk refused: {error.strerror or error}.", "Free some space and resume.")
    kind = type(error).__name__
    return RunError(f"Training failed with an unexpected {kind}; checkpoints are kept.", "See worker.log.", "run.bug")


if __name__ == "__main__":
    sys.exit(main())
