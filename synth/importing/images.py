"""Any picture → RGB of 8 bits, upright, as a person would see it on white paper. Other bytes raise DataError."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

from synth.errors import DataError

MAX_PIXELS = 50_000_000
"""Pixels of the largest picture that is decoded (150 MB as RGB); Pillow's own warning starts at 89 million."""
MAX_FILE_BYTES = 64 * 2**20
STRIP_PIXELS = 1 << 20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def read_image(path: Path) -> Any:
    """The decoded picture of a file, as `decode_image`. Raises DataError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path.name} has more than {MAX_FILE_BYTES >> 20} MB.", "Shrink it.", "picture.too_large")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"There is no picture {path.name}.", "Check the path.", "picture.missing") from error
    except OSError as error:
        message = f"{path.name} is no readable picture: {error.strerror}."
        raise DataError(message, "Replace it.", "picture.broken") from error
    return decode_image(data, path.name)


def decode_image(data: bytes, name: str) -> Any:
    """The decoded picture. Raises DataError for what is no picture, broken, or dangerously large."""
    from PIL import Image, ImageOps

    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{name} has more than {MAX_FILE_BYTES >> 20} MB.", "Shrink it.", "picture.too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} x {image.height}"
                    raise DataError(f"{name} has {size} pixels, too many.", "Shrink it.", "picture.too_large")
                frames = _frames(image)
                if frames > 1 and image.format in FORMATS:  # not MPO: what cameras put beside a photo is no page
                    message = f"{name} holds {frames} frames or pages, of which only the first would be seen."
                    raise DataError(message, "Save each as a picture of its own.", "picture.frames")
                image.load()
                return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{name} claims far too many pixels.", "Shrink it.", "picture.too_large") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{name} is no readable picture: {reason}.", "Replace it.", "picture.broken") from error


def _frames(image: Any) -> int:
    """How many frames or pages a picture has. Raises OSError for a damaged one."""
    try:
        return int(getattr(image, "n_frames", 1))
    except (
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        struct.error,
    ) as error:  # Pillow lets what it meets in a damaged directory pass
        raise OSError("its pages cannot be counted") from error


def _rgb(image: Any) -> Any:
    """In strips: what lies between the two pictures would else take several times as much memory as they do."""
    from PIL import Image

    deep = image.mode.startswith("I") or image.mode == "F"
    scale = _scale(image) if deep else (0.0, 1.0)
    done = Image.new("RGB", image.size)
    for box in _strips(*image.size):
        strip = image.crop(box)
        done.paste(_strip_rgb(_scaled(strip, *scale) if deep else strip), box)
    return done


def _strips(width: int, height: int) -> list[tuple[int, int, int, int]]:
    rows = max(1, STRIP_PIXELS // max(1, width))
    return [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]


def _strip_rgb(image: Any) -> Any:
    from PIL import Image

    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")


def _scale(image: Any) -> tuple[float, float]:
    """What becomes black and what white: 16 bits keep their scale (65,535 is white); wider integers, and fractions
    outside 0 to 1, span their own range.
    """
    import numpy as np

    ends = []
    for box in _strips(*image.size):
        values = np.asarray(image.crop(box), dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("values that are not numbers")
        ends.append((float(values.min()), float(values.max())))
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    usual = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    return next(((0.0, top) for top in usual if low >= 0 and high <= top), (low, high))


def _scaled(image: Any, bottom: float, top: float) -> Any:
    """More than 8 bits of grey, or fractions, as 8 bits; Pillow's own conversion would clip at 255."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    return Image.fromarray(np.round((values - bottom) * (255.0 / ((top - bottom) or 1.0))).astype(np.uint8))
