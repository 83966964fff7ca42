"""plan.yaml: which systems answer which rows, how they are prompted, and what the machine costs.

    smolstudio compare plan.yaml
    python -m evaluate.plan          # the tables of docs/plan.md

Reads, checks and writes plans; runs nothing. API keys are named, never written down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from synth.example import Split
from synth.strict import read_yaml, validated

Prompting = Literal["zero_shot", "few_shot", "schema", "few_shot_schema", "constrained", "few_shot_constrained"]
UNTUNED = "untuned"  # id of the small system's model before tuning, where it is added to a plan
LONGEST_REPLY = 4096  # tokens of a reply where the plan sets no limit and no right answer is longer
SystemId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SystemPlan(_Frozen):
    """One system that answers."""

    id: SystemId = Field(description="Short name, also the name of its file of predictions.")
    label: str = Field(default="", description="Name in tables; the id when empty.")
    kind: Literal["local", "endpoint", "predictions"] = Field(
        default="local", description="A model here, a model behind an OpenAI-compatible endpoint, or a file of answers."
    )
    model: str = Field(default="", description="Starter, hub id or folder (local); model name (endpoint).")
    revision: str | None = Field(default=None, description="Pinned revision of a hub model.")
    adapter: str | None = Field(default=None, description="Run id or adapter folder (local).")
    artefact: str = Field(
        default="",
        description="Which model of an export answers, through the export's own runtime and one row at a time: "
        "`q4_k_m`, `int8` …; `model` is then the folder that `smolstudio export` made of a run of this workspace.",
    )
    prompting: Prompting = Field(
        default="zero_shot",
        description="The row's prompt alone, after worked examples, with a JSON schema of the answer, or with both; "
        "constrained = alone, while the answer of a local text model is held to the schema that it is not shown (for "
        "tuned models); few_shot_constrained = so after worked examples (for a short context).",
    )
    shots: int = Field(default=4, ge=1, le=64, description="Examples from the train split when prompting has any.")
    instruction: str = Field(
        default="", description="System message put before every prompt; empty = the dataset's task card, see `task`."
    )
    task: bool | None = Field(
        default=None,
        description="Whether the dataset's task card is the instruction where none is given; empty = for every model "
        "but the embedded starters, and for tuned ones as they were tuned (data.task of their recipe).",
    )
    max_new_tokens: int | None = Field(
        default=None,
        ge=1,
        le=32_768,
        description="Longest reply; a longer one is cut, and no verdict is given on a system with more than 2 % of "
        "those. Empty = follows the longest right answer, with room to reason for endpoints.",
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=4096, description="Rows answered at once; automatic when empty."
    )
    base_url: str | None = Field(default=None, description="Endpoint address; OPENAI_BASE_URL when empty.")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="Name of the key, looked up in the environment, then in the keyring."
    )
    api: Literal["auto", "chat", "transcriptions"] = Field(
        default="auto", description="Route of an endpoint; auto = transcriptions for whisper and transcribe models."
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="Most requests open at once (endpoint).")
    spend_cap_usd: float | None = Field(
        default=None, gt=0, description="Stop before the bill passes this (needs a price)."
    )
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="Endpoint only; empty = the server's default."
    )
    price_model: str | None = Field(
        default=None, description="Row of evaluate/cost/prices.yaml; the model's name when empty."
    )
    path: str | None = Field(default=None, description="File of predictions: our JSONL, OpenAI batch output, or CSV.")
    train_seed: int | None = Field(default=None, description="Training seed, when several seeds are compared.")
    seed_group: str | None = Field(default=None, description="Systems that differ only in training seed share this.")

    @property
    def name(self) -> str:
        return self.label or self.id

    @property
    def tuned(self) -> bool:
        """Whether a training made it, as far as the plan says."""
        return bool(self.adapter or self.artefact)

    @property
    def with_shots(self) -> bool:
        """Whether worked examples are shown."""
        return self.prompting in ("few_shot", "few_shot_schema", "few_shot_constrained")

    @property
    def with_schema(self) -> bool:
        """Whether the answer's JSON schema is given."""
        return self.prompting in ("schema", "few_shot_schema")

    @property
    def decoding_held(self) -> bool:
        """Whether decoding obeys a schema that the prompt does not show."""
        return self.prompting in ("constrained", "few_shot_constrained")

    @property
    def held_to_schema(self) -> bool:
        """Whether the answer has to obey the schema: by decoding where the model is local, by asking elsewhere."""
        return self.with_schema or self.decoding_held

    @property
    def token_limit(self) -> int:
        """Longest reply in tokens."""
        return self.max_new_tokens or LONGEST_REPLY

    @property
    def transcribes(self) -> bool:
        """Whether an endpoint is sent the recording alone, at its transcription route."""
        named = any(word in self.model for word in ("whisper", "transcribe"))
        return self.api == "transcriptions" or (self.api == "auto" and named)

    @model_validator(mode="after")
    def _enough_to_run(self) -> SystemPlan:
        if self.kind == "predictions" and not self.path:
            raise ValueError("a system of kind predictions needs `path`")
        if self.kind != "predictions" and not self.model:
            raise ValueError(f"a system of kind {self.kind} needs `model`")
        if self.kind != "local" and self.decoding_held:
            raise ValueError("only a local system can be constrained; use prompting: schema for an endpoint")
        if self.kind != "local" and self.adapter:
            raise ValueError("only a local system can carry an `adapter`")
        if self.artefact and (self.kind != "local" or self.adapter or self.revision):
            raise ValueError("an `artefact` is of a local system, whose `model` is the export; its adapter is inside")
        return self


class Machine(_Frozen):
    """The machine that small-model requests are priced on."""

    name: str = Field(default="this machine", description="Shown in the report, or a machine row of the price sheet.")
    usd_per_hour: float | None = Field(default=None, ge=0, description="Empty = price sheet; absent there = unpriced.")
    utilisation: float = Field(default=0.5, gt=0, le=1, description="Share of paid time that serves requests.")


class Costs(_Frozen):
    """What no machine sees of the small system's price. Empty = not stated, and the report says so; 0 = nothing."""

    labelling_usd: float | None = Field(default=None, ge=0, description="Paid for labels and for checking rows.")
    engineering_hours: float | None = Field(default=None, ge=0, description="Hours of work until the first answer.")
    engineering_usd_per_hour: float | None = Field(default=None, ge=0, description="What one such hour costs.")
    hosting_usd_per_month: float | None = Field(
        default=None, ge=0, description="Serving beside the machine's own price: storage, network, on-call."
    )
    licence_usd: float | None = Field(default=None, ge=0, description="Licences of models and data.")


class Plan(_Frozen):
    """A comparison: dataset by systems by prices."""

    version: Literal[1] = Field(default=1, description="Of this format.")
    name: str = Field(default="comparison", description="Used in the comparison's id and title.")
    dataset: str = Field(description="Dataset name in the workspace, or a folder.")
    splits: tuple[Split, ...] = Field(
        default=("test_real", "test", "test_ood"),
        min_length=1,
        description="Splits to answer, as far as the dataset has them; the verdict is about the most real rows. With "
        "`val` too, a cascade threshold is chosen there.",
    )
    folds: int = Field(
        default=0,
        ge=0,
        le=20,
        description="Cross-validation of a small dataset: all rows of train, val and test are answered, a tuned system "
        "(the run that `smolstudio crossval` made) by the model that did not learn the row; `splits` plays no part. "
        "0 = the dataset's own splits.",
    )
    systems: tuple[SystemPlan, ...] = Field(min_length=1, description="Who answers.")
    small: str = Field(default="", description="Id of the system under test; the last with an adapter when empty.")
    large: str = Field(
        default="",
        description="Id of the system to replace; the last of the others when empty. Where its model is asked in "
        "several ways, the strongest of them on val takes its place.",
    )
    choose_on_val: int = Field(
        default=100, ge=0, description="val rows on which that strongest way is chosen; 0 = `large` as it stands."
    )
    prompt_search: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Instructions that the model to replace writes itself and that are tried on val; paid, and in the "
        "ledger.",
    )
    baselines: bool = Field(
        default=True,
        description="Whether the untuned small model with the same prompt, the majority answer, TF-IDF with logistic "
        "regression and a number rule are shown too.",
    )
    margin: float = Field(
        default=0.02, ge=0, le=0.5, description="Largest loss still called 'not worse' (0.02 = 2 points)."
    )
    metric: str = Field(default="auto", description="Scorer for all rows; auto = each row's own.")
    machine: Machine = Field(default=Machine(), description="What the machine of the local systems costs.")
    costs: Costs = Field(default=Costs(), description="What no machine sees: labelling, engineering, hosting, licence.")
    human_usd_per_answer: float | None = Field(
        default=None, ge=0, description="What a person costs per answer; shown beside the systems."
    )
    prices: str | None = Field(default=None, description="Price sheet to use instead of the shipped one.")
    monthly_volumes: tuple[PositiveInt, ...] = Field(
        default=(10_000, 100_000, 1_000_000), description="Requests per month in the report."
    )
    forgetting_rows: int = Field(
        default=0, ge=0, le=100_000, description="Rows of the base's own families; 0 = not measured."
    )
    speed_rounds: int = Field(
        default=9,
        ge=0,
        le=50,
        description="Rounds in which the local systems take turns to have their speed measured; "
        "0 = not measured, and then they have no price.",
    )
    seed: int = Field(default=0, description="Of worked examples, drawn rows and resampling.")
    max_rows: int | None = Field(
        default=None, ge=1, description="Rows of each split, drawn with the seed; all when empty."
    )

    @model_validator(mode="after")
    def _ids_fit(self) -> Plan:
        ids = [system.id for system in self.systems]
        doubles = sorted({name for name in ids if ids.count(name) > 1})
        if doubles:
            raise ValueError(f"system ids must differ: {', '.join(doubles)}")
        for role in ("small", "large"):
            wanted = getattr(self, role)
            if wanted and wanted not in ids:
                raise ValueError(f"{role}: no system has the id {wanted!r} (there are {', '.join(ids)})")
        if self.folds == 1:
            raise ValueError("folds: one fold would leave nothing to learn from; give 2 or more, or 0")
        if self.folds and self.prompt_search:
            raise ValueError("prompt_search needs val rows apart, and with folds every row is tested")
        if self.folds and any(system.artefact for system in self.systems):
            raise ValueError("folds: an export is of one model, which has learned every row that folds test")
        if self.small and self.small == self.large:
            raise ValueError("small and large must be two systems")
        return self

    def roles(self) -> tuple[str, str | None]:
        """(small, large) ids with the defaults filled in; large is None when only one system is compared."""
        rest = [system for system in self.systems if system.id != self.large]
        adapted, tuned = ([s for s in rest if s.adapter], [s for s in rest if s.tuned])
        small = self.small or (adapted or tuned or rest)[-1].id
        others = [system.id for system in self.systems if system.id != small and not system.artefact]
        plain = [system.id for system in self.systems if system.id in others and not system.tuned]
        large = self.large or next(iter(reversed(plain or others)), None)
        return small, large

    def system(self, system_id: str) -> SystemPlan:
        return next(system for system in self.systems if system.id == system_id)


def with_untuned(plan: Plan) -> Plan:
    """The plan with the small system's model as it was before tuning, asked in the same way, unless it is in it.

    Only where there is a system to replace, too: what tuning gained is no verdict.
    """
    small, large = plan.roles()
    tuned = plan.system(small)
    if not plan.baselines or large is None or tuned.kind != "local" or not tuned.adapter:
        return plan
    bare = [one for one in plan.systems if one.kind == "local" and not one.tuned]
    if any((one.model, one.revision) == (tuned.model, tuned.revision) for one in bare):
        return plan
    name = tuned.model.rstrip("/").rpartition("/")[2]
    fields = {"id": UNTUNED, "label": f"{name}, untuned", "adapter": None, "train_seed": None, "seed_group": None}
    if UNTUNED in {one.id for one in plan.systems}:
        return plan
    untuned = tuned.model_copy(update=fields)
    return plan.model_copy(update={"small": small, "large": large, "systems": (*plan.systems, untuned)})


def load_plan(path: str | Path) -> Plan:
    """Read and check a plan. Raises one RecipeError naming each fault with its place and a "did you mean"."""
    file = Path(path)
    return validated(Plan, read_yaml(file, "plan"), "plan")


def dump_plan(plan: Plan) -> str:
    """YAML that load_plan reads back to the same plan; defaults are left out."""
    import yaml

    kept: dict[str, Any] = plan.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump({"version": plan.version, **kept}, sort_keys=False, allow_unicode=True)


def tables() -> str:
    """Every key of a plan with its kind, default and meaning, as Markdown."""
    parts = []
    for title, model in (
        ("The plan", Plan),
        ("One of `systems`", SystemPlan),
        ("`machine`", Machine),
        ("`costs`", Costs),
    ):
        rows = [f"## {title}", "", "| key | kind | default | meaning |", "|---|---|---|---|"]
        for name, schema in model.model_json_schema()["properties"].items():
            info = model.model_fields[name]
            default = "required" if info.is_required() else _shown(info.default)
            rows.append(f"| `{name}` | {_kind(schema)} | {default} | {info.description or ''} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema's type in words."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        return "see below"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of: {_kind(schema['items'])}"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}[schema["type"]]


def _shown(default: Any) -> str:
    if isinstance(default, BaseModel):
        return "see below"
    if default is None or default == "":
        return "empty"
    return f"`{', '.join(map(str, default))}`" if isinstance(default, tuple) else f"`{default}`"


if __name__ == "__main__":
    print(tables(), end="")
