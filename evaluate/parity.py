"""Does an export answer as the tuned model does? Its own runtime is asked rows of the test split, beside the original.

    gate = parity_gate(workspace)
    export_run(run_id, workspace.runs, out, "gguf", gate)

An artefact that holds what was tuned (float16 and wider) must give the same texts, or part from them at a near tie:
where the tuned model, in float32, preferred its own token by no more than rounding moves such a gap. A wrong matrix,
tokenizer or template turns tokens that were no tie. A quantised artefact may differ in words, but its mean score must
lie within the original's 95 % interval. What was found goes into the export's manifest and card, beside what a merge
into the base as published would have answered, which refuses nothing. It does not compare systems:
`evaluate.compare` does that, with costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from evaluate.predict.prompts import Question
from evaluate.predict.runners import runner_of
from evaluate.stats.intervals import mean_score, wilson
from recipes.export.exporter import Artefact, Gate, Tuned, prompt_tokens
from recipes.run.directory import Run
from synth.dataset import DatasetDir
from synth.errors import DataError, ModelError, UserError
from synth.example import Example, Split
from synth.scoring.scorers import score_reply
from synth.storage import JsonDict
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

ROWS = 40
SPLITS: tuple[Split, ...] = ("test", "val", "train")  # the first that has rows
EQUAL_SHARE = 0.99  # of an exact artefact, near ties among them: refused where the rows exclude it with 95 % confidence
EQUAL_SHARE_UNSEEN = 0.95  # of recordings and pictures, whose near ties are not looked up
NEAR_TIE = 0.05  # of a logit; float16 moved the gap between two likeliest tokens by 0.012 at most (docs/export.md)
TELLING = 0.05  # a lower end of the tuned score at or below this leaves an export hardly anything to lose
SHOWN = 5


class Difference(BaseModel):
    """A row that the two answered differently."""

    model_config = ConfigDict(frozen=True)
    example_id: str
    tuned: str
    exported: str


class Parity(BaseModel):
    """One artefact beside the tuned model, on the same rows. Scores are means over rows, between 0 and 1.

    `near_ties`: answers that part from the tuned model's at a near tie; None where that was not looked up.
    """

    model_config = ConfigDict(frozen=True)
    artefact: str
    runtime: str
    split: str
    rows: int
    equal: int
    near_ties: int | None = None
    score_tuned: float
    score_low: float
    score_exported: float
    differences: tuple[Difference, ...]
    handed_over: bool = True

    def sentence(self) -> str:
        """In a sentence, or two where the score could not have shown a loss."""
        aside = "" if self.handed_over else "Not handed over, asked for comparison only: "
        ties = f" ({self.near_ties} more part at a near tie)" if self.near_ties else ""
        counts = (
            f"{aside}{self.artefact}: {self.equal} of {self.rows} answers equal{ties} in {self.runtime}, mean score "
            f"{self.score_exported:.1%} (tuned model: {self.score_tuned:.1%})."
        )
        return counts if self.score_low > TELLING else f"{counts} So low a score could not show a loss."


class Sample(NamedTuple):
    """Rows that are asked, and as what."""

    split: str
    rows: list[Example]
    questions: list[Question]
    most_tokens: int


def parity_gate(workspace: Workspace, rows: int = ROWS) -> Gate:
    """A gate that asks at most so many rows of the dataset that the run was trained on."""

    def gate(tuned: Tuned, artefacts: list[Artefact]) -> JsonDict:
        if not artefacts:
            return _unchecked("no program that reads this format is installed here")
        import torch

        from recipes.models.loading import load_for_inference

        original = load_for_inference(tuned.ref, tuned.adapter, torch.float32)
        try:
            dataset = Run(workspace.runs / tuned.run).dataset()
            sample = drawn(original, dataset, rows)
        except UserError as error:
            return _unchecked(error.message.rstrip("."))
        sample, expected = answered(original, sample)
        if not expected:
            return _unchecked("the tuned model itself answered none of the rows")
        for artefact in artefacts:
            _refuse_another_template(artefact, original, sample)
        found = [_held(artefact, original, sample, expected) for artefact in artefacts]
        return {"said": [one.sentence() for one in found], "artefacts": [one.model_dump() for one in found]}

    return gate


def _unchecked(why: str) -> JsonDict:
    return {"said": [f"Not asked whether it answers as the tuned model: {why}."], "artefacts": []}


def drawn(original: Loaded, dataset: DatasetDir, most: int) -> Sample:
    """Rows of the first split that has some. Raises DataError when there are none."""
    from recipes.decode.sampling import longest_target_tokens

    for split in SPLITS:
        if rows := dataset.draw(split, most, seed=0):
            questions = [Question(e.id, e.prompt, dataset.path, tools=e.tools) for e in rows]
            return Sample(split, rows, questions, longest_target_tokens(original, rows))
    raise DataError("The dataset has no rows.", "Choose another run.")


def answered(original: Loaded, sample: Sample) -> tuple[Sample, list[str]]:
    """The rows that the tuned model answers, and its answers: a row that it cannot read says nothing of an export."""
    texts = _texts(original, sample)
    kept = [place for place, row in enumerate(sample.rows) if row.id in texts]
    rows, questions = [sample.rows[place] for place in kept], [sample.questions[place] for place in kept]
    return sample._replace(rows=rows, questions=questions), [texts[row.id] for row in rows]


def _texts(loaded: Loaded, sample: Sample) -> dict[str, str]:
    """Greedy answers of a model that transformers holds; rows that failed are left out.

    A comparison decodes a published Whisper's failed transcripts anew; the programs that are asked here do not.
    """
    runner: Any = runner_of(loaded)
    if hasattr(runner, "answer_greedily"):
        found = runner.answer_greedily(loaded, sample.questions, sample.most_tokens)
    else:
        found = runner.answer(loaded, sample.questions, sample.most_tokens, None, lambda: False)
    return {one.example_id: (one.text or "").strip() for one in found if not one.error}


def _refuse_another_template(artefact: Artefact, original: Loaded, sample: Sample) -> None:
    """Raise ModelError where the chat template and the tokenizer inside an artefact read a row as other tokens.

    With pictures their number is told apart. Rows with tools or control tokens are left out: programs differ on these.
    """
    if artefact.read_prompts is None:
        return
    runner: Any = runner_of(original)
    plain = [question for question in sample.questions if not question.tools]
    asked = [(q, chat) for q in plain if (chat := runner.plain_chat(original, q))]
    ours = runner.bare_inputs(original, [question for question, _ in asked])
    theirs = artefact.read_prompts([chat for _, chat in asked])
    for (question, _), tuned, exported in zip(asked, ours, theirs, strict=True):
        count = exported if isinstance(exported, int) else len(exported)
        others = (
            []
            if isinstance(exported, int)
            else [at for at in range(count) if exported[at : at + 1] != tuned[at : at + 1]]
        )
        if count != prompt_tokens(tuned) or others:
            where = f", and other ones from token {others[0] + 1} on" if others else ""
            message = (
                f"{artefact.runtime} reads row {question.example_id} as {count} tokens through the chat template "
                f"inside the file{where}, and the model was tuned on {prompt_tokens(tuned)}."
            )
            raise ModelError(message, "Nothing was kept. Choose another target, or report this.", "export.parity")


def _held(artefact: Artefact, original: Loaded, sample: Sample, expected: list[str]) -> Parity:
    """What the artefact answered. Raises ModelError when it answers otherwise than it may."""
    if artefact.loaded:
        texts = _texts(artefact.loaded(), sample)
        given = [texts.get(row.id, "") for row in sample.rows]
    else:
        assert artefact.opened is not None
        ask, prompts = artefact.opened(None), runner_of(original).bare_inputs(original, sample.questions)
        given = [reply.text for reply in ask(prompts, sample.most_tokens)]
    near = _near_ties(original, sample, expected, given) if artefact.exact else None
    before, after = (_scores(sample.rows, texts) for texts in (expected, given))
    pairs = [
        Difference(example_id=row.id, tuned=one[:300], exported=other[:300])
        for row, one, other in zip(sample.rows, expected, given, strict=True)
        if one != other
    ]
    interval = mean_score(before)
    found = Parity(
        artefact=artefact.name,
        runtime=artefact.runtime,
        split=sample.split,
        rows=len(sample.rows),
        equal=len(sample.rows) - len(pairs),
        near_ties=near,
        score_tuned=interval.value,
        score_low=interval.low,
        score_exported=sum(after) / len(after),
        differences=tuple(pairs[:SHOWN]),
        handed_over=artefact.handed_over,
    )
    if artefact.handed_over and ((artefact.exact and _differs(found)) or found.score_exported < found.score_low):
        first = f" First: {pairs[0].tuned[:80]!r} became {pairs[0].exported[:80]!r}." if pairs else ""
        message = f"The export answers otherwise than the tuned model. {found.sentence()}{first}"
        raise ModelError(message, "Nothing was kept. Choose another target, or report this.", "export.parity")
    return found


def _differs(found: Parity) -> bool:
    """Whether an exact artefact gives other answers than rounding explains."""
    if found.near_ties is None:
        return found.equal < EQUAL_SHARE_UNSEEN * found.rows
    return wilson(found.equal + found.near_ties, found.rows).high < EQUAL_SHARE


def _near_ties(original: Loaded, sample: Sample, expected: list[str], given: list[str]) -> int | None:
    """How many answers part from the tuned model's at a near tie; None for recordings and pictures."""
    prompts = runner_of(original).bare_inputs(original, sample.questions)
    if not all(isinstance(prompt, list) and all(isinstance(one, int) for one in prompt) for prompt in prompts):
        return None
    rows = zip(prompts, expected, given, strict=True)
    return sum(one != other and part_at_near_tie(original, prompt, one, other) for prompt, one, other in rows)


def part_at_near_tie(original: Loaded, prompt: list[int], text: str, other: str) -> bool:
    """Whether the model holds both tokens at which two answers part for as likely as its likeliest, or nearly so."""
    import torch

    end = original.tokenizer.eos_token_id
    one, two = ([*original.tokenizer(said, add_special_tokens=False).input_ids, end] for said in (text, other))
    place = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
    if place is None:
        return False
    with torch.inference_mode():
        ids = torch.tensor([[*prompt, *one[:place]]], device=original.model.device)
        scores = original.model(ids).logits[0, -1].float()
    return bool(scores.max() - scores[[one[place], two[place]]].min() <= NEAR_TIE)


def _scores(rows: Sequence[Example], texts: Sequence[str]) -> list[float]:
    return [max(0.0, score_reply(text, row, row.scorer).value or 0.0) for row, text in zip(rows, texts, strict=True)]
