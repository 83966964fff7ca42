"""The process in which chat templates are rendered: started and killed by `recipes.models.templates`.

A template is a program that comes with a model. Here it has jinja's sandbox, a limit on processor time for each
rendering and one on memory, both kept by the kernel: no single operation can outlast them. It may write no file.

Protocol, one request at a time, each way 8 bytes of length (little-endian) and so many bytes of JSON:
    stdin   {"template": str, "values": what the template is given, "today": its date, "seconds": limit}
    stdout  {"text": str} or {"fault": what the template refused}
It ends when stdin closes; out of time by SIGPROF, out of memory with the exit code OUT_OF_MEMORY. Only jinja is loaded.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import resource
import signal
import sys
from typing import Any

import jinja2
from jinja2 import utils
from jinja2.exceptions import SecurityError, TemplateError

from recipes.models.sandbox import BoundedEnvironment

MAX_MEMORY_BYTES = 1 << 30
OUT_OF_MEMORY = 77


class _Dict:
    """`dict` for templates, without its other attributes."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """As that of dict."""
        return dict.fromkeys(*args)


class _Namespace(utils.Namespace):
    """jinja's, without names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        given = dict(*args[1:], **kwargs)
        for name in given:
            _refuse_hidden(name)
        utils.Namespace.__init__(args[0], given)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_hidden(name)
        super().__setitem__(name, value)


def _refuse_hidden(name: Any) -> None:
    if str(name).startswith("_"):
        raise SecurityError(f"a namespace has no attribute {name!r}")


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _tojson(value: Any, ensure_ascii: bool = False, **more: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **more)


@functools.lru_cache(maxsize=16)
def _compiled(template: str, today: str) -> jinja2.Template:
    """The template, with what transformers lets templates call and a fixed date."""
    made = BoundedEnvironment()
    made.filters["tojson"] = _tojson
    made.globals |= {
        "raise_exception": _refuse,
        "strftime_now": datetime.date.fromisoformat(today).strftime,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return made.from_string(template)


def _answer(request: dict[str, Any]) -> dict[str, str]:
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])  # nobody handles SIGPROF: it ends the process
    try:
        return {"text": _compiled(request["template"], request["today"]).render(**request["values"])}
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:  # a template may fail in any way that a program can
        return {"fault": " ".join(str(error).split())[:200] or type(error).__name__}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _bound() -> None:
    """Give up what rendering does not need. What a system does not know (memory on macOS) is left."""
    for what, most in ((resource.RLIMIT_AS, MAX_MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> None:
    """Serve requests until stdin closes."""
    _bound()
    while len(head := sys.stdin.buffer.read(8)) == 8:
        body = json.dumps(_answer(json.loads(sys.stdin.buffer.read(int.from_bytes(head, "little"))))).encode()
        sys.stdout.buffer.write(len(body).to_bytes(8, "little") + body)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
