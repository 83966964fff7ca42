"""A drawing surface that knows its styles and fonts and notices unreadable text.

Geometry is drawn at twice the size and reduced (smooth edges); text is set last, at final size, so that hinting keeps
small letters readable. A canvas records a problem (text clipped, overlapping, too small for the model's input) and
lets the caller reject the picture; it never repairs one silently. It does not know what a chart or receipt is.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from synth.errors import UserError

Rgb = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLE = 2
MIN_MODEL_TEXT_PX = 8.0
"""Font size in pixels of the model's input below which text counts as unreadable."""

FACES = {
    "sans": "DejaVuSans.ttf",
    "sans-bold": "DejaVuSans-Bold.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif-bold": "DejaVuSerif-Bold.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono-bold": "DejaVuSansMono-Bold.ttf",
    "times": "STIXGeneral.ttf",
    "times-bold": "STIXGeneralBol.ttf",
}
"""Faces from the files that ship with matplotlib (DejaVu and STIX licences); "round" is Pillow's own CC0 face."""

COLOURS: dict[str, Rgb] = {
    "red": (214, 40, 40),
    "green": (42, 157, 70),
    "blue": (38, 84, 214),
    "orange": (247, 144, 20),
    "purple": (134, 50, 168),
    "black": (20, 20, 20),
    "pink": (243, 120, 178),
    "brown": (132, 84, 44),
    "gray": (140, 140, 140),
    "yellow": (240, 208, 40),
}

MIN_CONTRAST = 1.8
"""Least luminance ratio of a mark to its background: thin lines stay visible."""


class Style(NamedTuple):
    """Look of a picture; `grid` is None where a style draws no grid lines."""

    name: str
    background: Rgb
    ink: Rgb
    grid: Rgb | None
    face: str
    bold: str


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style("plain", (255, 255, 255), (20, 20, 20), (222, 222, 222), "sans", "sans-bold"),
        Style("dark", (30, 33, 42), (236, 236, 236), (70, 74, 86), "sans", "sans-bold"),
        Style("paper", (250, 243, 224), (62, 44, 30), (228, 216, 190), "serif", "serif-bold"),
        Style("slate", (224, 231, 238), (26, 38, 60), (255, 255, 255), "round", "round"),
        Style("typed", (255, 255, 255), (30, 30, 30), None, "mono", "mono-bold"),
        Style("journal", (246, 250, 246), (10, 30, 20), (206, 220, 206), "times", "times-bold"),
    )
}


def colour_names(style: Style, count: int, rng: Random, basic: bool = True) -> list[str]:
    """`count` different colour names that stand out from the style's background."""
    pool = list(COLOURS)[:6] if basic else list(COLOURS)
    ground = _luminance(style.background)
    ratios = {
        name: (max(ground, lum) + 0.05) / (min(ground, lum) + 0.05)
        for name in pool
        for lum in (_luminance(COLOURS[name]),)
    }
    return rng.sample([name for name in pool if ratios[name] >= MIN_CONTRAST], count)


def _luminance(rgb: Rgb) -> float:
    """Relative luminance in 0–1 (WCAG 2.2, with gamma 2.2)."""
    red, green, blue = (float((value / 255) ** 2.2) for value in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@functools.cache
def _face_folder() -> Path:
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The fonts for pictures come with matplotlib, which is not installed.",
            "Install smolstudio with its dependencies.",
            code="fonts_missing",
        )
    return Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"


@functools.lru_cache(maxsize=256)
def font(face: str, px: int) -> ImageFont.FreeTypeFont:
    """The face at a size in pixels; basic layout, because it is fast and the same on each machine."""
    if face == "round":
        loaded = ImageFont.load_default(size=px)
        if not isinstance(loaded, ImageFont.FreeTypeFont):
            raise UserError("This Pillow was built without FreeType.", "Install Pillow's wheel.", code="fonts_missing")
        return loaded
    return ImageFont.truetype(str(_face_folder() / FACES[face]), px, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=16384)
def text_width(face: str, px: int, text: str) -> float:
    """Advance width in pixels."""
    return font(face, px).getlength(text)


class _Text(NamedTuple):
    at: Point
    text: str
    px: int
    face: str
    fill: Rgb
    anchor: str


class Canvas:
    """A square picture of `size` pixels that a model will see at `model_size`.

    em: the default text size in pixels, chosen so that plain text is readable at the model's input size.
    problems: reasons why the picture must be rejected (empty when it is fine).
    """

    def __init__(self, size: int, model_size: int, style: Style, rng: Random) -> None:
        self.size = size
        self.model_scale = min(1.0, model_size / size)
        self.style = style
        self.em = round(max(9.6 / self.model_scale, 0.042 * size) * rng.uniform(1.0, 1.12))
        self.problems: list[str] = []
        self._image = Image.new("RGB", (size * SUPERSAMPLE, size * SUPERSAMPLE), style.background)
        self._draw = ImageDraw.Draw(self._image)
        self._texts: list[_Text] = []

    def _xy(self, points: Iterable[Point]) -> list[Point]:
        return [(x * SUPERSAMPLE, y * SUPERSAMPLE) for x, y in points]

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Rgb | None = None,
        outline: Rgb | None = None,
        width: float = 1,
    ) -> None:
        self._draw.rectangle(self._xy([(x0, y0), (x1, y1)]), fill, outline, round(width * SUPERSAMPLE))

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb | None = None) -> None:
        self._draw.ellipse(self._xy([(x0, y0), (x1, y1)]), fill)

    def polygon(self, points: Sequence[Point], fill: Rgb) -> None:
        self._draw.polygon(self._xy(points), fill)

    def line(self, points: Sequence[Point], fill: Rgb, width: float = 1) -> None:
        self._draw.line(self._xy(points), fill, max(1, round(width * SUPERSAMPLE)), joint="curve")

    def slice(self, centre: Point, radius: float, start_deg: float, end_deg: float, fill: Rgb) -> None:
        """A pie slice; degrees clockwise from three o'clock, outlined in the background's colour."""
        x, y = centre
        box = self._xy([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.pieslice(box, start_deg, end_deg, fill, self.style.background, SUPERSAMPLE)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        px: int | None = None,
        anchor: str = "la",
        fill: Rgb | None = None,
        bold: bool = False,
    ) -> None:
        """Queue text; `anchor` is Pillow's (horizontal l/m/r, vertical a/m/s)."""
        face = self.style.bold if bold else self.style.face
        self._texts.append(_Text((x, y), text, px or self.em, face, fill or self.style.ink, anchor))

    def width(self, text: str, px: int | None = None, bold: bool = False) -> float:
        return text_width(self.style.bold if bold else self.style.face, px or self.em, text)

    def fit(self, texts: Iterable[str], room: float, px: int | None = None) -> int:
        """The largest size up to `px` at which each text is at most `room` pixels wide."""
        size = px or self.em
        widest = max(self.width(text, size) for text in texts)
        while widest > room and size > 4:
            size -= 1
            widest = max(self.width(text, size) for text in texts)
        return size

    def roomy_em(self, lines: int, leading: float, rng: Random) -> float:
        """A text size at which `lines` lines fill between half and nearly all of the height, at most 1.8 em."""
        full = 0.93 * self.size / (lines * leading)
        return self.em if full <= self.em else rng.uniform(self.em, min(full, 1.8 * self.em))

    def finish(self) -> Image.Image:
        """Reduce, set the text and record problems. Call once."""
        image = self._image.reduce(SUPERSAMPLE)
        draw = ImageDraw.Draw(image)
        boxes: list[tuple[float, float, float, float]] = []
        for item in self._texts:
            face = font(item.face, item.px)
            draw.text(item.at, item.text, item.fill, face, item.anchor)
            boxes.append(draw.textbbox(item.at, item.text, face, item.anchor))
            if item.px * self.model_scale < MIN_MODEL_TEXT_PX:
                self._note("text_too_small")
        if any(x0 < 0 or y0 < 0 or x1 > self.size or y1 > self.size for x0, y0, x1, y1 in boxes):
            self._note("text_clipped")
        if _overlapping(boxes):
            self._note("text_overlaps")
        return image

    def problem(self, reason: str) -> None:
        """Record a reason why this picture must not be used."""
        self._note(reason)

    def _note(self, reason: str) -> None:
        if reason not in self.problems:
            self.problems.append(reason)


def _overlapping(boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    for i, (ax0, ay0, ax1, ay1) in enumerate(boxes):
        for bx0, by0, bx1, by1 in boxes[i + 1 :]:
            if ax0 < bx1 and bx0 < ax1 and ay0 < by1 and by0 < ay1:
                return True
    return False


def shaded(name: str, rng: Random) -> Rgb:
    """A named colour with a small random shift, so that a model learns the hue and not three numbers."""
    shift = rng.randint(-14, 14)
    red, green, blue = (min(255, max(0, value + shift + rng.randint(-6, 6))) for value in COLOURS[name])
    return red, green, blue
