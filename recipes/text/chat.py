"""A row's chat as a template renders it, and which stretches of the text are learned.

Faults of a template (a role that it refuses, a turn that it leaves out, tools that it does not know) end here with a
sentence, before anything is trained. Control tokens inside what people wrote stay text. Knows no pictures; tokens are
made in `recipes.text.rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from synth.errors import DataError, ModelError
from synth.example import Example, Message

BREAK = "\ufdd0"  # a code point that Unicode keeps for programs; put into control tokens that are text
MARK = "qvx{}zwk"  # stands for what a turn says, where only its place is looked for
MOST_FORMS = 4096
UNLEARNED = "Mark that turn with weight 0, or remove it."
Chat = list[dict[str, Any]]


class Span(NamedTuple):
    """Characters start to end (exclusive) of a rendered chat."""

    start: int
    end: int


class Rendered(NamedTuple):
    """The text before the answer, the answer with its end token, and earlier turns that are learned too."""

    prompt: str
    completion: str
    learned: tuple[Span, ...] = ()


def chat_messages(example: Example, tokenizer: Any = None) -> Chat:
    """The prompt in the form that chat templates take, text parts only; control tokens of `tokenizer` broken."""
    return [message_dict(message, tokenizer) for message in example.prompt]


def message_dict(message: Message, tokenizer: Any = None) -> dict[str, Any]:
    """A turn as templates take it: arguments of tool calls are objects, reasoning is `reasoning_content`."""
    turn: dict[str, Any] = {"role": message.role, "content": _broken(message.text, tokenizer)}
    if message.reasoning:
        turn["reasoning_content"] = _broken(message.reasoning, tokenizer)
    if message.tool_calls:
        turn["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments or {}}}
            | ({"id": call.id} if call.id else {})
            for call in message.tool_calls
        ]
    turn |= {key: value for key in ("tool_call_id", "name") if (value := getattr(message, key))}
    return turn


def prompt_text(messages: Chat, tokenizer: Any, tools: Sequence[dict[str, Any]] = ()) -> str:
    """The prompt as the model sees it, up to where its answer begins."""
    return _render(messages, tokenizer, tools, add_generation_prompt=True)


def answer_end(tokenizer: Any) -> str:
    """What the template puts after every answer, up to the control token that ends the turn.

    After the last answer and after earlier ones alike: some templates close the whole chat with another token, and some
    tokenizers name an end token that the template never writes. Where they have nothing in common, the tokenizer's.
    """
    template = str(tokenizer.chat_template)
    known = getattr(tokenizer, "_answer_end", None)
    if known is None or known[0] != template:
        known = (template, _answer_end(tokenizer))
        tokenizer._answer_end = known
    return str(known[1])


def _answer_end(tokenizer: Any) -> str:
    said, end = MARK.format(0), str(tokenizer.eos_token)
    chat: Chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": said}]
    last = _render(chat, tokenizer, ()).rpartition(said)[2]
    try:
        after = _render([*chat, {"role": "user", "content": "b"}], tokenizer, ()).rpartition(said)[2]
    except ModelError:  # a template for one question only
        after = last
    shared = _shared(last, after)
    if end in shared:
        return shared.partition(end)[0] + end
    ends = [shared.rfind(token) + len(token) for token in control_tokens(tokenizer) if token in shared]
    if ends:
        return shared[: max(ends)]
    head, found, _ = last.partition(end)
    return head + end if found else end


def checked_prompt(messages: Chat, tokenizer: Any, tools: Sequence[dict[str, Any]] = (), where: str = "") -> str:
    """`prompt_text`, once it is known to hold every turn and every tool. Raises ModelError, which names `where`."""
    prompt = prompt_text(messages, tokenizer, tools)
    check_whole(messages, prompt, where)
    if lost := _dropped(messages, tokenizer, tools):
        raise _left_out(lost, where)
    if tools and not all(_tool_name(tool) in prompt for tool in tools):
        remedy = "Choose a model whose template knows tools, or remove them."
        raise _refusal("leaves out the tools", where, remedy)
    return prompt


def render(example: Example, target: str, tokenizer: Any, suffix: str, every_turn: bool) -> Rendered:
    """A row with `target` as its answer; `suffix` is what ends an answer, see `answer_end`.

    Raises ModelError where the template leaves something of the row out, or earlier turns cannot be told apart.
    """
    messages = chat_messages(example, tokenizer)
    prompt = checked_prompt(messages, tokenizer, example.tools, f" (row {example.id})")
    completion = _broken(target, tokenizer) + suffix
    if prompt.rstrip().endswith("<think>") and not example.reasoning:
        remedy = "Give every row its reasoning, or choose a model whose template answers at once."
        raise _refusal("opens a thinking part, which an answer without reasoning would not close", example, remedy)
    if example.tool_calls or example.reasoning:
        completion = _completion(example, messages, prompt, tokenizer)
    learned = tuple(_earlier(example, messages, prompt, tokenizer, suffix)) if every_turn else ()
    return Rendered(prompt, completion, learned)


def _completion(example: Example, messages: Chat, prompt: str, tokenizer: Any) -> str:
    """What the template writes for an answer with tool calls or reasoning, up to the end of the turn."""
    answer = message_dict(example.target_message, tokenizer)
    full = _render([*messages, answer], tokenizer, example.tools)
    if not full.startswith(prompt):
        fault = "renders the prompt differently when an answer with tool calls or reasoning follows"
        raise _refusal(fault, example, "Choose another model, or remove the reasoning.")
    rest = full[len(prompt) :]
    if example.reasoning and example.reasoning.strip() not in rest:
        raise _refusal("leaves out the reasoning", example, "Choose a model that thinks, or remove the reasoning.")
    if any(call.name not in rest for call in example.tool_calls):
        raise _refusal("leaves out tool calls", example, "Choose a model whose template knows tools.")
    end = answer_end(tokenizer)
    head, _, _ = rest.rpartition(end)
    return (head or rest) + end


def _earlier(example: Example, messages: Chat, prompt: str, tokenizer: Any, suffix: str) -> Iterator[Span]:
    """The assistant's turns before the last, from where an answer begins to the end of the turn."""
    refuse_unlearnable(example)
    for place, message in enumerate(example.prompt):
        if message.role != "assistant" or message.learn is False:
            continue
        before = prompt_text(messages[:place], tokenizer, example.tools)
        said = messages[place]["content"].strip()
        start = len(before)
        found = prompt.find(said, start) if prompt.startswith(before) else -1
        end = prompt.find(suffix.strip(), found + len(said)) if found >= 0 else -1
        between = prompt[found + len(said) : max(end, 0)].strip()
        if between and (not message.tool_calls or _holds_next(messages, place, prompt, end, tokenizer, example)):
            end = -1  # the turn has no end of its own: this one belongs to a later turn
        if end < 0:
            fault = "does not show where the answers of earlier turns begin and end"
            raise _refusal(fault, example, "Set data.loss_turns to last, which learns each row's last answer only.")
        yield Span(start, end + len(suffix.strip()))


def _holds_next(messages: Chat, place: int, prompt: str, end: int, tokenizer: Any, example: Example) -> bool:
    """Whether the turn after `place` begins before `end`: what the prompt has in common with one where it says else."""
    marked = [dict(turn) for turn in messages]
    if place + 1 >= len(marked):
        return False
    marked[place + 1]["content"] = MARK.format(0) + marked[place + 1]["content"]
    return len(_shared(prompt, prompt_text(marked, tokenizer, example.tools))) < end


def _shared(one: str, other: str) -> str:
    """What two texts begin with alike."""
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def refuse_unlearnable(example: Example) -> None:
    """Raise DataError for earlier turns of the assistant that cannot be learned and are not marked so."""
    for place, message in enumerate(example.prompt):
        if message.role != "assistant" or message.learn is False:
            continue
        if not place:  # templates render no chat of no turns, so that its beginning cannot be found
            fault = f"Row {example.id} begins with a turn of the assistant, which cannot be learned."
            raise DataError(fault, UNLEARNED, "data.first_turn")
        if not message.text.strip() and not message.tool_calls:
            fault = f"Row {example.id} has an empty turn of the assistant, which would teach to say nothing."
            raise DataError(fault, UNLEARNED, "data.empty_turn")


def check_whole(messages: Chat, prompt: str, where: str = "") -> None:
    """Every turn's text must be in the rendered prompt, white space aside. Raises ModelError."""
    folded = ""
    for message in messages:
        said = message["content"].strip()
        if not said or said in prompt or message["role"] == "tool":
            continue
        folded = folded or "".join(prompt.split())
        if "".join(said.split()) not in folded:
            raise _left_out(f"the {message['role']} turn", where)


def _dropped(messages: Chat, tokenizer: Any, tools: Sequence[dict[str, Any]]) -> str:
    """What the template leaves out in chats of this form ("the system turn"), "" when it writes everything.

    Looked for with marks, because what a turn says may stand in another one too. Each form of chat is tried once.
    """
    known = getattr(tokenizer, "_dropped_turns", None)
    forms: dict[tuple[object, ...], str] = {}
    if known is not None and known[0] == tokenizer.chat_template and len(known[1]) < MOST_FORMS:
        forms = known[1]
    tokenizer._dropped_turns = (tokenizer.chat_template, forms)
    form = (bool(tools), *((turn["role"], bool(turn["content"]), len(turn.get("tool_calls", ()))) for turn in messages))
    if form not in forms:
        marked = [_marked(turn, number) for number, turn in enumerate(messages)]
        try:
            forms[form] = _lost(marked, prompt_text(marked, tokenizer, tools))
        except ModelError:  # a template that reads what turns say
            forms[form] = ""
    return forms[form]


def _marked(turn: dict[str, Any], number: int) -> dict[str, Any]:
    """The turn with marks for what it says and calls."""
    marked = {**turn, "content": turn["content"] and MARK.format(number)}
    if "tool_calls" in turn:
        named = {"name": MARK.format(f"{number}c")}
        marked["tool_calls"] = [{**call, "function": {**call["function"], **named}} for call in turn["tool_calls"]]
    return marked


def _lost(marked: Chat, prompt: str) -> str:
    for turn in marked:
        if turn["content"] not in prompt:
            return f"the {turn['role']} turn"
        if any(call["function"]["name"] not in prompt for call in turn.get("tool_calls", ())):
            return "the tool calls of an assistant turn"
    return ""


def _left_out(what: str, where: str) -> ModelError:
    remedy = "Put its text into the user's turn, or choose a model whose template has that role."
    if what.startswith("the tool calls"):
        remedy = "Choose a model whose template knows tools."
    return _refusal(f"leaves out {what}", where, remedy)


def _refusal(fault: str, where: str | Example, remedy: str) -> ModelError:
    place = f" (row {where.id})" if isinstance(where, Example) else where
    return ModelError(f"The model's chat template {fault}{place}.", remedy, "model.template")


def _render(messages: Chat, tokenizer: Any, tools: Sequence[dict[str, Any]], **more: Any) -> str:
    given = {"tools": list(tools)} if tools else {}
    return str(tokenizer.apply_chat_template(messages, tokenize=False, **given, **more))


def _tool_name(tool: dict[str, Any]) -> str:
    function = tool.get("function")
    return str((function if isinstance(function, dict) else tool).get("name", ""))


# --- control tokens that are text --------------------------------------------------------------------------------


def control_tokens(tokenizer: Any) -> tuple[str, ...]:
    """The texts that a tokenizer takes for control tokens, longest first; the same list is made once."""
    known = getattr(tokenizer, "_control_texts", None)
    if known is None:
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        texts = {str(token) for token in added if getattr(token, "special", False)} | set(
            getattr(tokenizer, "all_special_tokens", ())
        )
        known = tuple(sorted((text for text in texts if len(text) > 1), key=len, reverse=True))
        tokenizer._control_texts = known
    return known


def _broken(text: str, tokenizer: Any) -> str:
    """The text with BREAK after the first character of each control token in it."""
    if tokenizer is None:
        return text
    for token in control_tokens(tokenizer):
        if token in text:
            text = text.replace(token, f"{token[0]}{BREAK}{token[1:]}")
    return text


class Tokens(NamedTuple):
    """Ids, and where in the text (with its BREAKs) each begins and ends."""

    ids: list[int]
    places: list[Span]


def tokenise(text: str, tokenizer: Any, places: bool = False) -> Tokens:
    """A rendered text as tokens; broken control tokens become what they are written with. `places` when asked."""
    if BREAK not in text:
        return _tokens(text, tokenizer, places)
    ids: list[int] = []
    where: list[Span] = []
    start = 0
    while start < len(text):
        mark = text.find(BREAK, start)
        token = next(
            (t for t in control_tokens(tokenizer) if mark > 0 and text.startswith(f"{t[0]}{BREAK}{t[1:]}", mark - 1)),
            "",
        )
        end = len(text) if mark < 0 else mark - 1 if token else mark + 1
        made = _tokens(text[start:end].replace(BREAK, ""), tokenizer, places)
        ids += made.ids
        where += [Span(span.start + start, span.end + start) for span in made.places]
        start = end
        if token:
            plain = tokenizer(token, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            ids += plain
            where += [Span(start, start + len(token) + 1)] * len(plain)
            start += len(token) + 1
    return Tokens(ids, where)


def _tokens(text: str, tokenizer: Any, places: bool) -> Tokens:
    if not text:
        return Tokens([], [])
    made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=places)
    return Tokens(list(made["input_ids"]), [Span(*pair) for pair in made["offset_mapping"]] if places else [])
