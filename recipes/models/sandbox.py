"""Jinja's sandbox with bounds on what one operation may make: `9**(9**9)` and `'a' * 10**10` end in an error.

Powers, products, sums, joins, formats and paddings are looked at before they are done, so that what no chat needs is
refused at once and with a reason; published templates make some thousand characters. It is the first of two fences:
whatever gets through it meets the limits on time and memory of `recipes.models.template_child`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Concat, Scope
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARS = 16 << 20
MAX_BITS = 4096
MAX_ARGUMENT = 100_000  # widths, counts, indents
PADDING = re.compile(r"\d{5,}|\*")


class _Joins(CodeGenerator):
    """Code in which `a ~ b` asks the environment."""

    def visit_Concat(self, node: Concat, frame: Frame) -> None:
        self.write("environment.concat((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


def _joined(parts: Iterable[Any]) -> str:
    texts = [part if isinstance(part, str) else str(part) for part in parts]
    _check(sum(map(len, texts)) <= MAX_CHARS)
    return "".join(texts)


class Generation(Extension):
    """`{% generation %}` marks what an assistant said; here it changes nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> Scope:
        """The body as it stands."""
        line = next(parser.stream).lineno
        return Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The environment that transformers gives to chat templates, with bounds."""

    code_generator_class = _Joins
    intercepted_binops = frozenset({"**", "*", "+", "%"})
    concat = staticmethod(_joined)

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
        for name in ("center", "indent", "format", "wordwrap", "batch", "slice", "replace", "join"):
            self.filters[name] = _bounded(self.filters[name])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """One of the four operations, once its result is known to be small."""
        if operator == "**":
            _check(abs(right) <= MAX_BITS and _bits(left) * abs(right) <= MAX_BITS)
        elif operator == "*":
            _check(_size(left) * _count(right) <= MAX_CHARS and _size(right) * _count(left) <= MAX_CHARS)
            _check(_bits(left) + _bits(right) <= MAX_BITS)
        elif operator == "+":
            _check(_size(left) + _size(right) <= MAX_CHARS)
        elif isinstance(left, str):
            _check(not PADDING.search(left))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A call, once its numbers are known to be small."""
        method = getattr(__obj, "__wrapped__", __obj)  # jinja wraps str.format
        _check_arguments(getattr(method, "__self__", None), args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)


def _bounded(function: Any) -> Any:
    """A filter that looks at its arguments first; what jinja passes besides stays as it is marked."""
    import functools

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        values = [arg for arg in args if isinstance(arg, str | int | list | tuple)]
        _check_arguments(values[0] if values else None, tuple(values[1:]), kwargs)
        return function(*args, **kwargs)

    return checked


def _check_arguments(subject: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not isinstance(subject, str | list | tuple):
        return
    values = [*args, *kwargs.values()]
    _check(all(abs(value) <= MAX_ARGUMENT for value in values if isinstance(value, int)))
    texts = [value for value in values if isinstance(value, str)]
    if not isinstance(subject, str):
        _check(sum(map(_size, subject)) <= MAX_CHARS)
    else:
        _check("{" not in subject or not PADDING.search(subject) or not values)
        _check("%" not in subject or not PADDING.search(subject) or not values)
    _check((_size(subject) + 1) * (max(map(len, texts), default=0) + 1) <= MAX_CHARS)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _count(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check(fits: bool) -> None:
    if not fits:
        raise SecurityError("an operation would make a value larger than any chat needs")
