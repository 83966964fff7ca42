"""POST /v1/audio/transcriptions of a served speech model, as comparisons transcribe: greedy, one recording whole."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from studio.serving.chat_request import BadRequest
from studio.serving.worker import Job, Worker
from synth.modality import modality

MAX_RECORDING_BYTES = 25 << 20
KNOWN = {"file", "model", "language", "prompt", "response_format", "temperature", "stream"}


async def transcribe(request: Request, worker: Worker, check_name: Callable[[str | None], None]) -> Response:
    """The transcript of the form's file. Raises BadRequest."""
    if modality(worker.loaded.info.ref.modality).asks:
        raise BadRequest("This model transcribes no recordings.", "file", "unsupported_model")
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_RECORDING_BYTES + (1 << 20):
        message = f"The form is larger than {MAX_RECORDING_BYTES >> 20} MiB, or does not say how large it is."
        raise BadRequest(message, "file", "request_too_large", 413)
    async with request.form(max_files=1, max_part_size=1 << 20) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadRequest("The form has no file.", "file", "missing_required_parameter")
        fields = {key: str(value) for key, value in form.multi_items() if key != "file"}
        data = await file.read(MAX_RECORDING_BYTES + 1)
        suffix = Path(file.filename or "").suffix.lower() or ".wav"
    _check(fields, data)
    check_name(fields.get("model"))
    found = await _transcribed(worker, data, suffix if suffix.strip(".").isalnum() else ".wav")
    if found.error:
        raise BadRequest(found.error, "file")
    if fields.get("response_format") == "text":
        return PlainTextResponse(f"{found.text}\n")
    usage = {"type": "duration", "seconds": found.usage.audio_sec}
    return JSONResponse({"text": found.text, "usage": usage})


def _check(fields: dict[str, str], data: bytes) -> None:
    if len(data) > MAX_RECORDING_BYTES:
        message = f"The recording is larger than {MAX_RECORDING_BYTES >> 20} MiB."
        raise BadRequest(message, "file", "request_too_large", 413)
    if unknown := sorted(set(fields) - KNOWN):
        raise BadRequest(f"This server does not do {', '.join(unknown)}.", unknown[0], "unsupported_parameter")
    if fields.get("response_format", "json") not in ("json", "text"):
        raise BadRequest("response_format is json or text here.", "response_format", "unsupported_parameter")
    for key, neutral in (("prompt", ("",)), ("temperature", ("0", "0.0")), ("stream", ("false", "False"))):
        if fields.get(key, neutral[0]) not in neutral:
            raise BadRequest(f"This server does not do {key}: leave it out.", key, "unsupported_parameter")
    if fields.get("language", "en") not in ("en", "english"):
        raise BadRequest("This model was tuned and is asked in English.", "language", "unsupported_parameter")


async def _transcribed(worker: Worker, data: bytes, suffix: str) -> Any:
    """The prediction of a comparison's runner for this recording."""
    from evaluate.predict import local_audio
    from evaluate.predict.prompts import Question
    from synth.example import AudioPart, user
    from synth.storage import sha256_bytes

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any) -> None:
        if answer.done():
            return
        if isinstance(value, Exception):
            answer.set_exception(value)
        else:
            answer.set_result(value)

    def decode() -> None:
        with tempfile.TemporaryDirectory(prefix="smolstudio-") as folder:
            name = f"recording{suffix}"
            (Path(folder) / name).write_bytes(data)
            asked = Question("served", (user(AudioPart(path=name, sha256=sha256_bytes(data))),), Path(folder))
            most = 1 << 16  # the model's class knows its own limit
            found = next(iter(local_audio.answer(worker.loaded, [asked], most, 1, lambda: False)))
        loop.call_soon_threadsafe(settle, found)

    def fail(error: Exception) -> None:
        loop.call_soon_threadsafe(settle, error)

    worker.submit(Job((), fail, call=decode))
    return await answer
