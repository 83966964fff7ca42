"""What the vision starters were taught: pictures of the project's own generator, at 128 px.

    from recipes.starters.vision_data import examples, rows

`rows` is the bare stream that training reads; `examples` gives the project's records for replay, for measuring what a
tuned model forgot, and for the model card. The small starter sees upright bars and shape scenes; the large one also
sideways bars, lines and pies, with questions in wordings of its own. Receipts, tables and forms are in neither on
purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

    from synth.example import Example
    from synth.vision import Spec
    from synth.vision.scene import SceneQuestion

GENERATOR_VERSION = "1"
SIZE = 128
FAMILIES: dict[str, float] = {"bar": 0.4, "shapes": 0.6}
"""Kinds of picture and their share of the stream."""
UNION: dict[str, float] = {"bar": 0.2, "shapes": 0.25, "hbar": 0.35, "line": 0.1, "pie": 0.1}
"""As FAMILIES, of the large starter."""
REWORDED: dict[str, tuple[str, ...]] = {
    "value": ("State the number that {x} stands for.", "{x}: which number?", "Give the reading of {x}."),
    "most": ("Name the {m} on top of the ranking.", "No {m} beats which one?"),
    "least": ("Name the {m} at the bottom of the ranking.", "Every other {m} beats which one?"),
    "difference": ("Take {y} away from {x}.", "{x} minus {y}: how much?"),
    "sum": ("Put {x} and {y} together: how much?", "{x} plus {y}: how much?"),
    "compare": ("Of {x} and {y}, name the one with more.", "{x} against {y}: which one wins?"),
    "count_above": ("Number of {m}s that pass {n}?", "{n} is beaten by how many {m}s?"),
    "count": ("State the number of {m}s.", "The picture has how many {m}s?"),
    "trend": ("Compare the last point with the first: up or down?", "Up or down, all in all?"),
}
"""Wordings for the kinds that only the large starter sees: none is the generator's own, which the demo asks in."""

LIST_PHRASES = ("List what you see.", "What does the picture show?", "Read the picture.", "Describe the picture.")
MORE_QUESTIONS = 4
"""Further questions about the same picture: the working without the transcription, which stands above."""


class VisionRow(NamedTuple):
    """A picture with its turns: (question, reply) pairs, of which the first question carries the picture."""

    image: Image
    turns: tuple[tuple[str, str], ...]
    family: str


def reworded(question: SceneQuestion, kind: str, rng: Random) -> str:
    """The question about a chart of colours in one of REWORDED's forms."""
    from synth.vision.chart_questions import MARKS
    from synth.vision.scene import phrase

    args, mark = question.args, MARKS[kind]
    key = ("most" if args["most"] else "least") if question.op == "extreme" else question.op
    named = args.get("choices") or [args.get("name"), args.get("other")]
    x, y = (f"the {name} {mark}" for name in named)
    return phrase(rng, REWORDED[key], x=x, y=y, m=mark, n=args.get("limit"))


def spec(seed: int = 0, kinds: Sequence[str] = tuple(FAMILIES)) -> Spec:
    """The generator's settings for this starter: easiest level, at its own input size."""
    from synth.vision import Spec

    return Spec.model_validate({"seed": seed, "kinds": tuple(kinds), "difficulty": 1, "size": SIZE, "model_size": SIZE})


def rows(rng: Random, list_share: float, families: Mapping[str, float] = FAMILIES) -> Iterator[VisionRow]:
    """An endless stream; `list_share` of the rows only transcribe, the others transcribe, reason and answer."""
    from synth.vision.candidates import render, sample_picture, target_of
    from synth.vision.scene import Rejected

    specs = {kind: spec(kinds=(kind,)) for kind in families}
    noisy = {
        kind: one.model_copy(update={"degrade": ("blur", "jpeg", "noise", "shadow")}) for kind, one in specs.items()
    }
    while True:
        kind = rng.choices(tuple(families), tuple(families.values()))[0]
        chosen = (noisy if rng.random() < 0.2 else specs)[kind]
        picture = sample_picture(chosen, "starter", rng.getrandbits(60))
        image, problems, _ = render(picture, chosen)
        if problems:
            continue
        if rng.random() < list_share:
            yield VisionRow(image, ((rng.choice(LIST_PHRASES), picture.scene.seen()),), kind)
            continue
        turns: list[tuple[str, str]] = []
        ops = list(picture.scene.ops())
        rng.shuffle(ops)
        for op in ops:
            try:
                question = picture.scene.ask(op, picture.rng)
            except Rejected:
                continue
            short = f"{question.reasoning}\nAnswer: {question.answer}"
            text = question.text if kind in FAMILIES else reworded(question, kind, picture.rng)
            turns.append((text, short if turns else target_of(picture.scene, question, "rationale")))
            if len(turns) > MORE_QUESTIONS:
                break
        if turns:
            yield VisionRow(image, tuple(turns), kind)


def examples(seed: int, n: int, families: Sequence[str] | None = None) -> Iterator[Example]:
    """`n` examples of the named families (the small starter's when None), the same for the same seed.

    Their pictures lie in `recipes.starters.scratch`. Raises KeyError for a family that does not exist.
    """
    from recipes.starters.scratch import add_media
    from synth.context import Context
    from synth.vision import generate

    for name in families or ():
        UNION[name]
    settings = spec(seed + 7_000_000, tuple(families or FAMILIES))
    settings = settings.model_copy(update={"train": n, "val": 0, "test": 0, "test_ood": 0, "questions_per_image": 1})
    for candidate in generate(settings, Context(add_media)):
        if candidate.example is not None:
            yield candidate.example
