"""What a cascade is made of: threshold, both sides as they are asked, money, journal; from `--cascade key=value`.

    --cascade from=COMPARISON                                    everything as a finished comparison measured it
    --cascade large=ENDPOINT --cascade threshold=0.8             an endpoint of Settings, or an address with model=…

Written to a file that the server reads; keys of endpoints are named in it, never held. Asks nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluate.cascade import Estimate, Forecast, Side, Sides, forecast, sides
from evaluate.predict.prompts import Framing
from evaluate.predict.systems import url_of
from evaluate.report.reading import read_report
from studio.serving.servable import Parts, parts_of
from studio.state.endpoints import load_endpoints
from synth.errors import ModelError, RecipeError, did_you_mean
from synth.modality import modality
from synth.storage import atomic_write_text, read_json, sha256_bytes
from synth.strict import validated
from synth.workspace import Workspace

FOLDER = "cascades"
RECORDINGS = "recordings"


class Options(BaseModel):
    """What `--cascade key=value` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    from_: str = Field(default="", alias="from", description="finished comparison: threshold, prompts and forecast")
    large: str = Field(default="", description="name of an endpoint of Settings, or an address that ends in /v1")
    model: str = Field(default="", description="model of the large endpoint")
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="confidence below which the large one answers"
    )
    api_key_env: str = Field(default="", description="name of the large endpoint's key")
    price_model: str = Field(default="", description="row of the price sheet; the model's name when empty")
    spend_cap_usd: float | None = Field(default=None, gt=0, description="most that the large endpoint may cost in all")
    deadline_sec: float = Field(default=60.0, gt=0, description="most that one answer of the large endpoint may take")
    if_large_fails: Literal["small", "refuse"] = Field(default="small", description="answer with the small one, or 503")
    journal: str = Field(default="", description="folder of the journal")


class LargeSide(BaseModel):
    """The endpoint and how it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    model: str
    api_key_env: str
    price_model: str
    framing: Framing = Framing()
    max_tokens: int = 1024
    temperature: float | None = 0.0
    concurrency: int = 8
    deadline_sec: float = 60.0


class Cascade(BaseModel):
    """A cascade that can be served. `small_usd`, `large_usd`: of one answer, as measured; None = not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    threshold: float
    large: LargeSide
    small_framing: Framing = Framing()
    small_max_tokens: int | None = None
    if_large_fails: Literal["small", "refuse"] = "small"
    spend_cap_usd: float | None = None
    journal: str
    workspace: str
    comparison: str = ""
    small_usd: float | None = None
    large_usd: float | None = None
    forecast_handed_on: Estimate | None = None
    forecast_usd: Estimate | None = None


def resolved(values: dict[str, Any], model: str, adapter: str | None, workspace: Workspace) -> Cascade:
    """The cascade that these options ask for, around the model to be served. Raises UserError."""
    asked = validated(Options, values, "cascade")
    name = Path(adapter or model).name
    parts = parts_of(model, adapter, workspace)
    if not modality(parts.ref.modality).asks:
        message = f"{name} transcribes recordings; a cascade answers chats."
        raise ModelError(message, "Serve it without --cascade.", "cascade.model")
    measured = _measured(asked, parts, name, workspace) if asked.from_ else None
    if measured is None and (not asked.large or asked.threshold is None):
        message = "A cascade needs an endpoint to hand over to, and the confidence below which it does."
        remedy = "Give from=COMPARISON, or large=ENDPOINT and threshold=…; `smolstudio cascade COMPARISON` chooses one."
        raise RecipeError(message, remedy, "cascade.settings")
    journal = Path(asked.journal) if asked.journal else workspace.path / RECORDINGS / f"cascade-{name}"
    plain = Cascade(
        threshold=asked.threshold or 0.0,
        large=_large(asked, measured[1].large if measured else None, workspace),
        if_large_fails=asked.if_large_fails,
        spend_cap_usd=_cap(asked, measured[1].large if measured else None, workspace),
        journal=str(journal.absolute()),
        workspace=str(workspace.path.absolute()),
    )
    if measured is None:
        return plain
    found, both = measured
    measured_values = {
        "threshold": found.chosen.threshold,
        "small_framing": both.small.framing,
        "small_max_tokens": both.small.plan.token_limit,
        "comparison": found.comparison,
        "small_usd": found.small_usd,
        "large_usd": found.large_usd,
        "forecast_handed_on": found.chosen.handed_on,
        "forecast_usd": found.chosen.usd,
    }
    return plain.model_copy(update=measured_values)


def _measured(asked: Options, parts: Parts, name: str, workspace: Workspace) -> tuple[Forecast, Sides]:
    """The forecast and both sides of the comparison. Raises ModelError where it measured another model."""
    from recipes.models.files import weights_sha256
    from studio.read.results import find_report

    report = read_report(find_report(workspace, asked.from_))
    found, both = forecast(workspace, asked.from_, asked.threshold), sides(workspace, asked.from_)
    served = {
        "model": weights_sha256(parts.ref.path),
        "adapter": weights_sha256(parts.adapter) if parts.adapter else "",
    }
    if any(report.provenance.hashes.get(f"{found.small}/{what}", "") != sha256 for what, sha256 in served.items()):
        message = f"{asked.from_} measured {report.small_system.label}, whose weights are not those of {name}."
        raise ModelError(message, "Serve the model that was compared, or compare this one.", "cascade.model")
    return found, both


def _large(asked: Options, measured: Side | None, workspace: Workspace) -> LargeSide:
    fields: dict[str, Any] = {"api_key_env": "OPENAI_API_KEY", "model": asked.model}
    if measured is not None:
        plan = measured.plan
        fields |= {
            "framing": measured.framing,
            "max_tokens": plan.token_limit,
            "temperature": plan.temperature,
            "concurrency": plan.concurrency,
            "model": asked.model or plan.model,
            "api_key_env": plan.api_key_env,
            "price_model": asked.price_model or plan.price_model or asked.model or plan.model,
        }
        if plan.kind == "endpoint":
            fields["base_url"] = url_of(plan)
        elif not (asked.large and asked.model):
            message = f"The large system {plan.name} of that comparison is no endpoint."
            raise RecipeError(message, "Serve it, and give large=ADDRESS and model=NAME.", "cascade.comparison")
    if asked.large:
        fields |= _endpoint(asked, workspace)
    fields["price_model"] = asked.price_model or fields.get("price_model") or fields["model"]
    if asked.api_key_env:
        fields["api_key_env"] = asked.api_key_env
    return LargeSide(**{**fields, "deadline_sec": asked.deadline_sec})


def _endpoint(asked: Options, workspace: Workspace) -> dict[str, Any]:
    """Address, model and key's name of an endpoint that is named, or given by its address."""
    if asked.large.startswith(("http://", "https://")):
        if not asked.model:
            message = "An endpoint that is given by its address needs the name of its model."
            raise RecipeError(message, "Add model=NAME.", "cascade.settings")
        return {"base_url": asked.large, "model": asked.model}
    known = {one.name: one for one in load_endpoints(workspace)}
    if asked.large not in known:
        message = f"Settings has no endpoint '{asked.large}'{did_you_mean(asked.large, list(known))}."
        there = f"one of {', '.join(known)}, or " if known else ""
        raise RecipeError(message, f"Give {there}its address and model=NAME.", "cascade.settings")
    one = known[asked.large]
    return {"base_url": one.base_url, "model": asked.model or one.model, "api_key_env": one.api_key_env}


def _cap(asked: Options, measured: Side | None, workspace: Workspace) -> float | None:
    """The spend cap: given, else the named endpoint's, else the comparison's."""
    if asked.spend_cap_usd is not None or asked.large.startswith("http"):
        return asked.spend_cap_usd
    named = next((one for one in load_endpoints(workspace) if one.name == asked.large), None)
    return named.spend_cap_usd if named else measured.plan.spend_cap_usd if measured else None


def kept(cascade: Cascade, workspace: Workspace) -> Path:
    """The file that the server reads, written under a name that follows from its content."""
    text = cascade.model_dump_json(indent=1)
    path = workspace.path / FOLDER / f"{sha256_bytes(text.encode())[:12]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, text)
    return path


def opened(path: Path) -> Cascade:
    """The cascade in a file. Raises RecipeError, StorageError."""
    return validated(Cascade, read_json(path), "cascade")
