"""An OpenAI-compatible server over real HTTP without any model: `smolstudio stub-endpoint`.

For tests and rehearsals. It answers /v1/chat/completions (also streamed; pictures and recordings accepted and
counted), /v1/models, /v1/audio/transcriptions, /v1/audio/speech and /health, deterministically, and says in every
answer what it is. It can be slow, and fail in every way that real providers do. Each request is logged, so that a
test can count what was paid. A repeated `Idempotency-Key` gets the answer that was made for it and is not billed again.
It does not judge, fetch web addresses, or keep API keys: the log says only whether one was sent.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from studio.serving.gate import Gate, names
from studio.serving.sockets import bind
from studio.stub.answers import NOTICE, AnswerBook, Bill, PromptCache, StubPrompt, draw, read_question, tone
from studio.stub.faults import FAULTS, HEADERS, REFUSAL, UNPAID, as_error, as_json, refuse, spoil
from studio.stub.teacher import teach
from synth.storage import Journal, sha256_bytes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

GRACE_SEC = 2
"""How long answers that are on their way may take when it is told to end."""


class StubSettings(BaseModel):
    """What the stub does. Shares are in [0, 1]; a draw depends on the request, its repeat number and `seed`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = ("stub-model",)
    answers: Path | None = Field(default=None, description="JSONL of known prompts and answers, or dataset rows")
    accuracy: float = Field(default=1.0, ge=0, le=1, description="share of known prompts that are answered correctly")
    skill: float | None = Field(
        default=None, ge=0, le=1, description="play a teacher for pipelines, right in this share of its answers"
    )
    latency_sec: float = Field(default=0.0, ge=0, description="wait before each answer")
    faults: dict[str, float] = Field(default_factory=dict, description="fault → share of requests")
    script: tuple[str, ...] = Field(default=(), description="faults of the first requests in order; 'ok' for none")
    retry_after_sec: float = Field(default=1.0, ge=0, description="Retry-After of a 429 or 503")
    drip_sec: float = Field(default=30.0, ge=0, description="how long the 'drip' fault stretches a body")
    max_concurrent: int | None = Field(default=None, ge=1, description="requests beyond this many at once get a 429")
    api_key: str | None = Field(default=None, repr=False, description="when set, another key gets a 401")
    log: Path | None = Field(default=None, description="JSONL, one line per request")
    seed: int = 0

    @field_validator("faults", "script")
    @classmethod
    def _known(cls, value: dict[str, float] | tuple[str, ...]) -> dict[str, float] | tuple[str, ...]:
        unknown = sorted(set(value) - {*FAULTS, "ok"})
        if unknown:
            raise ValueError(f"unknown faults {unknown}; known: {', '.join(FAULTS)}")
        if isinstance(value, dict) and (min(value.values(), default=0) < 0 or sum(value.values()) > 1):
            raise ValueError("the shares of the faults must be positive and sum to at most 1")
        return value


class Answer(NamedTuple):
    """What a request gets, and what it costs."""

    texts: list[str]
    bill: Bill = Bill(0, 0, 0)


class Stub:
    """The state of one running stub: answers, prompt cache, faults to come, and the log of requests."""

    def __init__(self, settings: StubSettings) -> None:
        self.settings = settings
        self.book = AnswerBook(settings.answers, settings.accuracy, settings.seed)
        self.cache = PromptCache()
        self.requests: list[dict[str, Any]] = []
        self._journal = Journal(settings.log, durable=False) if settings.log else None
        self._repeats: Counter[str] = Counter()
        self._script = list(settings.script)
        self._made: dict[str, tuple[str, Answer]] = {}  # idempotency key -> hash of the payload, its answer
        self._samples: dict[str, dict[str, int]] = {}  # hash of the payload -> idempotency keys in their order
        self.base_url = ""
        self.active = 0

    @property
    def paid(self) -> int:
        """How many requests a provider would bill."""
        return sum(bool(row["paid"]) for row in self.requests)

    def next_fault(self, payload: str) -> str:
        """The fault this request meets, or "ok". A repeat of the same payload draws anew."""
        self._repeats[payload] += 1
        if self._script:
            return self._script.pop(0)
        mark = draw(self.settings.seed, "fault", payload, self._repeats[payload])
        for name, share in self.settings.faults.items():
            mark -= share
            if mark < 0:
                return name
        return "ok"

    def record(self, request: Request, fault: str, started: float, **fields: Any) -> None:
        """Log one request; no key and no prompt is kept."""
        row = {
            "number": len(self.requests) + 1,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "path": request.url.path,
            "fault": fault,
            "paid": fault not in UNPAID and not fields.get("replayed"),
            "seconds": round(time.monotonic() - started, 4),
            "key_sent": "authorization" in request.headers,
            **fields,
        }
        self.requests.append(row)
        if self._journal:
            self._journal.append(row)

    def close(self) -> None:
        """Close the log."""
        if self._journal:
            self._journal.close()

    async def health(self, _: Request) -> Response:
        """GET /health."""
        return as_json({"status": "ok", "stub": True, "notice": NOTICE})

    async def models(self, _: Request) -> Response:
        """GET /v1/models."""
        names = self.settings.models
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "stub"} for name in names]
        return as_json({"object": "list", "data": data, "stub": True})

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        started = time.monotonic()
        raw = await request.body()
        try:
            body = json.loads(raw)
            question = read_question(body["messages"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self.record(request, "400", started)
            return as_error(400, f"The request is malformed: {error}")
        fault = await self._meet(request, raw)
        if fault in UNPAID:
            self.record(request, fault, started, model=body.get("model"))
            return refuse(fault, self.settings.retry_after_sec)
        variant = self._variant(request, raw) if body.get("temperature") else 0
        (texts, bill), replayed = self._once(request, raw, lambda: self._answer(body, question, fault, variant))
        self.record(request, fault, started, replayed=replayed, **_summary(body, question, bill))
        return _marked(self._reply(body, texts, bill, fault), replayed)

    def _variant(self, request: Request, payload: bytes) -> int:
        """Which sample of one question this is: with a temperature, another idempotency key gets another answer."""
        keys = self._samples.setdefault(sha256_bytes(payload), {})
        return keys.setdefault(request.headers.get("idempotency-key", ""), len(keys))

    def _answer(self, body: dict[str, Any], question: StubPrompt, fault: str, variant: int) -> Answer:
        count = max(1, int(body.get("n") or 1))
        texts = [self._say(question, body.get("response_format"), sample, variant) for sample in range(count)]
        if fault in ("refusal", "empty"):
            texts = [REFUSAL if fault == "refusal" else ""] * count
        if fault == "truncated":
            texts = [text[: len(text) // 2] for text in texts]
        return Answer(texts, self.cache.bill(question, texts))

    def _say(self, question: StubPrompt, response_format: Any, sample: int, variant: int) -> str:
        key = (sample, variant) if variant else sample
        skill = self.settings.skill
        taught = None if skill is None else teach(question.text, skill, self.settings.seed, key)
        return self.book.answer(question, response_format, key) if taught is None else taught

    def _once(self, request: Request, payload: bytes, make: Callable[[], Answer]) -> tuple[Answer, bool]:
        """The answer that `make` gives, or gave to this idempotency key before, and whether it did."""
        key = request.headers.get("idempotency-key", "")
        if key in self._made:
            return self._made[key][1], True
        answer = make()
        if key:
            self._made[key] = sha256_bytes(payload), answer
        return answer, False

    def _reply(self, body: dict[str, Any], texts: list[str], bill: Bill, fault: str) -> Response:
        if body.get("stream"):
            return _stream(body, texts, bill, fault)
        finish = {"refusal": "content_filter", "truncated": "length"}.get(fault, "stop")
        messages = [_message(text, fault) for text in texts]
        choices = [{"index": i, "message": m, "finish_reason": finish} for i, m in enumerate(messages)]
        reply = {
            **_envelope(body, "chat.completion"),
            "choices": [] if fault == "no-choices" else choices,
            "usage": None if fault == "null-usage" else bill.as_json(),
        }
        return spoil(json.dumps(reply).encode(), fault, self.settings.drip_sec)

    async def transcribe(self, request: Request) -> Response:
        """POST /v1/audio/transcriptions (multipart form with `file`)."""
        from starlette.datastructures import UploadFile
        from starlette.responses import PlainTextResponse

        started = time.monotonic()
        async with request.form(max_part_size=1 << 20) as form:
            file = form.get("file")
            audio = await file.read() if isinstance(file, UploadFile) else None
            model, kind = str(form.get("model", "")), str(form.get("response_format") or "json")
        if audio is None:
            self.record(request, "400", started)
            return as_error(400, "The form needs a file.")
        payload = f"{model} {sha256_bytes(audio)}".encode()
        fault = await self._meet(request, payload)
        if fault in UNPAID:
            self.record(request, fault, started, model=model)
            return refuse(fault, self.settings.retry_after_sec)
        (texts, _), replayed = self._once(request, payload, lambda: Answer([self.book.transcript(audio)]))
        self.record(request, fault, started, replayed=replayed, model=model, audio_bytes=len(audio))
        if kind == "text":
            return _marked(PlainTextResponse(texts[0], headers=HEADERS), replayed)
        body = json.dumps({"text": texts[0], "stub": True, "notice": NOTICE}).encode()
        return _marked(spoil(body, fault, self.settings.drip_sec), replayed)

    async def speak(self, request: Request) -> Response:
        """POST /v1/audio/speech: a beep whose length and pitch depend on the text."""
        started = time.monotonic()
        try:
            body = json.loads(await request.body())
            text, kind = str(body["input"]), str(body.get("response_format", "wav"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self.record(request, "400", started)
            return as_error(400, f"The request is malformed: {error}")
        if kind not in ("wav", "flac", "mp3", "pcm"):
            self.record(request, "400", started)
            return as_error(400, "response_format must be wav, flac, mp3 or pcm.")
        fault = await self._meet(request, json.dumps(body, sort_keys=True).encode())
        self.record(request, fault, started, model=body.get("model"), characters=len(text))
        if fault in UNPAID:
            return refuse(fault, self.settings.retry_after_sec)
        return spoil(tone(text, kind), fault, self.settings.drip_sec, f"audio/{kind}")

    async def _meet(self, request: Request, payload: bytes) -> str:
        """Check key and concurrency, wait the latency, and name the fault to show."""
        import anyio

        key = self.settings.api_key
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            return "401"
        limit = self.settings.max_concurrent
        if limit is not None and self.active >= limit:
            return "429"
        known = self._made.get(request.headers.get("idempotency-key", ""))
        if known is not None and known[0] != sha256_bytes(payload):
            return "422"
        fault = self.next_fault(payload.decode("utf-8", "replace"))
        self.active += 1
        try:
            await anyio.sleep(self.settings.latency_sec)
        finally:
            self.active -= 1
        return fault


def _marked(response: Response, replayed: bool) -> Response:
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _envelope(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": f"stub-{draw(json.dumps(body, sort_keys=True)):.12f}",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model") or "stub-model",
        "system_fingerprint": "smolstudio-stub",
        "stub": True,
        "notice": NOTICE,
    }


def _message(text: str, fault: str) -> dict[str, Any]:
    refused = fault == "refusal"
    return {"role": "assistant", "content": None if refused else text, "refusal": text if refused else None}


def _summary(body: dict[str, Any], question: StubPrompt, bill: Bill) -> dict[str, Any]:
    return {
        "model": body.get("model"),
        "stream": bool(body.get("stream")),
        "images": question.images,
        "audio_bytes": question.audio_bytes,
        "prompt_tokens": bill.prompt,
        "cached_tokens": bill.cached,
        "completion_tokens": bill.completion,
    }


def _stream(body: dict[str, Any], texts: list[str], bill: Bill, fault: str) -> Response:
    """Server-sent events; "reset" and "cut" break off after the first pieces."""
    from starlette.responses import StreamingResponse

    envelope = _envelope(body, "chat.completion.chunk")

    def event(**fields: Any) -> str:
        return f"data: {json.dumps({**envelope, **fields})}\n\n"

    def pieces() -> Iterator[str]:
        for index, text in enumerate(texts):
            words = text.split(" ")
            for number, word in enumerate(words):
                if fault in ("reset", "cut") and number >= len(words) // 2:
                    return
                delta = {"role": "assistant", "content": word if number == 0 else f" {word}"}
                yield event(choices=[{"index": index, "delta": delta, "finish_reason": None}])
            yield event(choices=[{"index": index, "delta": {}, "finish_reason": "stop"}])
        if (body.get("stream_options") or {}).get("include_usage") and fault != "null-usage":
            yield event(choices=[], usage=bill.as_json())
        yield "data: [DONE]\n\n"

    return StreamingResponse(pieces(), media_type="text/event-stream", headers=HEADERS)


def build_app(stub: Stub, host: str = "127.0.0.1") -> Gate:
    """The ASGI application of one stub that listens on `host`."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    routes = [
        Route("/health", stub.health),
        Route("/v1/models", stub.models),
        Route("/v1/chat/completions", stub.chat, methods=["POST"]),
        Route("/v1/audio/transcriptions", stub.transcribe, methods=["POST"]),
        Route("/v1/audio/speech", stub.speak, methods=["POST"]),
    ]
    return Gate(Starlette(routes=routes), names(host, ()))


def run(host: str = "127.0.0.1", port: int = 8399, settings: StubSettings | None = None) -> None:
    """Serve until interrupted. Raises EndpointError when the port is taken."""
    import uvicorn

    stub = Stub(settings or StubSettings())
    sock = bind(host, port)
    try:
        config = uvicorn.Config(
            build_app(stub, host), log_level="critical", lifespan="off", timeout_graceful_shutdown=GRACE_SEC
        )
        uvicorn.Server(config).run(sockets=[sock])
    finally:
        stub.close()


@contextlib.contextmanager
def serve_in_thread(settings: StubSettings | None = None) -> Iterator[Stub]:
    """A stub on a free local port while the block runs; `.base_url` ends in /v1, `.requests` is its log."""
    import uvicorn

    stub = Stub(settings or StubSettings())
    sock = bind("127.0.0.1", 0)
    stub.base_url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
    server = uvicorn.Server(uvicorn.Config(build_app(stub), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield stub
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=5)
        sock.close()
        stub.close()
