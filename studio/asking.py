"""One question to one model, for the playground: local models stay loaded, endpoints are asked over HTTP."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from evaluate.plan import SystemPlan
from evaluate.prompts import Question
from synth.errors import EndpointError
from synth.example import AudioPart, ImagePart, Message, user
from synth.storage import sha256_bytes
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.models import Loaded

MAX_NEW_TOKENS = 256
KEPT_MODELS = 4


class Facts(NamedTuple):
    """What an answer took; None where the system does not say."""

    seconds: float
    input_tokens: int | None
    output_tokens: int | None


@st.cache_resource(max_entries=KEPT_MODELS, show_spinner="Loading the model …")
def load(model: str, adapter: str | None, runs: str, changed: float) -> Loaded:
    """A local model, kept in memory. `changed` is the adapter's time, so that a new one is loaded anew."""
    from recipes.models import load_for_inference

    return load_for_inference(model, adapter, runs=Path(runs))


def local(workspace: Workspace, model: str, adapter: str | None) -> Loaded:
    """The loaded model of a base or of a run's adapter."""
    folder = workspace.runs / (adapter or "") / "adapter"
    return load(model, adapter, str(workspace.runs), folder.stat().st_mtime if adapter and folder.exists() else 0.0)


def question(text: str, folder: Path, media: bytes | None, kind: str) -> Question:
    """A question with an optional picture or recording, which is kept in `folder` under its hash."""
    parts: list[Any] = [text] if text else []
    if media:
        digest = sha256_bytes(media)
        suffix, part = (".png", ImagePart) if kind == "vision" else (".flac", AudioPart)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{digest}{suffix}").write_bytes(media)
        parts.insert(0, part(path=f"{digest}{suffix}", sha256=digest))
    message: Message = user(*parts)
    return Question("playground", (message,), folder)


def stream_local(loaded: Loaded, asked: Question) -> Iterator[str]:
    """The answer in pieces: token by token for text, whole for the other modalities."""
    if loaded.info.ref.modality == "text":
        from evaluate.stream import stream

        yield from stream(loaded, asked, MAX_NEW_TOKENS)
        return
    from evaluate.systems import RUNNERS

    runner: Any = importlib.import_module(RUNNERS[loaded.info.ref.modality])
    for prediction in runner.answer(loaded, [asked], MAX_NEW_TOKENS, 1, lambda: False):
        yield prediction.error or prediction.text


def count_tokens(loaded: Loaded, asked: Question, answer: str, seconds: float) -> Facts:
    """Token counts of a local text answer."""
    count = len(loaded.tokenizer(answer, add_special_tokens=False)["input_ids"])
    prompt = "".join(m.text for m in asked.messages)
    return Facts(seconds, len(loaded.tokenizer(prompt, add_special_tokens=False)["input_ids"]), count)


def ask_endpoint(workspace: Workspace, system: dict[str, Any], asked: Question) -> tuple[str, Facts]:
    """The reply of an endpoint. Raises EndpointError when there is none."""
    from evaluate.systems import Context, open_system

    plan = SystemPlan.model_validate({"id": "playground", **system})
    opened, started = open_system(plan, Context(workspace)), time.monotonic()
    try:
        prediction = next(iter(opened.answer([asked], lambda: False)))
    finally:
        opened.close()
    if prediction.error:
        raise EndpointError(prediction.error, "Check the endpoint in Settings.")
    usage = prediction.usage
    return prediction.text, Facts(time.monotonic() - started, usage.input_tokens, usage.output_tokens)
