"""The local worker of a training: `python -m studio.engines.training RUN_DIR [--resume | --check]`.

It waits for its turn and then does what `python -m recipes` does, in this process, or in several where the run says so.
The turn is the engine's affair, the training is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recipes.__main__ import main
from recipes.run.directory import Run
from studio.engines import launched
from studio.engines.turns import turn

if __name__ == "__main__":
    launch = launched.launch_of(Run(Path(sys.argv[1])))
    sys.exit(launched.main(sys.argv[1:], launch) if launch else main(turn=turn))
