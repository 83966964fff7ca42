"""Pictures and recordings that rows name or hold, checked, decoded once and stored in the dataset under their hash.

Nothing outside the source's folder is read, and addresses found in data are never fetched.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from synth.audio.files import MAX_SECONDS, MIN_SECONDS, SILENCE, decode_excerpt, encode_flac
from synth.audio.files import decode as decode_audio
from synth.audio.voices import SAMPLE_RATE_HZ, Samples
from synth.errors import DataError
from synth.example import AudioPart, ImagePart, Message, TextPart
from synth.importing.images import MAX_FILE_BYTES, decode_image
from synth.importing.kinds import ROW_KINDS
from synth.importing.values import BadRow
from synth.media import reason, resolve_inside
from synth.storage import sha256_bytes

Store = Callable[[bytes, str], str]
KINDS = {"vision": "picture", "audio": "recording"}


class Media:
    """Turns a reference (path, data address, bytes) into a part of a message. Faults are BadRow.

    Args:
        modality: text has no media, vision pictures, audio recordings.
        root: the folder that paths start from.
        store: keeps bytes under a suffix, and answers with their path in the dataset.
        max_seconds: of a recording.

    `files` are those that were read, by their resolved paths.
    """

    def __init__(self, modality: str, root: Path, store: Store, max_seconds: float = MAX_SECONDS) -> None:
        self.modality, self.root, self._store, self._max_seconds = modality, root.resolve(), store, max_seconds
        self._known: dict[str, ImagePart | AudioPart | str] = {}
        self.files: set[Path] = set()

    def picture(self, reference: Any) -> ImagePart:
        """A picture of the row, as PNG."""
        if ROW_KINDS[self.modality].medium != "images":
            raise BadRow("has a picture; import it as vision")
        part = self._part(reference, "picture")
        assert isinstance(part, ImagePart)
        return part

    def recording(self, reference: Any, excerpt: Sequence[float] | None = None) -> AudioPart:
        """A recording of the row, as FLAC of 16 kHz; of a part of it (start, end in seconds) that part alone."""
        if ROW_KINDS[self.modality].medium != "audio":
            raise BadRow("has a recording; import it as audio")
        if excerpt:
            return self._excerpt(reference, excerpt[0], excerpt[1])
        part = self._part(reference, "recording")
        assert isinstance(part, AudioPart)
        return part

    def own(self, message: Message) -> Message:
        """A turn of a dataset of ours, its media stored here byte for byte. Raises BadRow when one was changed."""
        if all(isinstance(part, TextPart) for part in message.content):
            return message
        for part in message.content:
            if isinstance(part, TextPart):
                continue
            modality = "vision" if isinstance(part, ImagePart) else "audio"
            if modality != self.modality:
                raise BadRow(f"has a {KINDS[modality]}; import it as {modality}")
            data, _ = self._bytes(part.path, KINDS[modality])
            if sha256_bytes(data) != part.sha256:
                raise BadRow(f"{KINDS[modality]} changed since the dataset was made")
            self._store(data, Path(part.path).suffix)
        return message

    def _part(self, reference: Any, what: str) -> ImagePart | AudioPart:
        key = reference if isinstance(reference, str) and len(reference) < 4096 else None
        part = self._known.get(f"{what} {key}") if key is not None else None
        if part is None:
            part = self._read(reference, what)
            if key is not None and len(self._known) < 1_000_000:
                self._known[f"{what} {key}"] = part
        if isinstance(part, str):
            raise BadRow(part)
        return part

    def _read(self, reference: Any, what: str) -> ImagePart | AudioPart | str:
        """The part, or the reason why there is none."""
        try:
            data, name = self._bytes(reference, what)
            return self._picture(data, name) if what == "picture" else self._sound(data, name)
        except DataError as error:
            return reason(error)
        except BadRow as fault:
            return str(fault)

    def _bytes(self, reference: Any, what: str) -> tuple[bytes, str]:
        if isinstance(reference, dict):
            keys = ("bytes", "data", "url", "path")
            reference = next((reference[k] for k in keys if reference.get(k)), None)
        if isinstance(reference, bytes):
            return reference, "bytes"
        if not isinstance(reference, str) or not reference.strip():
            raise BadRow(f"no {what}")
        reference = reference.strip()
        if reference.startswith("data:") or (
            len(reference) > 512 and "/" not in reference[:4] and " " not in reference
        ):
            try:
                return base64.b64decode(reference.partition(",")[2] or reference, validate=True), "data"
            except (binascii.Error, ValueError):
                raise BadRow(f"{what} is no base64") from None
        if "://" in reference:
            raise BadRow(f"{what} is an address, which is never fetched")
        path = self._path(reference, what)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadRow(f"{what} is too large")
        return path.read_bytes(), path.name

    def _path(self, reference: str, what: str) -> Path:
        try:
            path = resolve_inside(self.root, reference, what)
        except DataError as error:
            raise BadRow(reason(error)) from None
        self.files.add(path)
        return path

    def _excerpt(self, reference: Any, start: float, end: float) -> AudioPart:
        """A part of a recording, which may itself be longer and larger than any that is taken whole."""
        if not isinstance(reference, str) or "://" in reference or reference.startswith("data:"):
            raise BadRow("a part of a recording that is no file")
        path = self._path(reference.strip(), "recording")
        try:
            with path.open("rb") as file:
                return self._stored(decode_excerpt(file, path.name, start, end, self._max_seconds))
        except DataError as error:
            raise BadRow(reason(error)) from None

    def _picture(self, data: bytes, name: str) -> ImagePart:
        buffer = io.BytesIO()
        decode_image(data, name).save(buffer, "PNG", compress_level=3)
        stored = buffer.getvalue()
        return ImagePart(path=self._store(stored, ".png"), sha256=sha256_bytes(stored))

    def _sound(self, data: bytes, name: str) -> AudioPart:
        return self._stored(decode_audio(data, name, self._max_seconds))

    def _stored(self, samples: Samples) -> AudioPart:
        if len(samples) < MIN_SECONDS * SAMPLE_RATE_HZ:
            raise BadRow("recording is too short")
        if float(abs(samples).max()) < SILENCE:
            raise BadRow("recording is silent")
        stored = encode_flac(samples)
        return AudioPart(path=self._store(stored, ".flac"), sha256=sha256_bytes(stored))
