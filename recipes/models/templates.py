"""Chat templates, which are programs that come with a model, rendered in a process of their own that can be killed.

    limit(processor, name)      from then on `processor.apply_chat_template` raises ModelError where a template fails

What a template costs depends on the row that it is given, so it cannot be tried once and then trusted: every rendering
has the limits on time and memory of `recipes.models.template_child`. One child serves a whole process; it is started
when the first row is rendered, again after one was killed, and ends with its parent. Measured for a chat of
50 words: 53 microseconds more of the parent's processor time a row; by the clock 0.5 ms on a busy machine.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import jinja2

from recipes.models.sandbox import MAX_CHARS, BoundedEnvironment
from recipes.models.template_child import OUT_OF_MEMORY
from synth.errors import ModelError

DATE = datetime.date(2024, 7, 26)  # what Llama's own templates write when nobody gives a date
_TODAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
LIMIT_SEC = 10.0  # of processor time for one rendering; published templates take about a millisecond
WAIT_FACTOR = 30  # by the clock a rendering may take so many times its processor time: others use the machine too
MAX_TEMPLATE_CHARS = 1 << 20  # published ones have some ten thousand
TRIES = 2  # a child that somebody else killed is replaced once


class _Fault(Exception):
    """A template that cannot be rendered; the words follow "The chat template of X"."""


class _Renderer:
    """The child, shared by the threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def render(self, template: str, values: dict[str, Any], seconds: float) -> str:
        """The text. Raises _Fault; then the child may be gone, and the next call starts another."""
        request = {"template": template, "values": values, "today": DATE.isoformat(), "seconds": seconds}
        sent = json.dumps(request).encode()
        with self._lock:
            for left in reversed(range(TRIES)):
                try:
                    answer = json.loads(self._exchange(len(sent).to_bytes(8, "little") + sent, seconds))
                    break
                except (EOFError, BrokenPipeError):
                    self._explain(seconds, last=not left)
                except BaseException:  # an interrupt: its answer must not become that of the next row
                    self.close()
                    raise
        if fault := answer.get("fault"):
            raise _Fault(f"refuses these turns: {fault.rstrip('.')}.")
        return str(answer["text"])

    def close(self) -> None:
        """Kill the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _explain(self, seconds: float, last: bool) -> None:
        """Raise _Fault for the end of a child, unless somebody else killed it and it may be tried again."""
        assert self._child is not None
        code = self._child.wait()
        self.close()
        if code == -signal.SIGPROF:
            raise _Fault(f"did not end within {seconds:g} s.") from None
        if code == OUT_OF_MEMORY:
            raise _Fault("wants more memory than any chat needs.") from None
        if last:
            raise _Fault(f"ended the process that renders it (exit code {code}).") from None

    def _exchange(self, sent: bytes, seconds: float) -> bytes:
        if self._child is None or self._child.poll() is not None:
            self.close()
            # -P: nothing is imported from the working directory. Ctrl+C is for the parent, which closes the pipe.
            command = [sys.executable, "-P", "-m", "recipes.models.template_child"]
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                bufsize=0, start_new_session=True,
            )  # fmt: skip
        assert self._child.stdin is not None
        pending = memoryview(sent)
        while pending:
            pending = pending[self._child.stdin.write(pending) :]
        deadline = time.monotonic() + WAIT_FACTOR * seconds
        size = int.from_bytes(self._read(8, deadline, seconds), "little")
        if size > 8 * MAX_CHARS:
            raise _Fault("writes more than any chat needs.")
        return self._read(size, deadline, seconds)

    def _read(self, size: int, deadline: float, seconds: float) -> bytes:
        assert self._child is not None and self._child.stdout is not None
        descriptor, got = self._child.stdout.fileno(), bytearray()
        while len(got) < size:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise _Fault(f"did not end within {WAIT_FACTOR * seconds:g} s.")
            if not (piece := os.read(descriptor, size - len(got))):
                raise EOFError
            got += piece
        return bytes(got)


_renderer = _Renderer()


def _after_fork() -> None:
    """A forked process shares neither the child nor a lock that another thread may have held."""
    global _renderer
    _renderer = _Renderer()


os.register_at_fork(after_in_child=_after_fork)
_seconds = threading.local()


class _Elsewhere:
    """What transformers takes for a compiled template while it renders for a limited processor."""

    environment = BoundedEnvironment()  # only parses, to see which names are used

    def __init__(self, template: str) -> None:
        if len(template) > MAX_TEMPLATE_CHARS:
            raise _Fault("is longer than any published one.")
        self._template = template

    def render(self, **values: Any) -> str:
        return _renderer.render(self._template, values, _seconds.limit)


def limit(processor: Any, name: str, seconds: float = LIMIT_SEC) -> None:
    """Let `processor.apply_chat_template` raise ModelError when a call fails or takes more than `seconds`. In place.

    Templates that write today's date write `DATE` instead, so that training, answering and a resume see one text; the
    template is changed, and goes with the model wherever it is served.
    """
    _install()
    if isinstance(template := getattr(processor, "chat_template", None), str):
        processor.chat_template = _TODAY.sub(lambda found: repr(DATE.strftime(found[2])), template)
    render = processor.apply_chat_template

    @functools.wraps(render)
    def limited(*args: Any, **kwargs: Any) -> Any:
        if not (getattr(processor, "chat_template", None) or kwargs.get("chat_template")):
            message = f"{name} has no chat template, so turns cannot be told apart: it was never taught to chat."
            remedy = "Take the model's instructed form, or put its chat_template.jinja into the folder."
            raise ModelError(message, remedy, "model.template")
        before, _seconds.limit = getattr(_seconds, "limit", None), seconds
        try:
            return render(*args, **kwargs)
        except _Fault as fault:
            reason = str(fault)
        except (jinja2.TemplateError, TypeError, KeyError, RecursionError) as error:  # what transformers does itself
            reason = f"refuses these turns: {' '.join(str(error).split())[:200].rstrip('.')}."
        finally:
            _seconds.limit = before  # a processor asks its tokenizer, which may have a limit of its own
        remedy = "Choose a model from a source that you trust."
        if reason.startswith("refuses"):
            remedy = "Leave out that role or key (a system text can stand in the user's turn), or choose another model."
        raise ModelError(f"The chat template of {name} {reason}", remedy, "model.template")

    processor.apply_chat_template = limited


@functools.cache
def _install() -> None:
    """Let transformers render the chat templates of limited processors here, and all others as it does."""
    from transformers.utils import chat_template_utils

    own = chat_template_utils._compile_jinja_template

    def compiled(template: str) -> Any:
        return own(template) if getattr(_seconds, "limit", None) is None else _Elsewhere(template)

    chat_template_utils._compile_jinja_template = compiled
