"""The routes of a served cascade: those of a served model, whose chat answers may be the large model's, and /metrics.

The small model answers first. Where its confidence is below the threshold, or the prompt is too long for it, the
endpoint is asked as the comparison asked it. A response says whose answer it is: header `x-smolstudio-answered-by`,
and `smolstudio` in the body. A stream comes in one piece, because whose answer it is shows at its end. What a forecast
does not cover (sampling, tools, several choices, log-probabilities) is refused.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evaluate.predict.prompts import Framing
from recipes.decode.answer_schema import has_working
from studio.serving.cascade.counts import CONTENT_TYPE, Counts
from studio.serving.cascade.journal import Kept, Kinds
from studio.serving.cascade.large import Large, Unavailable
from studio.serving.cascade.settings import Cascade
from studio.serving.chat_request import BadRequest, ChatRequest, read_messages, read_request
from studio.serving.model_app import Answering, ModelApp, read_body
from synth.endpoint import Ask, Reply
from synth.errors import StorageError
from synth.example import Message
from synth.storage import JsonDict

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

ANSWERED_BY = "x-smolstudio-answered-by"
TOO_LONG = "context_length_exceeded"


class Small(NamedTuple):
    """The small model's answer; `fault` where its prompt was too long for it."""

    text: str = ""
    finish: str = "stop"
    confidence: float | None = None
    seconds: float = 0.0
    usage: JsonDict = {}
    fault: BadRequest | None = None


class Answer(NamedTuple):
    """What the client gets; `why_not` says why an unsure answer is the small model's all the same."""

    text: str
    finish: str
    small: Small
    large: Reply | None
    why_not: str = ""

    @property
    def who(self) -> Kinds:
        return "large" if self.large is not None else "small"


class CascadeApp(ModelApp):
    """A loaded model and the endpoint behind it."""

    def __init__(self, loaded: Loaded, called: tuple[str, ...], cascade: Cascade) -> None:
        super().__init__(loaded, called)
        self._cascade = cascade
        self._kept = Kept(Path(cascade.journal), Path(cascade.workspace))
        spent = self._kept.spent_usd()
        self._large = Large(cascade, spent)
        self._counts = Counts(cascade, spent)
        self._pool = ThreadPoolExecutor(cascade.large.concurrency, "large")

    def routes(self) -> Starlette:
        app = super().routes()
        app.router.routes.append(Route("/metrics", self._metrics))
        return app

    def close(self) -> None:
        """End the journal and the connections."""
        self._large.close()
        self._kept.close()

    async def _metrics(self, _: Request) -> Response:
        spent = self._large.spent_usd if self._large.priced else None
        return Response(self._counts.text(spent), headers={"content-type": CONTENT_TYPE})

    async def _chat(self, request: Request) -> Response:
        raw = await read_body(request)
        asked = read_request(raw)
        self._check_name(asked.model)
        _refuse_what_no_forecast_covers(asked)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="smolstudio-") as folder:
            own = await run_in_threadpool(read_messages, asked, self.modality.key, Path(folder))
            small = await self._ask_small(asked, own, Path(folder), request)
            answer = await self._decide(asked, own, Path(folder), small)
        body = self._body(asked, answer)
        await run_in_threadpool(self._keep, json.loads(raw), body, answer, request, time.monotonic() - began)
        self._counts.answered(answer.who, handed_on=bool(answer.large or answer.why_not))
        headers = {ANSWERED_BY: answer.who}
        if asked.stream:
            return StreamingResponse(_events(asked, body), media_type="text/event-stream", headers=headers)
        return JSONResponse(body, headers=headers)

    async def _ask_small(self, asked: ChatRequest, own: tuple[Message, ...], folder: Path, request: Request) -> Small:
        framing = _held(self._cascade.small_framing, asked)
        began = time.monotonic()
        prompt = await run_in_threadpool(self.prompt_of, asked, framing.around(own), folder)
        room, limit = self.worker.limit - len(prompt.tokens), asked.limit or self._cascade.small_max_tokens
        limit = limit and max(1, min(limit, room))  # the large model may write more than fits here
        given = {"response_format": framing.form, "max_completion_tokens": limit, "max_tokens": None}
        asked = asked.model_copy(update=given)
        try:
            wish = self._wish(asked, len(prompt.tokens))
        except BadRequest as fault:
            if fault.code != TOO_LONG:
                raise
            return Small(fault=fault)
        answering = Answering(asked, prompt, self.called[0])
        self.worker.submit(answering.job(wish))
        text, finish, confidence = "", "", 0.0
        async for _, piece in answering.pieces(request.is_disconnected):
            text, finish, confidence = text + piece.text, piece.finish, piece.confidence
        if not finish:
            raise BadRequest("The client went away.", code="client_gone", status=499)
        seconds = time.monotonic() - began
        self._counts.small(seconds)
        return Small(framing.reply(text), finish, confidence, seconds, answering.usage())

    async def _decide(self, asked: ChatRequest, own: tuple[Message, ...], folder: Path, small: Small) -> Answer:
        if small.confidence is not None and small.confidence >= self._cascade.threshold:
            return Answer(small.text, small.finish, small, None)
        try:
            reply = await self._ask_large(asked, own, folder)
        except Unavailable as why:
            self._counts.unavailable(why.reason)
            if small.fault is not None:
                raise small.fault from why
            if self._cascade.if_large_fails == "refuse":
                message = f"The answer is unsure, and the large model does not answer: {why}"
                raise BadRequest(message, code="large_unavailable", status=503) from why
            return Answer(small.text, small.finish, small, None, str(why))
        self._counts.large(reply.seconds, self._large.usd(reply.usage))
        return Answer(reply.text, reply.finish_reason or "stop", small, reply)

    async def _ask_large(self, asked: ChatRequest, own: tuple[Message, ...], folder: Path) -> Reply:
        side = self._cascade.large
        framing = _held(side.framing, asked)
        instruction = self._cascade.small_framing.instruction
        if instruction and framing.instruction:  # a client's words to the small model are not for the large
            own = tuple(m for m in own if m.role != "system" or m.text != instruction)
        limit = asked.limit or side.max_tokens
        ask = Ask(framing.around(own), limit, side.temperature, framing.form, media_root=folder)
        reply = await asyncio.get_running_loop().run_in_executor(self._pool, self._large.ask, ask)
        return reply._replace(text=framing.reply(reply.text, bare=_sorts(framing)))

    def _body(self, asked: ChatRequest, answer: Answer) -> JsonDict:
        large = answer.large
        usage = answer.small.usage
        if large is not None:
            counts = large.usage.input_tokens or 0, large.usage.output_tokens or 0
            usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)}
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        facts: JsonDict = {
            "answered_by": answer.who,
            "confidence": answer.small.confidence,
            "threshold": self._cascade.threshold,
        }
        if answer.why_not:
            facts["large_failed"] = answer.why_not
        return {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": (large.model or self._cascade.large.model) if large is not None else asked.model or self.called[0],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}],
            "usage": usage,
            "smolstudio": facts,
        }

    def _keep(self, asked: JsonDict, body: JsonDict, answer: Answer, request: Request, seconds: float) -> None:
        usd = self._large.usd(answer.large.usage) if answer.large is not None else None
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        try:
            self._kept.write(
                {**asked, "model": body["model"]},
                {key: value for key, value in body.items() if key != "smolstudio"},
                answer.who,
                body["smolstudio"],
                seconds=seconds,
                headers=headers,
                usd=usd,
                spent_usd=self._large.spent_usd if self._large.priced else None,
            )
        except StorageError as error:  # the answer is the client's all the same
            self._counts.unwritten()
            print(f"Not recorded: {error}", file=sys.stderr)


def _held(framing: Framing, asked: ChatRequest) -> Framing:
    """The framing, with the client's own schema in place of the comparison's where it gives one."""
    if asked.response_format is None:
        return framing
    return framing.model_copy(update={"shown": None, "form": asked.response_format})


def _sorts(framing: Framing) -> bool:
    """Whether the schema's answer is one of a closed set, which a tuned model gives without more words."""
    schema = (framing.form or {}).get("json_schema", {}).get("schema", {})
    return has_working(schema) and "enum" in schema["properties"]["answer"]


def _refuse_what_no_forecast_covers(asked: ChatRequest) -> None:
    """Raise BadRequest for what changes an answer or its confidence, or cannot be had of both models."""
    asked.schema_()
    for key, given, instead in (
        ("temperature", bool(asked.temperature), "answers are the likeliest ones, on which the threshold was chosen"),
        ("n", (asked.n or 1) > 1, "there is one answer"),
        ("logprobs", bool(asked.logprobs), "`smolstudio.confidence` of the response says how sure the model was"),
        ("tools", bool(asked.offered_tools), "the two models would be offered them in different ways"),
        ("response_format", (asked.response_format or {}).get("type") == "choice", "endpoints know no choice of texts"),
        ("stop", bool(asked.stops), "answers end where the model ends them"),
    ):
        if given:
            raise BadRequest(f"A cascade does not do {key}: {instead}. Leave it out.", key, "unsupported_parameter")


def _events(asked: ChatRequest, body: JsonDict) -> Iterator[str]:
    """The whole answer as a stream of one piece."""
    shows_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    head = {key: body[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = body["choices"][0]

    def event(delta: JsonDict, finish: str | None = None, **more: Any) -> str:
        one = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if shows_usage else {}
        return f"data: {json.dumps({**head, 'choices': [one], **usage, **more})}\n\n"

    yield event({"role": "assistant", "content": choice["message"]["content"]})
    yield event({}, choice["finish_reason"], smolstudio=body["smolstudio"])
    if shows_usage:
        yield f"data: {json.dumps({**head, 'choices': [], 'usage': body['usage']})}\n\n"
    yield "data: [DONE]\n\n"
