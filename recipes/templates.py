"""A time limit for chat templates, which are programs that come with a model.

transformers renders them in jinja's sandbox: they reach nothing, but they may loop for ever. The limit is in processor
time of this process and works through a signal, so it holds in the main thread (trainings, comparisons, the command
line) and not in threads, such as those of the studio's pages.
"""

from __future__ import annotations

import functools
import signal
import threading
from typing import Any, NoReturn

from synth.errors import ModelError

LIMIT_SEC = 10.0  # published templates take about a millisecond


def limit(processor: Any, name: str, seconds: float = LIMIT_SEC) -> None:
    """Let `processor.apply_chat_template` raise ModelError when one call takes more than `seconds`. In place."""
    render = processor.apply_chat_template

    def out_of_time(*_: Any) -> NoReturn:
        message = f"The chat template of {name} did not end within {seconds:g} s."
        raise ModelError(message, "Choose a model from a source that you trust.", "model.template")

    @functools.wraps(render)
    def limited(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return render(*args, **kwargs)
        before = signal.signal(signal.SIGVTALRM, out_of_time)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            return render(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)

    processor.apply_chat_template = limited
