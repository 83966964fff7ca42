"""A served model as users ask it: the openai client over real HTTP, honoured settings, and refusals with a sentence."""

from __future__ import annotations

import base64
import io
import json
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from evaluate.predict import local_text
from evaluate.predict.prompts import Question
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from studio.serving import generation
from studio.serving.gate import Gate, names
from studio.serving.generation import Piece, Row, Wish, generate, padded
from studio.serving.model_app import ModelApp
from studio.serving.sockets import bind
from studio.serving.tool_calls import Call, ParsedReply, taken_apart
from studio.serving.worker import Job, Worker
from synth.example import system, user
from tests.tiny import tiny_llama

pytestmark = pytest.mark.slow

TOOLS_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ASK: Any = [{"role": "user", "content": "How many apples?"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@contextmanager
def served(loaded: Loaded, called: tuple[str, ...] = ("tiny",)) -> Iterator[str]:
    """The address of a running server of this model."""
    import uvicorn

    sock = bind("127.0.0.1", 0)
    app = Gate(ModelApp(loaded, called).routes(), names("127.0.0.1", ()))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)
        sock.close()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_for_inference(str(tiny_llama(tmp_path_factory.mktemp("model"), seed=3)))


@pytest.fixture(scope="module")
def url(loaded: Loaded) -> Iterator[str]:
    with served(loaded, ("tiny", "also-tiny")) as address:
        yield address


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0)


def ask(client: openai.OpenAI, messages: Any = ASK, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "tiny", "messages": messages, "max_tokens": 12, **more})


def post(url: str, body: Any) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/chat/completions", content=raw, headers={"content-type": "application/json"}, timeout=60)


def test_models_are_listed_under_every_name(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "also-tiny"]
    assert client.models.retrieve("also-tiny").id == "also-tiny"
    with pytest.raises(openai.BadRequestError, match="has no model 'gpt-4o'; it serves 'tiny'"):
        client.models.retrieve("gpt-4o")


def test_an_answer_is_the_one_that_a_comparison_measures(client: openai.OpenAI, loaded: Loaded) -> None:
    texts = [f"Question {n}: what is {n} and {n * n}?" for n in range(24)]
    questions = [Question(text, (system("Be brief."), user(text)), Path()) for text in texts]
    expected = {p.example_id: p for p in local_text.answer(loaded, questions, 16, None, lambda: False)}

    def one(text: str) -> None:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
        reply = ask(client, messages, max_tokens=16)
        prediction = expected[text]
        assert reply.choices[0].message.content.strip() == prediction.text
        assert reply.choices[0].finish_reason == ("length" if prediction.truncated else "stop")
        assert reply.usage.prompt_tokens == prediction.usage.input_tokens
        assert reply.usage.completion_tokens == prediction.usage.output_tokens

    with ThreadPoolExecutor(24) as pool:  # at once, so that they share batches
        list(pool.map(one, texts))


def test_a_stream_is_the_same_answer_in_pieces_with_the_usage_that_was_asked_for(client: openai.OpenAI) -> None:
    whole = ask(client)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert len(chunks) > 4
    assert all(chunk.usage is None for chunk in ask(client, stream=True))


def test_n_temperature_top_p_and_seed_are_honoured(client: openai.OpenAI) -> None:
    def said(**more: Any) -> list[str]:
        return [choice.message.content for choice in ask(client, **more).choices]

    assert len(set(said(n=3))) == 1, "greedy"
    hot = said(n=4, temperature=1.5, seed=7)
    assert len(set(hot)) == 4
    assert said(n=4, temperature=1.5, seed=7) == hot
    assert said(n=4, temperature=1.5, seed=8) != hot
    assert said(temperature=1.5, seed=1) != said()
    assert said(temperature=1.5, seed=1, top_p=1e-6) == said(), "only the likeliest token is left"
    reply = ask(client, n=3, temperature=1.0, seed=5)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert reply.usage.completion_tokens > reply.usage.prompt_tokens / 100
    streamed: dict[int, str] = {}
    for chunk in ask(client, n=3, temperature=1.0, seed=5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] = streamed.get(choice.index, "") + (choice.delta.content or "")
    assert streamed == {choice.index: choice.message.content for choice in reply.choices}


def test_a_stop_ends_the_answer_before_itself_in_streams_too(client: openai.OpenAI) -> None:
    whole = ask(client, temperature=1.0, seed=3, max_tokens=30).choices[0].message.content
    stop = whole[4:7]
    reply = ask(client, temperature=1.0, seed=3, max_tokens=30, stop=[stop, "never"])
    assert reply.choices[0].message.content == whole[: whole.index(stop)]
    assert reply.choices[0].finish_reason == "stop"
    chunks = ask(client, temperature=1.0, seed=3, max_tokens=30, stop=stop, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole[: whole.index(stop)]


def test_logprobs_are_those_of_the_tokens(client: openai.OpenAI, loaded: Loaded) -> None:
    reply = ask(client, logprobs=True, top_logprobs=3)
    found = reply.choices[0].logprobs.content
    assert len(found) == len(loaded.tokenizer(reply.choices[0].message.content)["input_ids"])
    for one in found:
        assert one.logprob <= 0 and len(one.top_logprobs) == 3
        assert one.top_logprobs[0].logprob == pytest.approx(one.logprob), "greedy: the likeliest was chosen"
    streamed = [
        one.logprob
        for chunk in ask(client, logprobs=True, stream=True)
        for choice in chunk.choices
        if choice.logprobs
        for one in choice.logprobs.content
    ]
    assert streamed == pytest.approx([one.logprob for one in found], abs=1e-4)


def test_answers_obey_a_schema_or_are_any_json_object(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["bill", "card"]}, "urgent": {"type": "boolean"}},
        "required": ["kind", "urgent"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    for seed in range(4):
        reply = ask(client, response_format=form, max_tokens=60, temperature=1.0, seed=seed)
        assert reply.choices[0].finish_reason == "stop"
        value = json.loads(reply.choices[0].message.content)
        assert value["kind"] in ("bill", "card") and isinstance(value["urgent"], bool)
    choice: Any = {"type": "choice", "choice": ["a bill", "a card"]}
    assert ask(client, extra_body={"response_format": choice}).choices[0].message.content in choice["choice"]
    reply = ask(client, response_format={"type": "json_object"}, max_tokens=40)
    assert isinstance(json.loads(reply.choices[0].message.content), dict), "closed at the limit"


REFUSED: list[tuple[Any, str]] = [
    (b"{", "not JSON"),
    (b"", "not JSON"),
    (b"[1]", "not a JSON object"),
    ({"model": "tiny"}, "no messages"),
    ({"messages": []}, "no messages"),
    ({"messages": "hello"}, "messages: Input should be a valid list"),
    ({"messages": ["hello"]}, "messages.0"),
    ({"messages": ASK, "model": "gpt-4o"}, "no model 'gpt-4o'; it serves 'tiny'"),
    ({"messages": ASK, "max_tokens": "5"}, "max_tokens"),
    ({"messages": ASK, "max_tokens": 0}, "max_tokens"),
    ({"messages": ASK, "max_tokens": 100_000}, "the model takes 512 in all"),
    ({"messages": [{"role": "user", "content": "x" * 2000}]}, "the model takes 512 in all"),
    ({"messages": ASK, "temperature": 3}, "temperature"),
    ({"messages": ASK, "top_p": 0}, "top_p"),
    ({"messages": ASK, "n": 0}, "n: "),
    ({"messages": ASK, "n": 99}, "n: "),
    ({"messages": ASK, "seed": 1.5}, "seed"),
    ({"messages": ASK, "stop": 5}, "stop"),
    ({"messages": ASK, "top_logprobs": 3}, "top_logprobs needs logprobs"),
    ({"messages": ASK, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"messages": ASK, "stream_options": {"include_usage": True}}, "needs stream"),
    ({"messages": ASK, "frequency_penalty": 0.5}, "does not do frequency_penalty"),
    ({"messages": ASK, "logit_bias": {"5": 1}}, "does not do logit_bias"),
    ({"messages": ASK, "modalities": ["audio"]}, "does not do modalities"),
    ({"messages": ASK, "best_of": 3}, "best_of"),
    ({"messages": ASK, "response_format": {"type": "xml"}}, "'xml' is not known"),
    ({"messages": ASK, "response_format": {"type": "json_schema"}}, "json_schema.schema"),
    ({"messages": ASK, "response_format": {"type": "choice", "choice": []}}, "no list `choice` of texts"),
    (
        {"messages": ASK, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "wrong"}}}},
        "cannot be enforced",
    ),
    ({"messages": ASK, "tools": [TOOL]}, "leaves out the tools"),
    ({"messages": ASK, "tools": [{"name": "x"}]}, "A tool is"),
    ({"messages": ASK, "tools": [TOOL], "tool_choice": "required"}, "tool_choice is auto or none"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user", "content": ""}]}, "an empty turn"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "part of type video"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}, "pictures"),
    ({"messages": [{"role": "user", "content": 5.5, "mood": "glad"}]}, "mood"),
    ({"messages": [*ASK, {"role": "assistant", "content": "Seven"}]}, "nothing to answer"),
]


@pytest.mark.parametrize(("body", "sentence"), REFUSED, ids=[one[1] for one in REFUSED])
def test_what_cannot_be_honoured_is_refused_with_a_sentence(body: Any, sentence: str, url: str) -> None:
    reply = post(url, body)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert sentence in error["message"]
    assert error["type"] == "invalid_request_error" and set(error) == {"message", "type", "param", "code"}


def test_settings_that_ask_for_nothing_are_taken(url: str) -> None:
    neutral: dict[str, Any] = {
        "n": 1,
        "frequency_penalty": 0,
        "logit_bias": {},
        "user": "me",
        "store": False,
        "logprobs": False,
    }
    more = {
        "tools": [],
        "modalities": ["text"],
        "metadata": {"a": "b"},
        "seed": None,
        "response_format": {"type": "text"},
    }
    tools = {"tools": [TOOL], "tool_choice": "none"}
    for extra in (neutral, more, tools):
        reply = post(url, {"messages": ASK, "max_tokens": 2, **extra})
        assert reply.status_code == 200, reply.text
        assert reply.json()["model"] == "tiny"


def test_other_routes_and_recordings_are_refused_in_openai_s_shape(url: str, client: openai.OpenAI) -> None:
    for path in ("/completions", "/embeddings", "/responses"):
        reply = httpx.post(f"{url}{path}", json={})
        assert reply.status_code == 404 and "is not offered" in reply.json()["error"]["message"]
    assert httpx.get(f"{url}/chat/completions").status_code == 405
    with pytest.raises(openai.BadRequestError, match="transcribes no recordings"):
        client.audio.transcriptions.create(model="tiny", file=("a.wav", b"x"))


def test_control_tokens_that_a_user_writes_stay_text(client: openai.OpenAI, loaded: Loaded) -> None:
    plain = ask(client, [{"role": "user", "content": "x"}], max_tokens=1).usage.prompt_tokens
    odd = ask(client, [{"role": "user", "content": "x<|im_end|>"}], max_tokens=1).usage.prompt_tokens
    assert odd == plain + len("<|im_end|>"), "letters, not the one token that would end the turn"


def test_an_answer_that_is_asked_for_later_joins_a_long_one_and_is_the_same_as_alone(loaded: Loaded) -> None:
    prompts = [list(range(5, 5 + length)) for length in (30, 9, 61)]
    limits = [60, 5, 8]

    def written(order: dict[int, list[int]]) -> tuple[dict[int, str], list[int]]:
        """The texts, and who ended when; `order`: after so many steps, which prompts come."""
        said, ended, steps = dict.fromkeys(range(3), ""), [], iter(range(1000))

        def row(number: int) -> Row:
            def give(piece: Piece) -> None:
                said[number] += piece.text
                ended.extend([number] if piece.finish else [])

            return Row(Wish(limits[number]), give)

        def join(live: int) -> list[tuple[list[int], Row]]:
            return [(prompts[number], row(number)) for number in order.get(next(steps), ())]

        first = order[-1]
        feed = padded([prompts[number] for number in first], 0, loaded.model.device)
        generate(loaded, feed, [row(number) for number in first], 1000, join)
        return said, ended

    alone = {number: written({-1: [number]})[0][number] for number in range(3)}
    for order in ({-1: [0], 3: [1, 2]}, {-1: [0], 1: [2], 4: [1]}, {-1: [0, 1], 2: [2]}):
        said, ended = written(order)
        assert said == alone and sorted(ended) == [0, 1, 2] and ended[-1] == 0


def test_a_batch_that_others_keep_joining_does_not_become_wider(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    ended: list[int] = []
    joined = generation._together

    def noted(*batches: Any) -> Any:
        whole = joined(*batches)
        widths.append(whole.mask.shape[1])
        return whole

    monkeypatch.setattr(generation, "_together", noted)
    waiting, steps = iter(range(1, 40)), count()

    def row(number: int) -> Row:
        return Row(Wish(6), lambda piece: ended.append(number) if piece.finish else None)

    def join(live: int) -> list[tuple[range, Row]]:
        comes = 0 if next(steps) % 4 else 1  # each writes six tokens: there is always one on its way
        return [(range(5, 14), row(number)) for number in islice(waiting, comes)]

    generate(loaded, padded([range(5, 14)], 0, loaded.model.device), [row(0)], 1000, join)
    assert sorted(ended) == list(range(40)) and len(widths) == 39
    assert max(widths) <= 9 + 6


def test_a_short_question_does_not_wait_for_the_long_answers_before_it(loaded: Loaded) -> None:
    ended: queue.Queue[str] = queue.Queue()

    def job(name: str, prompt: range, tokens: int) -> Job:
        row = Row(Wish(tokens), lambda piece: ended.put(name) if piece.finish else None)
        return Job((row,), lambda error: ended.put(str(error)), tuple(prompt))

    worker = Worker(loaded)
    worker.submit(job("long", range(5, 35), 60))
    worker.submit(job("short", range(5, 100), 4))
    assert [ended.get(timeout=60), ended.get(timeout=60)] == ["short", "long"]


def test_a_client_that_leaves_a_stream_frees_the_model(client: openai.OpenAI) -> None:
    stream = ask(client, stream=True, max_tokens=400, temperature=1.0)
    next(iter(stream))
    stream.close()
    began = time.monotonic()
    ask(client, max_tokens=1)
    assert time.monotonic() - began < 20


def test_tool_calls_are_read_where_the_template_knows_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_for_inference(str(tiny_llama(tmp_path / "m")))
    own.tokenizer.chat_template = TOOLS_TEMPLATE
    said = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>'
    monkeypatch.setattr(own.tokenizer, "decode", lambda ids, **more: said[: 10 * len(ids)])
    with served(own) as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        reply = ask(client, tools=[TOOL], max_tokens=8)
        (call,) = reply.choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
        assert reply.choices[0].message.content is None
        (delta,) = [c.choices[0].delta for c in ask(client, tools=[TOOL], stream=True) if c.choices[0].delta.tool_calls]
        assert delta.tool_calls[0].function.name == "weather"
        result = {"role": "tool", "tool_call_id": call.id, "content": "7 degrees"}
        turns = [*ASK, reply.choices[0].message.model_dump(exclude_none=True), result]
        assert ask(client, turns, tools=[TOOL], max_tokens=2).usage.prompt_tokens > 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", ParsedReply("Hello", ())),
        ('{"name": "add", "arguments": {"a": 1}}', ParsedReply("", (Call("add", '{"a": 1}'),))),
        ('{"name": "add", "parameters": {}}', ParsedReply("", (Call("add", "{}"),))),
        ('[TOOL_CALLS] [{"name": "add", "arguments": {}}, {"name": "sub", "arguments": {}}]',
         ParsedReply("", (Call("add", "{}"), Call("sub", "{}")))),
        ('I will.<tool_call>\n{"name": "add", "arguments": "{}"}\n</tool_call>',
         ParsedReply("I will.", (Call("add", "{}"),))),
        ('<tool_call>{"name": "other", "arguments": {}}</tool_call>',
         ParsedReply('<tool_call>{"name": "other", "arguments": {}}</tool_call>', ())),
        ("<tool_call>{broken</tool_call>", ParsedReply("<tool_call>{broken</tool_call>", ())),
        ('{"name": "add", "arguments": 5}', ParsedReply('{"name": "add", "arguments": 5}', ())),
        ('{"name": ["add"]}', ParsedReply('{"name": ["add"]}', ())),
    ],
)  # fmt: skip
def test_only_calls_of_offered_tools_are_calls(text: str, expected: ParsedReply) -> None:
    assert taken_apart(text, {"add", "sub"}) == expected


def picture() -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_a_vision_model_sees_pictures_and_refuses_addresses() -> None:
    with served(load_for_inference("starter-vision")) as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)

        def look(address: str, **more: Any) -> Any:
            parts = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": "List the shapes."}]
            return ask(client, [{"role": "user", "content": parts}], **more)

        seen = look(picture(), n=2)
        assert seen.usage.prompt_tokens > 16
        assert seen.choices[0].message.content == seen.choices[1].message.content != ""
        with pytest.raises(openai.BadRequestError, match="never fetched"):
            look("https://example.com/a.png")
        with pytest.raises(openai.BadRequestError, match=r"no base64|broken|readable"):
            look("data:image/png;base64,AAAA")


def test_a_speech_model_transcribes_and_says_where() -> None:
    import numpy as np
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).normal(0, 0.1, 32_000).astype("float32"), 16_000, format="WAV")
    with served(load_for_inference("starter-audio")) as url:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        heard = client.audio.transcriptions.create(model="tiny", file=("a.wav", buffer.getvalue()), language="en")
        assert isinstance(heard.text, str) and heard.usage.seconds == pytest.approx(2.0)  # type: ignore[union-attr]
        with pytest.raises(openai.BadRequestError, match="send them to /v1/audio/transcriptions"):
            ask(client)
        for more, sentence in (({"language": "no"}, "in English"), ({"prompt": "names"}, "prompt"),
                               ({"response_format": "srt"}, "json or text")):  # fmt: skip
            with pytest.raises(openai.BadRequestError, match=sentence):
                client.audio.transcriptions.create(model="tiny", file=("a.wav", buffer.getvalue()), **more)  # type: ignore[call-overload]
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(model="tiny", file=("a.wav", b"no sound"))
