"""What a plan's endpoints would cost, before anything is asked: `smolstudio compare plan.yaml --estimate`.

A forecast, not a bill: text is counted as four characters a token, pictures and sound by the vendors' published
formulas, replies as long as the rows' own targets. What is asked to choose the strongest prompt is in it: val rows, and
with a prompt search all that it can lead to. The report uses the usage that endpoints report instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evaluate import folds
from evaluate.answering import as_asked
from evaluate.choosing import WRITTEN_TOKENS, Contest, contest, writer, writing
from evaluate.cost import formulas, prices
from evaluate.lineage import Origin
from evaluate.plan import Plan, SystemPlan
from evaluate.predict.prompts import Prompter, Question, audio_seconds
from synth.dataset import open_dataset
from synth.errors import DataError
from synth.example import Example, ImagePart, TextPart
from synth.media import resolve_inside
from synth.usage import Usage, total
from synth.workspace import Workspace

CHARACTERS_PER_TOKEN = 4  # rule of thumb for English text in vendors' documentation
MESSAGE_TOKENS = 4  # wrapping of one chat message
RETRIED = 0.01  # share of answers assumed to be paid twice


class Estimate(NamedTuple):
    """One endpoint system; usd None = unpriced, `note` says why."""

    system: str
    requests: int
    usage: Usage
    usd: float | None
    note: str


def estimate(plan: Plan, workspace: Workspace) -> list[Estimate]:
    """A forecast for every endpoint of the plan. Raises DataError where the dataset or its media cannot be read."""
    dataset = open_dataset(plan.dataset, workspace.datasets)
    parts = folds.compared(plan, dataset)
    examples, train = [row for part in parts for row in part.rows], parts[0].train
    sheet = prices.load(Path(plan.prices) if plan.prices else None, workspace.path)
    large = plan.roles()[1]
    trial = contest(plan, dataset, plan.system(large)) if large else Contest((), [], 0)
    tried = [row for row in trial.val if row.id not in {one.id for one in examples}]
    found = []
    for one in (system for system in plan.systems if system.kind == "endpoint"):
        rows = [*examples, *(tried if one in trial.ways else ())]
        if one.id == large and trial.written:  # val under each written instruction; the best may answer all rows
            rows += [*trial.val * trial.written, *examples]
        asked = as_asked(one, dataset, [*examples, *train], Origin())
        asks = writing(plan, dataset, asked, train, trial.val, trial.written) if one.id == large else []
        found.append(_of_system(asked, Prompter(asked, train, plan.seed, dataset.path), rows, asks, sheet))
    return found


def _of_system(
    plan: SystemPlan,
    prompter: Prompter,
    examples: Sequence[Example],
    asks: Sequence[Question],
    sheet: prices.PriceSheet,
) -> Estimate:
    """asks: requests in which the model writes instructions, beside its rows."""
    model = plan.price_model or plan.model
    usages = [_of_row(prompter.question(row), _tokens(row.target) + 1, plan, model) for row in examples]
    usages += [_of_row(ask, WRITTEN_TOKENS, writer(plan), model) for ask in asks]
    known = [usage for usage in usages if usage is not None]
    if len(known) < len(usages):
        return Estimate(plan.id, len(usages), Usage(), None, f"no token formula for the media that {model} would get")
    usage = formulas.forecast(total(known), retry_share=RETRIED) if known else Usage(requests=0)
    largest = max((one.input_tokens or 0 for one in known), default=0)
    bill = formulas.bill(usage, model, sheet, largest_input=largest)
    return Estimate(plan.id, len(usages), usage, bill.usd, ", ".join(bill.missing) and f"unpriced: {bill.missing[0]}")


def _of_row(question: Question, reply_tokens: int, plan: SystemPlan, model: str) -> Usage | None:
    """Expected usage of one question; None where its media have no formula, or cannot be read."""
    if plan.transcribes:
        transcripts = audio_seconds(question, last_only=True)
        return Usage(audio_sec=transcripts) if transcripts else None
    text = images = 0
    seconds = audio_seconds(question)
    for message in question.messages:
        text += MESSAGE_TOKENS
        for part in message.content:
            if isinstance(part, TextPart):
                text += _tokens(part.text)
            elif isinstance(part, ImagePart):
                tokens = _image_tokens(resolve_inside(question.media_root, part.path, "picture"), model)
                if tokens is None:
                    return None
                images += tokens
    sound = formulas.audio_tokens(model, seconds) or 0
    if seconds and not sound:  # sold by the minute, or not at all: the price sheet decides
        return Usage(audio_sec=seconds)
    return Usage(
        input_tokens=text + images + sound,
        output_tokens=min(plan.token_limit, reply_tokens),
        image_tokens=images,
        audio_tokens=sound,
        audio_sec=seconds,
    )


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _image_tokens(file: Path, model: str) -> int | None:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            return formulas.image_tokens(model, *picture.size)
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"The picture {file.name} cannot be read.", "Run `smolstudio data check`.") from error
