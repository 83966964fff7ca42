"""A time limit, a fixed date and plain sentences for chat templates, which are programs that come with a model.

transformers renders them in jinja's sandbox: they reach nothing, but they may loop for ever. The limit is in processor
time of the thread that renders, and holds in every thread: a watcher looks at those that render now and raises an
exception in one whose time is up. It ends with the last of them, so that an idle process has no watcher.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import functools
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import jinja2

from recipes.models import sandbox
from synth.errors import ModelError

DATE = datetime.date(2024, 7, 26)  # what Llama's own templates write when nobody gives a date
_TODAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
LIMIT_SEC = 10.0  # published templates take about a millisecond
POLL_SEC = 0.2


class _OutOfTime(BaseException):
    """Not an Exception, or jinja would take it for a fault of the template."""


_lock = threading.Lock()
_ends: dict[int, float] = {}  # thread that renders -> its processor time when it has to be done
_watcher: threading.Thread | None = None


def limit(processor: Any, name: str, seconds: float = LIMIT_SEC) -> None:
    """Let `processor.apply_chat_template` raise ModelError when a call fails or takes more than `seconds`. In place.

    Templates that write today's date write `DATE` instead, so that training, answering and a resume see one text; the
    template is changed, and goes with the model wherever it is served.
    """
    sandbox.install()
    if isinstance(template := getattr(processor, "chat_template", None), str):
        processor.chat_template = _TODAY.sub(lambda found: repr(DATE.strftime(found[2])), template)
    render = processor.apply_chat_template

    @functools.wraps(render)
    def limited(*args: Any, **kwargs: Any) -> Any:
        try:
            with _within(seconds):
                return render(*args, **kwargs)
        except (jinja2.TemplateError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            message = f"The chat template of {name} refuses these turns: {reason}."
            remedy = "Leave out that role or key (a system text can stand in the user's turn), or choose another model."
            raise ModelError(message, remedy, "model.template") from error
        except _OutOfTime:
            message = f"The chat template of {name} did not end within {seconds:g} s."
            raise ModelError(message, "Choose a model from a source that you trust.", "model.template") from None

    processor.apply_chat_template = limited


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise _OutOfTime in this thread when the block takes longer. Blocks do not nest."""
    global _watcher
    thread = threading.get_ident()
    with _lock:
        _ends[thread] = _used(thread) + seconds
        if _watcher is None or not _watcher.is_alive():  # a forked process has none of its parent's threads
            _watcher = threading.Thread(target=_watch, name="template watcher", daemon=True)
            _watcher.start()
    try:
        yield
    finally:
        with _lock:
            _ends.pop(thread, None)  # from here on nothing is raised in this thread


def _watch() -> None:
    global _watcher
    while True:
        time.sleep(POLL_SEC)
        with _lock:
            for thread, ends in list(_ends.items()):
                if _used(thread) >= ends:
                    del _ends[thread]
                    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
                    raise_in(ctypes.c_ulong(thread), ctypes.py_object(_OutOfTime))
            if not _ends:
                _watcher = None
                return


def _used(thread: int) -> float:
    """Processor time of a living thread, in seconds."""
    return time.clock_gettime(time.pthread_getcpuclockid(thread))
