"""Pictures and recordings of a table's rows, checked, decoded once, and kept in the run's folder under their hash.

`ask` sends them where it says `media: true`, and `row` puts them into the row. Nothing outside the table's folder is
read, and addresses are never fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from synth.errors import DataError
from synth.example import AudioPart, ImagePart
from synth.importing.media import Media
from synth.importing.values import BadRow
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.step import Env, Settings, field_of

MEDIUM = "_medium"
"""The field that holds the part of a message."""


class Medium(Settings):
    """Where the medium of a row is."""

    path: str = Field(min_length=1, description="The table that the rows come from; paths start at its folder")
    field: str = Field(default="path", description="Field with the path")
    form: Literal["picture", "recording"] = "picture"


def medium(stream: Iterator[Candidate], settings: Medium, env: Env) -> Iterator[Outcome]:
    """Candidates with their picture or recording; one that cannot be read is rejected."""
    kind = "vision" if settings.form == "picture" else "audio"
    media = Media(kind, Path(settings.path).parent, env.context.add_media)
    read = media.picture if settings.form == "picture" else media.recording
    for candidate in stream:
        try:
            part = read(field_of(candidate, settings.field))
        except (BadRow, DataError) as error:
            yield candidate.rejected(str(error))
            continue
        yield candidate.having(**{MEDIUM: part}).noting(settings.form, path=part.path)


def media_of(candidate: Candidate, wanted: bool) -> list[ImagePart | AudioPart]:
    """The candidate's medium as parts of a message; none where none is wanted or there."""
    part = candidate.fields.get(MEDIUM)
    return [part] if wanted and isinstance(part, ImagePart | AudioPart) else []
