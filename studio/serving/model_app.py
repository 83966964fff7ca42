"""The routes of a served model: /v1/chat/completions, /v1/models, /v1/audio/transcriptions and /health.

Requests are read in `chat_request`, answered in `worker` and `generation`; here prompts are made, and answers put into
OpenAI's shape. Prompts are those of training and comparisons, token by token.
"""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from recipes.decode.constrained import Grammar
from recipes.decode.decoder import end_ids
from recipes.text import chat
from studio.serving.chat_request import BadRequest, ChatRequest, read_messages, read_request
from studio.serving.generation import Piece, Row, TokenChance, Wish
from studio.serving.tool_calls import ParsedReply, taken_apart
from studio.serving.transcription import transcribe
from studio.serving.worker import Full, Job, Worker
from synth.errors import UserError
from synth.example import Message
from synth.modality import modality
from synth.storage import JsonDict

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

MAX_BODY_BYTES = 32 << 20
DEFAULT_TOKENS = 1024
LOOK_SEC = 1.0


class Prompt(NamedTuple):
    """What is asked: tokens, or model inputs where there are pictures too."""

    tokens: tuple[int, ...]
    feed: dict[str, Any] | None = None


class Answering:
    """One request that is being answered. Its pieces come as (choice, piece)."""

    def __init__(self, request: ChatRequest, prompt: Prompt, model: str) -> None:
        self.request, self.prompt, self.model = request, prompt, model
        self.id = f"chatcmpl-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.wanted = True
        self.tokens = 0
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[tuple[int, Piece] | Exception] = asyncio.Queue()

    def job(self, wish: Wish) -> Job:
        """The work: one row for each choice, each with a seed of its own."""
        rows = [
            Row(wish._replace(seed=wish.seed + index), functools.partial(self._give, index), lambda: self.wanted)
            for index in range(self.request.n or 1)
        ]
        tokens = () if self.prompt.feed else self.prompt.tokens
        return Job(tuple(rows), self._put, tokens, self.prompt.feed)

    def _give(self, index: int, piece: Piece) -> None:
        self._put((index, piece))

    def _put(self, item: tuple[int, Piece] | Exception) -> None:
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, item)

    async def pieces(self, gone: Callable[[], Any]) -> AsyncIterator[tuple[int, Piece]]:
        """Every piece of every choice, until all have finished. Raises BadRequest when the model fails."""
        left = self.request.n or 1
        try:
            while left:
                try:
                    item = await asyncio.wait_for(self._pieces.get(), LOOK_SEC)
                except TimeoutError:
                    if await gone():
                        return
                    continue
                if isinstance(item, Exception):
                    raise BadRequest(f"The model failed: {type(item).__name__}.", code="model_failed", status=500)
                left -= bool(item[1].finish)
                self.tokens += item[1].tokens
                yield item
        finally:
            self.wanted = False

    def envelope(self, kind: str) -> JsonDict:
        """What every answer begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def usage(self) -> JsonDict:
        """Tokens of the prompt and of all choices."""
        asked = len(self.prompt.tokens)
        return {"prompt_tokens": asked, "completion_tokens": self.tokens, "total_tokens": asked + self.tokens}


class ModelApp:
    """A loaded model behind HTTP. `called` are its names for clients, the first the usual one."""

    def __init__(self, loaded: Loaded, called: tuple[str, ...]) -> None:
        self.loaded, self.called = loaded, called
        self.modality = modality(loaded.info.ref.modality)
        self.worker = Worker(loaded)
        self._grammars: dict[str, Grammar] = {}

    def routes(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/health", self._health),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._model),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/audio/transcriptions", self._transcribe, methods=["POST"]),
        ]
        handlers: Any = {BadRequest: _refused, HTTPException: _no_route, Full: _full}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def _card(self, name: str) -> JsonDict:
        return {"id": name, "object": "model", "created": 0, "owned_by": "smolstudio"}

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._card(name) for name in self.called]})

    async def _model(self, request: Request) -> Response:
        self._check_name(request.path_params["name"])
        return JSONResponse(self._card(request.path_params["name"]))

    def _check_name(self, name: str | None) -> None:
        if name is not None and name not in self.called:
            message = f"This server has no model {name[:100]!r}; it serves {self.called[0]!r}."
            raise BadRequest(message, "model", "model_not_found")

    async def _transcribe(self, request: Request) -> Response:
        return await transcribe(request, self.worker, self._check_name)

    async def _chat(self, request: Request) -> Response:
        asked = read_request(await read_body(request))
        self._check_name(asked.model)
        if not self.modality.asks:
            message = "This model transcribes recordings: send them to /v1/audio/transcriptions."
            raise BadRequest(message, "messages", "unsupported_model")
        prompt = await run_in_threadpool(self._prompt, asked)
        wish = self._wish(asked, len(prompt.tokens))
        answering = Answering(asked, prompt, asked.model or self.called[0])
        self.worker.submit(answering.job(wish))
        if asked.stream:
            return _Stream(answering, self._events(answering, request.is_disconnected))
        return await self._whole(answering, request)

    def _prompt(self, asked: ChatRequest) -> Prompt:
        with tempfile.TemporaryDirectory(prefix="smolstudio-") as folder:
            return self.prompt_of(asked, read_messages(asked, self.modality.key, Path(folder)), Path(folder))

    def prompt_of(self, asked: ChatRequest, messages: tuple[Message, ...], folder: Path) -> Prompt:
        """The prompt of these turns, whose media lie in `folder`. Raises BadRequest."""
        try:
            if self.modality.part is not None:
                return self._picture_prompt(asked, messages, folder)
            tokenizer = self.loaded.tokenizer
            turns = [chat.message_dict(message, tokenizer) for message in messages]
            text = chat.checked_prompt(turns, tokenizer, asked.offered_tools)
            return Prompt(tuple(chat.tokenise(text, tokenizer).ids))
        except UserError as fault:
            raise BadRequest(str(fault), "messages", fault.code) from fault

    def _picture_prompt(self, asked: ChatRequest, messages: Any, folder: Path) -> Prompt:
        from evaluate.predict.local_vision import first_inputs
        from evaluate.predict.prompts import Question
        from recipes.vision import vision_rows

        if asked.offered_tools:
            raise BadRequest("Tools are not offered to models that read pictures.", "tools", "unsupported_parameter")
        text = vision_rows.prompt_text(vision_rows.chat(messages), self.loaded.processor)
        chat.check_whole([chat.message_dict(message) for message in messages], text)
        feed = first_inputs(self.loaded, Question("served", messages, folder))
        return Prompt(tuple(feed["input_ids"][0].tolist()), feed)

    def _wish(self, asked: ChatRequest, length: int) -> Wish:
        room = self.worker.limit - length
        if room < 1 or (asked.limit or 0) > room:
            wanted = f" and max_tokens asks for {asked.limit}" if room > 0 else ""
            message = f"The prompt has {length} tokens{wanted}; the model takes {self.worker.limit} in all."
            raise BadRequest(message, "messages" if room < 1 else "max_tokens", "context_length_exceeded")
        seed = asked.seed if asked.seed is not None else secrets.randbits(62)
        return Wish(
            asked.limit or min(room, DEFAULT_TOKENS),
            asked.temperature or 0.0,
            asked.top_p or 1.0,
            seed,
            asked.stops,
            self._grammar(asked),
            (asked.top_logprobs or 0) if asked.logprobs else None,
        )

    def _grammar(self, asked: ChatRequest) -> Grammar | None:
        schema = asked.schema_()
        if schema is None:
            return None
        key = json.dumps(schema, sort_keys=True)
        try:
            if key not in self._grammars:
                if len(self._grammars) >= 64:
                    self._grammars.clear()
                self._grammars[key] = Grammar.of(self.loaded, schema, end_ids(self.loaded))
        except UserError as fault:
            raise BadRequest(str(fault), "response_format", fault.code) from fault
        except ModuleNotFoundError:
            message = "response_format needs llguidance, which this installation lacks: pip install llguidance."
            raise BadRequest(message, "response_format", "not_installed") from None
        return self._grammars[key]

    async def _whole(self, answering: Answering, request: Request) -> Response:
        texts: dict[int, str] = {}
        chances: dict[int, list[TokenChance]] = {}
        finishes: dict[int, str] = {}
        async for index, piece in answering.pieces(request.is_disconnected):
            texts[index] = texts.get(index, "") + piece.text
            chances.setdefault(index, []).extend(piece.chances)
            finishes[index] = piece.finish
        choices = []
        for index in sorted(texts):
            message, finish = self._message(answering.request, texts[index], finishes[index])
            choice: JsonDict = {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
            if answering.request.logprobs:
                choice["logprobs"] = self._logprobs(chances[index])
            choices.append(choice)
        body = {**answering.envelope("chat.completion"), "choices": choices, "usage": answering.usage()}
        return JSONResponse(body)

    def _parsed(self, asked: ChatRequest, text: str) -> ParsedReply:
        said = taken_apart(text, {tool["function"]["name"] for tool in asked.offered_tools})
        return said._replace(calls=said.calls[:1]) if asked.parallel_tool_calls is False else said

    def _message(self, asked: ChatRequest, text: str, finish: str) -> tuple[JsonDict, str]:
        said = self._parsed(asked, text) if asked.offered_tools else ParsedReply(text, ())
        message: JsonDict = {"role": "assistant", "content": said.text, "refusal": None}
        if said.calls:
            message |= {"content": said.text or None, "tool_calls": _calls(said)}
            finish = "tool_calls" if finish == "stop" else finish
        return message, finish

    def _logprobs(self, chances: list[TokenChance] | tuple[TokenChance, ...]) -> JsonDict:
        return {"content": [self._chance(one) for one in chances], "refusal": None}

    def _chance(self, one: TokenChance) -> JsonDict:
        top = [self._token(token, logprob) for token, logprob in one.top]
        return {**self._token(one.token, one.logprob), "top_logprobs": top}

    def _token(self, token: int, logprob: float) -> JsonDict:
        text = self.loaded.tokenizer.decode([token])
        known = None if "\ufffd" in text else list(text.encode())
        return {"token": text, "bytes": known, "logprob": max(logprob, -9999.0)}

    async def _events(self, answering: Answering, gone: Callable[[], Any]) -> AsyncIterator[str]:
        asked = answering.request
        envelope = answering.envelope("chat.completion.chunk")
        shows_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        if shows_usage:
            envelope["usage"] = None

        def event(index: int, delta: JsonDict, finish: str | None = None, logprobs: JsonDict | None = None) -> str:
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            return f"data: {json.dumps({**envelope, 'choices': [choice]})}\n\n"

        for index in range(asked.n or 1):
            yield event(index, {"role": "assistant", "content": ""})
        held: dict[int, str] = {}
        try:
            async for index, piece in answering.pieces(gone):
                delta: JsonDict = {"content": piece.text} if piece.text else {}
                finish = piece.finish or None
                if asked.offered_tools:  # whether it is a call is known at its end
                    held[index] = held.get(index, "") + piece.text
                    delta = {}
                    if finish:
                        message, finish = self._message(asked, held[index], finish)
                        delta = {key: message[key] for key in ("content", "tool_calls") if message.get(key)}
                logprobs = self._logprobs(piece.chances) if asked.logprobs and piece.chances else None
                if delta or logprobs:
                    yield event(index, delta, None, logprobs)
                if finish:
                    yield event(index, {}, finish)
        except BadRequest as fault:
            yield f"data: {json.dumps(fault.body())}\n\n"
            return
        if shows_usage:
            yield f"data: {json.dumps({**envelope, 'choices': [], 'usage': answering.usage()})}\n\n"
        yield "data: [DONE]\n\n"


class _Stream(StreamingResponse):
    """Events of an answer, which is no longer wanted when the client is gone."""

    def __init__(self, answering: Answering, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
        self._answering = answering

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answering.wanted = False


def _calls(said: ParsedReply) -> list[JsonDict]:
    return [
        {"index": place, "id": f"call_{secrets.token_hex(8)}", "type": "function", "function": call._asdict()}
        for place, call in enumerate(said.calls)
    ]


async def read_body(request: Request) -> bytes:
    """The body of a request. Raises BadRequest for one that is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            message = f"The request is larger than {MAX_BODY_BYTES >> 20} MiB."
            raise BadRequest(message, code="request_too_large", status=413)
    return bytes(body)


async def _refused(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, BadRequest)
    return JSONResponse(fault.body(), fault.status)


async def _full(_: Request, fault: Exception) -> Response:
    error = BadRequest("Too many requests wait already.", code="overloaded", status=503)
    return JSONResponse(error.body(), 503, headers={"Retry-After": "1"})


async def _no_route(request: Request, fault: Exception) -> Response:
    status = getattr(fault, "status_code", 404)
    message = f"{request.method} {request.url.path[:200]} is not offered: /v1/chat/completions and /v1/models are."
    return JSONResponse(BadRequest(message, code="not_found", status=status).body(), status)
