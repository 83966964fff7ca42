"""What a modality is: one record each, in `MODALITIES`; every switch between modalities reads it.

This is the half that data and pages need. What a model of the modality needs is in the record that `model` names, see
`recipes.modality`. Modules are given by name and imported when they are used, so that nothing here loads or trains.
A new modality is a module with both records and one line of the table.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from synth.errors import DataError, did_you_mean
from synth.example import AudioPart, ImagePart, Split

if TYPE_CHECKING:
    from synth.importing.detect import Guess
    from synth.importing.report import ImportReport
    from synth.progress import ProgressFn
    from synth.workspace import Workspace


class ImportRows(Protocol):
    """Make a dataset of people's own rows; a module of its own also has ROLES and `detect(source) -> Guess`."""

    def __call__(
        self,
        path: Path,
        name: str,
        workspace: Workspace,
        mapping: Mapping[str, str] | None = ...,
        *,
        on_progress: ProgressFn = ...,
        group_by: str = ...,
        split_by_time: str = ...,
        shares: Mapping[Split, float] = ...,
        answer_columns: Sequence[str] = ...,
        question: str = ...,
        split_near_duplicates: bool = ...,
    ) -> ImportReport: ...


class Modality(NamedTuple):
    """A kind of rows.

    Attributes:
        title: of what a row holds besides text; `rows_title` and `import_help` are for the import page.
        importer: module:function, see `ImportRows`; "" for the one of `synth.importing`, which needs an entry in its
            `layouts.ROLES` and `layouts.LAYOUTS`.
        model: module whose MODEL is the record of `recipes.modality`.
        part, suffix: of a row's medium and of the file that holds it; None and "" for plain text.
        names_unmapped: whether the importer wants roles without a column as "", to leave them out on purpose.
        uploads: endings of files that people have; `stored` (module:function) turns their bytes into the stored form.
        asks: whether a row has a question in words; `hint` is one.
        promptings: how an untuned model may be asked.
        picture_caption: of what the preflight shows, as the model gets it.
    """

    key: str
    title: str
    rows_title: str
    import_help: str
    model: str
    importer: str = ""
    part: type[ImagePart] | type[AudioPart] | None = None
    suffix: str = ""
    uploads: tuple[str, ...] = ()
    stored: str = ""
    asks: bool = True
    hint: str = ""
    promptings: tuple[str, ...] = ("zero_shot",)
    names_unmapped: bool = True
    picture_caption: str = ""

    def import_rows(self) -> ImportRows:
        """The importer."""
        if self.importer:
            return cast(ImportRows, dotted(self.importer))
        from synth.importing.importer import import_as

        return cast(ImportRows, functools.partial(import_as, self.key))

    def detect(self, source: Path) -> Guess:
        """Format and columns of a file or folder, and which role each column seems to have. Raises DataError."""
        if self.importer:
            return cast("Guess", self._importing().detect(source))
        from synth.importing.detect import detect

        return detect(source, self.key)

    def roles(self) -> tuple[str, ...]:
        """What a column of such rows can be."""
        if self.importer:
            return tuple(self._importing().ROLES)
        from synth.importing.layouts import ROLES

        return ROLES[self.key]

    def _importing(self) -> Any:
        return importlib.import_module(self.importer.partition(":")[0])

    def to_stored(self, data: bytes) -> bytes:
        """An uploaded picture or recording in the stored form. Raises DataError for one that cannot be read."""
        return cast(Callable[[bytes], bytes], dotted(self.stored))(data)


MODALITIES: dict[str, Modality] = {
    "text": Modality(
        "text",
        title="Text",
        rows_title="Questions and answers",
        import_help="JSONL, JSON, CSV, TSV, Parquet, Arrow, XLSX, also packed; chats, prompt and completion, question "
        "and answer, multiple choice, preference pairs, judged answers, logs of requests.",
        model="recipes.text.modality",
        hint="A shop sells 4 plates at $50 each. A coupon takes $37 off. What is the total?",
        promptings=("zero_shot", "few_shot"),
        names_unmapped=False,
    ),
    "vision": Modality(
        "vision",
        title="Picture",
        rows_title="Pictures with questions",
        import_help="A table with a picture's path, a question and its answer in each row, beside the pictures; or a "
        "folder with a `metadata.jsonl`. Upload the table together with its pictures, or name the table or folder.",
        model="recipes.vision.modality",
        part=ImagePart,
        suffix=".png",
        uploads=("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"),
        stored="synth.importing.uploads:as_png",
        hint="Which bar is the tallest?",
        picture_caption="A picture as the model sees it",
    ),
    "audio": Modality(
        "audio",
        title="Speech",
        rows_title="Recordings with transcripts",
        import_help="A table with a recording's path and its transcript in each row, beside the recordings; or a "
        "folder in the audiofolder, LJSpeech or Common Voice layout. Upload the table together with its recordings, "
        "or name it.",
        model="recipes.audio.modality",
        part=AudioPart,
        suffix=".flac",
        uploads=("wav", "flac", "mp3", "ogg"),
        stored="synth.importing.uploads:as_flac",
        asks=False,
        picture_caption="A recording as the model hears it: from left to right in time, low tones below",
    ),
}


def modality(key: str) -> Modality:
    """The record of that name. Raises DataError with the nearest one."""
    if key not in MODALITIES:
        known = list(MODALITIES)
        message = f"There is no modality '{key}'{did_you_mean(key, known)}."
        raise DataError(message, f"Choose one of {', '.join(known)}.")
    return MODALITIES[key]


def dotted(name: str) -> Any:
    """What `package.module:name` names, imported now."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
