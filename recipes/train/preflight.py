"""Before training: a look at what the loss will see, and two real optimiser steps.

`check` does it for a `recipes.train.trainer.RunTrainer` that is about to start: rows (`row_checks`), steps (`probe`),
and the report of both (`report`), which is saved in the run folder. Modalities come in through `TokenRow` and problems
that they found themselves. It loads no model.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.train.probe import Subject, probe
from recipes.train.report import PreflightReport, save_report
from recipes.train.row_checks import SHOWN_TOKENS, check_known, check_rows, count, mark, pieces
from recipes.train.rows import TokenRow

if TYPE_CHECKING:
    from torch import Tensor


def check(
    trainer: Any,
    rows: Sequence[TokenRow],
    *,
    problems: Iterable[str] = (),
    picture: str | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
) -> PreflightReport | None:
    """Preflight of a RunTrainer that is about to start; None when it continues from a checkpoint.

    `rows` are its training rows, `decode` writes tokens for people (by default as the tokenizer does). Raises RunError
    with all problems; the report is saved in the run folder before.
    """
    work = trainer.work
    if work.checkpoint is not None:
        return None
    work.run.emit("phase", name="preflight")
    limit = work.recipe.optim.max_length
    problems = [*problems, *check_known(rows, _known_tokens(work.loaded.model))]
    report = preflight(
        work.run.path,
        subject_of(trainer),
        rows,
        decode or work.loaded.tokenizer.decode,
        max_length=limit,
        problems=problems,
        picture=picture,
    )
    report.refuse()
    return report


def _known_tokens(model: Any) -> int | None:
    """Rows of the table of tokens; None for a model that reads none."""
    with contextlib.suppress(NotImplementedError):
        return int(model.get_input_embeddings().weight.shape[0])
    return None


def subject_of(trainer: Any) -> Subject:
    """A RunTrainer as a Subject; its batches' sizes are taken from their longest rows."""
    sampler, rows = trainer.batches, trainer.train_dataset
    sizes = [(len(batch) * max(sampler.lengths[i] for i in batch), batch) for batch in sampler]
    longest_tokens, longest = max(sizes, key=lambda size: size[0], default=(0, []))

    def loss(batch: Any) -> Tensor:
        inputs = trainer._prepare_inputs(dict(batch))
        with trainer.accelerator.autocast():
            value: Tensor = trainer.compute_loss(trainer.model, inputs)
        if hasattr(trainer, "_metrics"):  # TRL averages them into the first log
            trainer._metrics["train"].clear()
        return value

    return Subject(
        model=trainer.model,
        loss=loss,
        longest=trainer.data_collator([rows[i] for i in longest]) if longest else None,
        longest_tokens=longest_tokens,
        mean_tokens=sum(size for size, _ in sizes) / max(1, len(sizes)),
        learning_rate=trainer.args.learning_rate,
        steps=trainer.total_steps(),
        accumulation=trainer.args.gradient_accumulation_steps,
    )


def preflight(
    run_path: Path,
    subject: Subject,
    rows: Sequence[TokenRow],
    decode: Callable[[Sequence[int]], str],
    *,
    max_length: int | None,
    problems: Iterable[str] = (),
    picture: str | None = None,
) -> PreflightReport:
    """Check rows, probe the training, save the report in `run_path` and return it; it does not raise on problems.

    `problems` are those that the caller found already (chat template, images). The steps are not taken when the rows
    have problems, because a batch of faulty rows measures nothing.
    """
    started = time.monotonic()
    faults = [*problems, *check_rows(rows, max_length)]
    found = None if faults else probe(subject)
    faults += found.problems if found else ()
    # A row of middling length says most on one screen.
    shown = min(rows, key=lambda row: abs(len(row.input_ids) - SHOWN_TOKENS // 4), default=TokenRow([], []))
    sample = pieces(shown, decode)
    report = PreflightReport(
        ok=not faults,
        problems=tuple(faults),
        sample=sample,
        sample_text=mark(sample),
        tokens=count(rows, max_length),
        probe=found,
        steps=subject.steps,
        picture=picture,
        seconds=round(time.monotonic() - started, 3),
    )
    save_report(report, run_path)
    return report
