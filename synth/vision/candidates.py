"""From settings to candidate rows: sample a scene, render it, ask, hold combinations out, reject with reasons.

Each picture has its own random stream (seed, split, number), so a stopped generation makes the same rows again. For
each style every kind holds one or two question operations out: they occur only in test_ood, and each operation, style
and kind occurs in training in other combinations.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from PIL import Image

from synth.context import Context
from synth.errors import DataError
from synth.example import Example, ImagePart, Origin, Split, make_example, user
from synth.generators import Candidate, Offers, Units, fill, kept, rejected
from synth.media import AddMedia
from synth.task import TaskCard
from synth.vision import charts, forms, receipts, shapes, tables
from synth.vision.canvas import STYLES, Canvas, Style
from synth.vision.chart_questions import ASKERS as CHART_ASKERS
from synth.vision.degrade import degrade
from synth.vision.scene import Rejected, Scene, SceneQuestion
from synth.vision.spec import Kind, Spec

VERSION = 2
TASK = TaskCard(
    instruction="Look at the picture and answer the question about it.",
    kind="picture_questions",
    answer_format="a last line `Answer: …` with a word, a number or a date",
)
MAX_UNUSABLE_PICTURES = 2000
"""Pictures in a row without one kept question after which the settings are at fault."""


class Picture(NamedTuple):
    """A sampled scene with its look; `image` is rendered on demand by `render`."""

    scene: Scene
    style: Style
    rng: Random


SAMPLERS: dict[Kind, Callable[[Style, Spec, Random], Scene]] = {
    "bar": lambda style, spec, rng: charts.sample("bar", style, spec.difficulty, spec.model_size, rng),
    "hbar": lambda style, spec, rng: charts.sample("hbar", style, spec.difficulty, spec.model_size, rng),
    "line": lambda style, spec, rng: charts.sample("line", style, spec.difficulty, spec.model_size, rng),
    "pie": lambda style, spec, rng: charts.sample("pie", style, spec.difficulty, spec.model_size, rng),
    "receipt": lambda style, spec, rng: receipts.sample(spec.difficulty, spec.model_size, rng),
    "table": lambda style, spec, rng: tables.sample(spec.difficulty, spec.model_size, rng),
    "form": lambda style, spec, rng: forms.sample(spec.difficulty, spec.model_size, rng),
    "shapes": lambda style, spec, rng: shapes.sample(style, spec.difficulty, rng),
}

ALL_OPS: dict[str, Sequence[str]] = {
    "chart": list(CHART_ASKERS),
    "receipt": list(receipts.ASKERS),
    "table": list(tables.ASKERS),
    "form": list(forms.ASKERS),
    "shapes": list(shapes.ASKERS),
}


@functools.cache
def held_out(kind: str, style: str) -> frozenset[str]:
    """Question operations that this kind keeps for test_ood in this style: two where it has six or more, else one."""
    ops = [op for op in ALL_OPS.get(kind, ALL_OPS["chart"]) if op != "trend" or kind == "line"]
    at = list(STYLES).index(style)
    chosen = {ops[at % len(ops)]}
    if len(ops) >= 6:
        chosen.add(ops[(at + len(ops) // 2) % len(ops)])
    return frozenset(chosen)


def sample_picture(spec: Spec, split: str, number: int, random: Callable[[str], Random] = Random) -> Picture:
    """The scene of that number, the same on every call; `random` makes the random stream of a name."""
    rng = random(f"{spec.seed}:{split}:{number}")
    style = STYLES[rng.choice(spec.styles)]
    kind = rng.choice(spec.kinds)
    rng.seed(f"{spec.seed}:{split}:{number}:{kind}:{style.name}")
    return Picture(SAMPLERS[kind](style, spec, rng), style, rng)


def ask(picture: Picture, split: str, count: int) -> list[SceneQuestion | tuple[str, str]]:
    """Up to `count` questions that the split may ask; (operation, reason) where one was rejected."""
    held = held_out(picture.scene.kind, picture.style.name)
    allowed = [op for op in picture.scene.ops() if (op in held) == (split == "test_ood")]
    picture.rng.shuffle(allowed)
    results: list[SceneQuestion | tuple[str, str]] = []
    for op in allowed[:count]:
        try:
            results.append(picture.scene.ask(op, picture.rng))
        except Rejected as error:
            results.append((op, error.reason))
    return results


def render(picture: Picture, spec: Spec) -> tuple[Image.Image, list[str], list[str]]:
    """The image, reasons to reject it (empty when fine) and the degradations applied."""
    canvas = Canvas(spec.size, spec.model_size, picture.style, picture.rng)
    picture.scene.draw(canvas)
    image = canvas.finish()
    image, applied = degrade(image, spec.degrade, spec.degrade_strength, picture.rng)
    return image, canvas.problems, applied


def png_bytes(image: Image.Image) -> bytes:
    """PNG at a fast compression level: the pictures are small."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def target_of(scene: Scene, question: SceneQuestion, style: str) -> str:
    """What the model learns to say: the answer alone, or what is seen, the reasoning, then the answer."""
    if style == "answer":
        return question.answer
    return f"{rationale_of(scene, question)}\nAnswer: {question.answer}"


def rationale_of(scene: Scene, question: SceneQuestion) -> str:
    """What is seen, then the reasoning; the answer itself comes after it."""
    return f"{scene.seen()}\n{question.reasoning}"


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates for each split in turn, until each has its number of kept rows.

    Raises:
        DataError: the settings hardly let any picture through.
    """
    with units(spec, context) as pictures:
        yield from fill(spec, context, pictures, MAX_UNUSABLE_PICTURES, _unusable)


@contextlib.contextmanager
def units(spec: Spec, context: Context) -> Iterator[Units]:
    """Pictures by their number, each with its questions."""

    def of(split: Split, number: int, room: int) -> Iterator[Candidate]:
        picture = sample_picture(spec, split, number, context.random)
        return _picture_candidates(picture, spec, split, number, room, context.add_media)

    yield Units(of, spec.questions_per_image)


def _unusable(split: Split, why: str) -> DataError:
    return DataError(
        f"{MAX_UNUSABLE_PICTURES} pictures in a row gave no usable question for {split}; the last one: {why}.",
        "Raise size and model_size, or lower the difficulty.",
        "vision.no_usable_pictures",
    )


def _picture_candidates(
    picture: Picture, spec: Spec, split: Split, number: int, room: int, add_media: AddMedia
) -> Iterator[Candidate]:
    questions = ask(picture, split, min(spec.questions_per_image, room))
    row = {"kind": picture.scene.kind, "style": picture.style.name, "split": split, "picture": number}
    good = [question for question in questions if isinstance(question, SceneQuestion)]
    for question in questions:
        if not isinstance(question, SceneQuestion):
            yield rejected(row | {"op": question[0]}, question[1])
    if not good:
        return
    image, problems, applied = render(picture, spec)
    if problems:
        for question in good:
            yield rejected(row | {"op": question.op, "question": question.text}, problems[0])
        return
    data = png_bytes(image)
    digest = hashlib.sha256(data).hexdigest()
    part = ImagePart(path=add_media(data, ".png"), sha256=digest)
    for question in good:
        yield kept(make_row(picture, question, part, spec, split, number, applied))


def make_row(
    picture: Picture,
    question: SceneQuestion,
    part: ImagePart,
    spec: Spec,
    split: Split,
    number: int,
    applied: Sequence[str] = (),
) -> Example:
    """One row: the picture and a question about it; template (the cluster) is the picture."""
    scene = picture.scene
    params = {
        "op": question.op,
        "args": question.args,
        "style": picture.style.name,
        "scene": scene.as_json(),
        "combination": f"{scene.kind}|{picture.style.name}|{question.op}",
        "degraded": list(applied),
    }
    source = {
        "generator": "vision",
        "generator_version": VERSION,
        "seed": spec.seed,
        "picture": number,
        "difficulty": spec.difficulty,
        "rationale": rationale_of(scene, question),
        "params": params,
    }
    return make_example(
        [user(part, question.text)],
        target_of(scene, question, spec.target),
        family=scene.kind,
        template=f"image-{part.sha256[:24]}",
        answer=question.answer,
        split=split,
        scorer=question.scorer,
        source=source,
        origin=Origin(kind="template", by=f"{scene.kind}|{picture.style.name}|{question.op}"),
    )
