"""What a comparison measured: the boundary between running systems (`compare`) and telling of it (`report`).

Everything here is plain, frozen data: no statistics, no prices, no files. `None` always means "not measured".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from evaluate.cost.throughput import Probe
from evaluate.plan import Plan
from evaluate.report.parts import PromptChoice
from evaluate.report.speech_parts import NormalisersDisagree, SpeechErrors
from synth.usage import Usage

Kind = Literal["local", "endpoint", "predictions"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(Frozen):
    """One system's scored answer to one example."""

    example_id: str
    split: str
    origin: str = Field(default="", description="Where the row comes from (`basis.KINDS`); empty = not recorded.")
    family: str
    template: str = Field(description="Cluster id: rows that share a text template, an image or a document.")
    scorer: str = Field(description="Key of synth.scoring.scorers.SCORERS that gave the score.")
    score: float | None = Field(
        description="0..1, higher is better (for wer/cer: 1 - rate, may be below 0); None = unscored."
    )
    why: str = Field(default="", description="One sentence: why this score.")
    answer: str = Field(default="", description="What the scorer read out of the reply.")
    answer_text: str = Field(default="", description="The whole reply, as the system gave it.")
    gold: str = ""
    prompt_text: str = Field(default="", description="Text of the user's turns, without few-shot examples.")
    media: tuple[str, ...] = Field(default=(), description="Media paths relative to the dataset folder.")
    format_fault: bool = Field(
        default=False,
        description="Scored 0, yet the right answer stands in the reply in a form the scorer cannot read.",
    )
    value_if_format_forgiven: float | None = Field(
        default=None, description="The score if a right answer in an unreadable form counted; None = as `score`."
    )
    readable: bool = Field(default=True, description="The reply holds an answer of the kind that was asked for.")
    truncated: bool = Field(default=False, description="Cut off at the length limit.")
    refused: bool = Field(default=False, description="The model or a filter declined to answer.")
    edits: int | None = Field(
        default=None, description="Word (wer) or character (cer) edits; corpus rate = Σedits/Σref_units."
    )
    ref_units: int | None = Field(default=None, description="Reference words (wer) or characters (cer).")
    confidence: float | None = Field(
        default=None, description="exp(mean log-probability of the reply's tokens), local systems."
    )
    seconds: float | None = Field(default=None, description="Latency of this request on the system's latency_basis.")
    usage: Usage = Usage()
    error: str = Field(default="", description="Why the system gave no answer; such a row is unscored.")


class Speed(Frozen):
    """Measured over all rows of one system in this comparison; rows imported from files have none."""

    requests_per_s: float | None = Field(
        default=None, description="Of the whole machine, from `probe`; without one, answered rows per wall second."
    )
    wall_seconds: float | None = Field(default=None, description="Wall time spent answering, model loading excluded.")
    load_seconds: float | None = None
    load: float | None = Field(default=None, description="Threads that wanted each core while it answered.")
    batch_size: int | None = Field(default=None, description="Rows in flight at once (local batch or open requests).")
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_basis: str = Field(
        default="", description="A sentence: what one latency is, e.g. seconds of the batch a row was in."
    )
    audio_sec_per_s: float | None = Field(default=None, description="RTFx: seconds of audio per second.")
    probe: Probe | None = Field(default=None, description="The turns of the speed measurement, local systems only.")


class SystemResult(Frozen):
    """A system, how it was asked, and its rows (one per example of every split, in dataset order)."""

    id: str
    label: str
    kind: Kind
    base_model: str = Field(default="", description="Model reference or endpoint model name.")
    revision: str | None = None
    adapter: str | None = Field(
        default=None, description="Run id or name of the adapter folder, never an absolute path."
    )
    artefact: str = Field(default="", description="Which model of an export it is, such as q4_k_m; empty = no export.")
    stored_bytes: int | None = Field(default=None, description="Weights on the disk; None = not here, or not known.")
    memory_bytes: int | None = Field(
        default=None, description="Memory that it took at most, loaded and answering, above what was there before."
    )
    method: str | None = Field(default=None, description="Recipe method that made the adapter, e.g. text_sft.")
    prompting: str = "zero_shot"
    shots: int = 0
    max_new_tokens: int | None = None
    params: int | None = Field(default=None, description="Total parameters, adapter included.")
    stand_in: bool = Field(
        default=False, description="A local starter plays 'the large model'; the report must say so."
    )
    train_seed: int | None = None
    seed_group: str | None = Field(default=None, description="Systems that differ only in training seed share this.")
    hardware: str = Field(default="", description="CPU/GPU that answered, e.g. '2 × CPU core, x86_64, bfloat16'.")
    price_model: str | None = Field(
        default=None, description="Row of the price sheet; None = priced by machine hour or unpriced."
    )
    batch: bool = Field(default=False, description="Imported batch results, billed at the batch's discount.")
    metric: str = Field(
        description="accuracy | f1 | anls | vqa | wer | cer | judge: what the mean of scores is called."
    )
    normaliser: str | None = Field(default=None, description="Text normaliser and its version, for wer and cer.")
    rows: SkipValidation[Sequence[Row]] = ()
    speed: Speed = Speed()


class LedgerItem(Frozen):
    """One fixed cost. `system_id` None = shared by all tuned systems (e.g. generating the data)."""

    kind: Literal["generation", "training", "evaluation", "stated"]
    label: str
    seconds: float | None = None
    load: float | None = Field(
        default=None, description="Programs that wanted each core meanwhile, this one included; None = not noted."
    )
    usd: float | None = Field(
        default=None, description="Money already known (a teacher's bill); time and usage are priced in economics.py."
    )
    system_id: str | None = None
    run_id: str | None = None
    status: str = Field(default="done", description="A failed or stopped run costs as well; its status is named here.")


class Remembered(Frozen):
    """One row of the base model's own families: whether base and tuned model got it right."""

    family: str
    template: str = Field(description="Cluster id.")
    base: bool
    tuned: bool


class Forgetting(Frozen):
    """The base model's own families, before and after tuning, on the same rows."""

    system_id: str
    rows: tuple[Remembered, ...]


class DatasetFacts(Frozen):
    name: str
    path: str = Field(description="Folder, as the report may show it (relative to the workspace where it can be).")
    splits: dict[str, int] = Field(description="Rows compared per split.")
    available: dict[str, int] = Field(default={}, description="Rows the dataset holds per split.")
    generator: str = ""
    card: dict[str, object] = Field(default={}, description="dataset.json as stored.")
    sha256: dict[str, str] = Field(default={}, description="split -> hash of its file")


class Provenance(Frozen):
    created: str = Field(description="ISO 8601, UTC")
    comparison_id: str
    versions: dict[str, str] = Field(default={}, description="library -> version, python and smolstudio included")
    machine: dict[str, str] = Field(default={}, description="cpu, cores, memory_gb, gpu, os")
    recipes: dict[str, dict[str, object]] = Field(default={}, description="system id -> recipe that made its adapter")
    hashes: dict[str, str] = Field(default={}, description="what -> sha256 (dataset splits, adapters, plan, recipes)")


class Results(Frozen):
    """Input of `report.build`."""

    plan: Plan
    dataset: DatasetFacts
    systems: tuple[SystemResult, ...]
    ledger: tuple[LedgerItem, ...] = ()
    forgetting: tuple[Forgetting, ...] = ()
    provenance: Provenance
    margin_fixed: float | None = Field(
        default=None, description="The margin that stood when the answers were made; None = the plan's."
    )
    prompt_choice: PromptChoice | None = Field(default=None, description="How the large model's prompt was chosen.")
    speech: dict[str, dict[str, SpeechErrors]] | None = Field(
        default=None, description="system id -> split -> errors behind the word error rate; see audio_metrics."
    )
    answer_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema of answers that are records, of those in train; None = no records there."
    )
    normalisers_disagree: tuple[NormalisersDisagree, ...] = Field(
        default=(), description="Splits where the normaliser decides which of the two systems is better."
    )
    notes: tuple[str, ...] = Field(default=(), description="Plain sentences the reader must know (limits, stand-ins).")

    def system(self, system_id: str) -> SystemResult:
        """The system of that id; KeyError when there is none."""
        found = {system.id: system for system in self.systems}
        return found[system_id]
