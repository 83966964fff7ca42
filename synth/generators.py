"""The generators that `smolstudio synth` and the UI offer: a plain dict; a generator is imported when used.

A generator is a module that exports

    VERSION                     rows of different versions may differ for the same settings
    Spec                        a pydantic model of its settings, whose fields are the form
    TASK                        the task card of its datasets; without one it is guessed from the rows
    generate(spec, context)     yields Candidates, deterministic by spec; see `synth.context`
    check(row) -> Verdict       is this row right, by a derivation that shares nothing with the making of it?
    check_media(row, data)      optional: does the medium (bytes) fit the row?
    units(spec, context)        optional: `Units`, for those whose rows can be made apart from each other
    made_of(spec)               optional: `Ingredient`s, for those whose rows hold parts of other people's work

`candidates` runs the checks on every row that is offered, and tells the generator what they said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from random import Random
from typing import Any, NamedTuple, cast

from pydantic import BaseModel

from synth.context import Context
from synth.errors import DataError, RecipeError, did_you_mean
from synth.example import GENERATED_SPLITS, Example, Split, media_parts
from synth.marks import Seen
from synth.scoring.verify import Verdict
from synth.task import TaskCard

_REMEMBERED_MEDIA = 16
_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, StopIteration)


class Candidate(NamedTuple):
    """A row that a generator offers: kept when `reason` is empty, else recorded as rejected with that reason.

    `verdict`: what the checks said of it, where they have run already.
    """

    example: Example | None
    row: dict[str, Any]
    reason: str = ""
    verdict: Verdict | None = None


Offers = Generator[Candidate, Verdict | None, None]
"""What `generate` returns. `verdict = yield candidate` says what the checks found; None where nobody checks."""


def kept(example: Example) -> Candidate:
    """A candidate to keep."""
    return Candidate(example, {})


def rejected(row: dict[str, Any], reason: str) -> Candidate:
    """A candidate to record as rejected."""
    return Candidate(None, row, reason)


def was_kept(candidate: Candidate, verdict: Verdict | None) -> bool:
    """Whether an offered row counts, after what the checks said: a generator goes on until it has its number."""
    return candidate.example is not None and not candidate.reason and (verdict is None or verdict.ok)


class Units(NamedTuple):
    """Numbered pieces of a split, each of a few rows, that can be made in any order and on any machine.

    `of(split, number, room)` are the candidates of one, the same on every call that has `room` for `most` rows.
    """

    of: Callable[[Split, int, int], Iterable[Candidate]]
    most: int


def fill(
    spec: BaseModel, context: Context, units: Units, patience: int, fault: Callable[[Split, str], DataError]
) -> Offers:
    """Units one after another until each split has its rows; those that the context has made come from there.

    Raises `fault(split, reason)` when of `patience` units in a row no candidate was kept.
    """
    for split in GENERATED_SPLITS:
        wanted, number, unusable, why = int(getattr(spec, split)), 0, 0, "it gives no row"
        while wanted > 0:
            before = wanted
            make = units.of if context.made is None or wanted < units.most else context.made
            for candidate in make(split, number, wanted):
                verdict = yield candidate
                wanted -= was_kept(candidate, verdict)
                why = candidate.reason or (verdict.reason if verdict is not None else "")
            number += 1
            unusable = 0 if wanted < before else unusable + 1
            if unusable >= patience:
                raise fault(split, why)


def draw_rows(
    key: str, spec: BaseModel, context: Context, draw: Callable[[Random, Split, int], Example], misses: int = 500
) -> Offers:
    """Rows drawn one after another, `number` in its split, until each split has those of the spec; no prompt twice.

    Raises DataError when `misses` draws in a row gave nothing to keep.
    """
    taken: dict[Split, Seen] = {}
    settings = spec.model_dump()
    for split in GENERATED_SPLITS:
        rng, taken[split] = context.random(f"{key} {settings['seed']} {split}"), Seen()
        for number in range(settings[split]):
            for _ in range(misses):
                example = draw(rng, split, number)
                if same := next((where for where, ids in taken.items() if example.id in ids), None):
                    row = {"split": split, "prompt": example.prompt[-1].text}
                    candidate = rejected(row, f"the same prompt is in {same}")
                else:
                    candidate = kept(example)
                    taken[split].add(example.id)
                verdict = yield candidate
                if was_kept(candidate, verdict):
                    break
            else:
                raise DataError(f"No new row could be found for {split}.", "Ask for fewer rows.", "data.exhausted")


class Ingredient(NamedTuple):
    """Something from outside that rows are made with: kind, name, licence ("": not stated), hash of files."""

    what: str
    name: str
    licence: str = ""
    sha256: str = ""


class GeneratorInfo(NamedTuple):
    """A generator: the module, and how the studio presents it.

    unseen_unit: what test_ood samples, "family" where it holds whole families out. Its rows are then as many
    independent looks at unseen tasks as there are families.
    """

    key: str
    title: str
    modality: str
    module: str
    about: str
    unseen_unit: str = "template"

    def _module(self) -> Any:
        return importlib.import_module(self.module)

    def spec_class(self) -> type[BaseModel]:
        """The pydantic model of the generator's settings."""
        return cast(type[BaseModel], self._module().Spec)

    def version(self) -> int:
        """The generator's version: rows of different versions may differ for the same spec."""
        return int(self._module().VERSION)

    def task(self) -> TaskCard | None:
        """What its datasets ask of a model; None where that is guessed from the rows."""
        return cast(TaskCard | None, getattr(self._module(), "TASK", None))

    def made_of(self, spec: BaseModel) -> tuple[Ingredient, ...]:
        """What the rows of a spec are made with. Raises DataError for files that cannot be used."""
        found = getattr(self._module(), "made_of", None)
        return () if found is None else cast(tuple[Ingredient, ...], found(spec))

    def check(self, row: Example) -> Verdict:
        """Is the row right? A row that the checker cannot read is not."""
        check = self._module().check
        try:
            return cast(Verdict, check(row))
        except _UNREADABLE as error:
            detail = f"The checker cannot read this row ({type(error).__name__}: {str(error)[:80]})."
            return Verdict(False, "the checker cannot read the row", detail)

    def candidates(self, spec: BaseModel, context: Context) -> Iterator[Candidate]:
        """Everything that the generator offers, each row checked, those that a check speaks against rejected."""
        context, media = _remembering(context)
        offers: Offers = self._module().generate(spec, context)
        verdict: Verdict | None = None
        with contextlib.closing(offers):
            while True:
                try:
                    candidate = offers.send(verdict)
                except StopIteration:
                    return
                verdict = None
                if candidate.example is not None and not candidate.reason:
                    verdict = self._judge(candidate.example, media) if candidate.verdict is None else candidate.verdict
                    if not verdict:
                        candidate = candidate._replace(reason=verdict.reason)
                yield candidate

    def made_apart(
        self, spec: BaseModel, context: Context, split: Split, numbers: Iterable[int]
    ) -> Iterator[list[Candidate]]:
        """The candidates of each unit of those numbers, with what the checks say of them. Raises RecipeError."""
        context, media = _remembering(context)
        with self.units(spec, context) as units:
            for number in numbers:
                yield [self._checked(candidate, media) for candidate in units.of(split, number, units.most)]

    @property
    def apart(self) -> bool:
        """Whether its rows can be made apart from each other."""
        return hasattr(self._module(), "units")

    def units(self, spec: BaseModel, context: Context) -> contextlib.AbstractContextManager[Units]:
        """The generator's units. Raises RecipeError for one whose rows depend on those before them."""
        if not self.apart:
            raise RecipeError(
                f"The generator '{self.key}' draws each row after those before it, so machines cannot share them.",
                "Generate it here, without an engine: it needs no model, and makes thousands of rows a second.",
                "engine.rows",
            )
        return cast(contextlib.AbstractContextManager[Units], self._module().units(spec, context))

    def _checked(self, candidate: Candidate, media: Mapping[str, bytes]) -> Candidate:
        if candidate.example is None or candidate.reason:
            return candidate
        return candidate._replace(verdict=self._judge(candidate.example, media))

    def _judge(self, row: Example, media: Mapping[str, bytes]) -> Verdict:
        verdict = self.check(row)
        check_media = getattr(self._module(), "check_media", None)
        if check_media is not None:
            for part in media_parts(row):
                verdict = verdict and check_media(row, media[part.path])
        return verdict


def _remembering(context: Context) -> tuple[Context, Mapping[str, bytes]]:
    """The context, and the media that it took last, by reference, for the checks."""
    media: dict[str, bytes] = {}

    def add_media(data: bytes, suffix: str) -> str:
        path = context.add_media(data, suffix)
        if len(media) >= _REMEMBERED_MEDIA:
            media.pop(next(iter(media)))
        media[path] = data
        return path

    return dataclasses.replace(context, add_media=add_media), media


GENERATORS: dict[str, GeneratorInfo] = {
    info.key: info
    for info in (
        GeneratorInfo(
            "math",
            "Math problems",
            "text",
            "synth.math",
            "Word problems about invoices, rates and mixtures, and schedules, with worked solutions.",
            unseen_unit="family",
        ),
        GeneratorInfo(
            "vision",
            "Charts, receipts and forms",
            "vision",
            "synth.vision",
            "Questions about rendered charts, receipts, tables and shapes.",
        ),
        GeneratorInfo(
            "audio",
            "Dictated speech",
            "audio",
            "synth.audio",
            "Spoken notes, orders and calls with numbers, names and codes.",
            unseen_unit="family",
        ),
        GeneratorInfo(
            "extraction",
            "Complaints as issues",
            "text",
            "synth.extraction",
            "Complaints, reviews and bug reports in five languages, each with the structured issue that it is.",
            unseen_unit="family",
        ),
        GeneratorInfo(
            "urgency",
            "Message urgency",
            "text",
            "synth.urgency",
            "Messages to a doctor's practice, each with how urgent it is.",
            unseen_unit="family",
        ),
        GeneratorInfo(
            "attributes",
            "Product attributes",
            "text",
            "synth.attributes",
            "Product titles and descriptions, each with its brand, colour, material, size and quantity.",
            unseen_unit="family",
        ),
    )
}


def generator(key: str) -> GeneratorInfo:
    """The generator of that name. Raises RecipeError with the nearest one."""
    if key not in GENERATORS:
        hint = did_you_mean(key, list(GENERATORS))
        raise RecipeError(f"There is no generator '{key}'{hint}.", f"Choose one of {', '.join(GENERATORS)}.")
    return GENERATORS[key]


def sampling_unit(key: str, split: str) -> str:
    """What one independent draw is in a split: "template" (a phrasing, image or text), or "family" of unseen ones.

    `key`: the generator on a dataset's card; rows from a file come in the groups that their user named, one that is
    not ours samples rows by their template.
    """
    if key == "import":
        return "group"
    return GENERATORS[key].unseen_unit if split == "test_ood" and key in GENERATORS else "template"


def parse_spec(info: GeneratorInfo, values: dict[str, Any]) -> BaseModel:
    """A generator's spec from plain values, with every fault in one RecipeError."""
    from pydantic import ValidationError

    spec_class = info.spec_class()
    try:
        return spec_class.model_validate(values)
    except ValidationError as error:
        known = list(spec_class.model_fields)
        faults = []
        for item in error.errors():
            field = ".".join(map(str, item["loc"])) or "spec"
            hint = did_you_mean(field, known) if item["type"] == "extra_forbidden" else ""
            faults.append(f"{field}: {'unknown setting' if item['type'] == 'extra_forbidden' else item['msg']}{hint}")
        raise RecipeError(
            f"The settings of '{info.key}' have faults: {'; '.join(faults)}.", "Fix them and try again."
        ) from error
