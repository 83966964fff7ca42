"""One of several processes that train a run, as `accelerate launch` starts it: `-m tests.rank WHAT@STEP RUN_DIR …`.

After STEP steps it is killed (WHAT is kill), asks for a stop (stop), or measures worse losses on val than the others
(worse); "@" lets it be. RANK and the like are in its environment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from transformers import Trainer

from recipes import __main__ as worker
from recipes.run.directory import Run
from recipes.train import trainer
from tests.ports import free_port


def launched_env(world: int) -> list[dict[str, str]]:
    """The environment of each of `world` processes that torchrun or `accelerate launch` would start on this machine."""
    count = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    count |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [{**os.environ, **count, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


def disturb(what: str, at: int, run: Run) -> None:
    """Have this process killed, the run stopped, or validation losses worse, after so many steps."""
    if what == "worse":
        return measure_worse(at)
    step = trainer.RunTrainer.training_step

    def disturbed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == at:
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            run.request_stop()
        return step(self, *args, **kwargs)

    trainer.RunTrainer.training_step = disturbed  # type: ignore[method-assign]


def measure_worse(at: int) -> None:
    """Have every validation loss from that step on be 9."""
    evaluate = Trainer._evaluate

    def worse(self: Any, *args: Any, **kwargs: Any) -> Any:
        measured = evaluate(self, *args, **kwargs)
        return {**measured, "eval_loss": 9.0} if self.state.global_step >= at else measured

    Trainer._evaluate = worse


if __name__ == "__main__":
    what, _, at = sys.argv[1].partition("@")
    if what:
        disturb(what, int(at), Run(Path(sys.argv[2])))
    os._exit(worker.main(sys.argv[2:]))
