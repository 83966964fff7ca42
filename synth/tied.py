"""A process that ends with whoever started it, however that dies: its input is a pipe of which only that holds the end.

subprocess.Popen(…, stdin=PIPE, env={**os.environ, TIED: "1"})      in the parent, and all that comes of it is tied
end_with_parent()                                                   first thing in the child
"""

from __future__ import annotations

import os
import threading

TIED = "SMOLSTUDIO_TIED"


def end_with_parent() -> None:
    """End this process at once when its input ends, if it was started so."""
    if os.environ.pop(TIED, ""):
        threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    # Not sys.stdin: Python ends with a fault when another thread reads that while it shuts down.
    while os.read(0, 1):
        pass
    os._exit(1)
