"""Which module answers for a loaded model: its modality's `runner`, see `recipes.modality`.

A runner has `answer`, which decodes many rows at once, BATCH_SIZE, and LATENCY, a sentence that says what
`Prediction.seconds` means there. `bare_inputs` are the questions as runtimes other than ours take them (a modality that
is exported to none has no use for it), `plain_chat`, where there is one, a question as chat turns; one that decodes
some rows more than once has `answer_greedily`. One that can give an answer token by token also has `first_inputs`; one
whose way of decoding was changed has DECODING, which counts up.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from recipes.modality import side

if TYPE_CHECKING:
    from evaluate.predict.prediction import Prediction, Stop
    from evaluate.predict.prompts import Question
    from recipes.models.loaded import Loaded


class Runner(Protocol):
    """What the module of a modality offers."""

    BATCH_SIZE: int
    LATENCY: str

    def answer(
        self, loaded: Loaded, questions: Sequence[Question], max_new_tokens: int, batch_size: int | None, stop: Stop
    ) -> Iterator[Prediction]: ...

    def bare_inputs(self, loaded: Loaded, questions: Sequence[Question]) -> list[Any]: ...


def runner_of(loaded: Loaded) -> Runner:
    """The module that answers for this model."""
    return cast(Runner, _module(loaded.info.ref.modality))


def decoding(modality: str) -> int:
    """Which way of decoding the modality's runner has, where it is not its first."""
    return int(getattr(_module(modality), "DECODING", 1))


def _module(modality: str) -> Any:
    return importlib.import_module(side(modality).runner)
