"""Single pictures and recordings that someone uploads, as datasets store them: PNG, and FLAC at 16 kHz.

In memory; whole tables with their files are for the importers.
"""

from __future__ import annotations

import io


def as_png(data: bytes) -> bytes:
    """Any picture as RGB in PNG. Raises DataError for one that cannot be read."""
    from synth.importing.images import decode_image

    out = io.BytesIO()
    decode_image(data, "This picture").save(out, "PNG")
    return out.getvalue()


def as_flac(data: bytes) -> bytes:
    """Any recording as mono FLAC at 16 kHz. Raises DataError for one that cannot be read."""
    from synth.audio.files import decode, encode_flac

    return encode_flac(decode(data, "The recording"))
