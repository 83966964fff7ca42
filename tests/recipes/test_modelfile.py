"""recipes.export.modelfile: Ollama gives the model what it was tuned on, and decodes as the report did."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from recipes.export.modelfile import modelfile, template, turns_of
from recipes.models.files import resolve
from recipes.models.loading import load_processor
from recipes.text.chat import prompt_text

TOLD_BY_DEFAULT = (  # as SmolLM2's: a system message of its own where the chat has none
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NUMBERED = "{% for m in messages %}{{ loop.index }}: {{ m['content'] }}\n{% endfor %}"
SYSTEM = {"role": "system", "content": 'Reply with "JSON".\nNothing else: größer'}
CHAT = [
    {"role": "user", "content": "Hi {{ .System }}"},
    {"role": "assistant", "content": "yes\n"},
    {"role": "user", "content": "and \\n?"},
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_processor(resolve("starter-text"))


def as_ollama(written: str, chat: list[dict[str, str]]) -> str:
    """What Go's text/template makes of a template of ours."""
    pattern = r"\{\{ if \.System \}\}(.*)\{\{ else \}\}(.*)\{\{ end \}\}\{\{ range \.Messages \}\}"
    pattern += r'\{\{ if eq \.Role "user" \}\}(.*)\{\{ else if eq \.Role "assistant" \}\}(.*)\{\{ end \}\}\{\{ end \}\}'
    found = re.fullmatch(pattern, written)
    assert found
    told, untold, user, answer = found.groups()

    def said(part: str, value: str) -> str:
        pieces = re.findall(r"\{\{ (.*?) \}\}", part)
        return "".join(json.loads(piece) if piece.startswith('"') else value for piece in pieces)

    systems = [turn["content"] for turn in chat if turn["role"] == "system"]
    turns = [turn for turn in chat if turn["role"] != "system"]
    head = said(told, systems[0]) if systems else said(untold, "")
    return head + "".join(said(user if turn["role"] == "user" else answer, turn["content"]) for turn in turns)


@pytest.mark.parametrize("jinja", ["", TOLD_BY_DEFAULT])
@pytest.mark.parametrize("chat", [CHAT[:1], CHAT, [SYSTEM, *CHAT[:1]], [SYSTEM, *CHAT]])
def test_ollama_is_told_the_template_that_it_would_not_run(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, jinja: str, chat: list[dict[str, str]]
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", jinja or tokenizer.chat_template)
    turns = turns_of(tokenizer)
    assert turns
    assert as_ollama(template(turns), chat) == prompt_text(chat, tokenizer)


def test_it_decodes_greedily_with_the_models_context_and_the_system_message_of_the_rows(tokenizer: Any) -> None:
    lines = modelfile("first-q8_0.gguf", tokenizer, 1024, "Reply with JSON.").splitlines()
    assert {"FROM ./first-q8_0.gguf", "PARAMETER temperature 0", "PARAMETER repeat_penalty 1"} <= set(lines)
    assert {"PARAMETER num_ctx 1024", 'SYSTEM """Reply with JSON."""'} <= set(lines)


def test_a_template_that_cannot_be_said_so_is_left_out_with_a_warning(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", NUMBERED)
    written = modelfile("first-q8_0.gguf", tokenizer, 1024, "")
    assert 'TEMPLATE """' not in written
    assert "before you\n# trust an answer" in written
