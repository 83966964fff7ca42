"""Contact sheets, so that a person can look at what is rendered.

    python -m synth.vision.contact_sheet docs/vision --size 384 --difficulty 2

Writes one JPEG per kind: rows are styles, columns are pictures; each cell has a question and its answer below.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from synth.vision.candidates import Picture, ask, render, sample_picture
from synth.vision.canvas import font
from synth.vision.degrade import Effect
from synth.vision.scene import SceneQuestion
from synth.vision.spec import KINDS, Spec

FOOT_PX = 26


def cell(picture: Picture, spec: Spec, width: int) -> Image.Image | None:
    """One picture with a question below it, `width` pixels wide; None where it is rejected."""
    question = next((q for q in ask(picture, "train", 8) if isinstance(q, SceneQuestion)), None)
    if question is None:
        return None
    image, problems, _ = render(picture, spec)
    if problems:
        return None
    framed = Image.new("RGB", (width, width + FOOT_PX), "white")
    framed.paste(image.resize((width - 4, width - 4), Image.Resampling.LANCZOS), (2, 2))
    draw = ImageDraw.Draw(framed)
    for row, line in enumerate((question.text, f"-> {question.answer}")):
        draw.text((3, width + row * 12), line[: width // 5], "black", font("sans", 9))
    return framed


def sheet(kind: str, spec: Spec, columns: int, width: int) -> Image.Image:
    """All styles of one kind."""
    result = Image.new("RGB", (columns * width, len(spec.styles) * (width + FOOT_PX)), "white")
    for row, style in enumerate(spec.styles):
        one = spec.model_copy(update={"kinds": (kind,), "styles": (style,)})
        placed = number = 0
        while placed < columns and number < 400:
            number += 1
            made = cell(sample_picture(one, f"sheet-{style}", number), one, width)
            if made is not None:
                result.paste(made, (placed * width, row * (width + FOOT_PX)))
                placed += 1
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw contact sheets of rendered pictures.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--difficulty", type=int, default=2)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--width", type=int, default=192, help="pixels per picture on the sheet")
    parser.add_argument("--degrade", action="store_true", help="apply every degradation at strength 1")
    args = parser.parse_args()
    effects: tuple[Effect, ...] = ("blur", "jpeg", "perspective", "shadow", "noise") if args.degrade else ()
    spec = Spec(size=args.size, model_size=args.size, difficulty=args.difficulty, degrade=effects)
    args.out.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        path = args.out / f"{kind}-{args.size}px-level{args.difficulty}{'-degraded' if effects else ''}.jpg"
        sheet(kind, spec, args.columns, args.width).save(path, quality=80, optimize=True)
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
