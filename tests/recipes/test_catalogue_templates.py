"""Chat templates of the catalogue, and those that TRL ships, with chats that are meant to break them.

The templates themselves are read from the installed library at test time; of SmolLM2's only what it does is written
down here (a system turn of its own where the chat has none), and so with Granite, Falcon-H1 and SmolLM3.
"""

from __future__ import annotations

import datetime
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipes.decode.decoder import end_ids
from recipes.models import catalogue, templates
from recipes.models.loaded import Loaded
from recipes.recipe.options import Data
from recipes.text import chat, rows
from recipes.train.row_checks import check_template
from recipes.train.rows import IGNORED
from recipes.vision import vision_rows
from synth.errors import DataError, UserError
from synth.example import Example, Message, ToolCall, assistant, make_example, media_parts, system, user
from synth.workspace import Workspace
from tests.tiny import tiny_tokenizer
from tests.tiny_vision import DYNAMIC, picture_dataset, tiny_processor

SMOLLM2 = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nA model of the house.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATML = SMOLLM2.partition("{% endif %}")[2]
GRANITE = (
    "{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
SMOLLM3 = (
    '{% set today = strftime_now("%d %B %Y") %}<|im_start|>system\nToday: {{ today }}\n'
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n"
    "{% for m in messages if m.role in ('user', 'assistant') %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {
    **dict.fromkeys(("smollm2-135m", "smollm2-360m", "smollm2-1.7b"), (SMOLLM2, "<|im_end|>")),
    **dict.fromkeys(("granite-4.0-350m", "granite-4.0-h-350m", "granite-4.0-1b"), (GRANITE, "<|end_of_text|>")),
    **dict.fromkeys(("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b"), ("qwen3", "<|im_end|>")),
    **dict.fromkeys(("gemma-3-270m", "gemma-3-1b"), ("gemma3", "<eos>")),
    "llama-3.2-1b": ("llama3_2", "<|eot_id|>"),
    "falcon-h1-0.5b": (CHATML, "<|end_of_text|>"),
    "lfm2-350m": ("lfm2", "<|im_end|>"),
    "smollm3-3b": (SMOLLM3, "<|im_end|>"),
}
"""Of each model: its template (TRL's file, or what it does), and the end token that its tokenizer names."""
VISION = {
    "smolvlm-256m": ("SmolVLM", "idefics3"),
    "smolvlm-500m": ("SmolVLM", "idefics3"),
    "smolvlm2-2.2b": ("SmolVLM", "smolvlm"),
    "lfm2-vl-450m": ("Lfm2Vl", "lfm2_2_5_vl"),
    "qwen3-vl-2b": ("Qwen3VL", "qwen3_vl"),
    **dict.fromkeys(("qwen3.5-0.8b", "qwen3.5-2b"), ("Qwen3_5", "qwen3_5_nothink")),
    "internvl3-1b": ("InternVL", ""),  # TRL ships none: the tiny model's renders turns and pictures as theirs does
}
# Models that transcribe: nothing that a person wrote is in their prompt.
SPEECH = {name for name, entry in catalogue.entries().items() if entry.modality == "audio"}
CONTROL = re.compile(r"<\|[\w]+\|>|<｜[^｜]+｜>|<(?:start|end)_of_\w+>|<\w+\|>|<\|\w+>|\[/?[A-Z_]{4,}\]")
ENDS = {
    "gemma": "<eos>", "diffusion": "<eos>", "llama3": "<|eot_id|>", "phi3": "<|endoftext|>", "glm": "<|endoftext|>",
    "deepseek": "<｜end▁of▁sentence｜>", "cohere": "<|END_OF_TURN_TOKEN|>", "gptoss": "<|return|>",
}  # fmt: skip
CALL = ToolCall(name="weather", arguments={"city": "Oslo"}, id="callabcd1")
CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "c"}}, "required": ["city"]}
TOOLS = ({"type": "function", "function": {"name": "weather", "description": "d", "parameters": CITY}},)


def turn(role: str, text: str, **more: Any) -> Message:
    return Message.model_validate({"role": role, "content": text, **more})


def row(*turns: Message, target: str = "LAST", **more: Any) -> Example:
    return make_example(turns, target, family="f", template="t", **more)


RESULT = turn("tool", "7 degrees", tool_call_id="callabcd1", name="weather")
ASKED = turn("assistant", "", tool_calls=(CALL,))
CHATS = {
    "one question": (row(user("U1")), ["LAST"]),
    "system": (row(system("SYS"), user("U1")), ["LAST"]),
    "several": (row(system("SYS"), user("U1"), assistant("FIRST"), user("U2"), assistant("SECOND"), user("U3")),
                ["FIRST", "SECOND", "LAST"]),
    "weights": (row(user("U1"), turn("assistant", "NOT", learn=False), user("U2"), assistant("YES"), user("U3")),
                ["YES", "LAST"]),
    "none but the last": (row(user("U1"), turn("assistant", "NOT", learn=False), user("U2")), ["LAST"]),
    "equal turns": (row(user("yes"), assistant("yes"), user("yes"), target="yes"), ["yes", "yes"]),
    "spaces": (row(user("U1"), assistant("  FIRST\n\n"), user("U2")), ["FIRST", "LAST"]),
    "system in the middle": (row(user("U1"), assistant("A1"), system("SYS2"), user("U2")), ["A1", "LAST"]),
    "system says what the user says": (row(system("U1"), user("U1")), ["LAST"]),
    "assistant first": (row(assistant("HELLO"), user("U1")), None),
    "assistant first, not learned": (row(turn("assistant", "HELLO", learn=False), user("U1")), ["LAST"]),
    "empty assistant": (row(user("U1"), Message(role="assistant", content=()), user("U2")), None),
    "tool last": (row(user("U1"), ASKED, RESULT, tools=TOOLS), ["weather Oslo", "LAST"]),
    "tool and on": (row(user("U1"), ASKED, RESULT, assistant("WARM"), user("U2"), tools=TOOLS),
                    ["weather Oslo", "WARM", "LAST"]),
    "the result repeats the question": (
        row(user("U1"), turn("assistant", "LOOK", tool_calls=(CALL,)), turn("tool", "LOOK", tool_call_id="callabcd1"),
            assistant("WARM"), user("U2"), tools=TOOLS), ["LOOK weather Oslo", "WARM", "LAST"]),
    "a call": (row(user("U1"), target="", tools=TOOLS, tool_calls=(CALL,)), ["weather Oslo"]),
}  # fmt: skip


def shipped() -> Path:
    found = importlib.util.find_spec("trl")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "chat_templates"


def names() -> list[str]:
    return sorted(path.stem for path in shipped().glob("*.jinja") if not path.stem.endswith("_training"))


def tokenizer_of(template: str, end: str, folder: Path) -> Any:
    """A small tokenizer that knows the control tokens of a template."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tiny_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    known = [AddedToken(text, special=True) for text in sorted({*CONTROL.findall(template), end, "<bos>"})]
    tokenizer.add_special_tokens({"extra_special_tokens": known, "eos_token": end, "bos_token": "<bos>"})
    tokenizer.chat_template = template
    templates.limit(tokenizer, "toy")
    return tokenizer


def learned(example: Example, tokenizer: Any) -> list[str]:
    (found,) = rows.encode([example], tokenizer, Data())
    text = "".join("\0" if label == IGNORED else tokenizer.decode([label]) for label in found.labels)
    return [part for part in text.split("\0") if part]


def checked(example: Example, expected: list[str] | None, tokenizer: Any) -> bool:
    """Whether the template takes this chat; then what is learned must be the assistant's turns, each with its end."""
    try:
        end = chat.answer_end(tokenizer)
        found = learned(example, tokenizer)
    except UserError as fault:
        assert fault.remedy
        return False
    assert expected is not None, "an answer that cannot be learned was taken"
    assert len(found) == len(expected), found
    for said, words in zip(found, expected, strict=True):
        assert said.endswith(end.strip()), "the end of the turn is inside the loss"
        assert said.count(end.strip()) == 1
        assert all(word in said for word in words.split()), found
        assert not {"7 degrees", "U1", "U2", "U3", "SYS"} & set(re.findall(r"7 degrees|U\d|SYS", said)), found
    return True


def control_tokens_stay_text(tokenizer: Any) -> None:
    (plain,) = rows.encode([row(user("x"), assistant("y"), user("z"))], tokenizer, Data(loss_turns="last"))
    for token in chat.control_tokens(tokenizer):
        odd = row(user(f"x{token}x"), assistant(f"y{token}"), user("z"), target=f"a{token}b")
        (found,) = rows.encode([odd], tokenizer, Data(loss_turns="last"))
        number = tokenizer.convert_tokens_to_ids(token)
        assert found.input_ids.count(number) == plain.input_ids.count(number), token


@pytest.fixture(params=sorted(set(TEXT.values())), ids=lambda one: one[0][:10] if "{" not in one[0] else None)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    template, end = request.param
    source = (shipped() / f"{template}.jinja").read_text("utf-8") if "{" not in template else template
    return tokenizer_of(source, end, tmp_path)


def test_every_model_of_the_catalogue_is_tried_here_or_says_why_not() -> None:
    assert {*TEXT, *VISION, *SPEECH} == set(catalogue.entries())
    assert not {*TEXT, *VISION} & SPEECH


def test_models_of_the_catalogue_learn_their_turns_and_nothing_else(model: Any) -> None:
    taken = {name for name, (example, expected) in CHATS.items() if checked(example, expected, model)}
    assert {"one question", "system", "several", "weights", "none but the last", "equal turns", "spaces"} <= taken
    assert ("tool and on" in taken) == ("a call" in taken) == ("tool_calls" in model.chat_template)
    assert not {"assistant first", "empty assistant"} & taken


def test_their_control_tokens_stay_text_and_preflight_agrees(model: Any) -> None:
    control_tokens_stay_text(model)
    chats = [(chat.chat_messages(example, model), example.target) for example, _ in list(CHATS.values())[:3]]
    assert check_template(model, chats) == []


def test_they_write_the_same_day_every_day(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (today,) = rows.encode([CHATS["several"][0]], model, Data())
    text = model.decode(today.input_ids)
    now = datetime.date.today()
    assert not any(now.strftime(form) in text for form in ("%d %b %Y", "%Y-%m-%d", "%d %B", "%B %d"))
    if "strftime_now" in model.chat_template or "Today" in model.chat_template:
        assert re.search(r"26 Jul\w* 2024", text)


@pytest.mark.parametrize("kind, template", sorted(set(VISION.values())))
def test_vision_models_of_the_catalogue_learn_each_answer_with_its_end(
    kind: str, template: str, workspace: Workspace, tmp_path: Path
) -> None:
    from transformers import AutoProcessor

    dataset = picture_dataset(workspace, rows=2)
    processor = AutoProcessor.from_pretrained(DYNAMIC[kind](tmp_path)) if kind in DYNAMIC else tiny_processor(kind)
    if template:
        processor.chat_template = (shipped() / f"{template}.jinja").read_text("utf-8")
    templates.limit(processor, template)
    end = processor.tokenizer.eos_token
    picture = media_parts(next(iter(dataset.examples("train"))))[0]
    example = row(system("Be brief."), user(picture, "one?"), assistant("red"), user("two?"), target="blue")
    (found,) = vision_rows.encode([example], processor, Data(), dataset)
    text = "".join("\0" if i == IGNORED else processor.tokenizer.decode([i]) for i in found.tokens.labels)
    assert [part.strip() for part in text.split("\0") if part] == [f"red{end}", f"blue{end}"]
    with pytest.raises(DataError, match="in their text"):
        vision_rows.encode([row(user(picture, f"a{end}b"))], processor, Data(), dataset)
    for broken in (row(assistant("HELLO"), user(picture, "one?")), row(user(picture, "a"), assistant(" "), user("b"))):
        with pytest.raises(DataError, match="of the assistant"):
            vision_rows.encode([broken], processor, Data(), dataset)


@pytest.mark.slow
def test_templates_that_trl_ships_learn_the_assistants_turns_or_refuse_with_a_sentence(tmp_path: Path) -> None:
    assert len(names()) >= 40, "a library that ships no templates tests nothing"
    taken: dict[str, int] = {}
    for name in names():
        source = (shipped() / f"{name}.jinja").read_text("utf-8")
        end = next((end for start, end in ENDS.items() if name.startswith(start)), "<|im_end|>")
        tokenizer = tokenizer_of(source, end, tmp_path / name)
        taken[name] = sum(checked(example, expected, tokenizer) for example, expected in CHATS.values())
        if taken[name]:
            control_tokens_stay_text(tokenizer)
    assert sum(count > 6 for count in taken.values()) >= 25, taken


def test_a_template_that_closes_turns_with_another_token_than_the_tokenizers_is_learned_and_stopped_at(
    tmp_path: Path,
) -> None:
    source = (shipped() / "gemma3.jinja").read_text("utf-8")
    tokenizer = tokenizer_of(source, "<eos>", tmp_path)
    assert learned(CHATS["several"][0], tokenizer) == [f"{said}<end_of_turn>" for said in ("FIRST", "SECOND", "LAST")]
    assert check_template(tokenizer, [([{"role": "user", "content": "a"}], "b")]) == []

    class Bare:
        generation_config = None

    loaded: Any = Loaded(Bare(), tokenizer, None)  # type: ignore[arg-type]
    assert set(tokenizer.convert_tokens_to_ids(["<eos>", "<end_of_turn>"])) <= end_ids(loaded)


def broken_templates() -> Iterator[tuple[str, str, Example]]:
    body = CHATML
    tools = body.replace(
        "{{ m.content }}", "{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
    )
    calls = row(user("U1"), ASKED, RESULT, assistant("WARM"), user("U2"))
    yield "leaves out the tool calls", body, calls
    yield "leaves out the tool turn", tools.replace("in messages %}", "in messages if m.role != 'tool' %}"), calls
    no_system = body.replace("in messages %}", "in messages if m.role != 'system' %}")
    yield "leaves out the system turn", no_system, row(system("U1"), user("U1"))
    yield "opens a thinking part", body.replace("assistant\n{% endif", "assistant\n<think>\n{% endif"), row(user("U1"))
    unended = tools.replace("<|im_end|>\n", "{% if not m.tool_calls %}<|im_end|>{% endif %}")
    yield "where the answers of earlier turns begin and end", unended, calls


@pytest.mark.parametrize(("sentence", "template", "example"), list(broken_templates()))
def test_what_a_template_loses_or_blurs_is_a_sentence(
    sentence: str, template: str, example: Example, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        learned(example, tokenizer_of(template, "<|im_end|>", tmp_path))
    assert caught.value.remedy
