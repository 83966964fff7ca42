"""What happens to a picture on its way to a model: blur, JPEG, perspective, shadow, noise.

Each effect is mild enough at strength 1 that a person still reads text of the smallest allowed size.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

Effect = Literal["blur", "jpeg", "perspective", "shadow", "noise"]


def _blur(image: Image.Image, strength: float, rng: Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.55) * strength * image.width / 192))


def _jpeg(image: Image.Image, strength: float, rng: Random) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(95 - rng.uniform(0.2, 1.0) * 45 * min(1.0, strength)))
    return Image.open(buffer).convert("RGB")


def _perspective(image: Image.Image, strength: float, rng: Random) -> Image.Image:
    """Pull the four corners inwards by up to 4 %; what is uncovered takes the corner's colour."""
    w, h = image.size
    reach = 0.04 * strength
    source = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
    target = [(abs(x - rng.uniform(0, reach) * w), abs(y - rng.uniform(0, reach) * h)) for x, y in source]
    rows = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    flat = np.array([value for point in source for value in point])
    coefficients = np.linalg.solve(np.array(rows), flat)
    corner = image.getpixel((1, 1))
    return image.transform(
        (w, h),
        Image.Transform.PERSPECTIVE,
        [float(c) for c in coefficients],
        Image.Resampling.BICUBIC,
        fillcolor=corner,
    )


def _shadow(image: Image.Image, strength: float, rng: Random) -> Image.Image:
    """A soft gradient that darkens one side by up to 35 %."""
    w, h = image.size
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    side = 1 / (1 + np.exp(-4 * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)))
    light = 1 - np.float32(rng.uniform(0.1, 0.35) * min(1.0, strength)) * side
    return Image.fromarray((np.asarray(image) * light[..., None]).astype(np.uint8))


def _noise(image: Image.Image, strength: float, rng: Random) -> Image.Image:
    grain = np.random.default_rng(rng.getrandbits(64)).standard_normal((image.height, image.width, 1), dtype=np.float32)
    noisy = np.asarray(image) + grain * np.float32(rng.uniform(2, 9) * strength)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


EFFECTS: dict[str, Callable[[Image.Image, float, Random], Image.Image]] = {
    "perspective": _perspective,
    "shadow": _shadow,
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
}
"""In the order in which a camera would apply them."""


def degrade(image: Image.Image, effects: Sequence[str], strength: float, rng: Random) -> tuple[Image.Image, list[str]]:
    """Apply a random subset of `effects` (each with probability 1/2); the image and what was applied."""
    applied = [name for name in EFFECTS if name in effects and rng.random() < 0.5]
    for name in applied:
        image = EFFECTS[name](image, strength, rng)
    return image, applied
