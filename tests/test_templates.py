"""A chat template that never ends is stopped; others render as they did."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from recipes import templates
from recipes.models import load_processor, resolve
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


def test_an_endless_template_ends_in_a_sentence(tokenizer: Any) -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    templates.limit(tokenizer, "evil/model", seconds=0.3)
    tokenizer.chat_template = ENDLESS
    with pytest.raises(ModelError, match=r"evil/model did not end within 0\.3 s"):
        tokenizer.apply_chat_template(ASK, tokenize=False)
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


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
