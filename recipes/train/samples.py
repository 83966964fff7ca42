"""What a model in training answers to a few validation rows, for the eye: `samples` events that the Runs page shows.

Answers are greedy. Looking leaves no trace in what is learned: random generators and the mode of every module are put
back. A pass that fails is reported once and not tried again; it never ends a training. Figures are for `evaluate`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from recipes.decode.sampling import Answer, Generate
from recipes.models.loaded import Loaded
from recipes.train.preference import judge
from recipes.train.repeatable import in_eval_mode, untouched_randomness
from recipes.train.rows import with_training_target
from recipes.train.work import Work, drawn
from synth.errors import DataError
from synth.example import Example, media_parts, text_of
from synth.storage import JsonDict

LONGEST_TEXT = 800  # characters of a question or an answer kept in an event

# The answering of a modality, given a model and the rows it will be asked: their targets say how long an answer gets.
Generator = Callable[[Loaded, Sequence[Example]], Generate]


class Samples:
    """The rows of one training, and the model's answers to them."""

    def __init__(self, work: Work, generator: Generator) -> None:
        self._work = work
        self._generator = generator
        self._failed = False
        self._rows: list[Example] | None = None

    def due(self, step: int, last: int) -> bool:
        """Whether to look after `step`, of `last` in all."""
        every = self._work.recipe.sample_steps
        return bool(every) and not self._failed and (step % every == 0 or step == last)

    def show(self, step: int) -> None:
        """Answer the rows with the model as it is after `step`, and tell it."""
        try:
            found = answers(self._work, self._generator, self.rows)
            reporter = [report_of(row, given[0]) for row, given in zip(self.rows, found, strict=True)]
        except Exception as error:  # whatever goes wrong here, the training is worth more
            logging.exception("answers could not be shown")
            self._failed = True
            self._work.run.emit("warning", sentence=f"Answers during training are not shown: {error}")
            return
        self._work.run.emit("samples", step=step, rows=reporter)

    @property
    def rows(self) -> list[Example]:
        """The rows asked: spread evenly over those that validation watches, `target` as the recipe teaches it."""
        if self._rows is None:
            data, wanted = self._work.recipe.data, self._work.recipe.sample_rows
            split = data.val_split
            seed = self._work.recipe.seed
            found = drawn(self._work.dataset, split, data.max_val_examples, seed) if split else []
            if not found:
                raise DataError("There are no validation rows.", "Set data.val_split, or sample_steps to 0.")
            chosen = found[:: max(1, len(found) // wanted)][:wanted]
            self._rows = [with_training_target(e, data.target) for e in chosen]
        return self._rows


def answers(work: Work, generator: Generator, rows: Sequence[Example]) -> list[list[Answer]]:
    """The greedy answer to each row by the model as it is at this moment of its training."""
    import torch

    model = work.loaded.model.get_base_model()  # the network itself, adapter in place, as decoders expect it
    half = torch.autocast(model.device.type, torch.bfloat16, enabled=work.recipe.optim.bf16)
    with untouched_randomness(), in_eval_mode(model), half, _uncompiled(model):
        return generator(work.loaded._replace(model=model), rows)(rows, 1)


def report_of(row: Example, answer: Answer) -> JsonDict:
    """One row of a `samples` event; `right` is None where no rule can tell."""
    return {
        "id": row.id,
        "question": _cut(text_of(row)),
        "media": [part.path for part in media_parts(row)],
        "gold": _cut(row.target),
        "answer": _cut(answer.text),
        "finished": answer.finished,
        "right": _right(row, answer.text),
    }


def _right(row: Example, text: str) -> bool | None:
    try:
        return bool(judge(row, text))  # None: nothing in it can be read as an answer
    except DataError:
        return None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"


def _uncompiled(model: Any) -> AbstractContextManager[Any]:
    """Run compiled layers as they are: decoding changes shapes with each token, and each would be compiled anew."""
    import torch

    if any(module._compiled_call_impl for module in model.modules()):
        as_they_are: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return as_they_are
    return nullcontext()  # the stance alone would import the compiler, which takes seconds
