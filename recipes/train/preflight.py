"""Before training: two real optimiser steps on the longest batch, and a look at what the loss will see.

`probe` takes the steps and puts everything back bit for bit (weights, gradients, random state): it finds peak
memory, projected time, adapter tensors that would not learn and frozen ones that would. `check_rows` and
`check_template` find rows that max_length would cut, empty labels and chat templates whose prompt is not a prefix.
`preflight` joins them in a `PreflightReport`, saved as preflight.json; `check` does it for a
`recipes.train.training.RunTrainer`. Modalities come in through `Subject`, `TokenRow` and extra problems; this
module loads no model.
"""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from recipes.models.memory import available_bytes, peak_memory
from recipes.text.rows import IGNORED, TokenRow
from recipes.train.repeatable import untouched_randomness
from synth.errors import RunError
from synth.storage import atomic_write_bytes, read_json, write_json

FILE = "preflight.json"
PICTURE = "preflight.png"
SHOWN_TOKENS = 400  # of the decoded sample; the middle of longer ones is left out


class Subject(NamedTuple):
    """A training about to start.

    `loss(batch)` is the training's own forward pass to a scalar with a graph, autocast included. `longest` is the
    batch with the most tokens, `longest_tokens` and `mean_tokens` count tokens of it and of an average batch, padding
    included. `steps` is the number of optimiser steps, each of `accumulation` batches.
    """

    model: Any
    loss: Callable[[Any], Any]
    longest: Any
    longest_tokens: int
    mean_tokens: float
    learning_rate: float
    steps: int
    accumulation: int = 1


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Piece(Frozen):
    """A stretch of the decoded sample; `masked` text carries no loss."""

    text: str
    masked: bool


class Tokens(Frozen):
    """Token counts over the rows; `learned` is the share that carries loss."""

    rows: int
    longest: int
    mean: float
    learned: float
    cut_targets: int


class Probe(Frozen):
    """What two optimiser steps measured; seconds are of one optimiser step on the longest batch."""

    problems: tuple[str, ...]
    memory_bytes: int
    memory_available_bytes: int
    seconds_per_step: float
    projected_sec: float
    trainable: int
    frozen: int


class PreflightReport(Frozen):
    """Whether the training may start, why not, and what it will cost.

    `probe` is None when rows were at fault and no step was taken. `picture` is a file name in the run folder.
    """

    version: int = 1
    ok: bool
    problems: tuple[str, ...]
    sample: tuple[Piece, ...]
    sample_text: str
    tokens: Tokens
    probe: Probe | None
    steps: int
    picture: str | None = None
    seconds: float

    def refuse(self) -> None:
        """Raise RunError with every problem when there is one."""
        if self.problems:
            listing = " ".join(f"({number}) {text}" for number, text in enumerate(self.problems, start=1))
            raise RunError(f"The training was not started: {listing}", "Nothing was changed.", "run.preflight")


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


def subject_of(trainer: Any) -> Subject:
    """A RunTrainer as a Subject; its batches' sizes are taken from their longest rows."""
    sampler, rows = trainer.batches, trainer.train_dataset
    sizes = [(len(batch) * max(sampler.lengths[i] for i in batch), batch) for batch in sampler]
    longest_tokens, longest = max(sizes, key=lambda size: size[0], default=(0, []))

    def loss(batch: Any) -> Any:
        inputs = trainer._prepare_inputs(dict(batch))
        with trainer.accelerator.autocast():
            value = trainer.compute_loss(trainer.model, inputs)
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
    write_json(run_path / FILE, report.model_dump())
    return report


def keep_picture(image: Any, run_path: Path) -> str:
    """Save a PIL image of what the model gets in the run folder; returns its file name."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    atomic_write_bytes(run_path / PICTURE, buffer.getvalue())
    return PICTURE


def read_report(run_path: Path) -> PreflightReport | None:
    """The report in a run folder, or None when there is none."""
    file = run_path / FILE
    return PreflightReport.model_validate(read_json(file)) if file.is_file() else None


def check_rows(rows: Sequence[TokenRow], max_length: int | None) -> list[str]:
    """Problems of tokenised rows: none at all, rows without a learned token, targets that `max_length` would cut."""
    if not rows:
        return ["There are no rows to learn from."]
    problems = []
    empty = [number for number, row in enumerate(rows, start=1) if not any(x != IGNORED for x in row.labels)]
    if empty:
        problems.append(f"{len(empty)} of {len(rows)} rows have nothing to learn (first: row {empty[0]}).")
    cut = [length for row in rows if max_length is not None and (length := len(row.input_ids)) > max_length]
    if cut:
        problems.append(
            f"optim.max_length = {max_length} would cut the target of {len(cut)} of {len(rows)} rows; the longest has "
            f"{max(cut)} tokens. Set optim.max_length to {max(cut)} or more, or remove those rows."
        )
    return problems


def check_template(tokenizer: Any, chats: Iterable[tuple[list[dict[str, Any]], str]]) -> list[str]:
    """Problems of the chat template: the rendered prompt must be a prefix of prompt + answer, which ends the turn.

    `chats` are (messages, target). Otherwise the model is trained on another context than it will meet.
    """
    if not getattr(tokenizer, "chat_template", None):
        return ["The tokenizer has no chat template, so prompts and answers cannot be told apart."]
    broken, endless, total, example = 0, 0, 0, ""
    for messages, target in chats:
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        full = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": target}], tokenize=False)
        total += 1
        if not full.startswith(prompt):
            broken += 1
            example = example or repr(prompt[-60:])
        elif tokenizer.eos_token and tokenizer.eos_token not in full[len(prompt) :]:
            endless += 1
    problems = []
    if broken:
        problems.append(
            f"The chat template renders the prompt differently with an answer in {broken} of {total} rows (the prompt "
            f"ends in {example}), so training and use would not match."
        )
    if endless:
        problems.append(
            f"The chat template does not end the answer with {tokenizer.eos_token} in {endless} of {total} rows, so "
            "the model would never learn to stop."
        )
    return problems


def count(rows: Sequence[TokenRow], max_length: int | None) -> Tokens:
    """Token statistics of the rows."""
    lengths = [len(row.input_ids) for row in rows]
    learned = sum(label != IGNORED for row in rows for label in row.labels)
    total = sum(lengths)
    return Tokens(
        rows=len(rows),
        longest=max(lengths, default=0),
        mean=round(total / len(rows), 2) if rows else 0.0,
        learned=round(learned / total, 4) if total else 0.0,
        cut_targets=sum(max_length is not None and length > max_length for length in lengths),
    )


def pieces(row: TokenRow, decode: Callable[[Sequence[int]], str]) -> tuple[Piece, ...]:
    """The row decoded, stretches with and without loss apart; the middle of a long stretch is left out."""
    parts = []
    half = SHOWN_TOKENS // 2
    for masked, group in itertools.groupby(
        zip(row.input_ids, row.labels, strict=True), lambda pair: pair[1] == IGNORED
    ):
        ids = [token for token, _ in group]
        text = decode(ids) if len(ids) <= SHOWN_TOKENS else f"{decode(ids[:half])} … {decode(ids[-half:])}"
        parts.append(Piece(text=text, masked=masked))
    return tuple(parts)


def mark(sample: Sequence[Piece]) -> str:
    """The sample for a terminal: text without loss stands in ⟦ ⟧."""
    return "".join(f"⟦{piece.text}⟧" if piece.masked else piece.text for piece in sample)


def probe(subject: Subject) -> Probe:
    """Two AdamW steps on the longest batch; afterwards everything is as before, bit for bit.

    Two, because LoRA's B starts at zero: A gets its first gradient in the second step. No weight decay, which would
    move a tensor that has no gradient.
    """
    import torch

    model = subject.model
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    if not trainable:
        raise RunError("No tensor of the model would be trained.", "Check the lora section of the recipe.")
    before = {name: p.detach().clone() for name, p in trainable.items()}
    marks = _fingerprints(frozen)
    optimizer = torch.optim.AdamW(trainable.values(), lr=subject.learning_rate, weight_decay=0.0)
    with untouched_randomness(), peak_memory() as peak:
        seconds, losses = [], []
        try:
            for _ in range(2):
                started = time.monotonic()
                losses.append(_step(subject, optimizer))
                seconds.append(time.monotonic() - started)
            problems = _findings(trainable, before, frozen, marks, losses)
        finally:
            with torch.no_grad():
                for name, parameter in trainable.items():
                    parameter.copy_(before[name])
                    parameter.grad = None
    scale = subject.mean_tokens / subject.longest_tokens if subject.longest_tokens else 1.0
    return Probe(
        problems=tuple(problems),
        memory_bytes=peak.bytes,
        memory_available_bytes=available_bytes(),
        seconds_per_step=round(seconds[1], 4),  # the first step also warms up
        projected_sec=round(seconds[1] * scale * subject.steps, 1),
        trainable=sum(p.numel() for p in trainable.values()),
        frozen=sum(p.numel() for p in frozen.values()),
    )


def _step(subject: Subject, optimizer: Any) -> float:
    total = 0.0
    for _ in range(subject.accumulation):
        loss = subject.loss(subject.longest) / subject.accumulation
        loss.backward()
        total += float(loss.detach())
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def _findings(
    trainable: dict[str, Any],
    before: dict[str, Any],
    frozen: dict[str, Any],
    marks: dict[str, int],
    losses: list[float],
) -> list[str]:
    import math

    import torch

    problems = []
    if not all(math.isfinite(loss) for loss in losses):
        problems.append(
            f"The loss is not a number ({losses[0]}, {losses[1]}): lower optim.learning_rate, or check the data."
        )
    still = [name for name, p in trainable.items() if torch.equal(p.detach(), before[name])]
    if still:
        problems.append(f"{len(still)} of {len(trainable)} adapter tensors do not learn (first: {still[0]}).")
    moved = [name for name, value in _fingerprints(frozen).items() if value != marks[name]]
    if moved:
        problems.append(f"{len(moved)} of {len(frozen)} frozen tensors changed (first: {moved[0]}).")
    bare = layers_without_adapter([*trainable], [*frozen])
    if bare:
        problems.append(f"{len(bare)} layers have no adapter (first: {bare[0]}).")
    return problems


def layers_without_adapter(trainable: Sequence[str], frozen: Sequence[str]) -> list[str]:
    """Layers ("model.layers.3") with nothing to train, in stacks of which other layers have something."""
    import re

    def layer(name: str) -> tuple[str, str] | None:
        match = re.search(r"(?:^|\.)([\w.]*?(?:layers|blocks|h))\.(\d+)\.", name)
        return (match[1], match[2]) if match else None

    adapted = {found for name in trainable if (found := layer(name))}
    stacks = {stack for stack, _ in adapted}
    bare = {found for name in frozen if (found := layer(name)) and found not in adapted and found[0] in stacks}
    return [f"{stack}.{index}" for stack, index in sorted(bare, key=lambda found: (found[0], int(found[1])))]


def _fingerprints(tensors: dict[str, Any]) -> dict[str, int]:
    """A sum over the bits of each tensor; in slices, because the sum widens them to 8 bytes per value."""
    import torch

    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = {name: t.detach().reshape(-1).view(kinds[t.element_size()]) for name, t in tensors.items()}
    return {name: sum(int(part.sum(dtype=torch.int64)) for part in b.split(1 << 22)) for name, b in bits.items()}
