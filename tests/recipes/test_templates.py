"""A chat template that never ends is stopped; others render as they did."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recipes.models import templates
from recipes.models.files import resolve
from recipes.models.loading import load_processor
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
def test_what_renders_in_time_is_never_cut_off_and_no_watcher_stays(tokenizer: Any) -> None:
    templates.limit(tokenizer, "model", seconds=0.5)
    until = time.thread_time() + 1.0
    while time.thread_time() < until:  # more than the limit in all, not in one call
        assert tokenizer.apply_chat_template(ASK, tokenize=False)
    waited = time.monotonic() + 5
    while templates._watcher is not None and time.monotonic() < waited:
        time.sleep(0.05)
    assert templates._watcher is None
    assert not templates._ends


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
