"""The local worker of a training: `python -m studio.engines.training RUN_DIR [--resume | --check]`.

It waits for its turn and then does what `python -m recipes` does, in this process, or in several where the run says so.
The turn is the engine's affair, the training is not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from recipes.__main__ import CODES
from recipes.__main__ import main as train
from recipes.run.directory import Run
from studio.engines import launched
from studio.engines.turns import turn
from synth.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Returns the process's exit code: 0 done, 1 failed, 2 not started, 3 stopped."""
    run = Run(Path(arguments[0]).absolute())
    try:
        launch = launched.launch_of(run)
    except UserError as error:
        print(error, file=sys.stderr)
        with run.hold():
            run.finish("failed", str(error), error.code)
        return CODES["failed"]
    return launched.main(arguments, launch) if launch else train(list(arguments), turn=turn)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
