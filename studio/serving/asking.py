"""One question to one model, for the playground: local models stay loaded, endpoints are asked over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from evaluate.plan import Machine, SystemPlan
from evaluate.predict.prompts import Question
from recipes.models.files import starters
from recipes.recipe.schema import load_recipe
from synth.dataset import open_dataset
from synth.endpoint import Ask, Endpoint, Piece, Settings
from synth.errors import DataError, EndpointError
from synth.example import AudioPart, Message, Part, system, user
from synth.modality import Modality
from synth.storage import JsonDict, sha256_bytes
from synth.usage import Usage
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

MAX_NEW_TOKENS = 384
KEPT_MODELS = 4
SCHEMA_ROWS = 1000  # train rows whose answers say which keys and kinds there are


class AnswerFacts(NamedTuple):
    """What an answer took. `first_sec` is the time until its first piece; usd is None when it is unpriced."""

    seconds: float
    first_sec: float
    usage: Usage
    usd: float | None
    basis: str


@st.cache_resource(max_entries=KEPT_MODELS, show_spinner="Loading the model …")
def load(model: str, adapter: str | None, runs: str, changed: float) -> Loaded:
    """A local model, kept in memory. `changed` is the adapter's time, so that a new one is loaded anew."""
    from recipes.models.loading import load_for_inference

    return load_for_inference(model, adapter, runs=Path(runs))


def local(workspace: Workspace, model: str, adapter: str | None) -> Loaded:
    """The loaded model of a base or of a run's adapter."""
    folder = workspace.runs / (adapter or "") / "adapter"
    return load(model, adapter, str(workspace.runs), folder.stat().st_mtime if adapter and folder.exists() else 0.0)


def question(text: str, folder: Path, media: bytes | None, kind: Modality) -> Question:
    """A question with an optional picture or recording, which is kept in `folder` under its hash."""
    parts: list[str | Part] = [text] if text else []
    if media and kind.part:
        digest = sha256_bytes(media)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{digest}{kind.suffix}").write_bytes(media)
        parts.insert(0, kind.part(path=f"{digest}{kind.suffix}", sha256=digest))
    message: Message = user(*parts)
    return Question("playground", (message,), folder)


def with_task(workspace: Workspace, offer: dict[str, Any], asked: Question, dataset: str) -> Question:
    """The question with the task in words before it, as a comparison on `dataset` would ask this system.

    A tuned model is told the task of its own data, if it was tuned with it, and held to the schema of its answers where
    these are records; an embedded starter is told nothing.
    """
    if offer.get("adapter"):
        data = load_recipe(workspace.runs / offer["adapter"] / "recipe.yaml").data
        asked = asked._replace(response_format=_form(workspace, data.dataset))
        dataset = data.dataset if data.task else ""
    elif not dataset or (offer.get("kind") != "endpoint" and offer["model"] in starters()):
        return asked
    said = open_dataset(dataset, workspace.datasets).task.in_words() if dataset else ""
    return asked._replace(messages=(system(said), *asked.messages)) if said else asked


def _form(workspace: Workspace, dataset: str) -> JsonDict | None:
    """The schema of a dataset's answers, or its labels; None where they are neither, or the dataset is gone."""
    from recipes.decode.answer_schema import bare_labels, record_schema, response_format

    try:
        rows = open_dataset(dataset, workspace.datasets).draw("train", SCHEMA_ROWS, seed=0)
    except DataError:
        return None
    schema = record_schema(rows, bounded=True) or bare_labels(rows)
    return response_format(schema) if schema else None


def answer(workspace: Workspace, offer: dict[str, Any], asked: Question) -> Iterator[str | AnswerFacts]:
    """Pieces of the answer of an offered system as they come, and last what it took. Raises UserError.

    Text and vision models, and endpoints that chat, give theirs token by token; speech comes whole.
    """
    limit = {} if offer.get("kind") == "endpoint" else {"max_new_tokens": MAX_NEW_TOKENS}  # endpoints may reason first
    plan = SystemPlan.model_validate({"id": "playground", **limit, **offer})
    loaded = local(workspace, plan.model, plan.adapter) if plan.kind == "local" else None
    began, first = time.monotonic(), None
    usage = Usage()
    for piece in _local_pieces(loaded, asked) if loaded else _endpoint_pieces(workspace, plan, asked):
        first = first or time.monotonic()
        usage = piece.usage or usage
        yield piece.text
    ended = time.monotonic()
    yield AnswerFacts(ended - began, (first or ended) - began, usage, *cost_of(workspace, plan, usage, ended - began))


def _local_pieces(loaded: Loaded, asked: Question) -> Iterator[Piece]:
    from evaluate.predict.stream import stream

    yield from stream(loaded, asked, MAX_NEW_TOKENS)


def _endpoint_pieces(workspace: Workspace, plan: SystemPlan, asked: Question) -> Iterator[Piece]:
    from evaluate.predict.systems import DEFAULT_URL, Context, open_system

    if any(isinstance(part, AudioPart) for message in asked.messages for part in message.content):
        system = open_system(plan, Context(workspace))
        try:
            prediction = next(iter(system.answer([asked], lambda: False)))
        finally:
            system.close()
        if prediction.error:
            raise EndpointError(prediction.error, "Check the endpoint in Settings.")
        yield Piece(prediction.text, prediction.usage)
        return
    settings = Settings(plan.base_url or DEFAULT_URL, plan.model, plan.api_key_env, 1)
    with Endpoint(settings) as endpoint:
        ask = Ask(asked.messages, plan.token_limit, plan.temperature, media_root=asked.media_root)
        yield from endpoint.stream(ask)


def cost_of(workspace: Workspace, plan: SystemPlan, usage: Usage, seconds: float) -> tuple[float | None, str]:
    """USD of one answer and how that is reckoned: an endpoint's bill, or this machine's time for it alone."""
    if plan.kind == "endpoint":
        from evaluate.cost import formulas, prices

        sheet = prices.load(workspace=workspace.path)
        bill = formulas.bill(usage, plan.price_model or plan.model, sheet)
        return bill.usd, "its tokens at the prices in Settings" if bill.usd is not None else ", ".join(bill.missing)
    usd, basis = machine_cost(workspace, seconds)
    return usd, f"{basis}, this answer alone"


def machine_cost(workspace: Workspace, seconds: float) -> tuple[float | None, str]:
    """USD of this machine's time, and the price by which that is reckoned."""
    from evaluate.cost import economics, formulas, prices

    machine = Machine()
    hourly = economics.machine_price(machine, prices.load(workspace=workspace.path))
    return formulas.machine_time(seconds, hourly), f"{hourly or 0:g} USD per hour of {machine.name}"
