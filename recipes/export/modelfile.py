"""The Modelfile with which Ollama asks a GGUF as it was tuned.

Ollama does not run the chat template inside a GGUF. It looks for the nearest of those that it knows, and sends the bare
text where none is near; it also limits the context, and older releases punish repeated words. So all of that is written
out. The template is found by rendering chats and cutting them at the turns; one that cannot be cut so is not written,
and the Modelfile says so.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from recipes.text.chat import Chat, prompt_text
from synth.errors import UserError

LONGEST_CONTEXT = 8192  # tokens that Ollama keeps memory for
_SYSTEM, _FIRST, _ANSWER, _SECOND = (f"qvx{number}zwk" for number in range(4))


class Turns(NamedTuple):
    """What a template writes around turns. `unsaid`: where a system message would stand and there is none."""

    system: tuple[str, str]
    unsaid: str
    user: tuple[str, str]
    answered: str


def turns_of(tokenizer: Any) -> Turns | None:
    """What the chat template writes around turns of text; None where they cannot be told apart."""
    user, answer = {"role": "user", "content": _FIRST}, {"role": "assistant", "content": _ANSWER}
    second, instruction = {"role": "user", "content": _SECOND}, {"role": "system", "content": _SYSTEM}
    try:
        alone = _cut(prompt_text([user], tokenizer), _FIRST)
        under = _cut(prompt_text([instruction, user], tokenizer), _SYSTEM, _FIRST)
        later = _cut(prompt_text([user, answer, second], tokenizer), _FIRST, _ANSWER, _SECOND)
    except UserError:  # a template that refuses a role
        return None
    if not (alone and under and later):
        return None
    begin = _common_end(alone[0], under[1], later[2])

    def before(text: str) -> str:
        return text[: len(text) - len(begin)]

    found = Turns((under[0], before(under[1])), before(alone[0]), (begin, alone[1]), before(later[2]))
    chats: list[Chat] = [[user], [instruction, user], [user, answer, second], [instruction, user, answer, second]]
    return found if all(rendered(found, chat) == prompt_text(chat, tokenizer) for chat in chats) else None


def rendered(turns: Turns, chat: Chat) -> str:
    """A chat as the written template gives it."""
    parts = []
    if chat[0]["role"] != "system":
        parts.append(turns.unsaid)
    for turn in chat:
        around = {"system": turns.system, "user": turns.user, "assistant": ("", turns.answered)}[turn["role"]]
        parts += [around[0], turn["content"], around[1]]
    return "".join(parts)


def template(turns: Turns) -> str:
    """The same in Go's template language."""

    def quoted(text: str) -> str:
        return f"{{{{ {json.dumps(text)} }}}}" if text else ""

    def turn(around: tuple[str, str], value: str) -> str:
        return f"{quoted(around[0])}{{{{ {value} }}}}{quoted(around[1])}"

    system = f"{{{{ if .System }}}}{turn(turns.system, '.System')}{{{{ else }}}}{quoted(turns.unsaid)}{{{{ end }}}}"
    user = f'{{{{ if eq .Role "user" }}}}{turn(turns.user, ".Content")}'
    answer = f'{{{{ else if eq .Role "assistant" }}}}{turn(("", turns.answered), ".Content")}{{{{ end }}}}'
    return f"{system}{{{{ range .Messages }}}}{user}{answer}{{{{ end }}}}"


def modelfile(weights: str, tokenizer: Any, context: int, system: str) -> str:
    """The Modelfile of a file of weights; `system`: what the rows that it learned opened with, if all with the same."""
    lines = ["# ollama create NAME -f Modelfile", f"FROM ./{weights}"]
    lines += ["PARAMETER temperature 0", "PARAMETER repeat_penalty 1"]  # greedy, as the report asked
    lines.append(f"PARAMETER num_ctx {min(context, LONGEST_CONTEXT)}")
    if found := turns_of(tokenizer):
        lines.append(f'TEMPLATE """{template(found)}"""')
    else:
        lines += [
            "# Its chat template cannot be said in Ollama's language: check `ollama show --modelfile NAME` before you",
            "# trust an answer, or use llama.cpp, which runs the template inside the weights.",
        ]
    if system and '"""' not in system:
        lines.append(f'SYSTEM """{system}"""')
    return "\n".join(lines) + "\n"


def _cut(text: str, *marks: str) -> list[str] | None:
    """The text before, between and after the marks, each of which must stand in it once and in this order."""
    parts = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found:
            return None
        parts.append(before)
    return [*parts, text]


def _common_end(*texts: str) -> str:
    size = 0
    while size < min(map(len, texts)) and len({text[-size - 1] for text in texts}) == 1:
        size += 1
    return texts[0][len(texts[0]) - size :]
