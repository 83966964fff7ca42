"""A chat template that never ends, or wants all memory, is killed; others render as in transformers."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers.utils.chat_template_utils import _cached_compile_jinja_template as stock

from recipes.models import templates
from recipes.models.files import STARTERS, resolve
from recipes.models.loading import load_processor
from recipes.models.template_child import OUT_OF_MEMORY
from synth.errors import ModelError
from tests.tiny import tiny_llama, tiny_tokenizer
from tests.tiny_vision import tiny_processor

ASK = [{"role": "user", "content": "How many?"}]
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    from transformers import AutoTokenizer

    tiny_tokenizer(tmp_path)
    return AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [0, 3])
def test_an_endless_template_ends_in_a_sentence_in_every_thread(tokenizer: Any, threads: int) -> None:
    templates.limit(tokenizer, "evil/model", seconds=0.3)
    tokenizer.chat_template = ENDLESS

    def ask(_: int = 0) -> str:
        with pytest.raises(ModelError) as caught:
            tokenizer.apply_chat_template(ASK, tokenize=False)
        return str(caught.value)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        said = list(pool.map(ask, range(threads))) if threads else [ask()]
    assert said
    assert all("evil/model did not end within 0.3 s" in one for one in said)


@pytest.mark.slow
def test_what_renders_in_time_is_never_cut_off_however_many_rows_there_are(tokenizer: Any) -> None:
    templates.limit(tokenizer, "model", seconds=0.5)
    tokenizer.chat_template = "{% for i in range(99999) %}{% endfor %}{{ messages[0]['content'] }}"
    child = templates._renderer._child
    used = 0.0
    while used < 1.0:  # more than the limit in all, not in one call
        assert tokenizer.apply_chat_template(ASK, tokenize=False) == "How many?"
        child = templates._renderer._child
        assert child is not None
        used = sum(psutil.Process(child.pid).cpu_times()[:2])


def test_after_a_template_was_killed_the_next_row_renders(tokenizer: Any) -> None:
    good = tokenizer.chat_template
    templates.limit(tokenizer, "evil/model", seconds=0.1)
    tokenizer.chat_template = ENDLESS
    with pytest.raises(ModelError):
        tokenizer.apply_chat_template(ASK, tokenize=False)
    tokenizer.chat_template = good
    assert "How many?" in tokenizer.apply_chat_template(ASK, tokenize=False)


def test_a_child_that_somebody_else_killed_is_replaced_without_a_word(tokenizer: Any) -> None:
    templates.limit(tokenizer, "model")
    expected = tokenizer.apply_chat_template(ASK, tokenize=False)
    child = templates._renderer._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    assert tokenizer.apply_chat_template(ASK, tokenize=False) == expected
    assert templates._renderer._child is not child


@pytest.mark.slow
def test_the_child_ends_with_its_parent_however_that_dies(tmp_path: Path) -> None:
    program = (
        "import os, signal; from recipes.models import templates as t\n"
        "t._renderer.render('{{ 1 }}', {}, 5.0); print(t._renderer._child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    child = int(done.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


# The first fence refuses these at once; where something gets through it, the second holds.
THROUGH = {
    "{{ 9**(9**9) }}": -signal.SIGPROF,
    "{{ 'a' * 10**10 }}": OUT_OF_MEMORY,
    "{{ [0] * 10**10 }}": OUT_OF_MEMORY,
    "{% for a in range(99999) %}{{ 'a' * 10**7 }}{% endfor %}": OUT_OF_MEMORY,
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": -signal.SIGPROF,
}


@pytest.mark.slow
@pytest.mark.parametrize("template", THROUGH)
def test_the_kernel_stops_what_gets_through_the_sandbox(template: str) -> None:
    program = (
        "import recipes.models.sandbox as s; s._check = lambda fits: None\n"
        "from recipes.models import template_child as c; c.main()\n"
    )
    request = json.dumps({"template": template, "values": {}, "today": "2024-07-26", "seconds": 3.0}).encode()
    sent = len(request).to_bytes(8, "little") + request
    done = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=False, timeout=120)
    assert done.returncode == THROUGH[template], done.stderr


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1 / 0 }}",
        "{{ messages.nothing.at.all }}",
        "{{ [1][5].x }}",
        "{% for %}",
        "{{ '%d' % 'x' }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
        "{{ ''.__class__.__mro__ }}{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% include 'a' %}",
        "x" * (2 << 20),
        "{% generation %}",
    ],
)
def test_whatever_else_a_template_does_wrong_is_a_sentence(tokenizer: Any, template: str) -> None:
    templates.limit(tokenizer, "odd/model", seconds=2)
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match="The chat template of odd/model") as caught:
        tokenizer.apply_chat_template(ASK, tokenize=False)
    assert caught.value.code == "model.template" and caught.value.remedy


def test_the_child_renders_what_transformers_renders(tokenizer: Any) -> None:
    """Also what is rarely used: marks of generation, loop controls, json, namespaces, dict, white space."""
    chats: list[list[dict[str, Any]]] = [
        ASK,
        [{"role": "system", "content": " Be brief.\n"}, *ASK, {"role": "assistant", "content": "Eins – zwei 😀 <b>"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}],
    ]
    odd = (
        "{%- set ns = namespace(n=0) -%}\n{% for m in messages %}\n  {% if loop.index > 2 %}{% break %}{% endif %}\n"
        "{% set ns.n = ns.n + 1 %}{{ m | tojson(indent=2) }}{% generation %}{{ m['role'] }}{% endgeneration %}\n"
        "{% endfor %}{{ dict(a=ns.n) }}{{ tools }}{{ bos_token }}{% if add_generation_prompt %}GO{% endif %}"
    )
    given = [odd, tokenizer.chat_template, *(f.read_text() for f in STARTERS.glob("*/chat_template.jinja"))]
    assert len(given) > 4
    tools = [{"a": [1.5, None, True]}]
    compared = 0
    for template, chat, go in itertools.product(given, chats, (False, True)):
        values = {"messages": chat, "tools": tools, "bos_token": "<s>", "add_generation_prompt": go}
        try:
            expected = stock(template).render(**values)
        except TypeError:  # templates for texts and a turn with a picture
            with pytest.raises(templates._Fault):
                templates._renderer.render(template, values, 5.0)
            continue
        assert templates._renderer.render(template, values, 5.0) == expected
        compared += 1
    assert compared >= 20


def test_processors_without_the_limit_render_as_transformers_does_it(tokenizer: Any, tmp_path: Path) -> None:
    """Beside limited ones in the same process: for instance with the marks of what a trainer is to learn."""
    said = [*ASK, {"role": "assistant", "content": "Two."}]
    marked = "{% for m in messages %}{% generation %}{{ m['content'] }}{% endgeneration %}{% endfor %}"
    limited, other = tokenizer, type(tokenizer).from_pretrained(tmp_path)
    templates.limit(limited, "model")
    limited.apply_chat_template(ASK, tokenize=False)
    found = other.apply_chat_template(said, chat_template=marked, return_assistant_tokens_mask=True, return_dict=True)
    assert 1 in found["assistant_masks"]


def test_a_limited_template_renders_and_saves_as_before(tokenizer: Any, tmp_path: Path) -> None:
    expected = tokenizer.apply_chat_template(ASK, tokenize=False)
    templates.limit(tokenizer, "model")
    assert tokenizer.apply_chat_template(ASK, tokenize=False) == expected
    tokenizer.save_pretrained(tmp_path / "again")


def test_a_processor_with_the_limit_can_be_saved(tmp_path: Path) -> None:
    processor = tiny_processor("SmolVLM")
    templates.limit(processor, "model")
    processor.save_pretrained(tmp_path)
    assert "apply_chat_template" not in (tmp_path / "processor_config.json").read_text()


def test_every_model_that_is_loaded_has_the_limit(tmp_path: Path) -> None:
    loaded = load_processor(resolve(str(tiny_llama(tmp_path))))
    assert loaded.apply_chat_template.__wrapped__


START = "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}"
BOMBS = [
    "{{ 9**(9**9) }}",
    "{{ 2**-(9**9) }}",
    "{{ 'a' * 10**10 }}",
    "{{ 10**9 * 'a' * 10 }}",
    "{{ [0] * 10**10 }}",
    "{{ '%10000000000d' % 1 }}",
    "{{ '%*d' % (10**10, 1) }}",
    "{{ '{:10000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 10000000000) }}",
    "{{ '%10000000000d'|format(1) }}",
    "{{ 'a'|center(10000000000) }}",
    "{{ 'a'.ljust(10000000000) }}",
    "{{ 'a'.rjust(10000000000) }}",
    "{{ 'a'.zfill(10000000000) }}",
    "{{ '\\t'.expandtabs(10000000000) }}",
    "{{ 'a\\na'|indent(10000000000) }}",
    START + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    START + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    START + "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    START + "{% set ns.x = ns.x.replace('a', 'aaaa') %}{% endfor %}",
    START + "{% set ns.x = ns.x|replace('a', 'aaaa') %}{% endfor %}",
    START + "{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}",
    "{% set ns = namespace(x=7) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_one_operation_cannot_make_more_than_a_chat_needs(tokenizer: Any, bomb: str) -> None:
    templates.limit(tokenizer, "evil/model", seconds=2)
    tokenizer.chat_template = bomb
    began = time.monotonic()
    with pytest.raises(ModelError, match="evil/model"):
        tokenizer.apply_chat_template(ASK, tokenize=False)
    assert time.monotonic() - began < 10


def test_what_published_templates_do_stays_possible(tokenizer: Any) -> None:
    templates.limit(tokenizer, "model")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '-' * 20 + m['content'] ~ '!' }}{{ 'a b'.split(' ')|join(', ') }}"
        "{{ '%s:%5d' % ('n', 7) }}{{ '{}-{:>4}'.format(1, 2) }}{{ 'x'|center(5) }}{{ 2 ** 10 }}{{ loop.index0 + 1 }}"
        "{{ m['content'].replace('How', 'Who')|indent(2) }}{{ [1] + [2] }}{{ 7 % 4 }}{% endfor %}"
    )
    said = tokenizer.apply_chat_template(ASK, tokenize=False)
    assert said == f"{'-' * 20}How many?!a, bn:    71-   2  x  10241Who many?[1, 2]3"
