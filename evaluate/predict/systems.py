"""Who answers: a local model (with or without adapter, or an export), an endpoint, or a file of predictions made
elsewhere.

    system = open_system(plan, context)
    for prediction in system.answer(questions): ...

A system answers questions in any order, each exactly once; it neither journals (`predict`) nor scores (`scorers`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evaluate.plan import SystemPlan
from evaluate.predict.exported import ExportedSystem
from evaluate.predict.imported import read_predictions
from evaluate.predict.prediction import Facts, Prediction, Stop
from evaluate.predict.prompts import Question, audio_seconds, ids_asked
from synth.endpoint import Ask, Endpoint, Purse, ReplyCache, Settings
from synth.shelf import Shelf
from synth.usage import Usage
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.models.files import ModelRef
    from recipes.models.loaded import Loaded
    from recipes.models.memory import Grown

DEFAULT_URL = "https://api.openai.com/v1"


def url_of(plan: SystemPlan) -> str:
    """The address that an endpoint system is asked at."""
    return plan.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL


class Context(NamedTuple):
    """What systems need from outside.

    `price`: USD of a usage for a model of the price sheet, None = unpriced. `read`: files of predictions that were read
    already, by their paths.
    """

    workspace: Workspace
    price: Callable[[Usage, str], float | None] = lambda usage, model: None
    read: Mapping[str, Shelf[Prediction]] = {}


class System(Protocol):
    """Answers questions. `facts` is complete after `answer` has ended."""

    def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]: ...

    def facts(self) -> Facts: ...

    def close(self) -> None: ...


class LocalSystem:
    """A model of any modality on this machine, loaded at the first question and kept until `close`."""

    def __init__(self, plan: SystemPlan, runs: Path) -> None:
        self._plan = plan
        self._loaded: Loaded | None = None
        self._grown: Grown | None = None
        self._runs = runs
        self._facts = Facts()

    def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]:
        """Replies as they finish. Raises ModelError when the model cannot be loaded."""
        from transformers.utils.logging import disable_progress_bar

        from evaluate.predict.runners import runner_of
        from recipes.models.loading import load_for_inference
        from recipes.models.memory import Grown

        disable_progress_bar()  # loading bars would fall into our own progress line
        started = time.perf_counter()
        plan = self._plan
        load_seconds = 0.0
        if self._loaded is None:
            self._grown = Grown()
            self._loaded = load_for_inference(plan.model, plan.adapter, runs=self._runs, revision=plan.revision)
            load_seconds = time.perf_counter() - started
        loaded = self._loaded
        runner = runner_of(loaded)
        self._facts = Facts(
            params=loaded.info.params,
            hardware=hardware(loaded.model.device.type, loaded.info.dtype),
            revision=loaded.info.ref.revision,
            load_seconds=load_seconds,
            batch_size=plan.batch_size or runner.BATCH_SIZE,
            latency_basis=runner.LATENCY,
            stored_bytes=_stored_bytes(loaded.info.ref, plan.adapter, self._runs),
        )
        yield from runner.answer(loaded, questions, plan.token_limit, plan.batch_size, stop)

    def facts(self) -> Facts:
        return self._facts.model_copy(update={"memory_bytes": self._grown.so_far() if self._grown else None})

    def close(self) -> None:
        """Give the model up."""
        self._loaded = None


def _stored_bytes(ref: ModelRef, adapter: str | None, runs: Path) -> int:
    """Weights on the disk: of the base, and of the adapter where there is one."""
    from recipes.models.files import find_adapter
    from recipes.models.soundness import weights_of

    files = [*weights_of(ref.path), *(weights_of(find_adapter(adapter, runs)) if adapter else ())]
    return sum(file.stat().st_size for file in files)


class EndpointSystem:
    """A model behind HTTP; answers paid once are kept in the workspace and never asked again."""

    def __init__(self, plan: SystemPlan, context: Context, spent_usd: float) -> None:
        self._plan = plan
        settings = Settings(url_of(plan), plan.model, plan.api_key_env, plan.concurrency)
        name = plan.price_model or plan.model
        self._endpoint = Endpoint(
            settings,
            ReplyCache(context.workspace.path / "cache" / "replies"),
            lambda usage: context.price(usage, name),
            Purse(plan.spend_cap_usd, spent_usd),
        )

    def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]:
        """Replies as they come. Raises EndpointError when going on is pointless."""
        for index, reply in self._endpoint.ask_many((self._ask(question) for question in questions), stop):
            question, usage = questions[index], reply.usage
            if reply.ok and not usage.audio_sec:
                transcripts = audio_seconds(question, last_only=self._plan.transcribes) * (1 + usage.billed_retries)
                usage = usage.model_copy(update={"audio_sec": transcripts})
            yield Prediction(
                example_id=question.example_id,
                text=reply.text,
                usage=usage,
                seconds=reply.seconds if reply.ok else None,
                truncated=reply.finish_reason == "length",
                refused=reply.refused,
                cached=reply.cached,
                error=reply.error,
            )

    def _ask(self, question: Question) -> Ask:
        return Ask(
            question.messages,
            self._plan.token_limit,
            self._plan.temperature,
            question.response_format,
            media_root=question.media_root,
            transcription=self._plan.transcribes,
            language=question.language if self._plan.transcribes else "",
        )

    def facts(self) -> Facts:
        return Facts(
            hardware="the provider's",
            batch_size=self._plan.concurrency,
            latency_basis=f"seconds of the request that answered, up to {self._plan.concurrency} open at once",
            spent_usd=self._endpoint.spent_usd,
        )

    def close(self) -> None:
        self._endpoint.close()


class ImportedSystem:
    """Predictions made elsewhere."""

    def __init__(self, plan: SystemPlan, read: Mapping[str, Shelf[Prediction]]) -> None:
        self._path = Path(plan.path or "")
        self._found = read[plan.path or ""] if plan.path in read else read_predictions(self._path)

    def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]:
        """The file's replies; a row that the file lacks is an error of that row."""
        missing = f"{self._path.name} has no prediction for this row."
        for name in ids_asked(questions):
            yield self._found.get(name) or Prediction(example_id=name, usage=Usage(requests=0), error=missing)

    def facts(self) -> Facts:
        return Facts(latency_basis="not measured: imported from a file")

    def close(self) -> None:
        pass


def open_local(plan: SystemPlan, runs: Path) -> LocalSystem | ExportedSystem:
    """The system of a plan of kind local; `runs` is the folder of the workspace's runs."""
    return ExportedSystem(plan, runs) if plan.artefact else LocalSystem(plan, runs)


def open_system(plan: SystemPlan, context: Context, spent_usd: float = 0.0) -> System:
    """The system of a plan; `spent_usd` is what earlier attempts of the same comparison cost."""
    if plan.kind == "local":
        return open_local(plan, context.workspace.runs)
    if plan.kind == "endpoint":
        return EndpointSystem(plan, context, spent_usd)
    return ImportedSystem(plan, context.read)


def hardware(device: str, dtype: str) -> str:
    """The processor or GPU that answers, with the number format."""
    import torch

    if device == "cuda":
        return f"{torch.cuda.get_device_name(0)}, {dtype}"
    return f"{torch.get_num_threads()} CPU threads, {dtype}"
