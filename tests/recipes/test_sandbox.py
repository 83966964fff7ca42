"""The fences around chat templates one by one, in this process: the sandbox alone, and what its child answers."""

from __future__ import annotations

import io
import json
import resource
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2.exceptions import SecurityError

from recipes.models import template_child
from recipes.models.sandbox import BoundedEnvironment
from tests.recipes.test_templates import BOMBS


@pytest.mark.parametrize("bomb", BOMBS)
def test_the_sandbox_alone_refuses_what_makes_an_enormous_value(bomb: str) -> None:
    made = BoundedEnvironment()
    made.globals["namespace"] = template_child._Namespace
    with pytest.raises((SecurityError, ValueError)):
        made.from_string(bomb).render()


def asked(template: str, **values: Any) -> dict[str, str]:
    return template_child._answer({"template": template, "values": values, "today": "2026-01-02", "seconds": 60.0})


def test_the_child_gives_templates_what_transformers_does() -> None:
    template = (
        "{% generation %}{{ strftime_now('%d.%m.%Y') }} {{ x | tojson }} {{ dict(a=1) }} {{ dict.fromkeys('b') }}"
        "{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %} {{ ns.n }}{% endgeneration %}"
    )
    assert asked(template, x="ä") == {"text": "02.01.2026 \"ä\" {'a': 1} {'b': None} 2"}


@pytest.mark.parametrize(("template", "said"), [
    ("{{ raise_exception('no system role') }}", "no system role"),
    ("{{ namespace(__class__=1) }}", "no attribute '__class__'"),
    ("{% set ns = namespace() %}{% set ns.__init__ = 1 %}", "no attribute '__init__'"),
    ("{{ ''.__class__.__mro__ }}", "unsafe"), ("{{ dict.__call__.__globals__ }}", "unsafe"),
    ("{% include 'x' %}", "no loader"), ("{% for %}", "Expected an expression"), ("{{ missing.at.all }}", "undefined"),
    ("{{ [].append(1) }}", "unsafe"), ("{{ 1 / 0 }}", "division"),
])  # fmt: skip
def test_what_a_template_may_not_do_is_a_fault(template: str, said: str) -> None:
    answer = asked(template)
    assert said in answer.get("fault", "") and len(answer["fault"]) <= 200, answer


def test_requests_are_answered_until_the_parent_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, most: limits.append(what))
    heard = signal.getsignal(signal.SIGINT)
    requests = [
        {"template": text, "values": {}, "today": "2026-01-02", "seconds": 60} for text in ("{{ 1 + 1 }}", "{{")
    ]
    bodies = [json.dumps(request).encode() for request in requests]
    sent = b"".join(len(body).to_bytes(8, "little") + body for body in bodies) + b"\x01\x00"  # and half a head
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sent)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    try:
        template_child.main()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "Ctrl+C is for the parent"
    finally:
        signal.signal(signal.SIGINT, heard)
    assert set(limits) == {resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE}
    answered, answers = out.getvalue(), []
    while answered:
        size = int.from_bytes(answered[:8], "little")
        answers.append(json.loads(answered[8 : 8 + size]))
        answered = answered[8 + size :]
    assert answers[0] == {"text": "2"} and "fault" in answers[1] and len(answers) == 2
