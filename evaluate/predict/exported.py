"""A system that is an export: answered by its own runtime (llama.cpp, onnxruntime, CTranslate2), one row at a time.

Which model of which folder is said by the plan (`model`, `artefact`); how it is asked by its target
(`recipes.export.exporter.Artefact`), for the parity gate and here alike. Prompts are the tokens, or the features of a
recording, that the tuned model would be given; with pictures, the chat that becomes them. There is no confidence: these
runtimes are asked for texts only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluate.plan import SystemPlan
from evaluate.predict.prediction import Facts, Prediction, Stop
from evaluate.predict.prompts import Question, audio_seconds
from recipes.decode.constrained import schema_of
from synth.errors import DataError
from synth.usage import Usage

if TYPE_CHECKING:
    from recipes.export.exporter import Ask
    from recipes.export.reading import Exported
    from recipes.models.loaded import Loaded
    from recipes.models.memory import Grown

LATENCY = "seconds of one answer, one at a time, in the export's own runtime"


class _Opened(NamedTuple):
    """What answers: the export, the tuned model whose prompts it is given, and memory since the export was opened."""

    exported: Exported
    original: Loaded
    ask: Ask
    grown: Grown
    load_seconds: float


class ExportedSystem:
    """One model of an export, opened at the first question and kept until `close`."""

    def __init__(self, plan: SystemPlan, runs: Path) -> None:
        self._plan = plan
        self._runs = runs
        self._opened: _Opened | None = None

    def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]:
        """Replies in order. Raises ModelError when the export cannot be asked; a row that it cannot read is an error
        of that row.
        """
        if self._opened is None:
            schema = next((schema_of(q.response_format) for q in questions if q.response_format), None)
            self._opened = _open(self._plan, self._runs, schema)
        for question in questions:
            if stop():
                return
            yield _answered(self._opened, question, self._plan.token_limit)

    def facts(self) -> Facts:
        if self._opened is None:
            return Facts()
        exported, original, _, grown, seconds = self._opened
        return Facts(
            params=original.info.params,
            hardware=f"{exported.artefact.runtime}, 1 CPU thread",
            load_seconds=seconds,
            batch_size=1,
            latency_basis=LATENCY,
            stored_bytes=exported.stored_bytes,
            memory_bytes=grown.so_far(),
        )

    def close(self) -> None:
        """Give the model up."""
        self._opened = None


def _open(plan: SystemPlan, runs: Path, schema: dict[str, Any] | None) -> _Opened:
    from recipes.export.reading import read_exported
    from recipes.models.loading import load_for_inference
    from recipes.models.memory import Grown

    exported = read_exported(Path(plan.model).expanduser(), plan.artefact, runs)
    original = load_for_inference(exported.tuned.ref, exported.tuned.adapter)
    assert exported.artefact.opened is not None
    grown, began = Grown(), time.perf_counter()
    ask = exported.artefact.opened(schema)
    return _Opened(exported, original, ask, grown, time.perf_counter() - began)


def _answered(opened: _Opened, question: Question, most: int) -> Prediction:
    from evaluate.predict.runners import runner_of
    from recipes.export.exporter import prompt_tokens

    began = time.perf_counter()
    runner = runner_of(opened.original)
    try:
        (prompt,) = runner.bare_inputs(opened.original, [question])
    except DataError as fault:
        return Prediction(example_id=question.example_id, usage=Usage(requests=0), error=str(fault))
    spoken = audio_seconds(question)
    tokens = 0 if spoken else prompt_tokens(prompt)
    limit = getattr(opened.original.model.config.get_text_config(), "max_position_embeddings", None)
    if limit and tokens >= limit:
        error = f"The prompt has {tokens} tokens, and the model takes {limit}."
        return Prediction(example_id=question.example_id, error=error)
    (reply,) = opened.ask([prompt], most)
    return Prediction(
        example_id=question.example_id,
        text=reply.text,
        usage=Usage(input_tokens=tokens, output_tokens=reply.tokens, audio_sec=round(spoken, 3)),
        seconds=time.perf_counter() - began,
        truncated=not reply.ended,
    )
