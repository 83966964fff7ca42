"""Users' own rows, of text, pictures or recordings, as a dataset: every row is kept or set aside with line and reason.

    import_data(Path("mine.csv"), "mine", workspace, Options(mapping={"question": "Q", "answer": "A"}))

Rows in = kept + rejected. A key that plays no part is listed with its count. Rows that name no split are shared out in
exact numbers, each answer in its share, and where `waiting` cannot hold them all by a hash: of their group if one was
chosen, else of their prompt (their picture, their transcript). The same file always splits alike, and one picture or
one text never spans two splits.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth.audio.files import MAX_SECONDS
from synth.build import check_name, now_utc
from synth.curation import leakage
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError
from synth.example import SPLITS, Example, Split, prompt_id
from synth.importing import archives, compose, detect, folders, garbage, logs, unread
from synth.importing.compose import Fields
from synth.importing.examples import answered, asked, identity, own_example, repeated, to_example
from synth.importing.excerpts import excerpts
from synth.importing.folders import Source, Table
from synth.importing.joined import JSON_ANSWER, with_json_answer
from synth.importing.judgements import Judgements, no_example
from synth.importing.kinds import ROW_KINDS
from synth.importing.layouts import Plan, Planner
from synth.importing.lifted import lifted
from synth.importing.media import Media
from synth.importing.paths import Paths, at, unused
from synth.importing.raw import RawRow
from synth.importing.remarks import Remarks
from synth.importing.report import MAX_LISTED, ImportReport, UnusedKeys
from synth.importing.splits import SHARES, ByTime, Groupings, Seen, checked_shares
from synth.importing.values import BadRow, missing, printable, text
from synth.importing.waiting import NEAR_DUPLICATES, Placed, Waiting
from synth.languages import Spoken
from synth.progress import Meter, ProgressFn, silent
from synth.storage import atomic_dir, sha256_file
from synth.workspace import Workspace

LEAKAGE_ROWS = 10_000
"""Rows of each split that the leakage check of an import looks at; `smolstudio data check` looks at all."""


class Options(NamedTuple):
    """How to read.

    Attributes:
        modality: text, vision or audio; "" finds out.
        mapping: part (`layouts.ROLES`) → column.
        shares: share of each split for rows that name none; sums to 1.
        group_by: the key whose rows of one value stay in one split.
        split_by_time: the key with each row's time: the earliest rows are learned, the latest test.
        answer_columns: columns that together are the answer, as one JSON object (`joined.JSON_ANSWER`).
        question: what is asked about each picture whose row brings no question.
        split_near_duplicates: whether rows that say nearly the same may fall into different splits.
        max_seconds: longer recordings are set aside, by their header, before decoding.
    """

    modality: str = ""
    mapping: Mapping[str, str] | None = None
    shares: Mapping[Split, float] = SHARES
    group_by: str = ""
    split_by_time: str = ""
    answer_columns: tuple[str, ...] = ()
    question: str = ""
    split_near_duplicates: bool = False
    max_seconds: float = MAX_SECONDS


DEFAULTS = Options()
_COUNTED = re.compile(r"\.(?:json|parquet|arrow|feather)(?:\.[a-z0-9]+)?$")
"""Names of files in which a row has no line of its own."""
_JUDGED = ("messages", "prompt_completion")
"""Layouts whose rows with an empty `label` are judged answers without the judgement."""
_LOGS = {name for name, _, _ in logs.LOGS}
_UNANSWERED = (
    "no assistant turn",
    "the request has no answer",
    "no answer",
    "no question",
    "an empty turn",
    "no turns",
)
_UNREAD = "what is asked about recordings is kept, and models that only transcribe do not read it"


def import_data(
    source: str | Path,
    name: str,
    workspace: Workspace,
    options: Options = DEFAULTS,
    on_progress: ProgressFn = silent,
) -> ImportReport:
    """Make the dataset `name` of a file or folder.

    Raises:
        DataError: nothing is recognised, a table cannot be read, the mapping is wrong, or no row is left.
        StorageError: the name is taken, or the disk refuses.
    """
    if options.group_by and options.split_by_time:
        raise DataError("Rows cannot be split by group and by time at once.", "Choose one of the two.")
    options = options._replace(shares=checked_shares(options.shares))
    with archives.unpacked(Path(source)) as place:
        found = folders.recognise(place)
        if options.answer_columns:
            found = with_json_answer(found, options.answer_columns)
            options = options._replace(mapping={**(options.mapping or {}), "answer": JSON_ANSWER})
        modality = options.modality or folders.modality_of(found, bool(options.question))
        detect.check_options(found, modality, options.mapping, options.group_by or options.split_by_time)
        if options.question:
            detect.check_question(modality)
        with garbage.rarely, atomic_dir(workspace.datasets / check_name(name)) as folder:
            work = _Import(found, modality, name, options, DatasetWriter(folder))
            start = time.monotonic()
            work.run(Meter(f"import {name}", None, "rows", on_progress))
            work.note_unread(place)
            if not work.writer.counts:
                raise DataError(
                    *detect.nothing_left(found, modality, options.mapping, work.rejected), "data.nothing_left"
                )
            return work.finish(folder, start)


def import_as(
    modality: str,
    path: Path,
    name: str,
    workspace: Workspace,
    mapping: Mapping[str, str] | None = None,
    *,
    on_progress: ProgressFn = silent,
    group_by: str = "",
    split_by_time: str = "",
    shares: Mapping[Split, float] = SHARES,
    answer_columns: Sequence[str] = (),
    question: str = "",
    split_near_duplicates: bool = False,
) -> ImportReport:
    """`import_data` of a known modality, as `synth.modality.ImportRows` asks for it."""
    options = Options(
        modality, mapping, shares, group_by, split_by_time, tuple(answer_columns), question, split_near_duplicates
    )
    return import_data(path, name, workspace, options, on_progress)


class _Import:
    """One import under way."""

    def __init__(self, source: Source, modality: str, name: str, options: Options, writer: DatasetWriter) -> None:
        self.source, self.modality, self.name, self.options, self.writer = source, modality, name, options, writer
        self._packed = not options.mapping
        self.planner = Planner(modality, options.mapping, options.group_by)
        self.unused, self.groupings, self.seen = UnusedKeys(), Groupings(), Seen()
        unit, together = ROW_KINDS[modality].unit, not options.split_near_duplicates
        self.waiting = Waiting(options.shares, unit, options.group_by, together)
        self.leakage = leakage.Check(LEAKAGE_ROWS)
        self.notes: list[str] = []
        self.remarks = Remarks()
        self.prices = logs.Prices()
        self.judgements = Judgements(trainable=not ROW_KINDS[modality].medium)
        self.spoken = Spoken() if ROW_KINDS[modality].medium == "audio" else None
        self.rejected: list[tuple[int, str]] = []
        self.layouts: Counter[str] = Counter()
        self.why: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.spread: defaultdict[str, set[str]] = defaultdict(set)  # group → its splits
        self.by_time = ByTime(options.split_by_time, options.shares) if options.split_by_time else None
        self._media: dict[Path, Media] = {}
        # Keys inside turns are counted for rows that are kept, like those of the row itself.
        self._inner: list[tuple[str, Any]] = []

    def run(self, meter: Meter) -> None:
        """Read every row once (by time: twice), and keep it or set it aside."""
        if self.by_time is not None:
            for _, raw in self._rows([]):
                if raw.value is not None:
                    self.by_time.note(raw.value)
            self.by_time.close()
        for count, (table, raw) in enumerate(self._rows(self.notes), start=1):
            self._inner.clear()
            for key, value in (raw.beside or {}).items():
                if not missing(value):
                    self.unused.see(key, value, beside=True)
            reason = raw.fault if raw.value is None else self._take(table, raw, raw.value)
            if reason:
                self._reject(table, raw, reason)
            if count % 64 == 0:  # the meter looks at the clock
                meter.update(count, f"{sum(self.writer.reasons.values())} set aside")
        self.remarks.check(self.source.layout, self.writer.reasons)
        self.judgements.check_labels()
        self.notes += [*self.remarks.notes(), *self.judgements.notes(), *filter(None, [self.prices.note()])]
        self.suggested = tuple(self.groupings.suggestions(self.waiting.sizes))
        for placed in self.waiting.close():
            self._keep(placed)
        self.notes += self.waiting.sentences()

    def note_unread(self, place: Path) -> None:
        """Say which files of a folder no row came from."""
        read = {table.path.resolve() for table in self.source.tables}
        if left := unread.note(place, read.union(*(media.files for media in self._media.values()))):
            self.notes.append(left)

    def _rows(self, notes: list[str]) -> Iterator[tuple[Table, RawRow]]:
        for table in self.source.tables:
            for raw in table.rows(notes):
                if self.spoken is not None:
                    yield from ((table, part) for part in excerpts(raw, self.options.mapping or {}))
                elif raw.value is None or (value := lifted(raw.value, self._packed)) is raw.value:
                    yield table, raw
                else:
                    yield table, raw._replace(value=value)

    def _values(self) -> Iterator[dict[str, Any]]:
        """Every row once more, as it was read."""
        for table in self.source.tables:
            yield from (lifted(raw.value, self._packed) for raw in table.rows([]) if raw.value is not None)

    def _take(self, table: Table, raw: RawRow, row: dict[str, Any]) -> str:
        """Keep a row; answers with the reason when it cannot be kept."""
        try:
            plan = self.planner.plan(row)
            media = self._media_of(table)
            if plan.layout == "example":
                example, cause = own_example(row, media), "as in the dataset it comes from"
            else:
                example, cause = self._example(table, raw, row, plan, media)
        except BadRow as fault:
            return (str(fault).startswith(_UNANSWERED) and logs.failure(row)) or str(fault)
        line, agrees = self.seen.first(identity(example), raw.line, answered(example))
        if line:
            self.remarks.contradicting += not agrees
            return repeated(self.modality, line, agrees)
        for placed in (
            [Placed(example, cause)] if cause else self.waiting.add(example, row, "group" in dict(plan.takes))
        ):
            self._keep(placed)
        self.layouts[plan.layout] += 1
        if plan.layout in _LOGS or "usd" in example.source:
            self.prices.see(example.source)
        left: Iterable[tuple[str, Paths]] = plan.unused
        if plan.feedback:
            left = unused(row, [*(path for _, path in plan.takes), *self.judgements.used(plan.feedback)])
        for key, path in left:
            value = at(row, path)
            self.unused.see(key, value)
            self.groupings.see(key, value)
        for path in plan.groups:
            self.groupings.see(".".join(path), at(row, path))
        for key, value in self._inner:
            self.unused.see(key, value)
        return ""

    def _keep(self, placed: Placed) -> None:
        self.writer.keep(placed.example)
        if self.options.group_by and placed.example.family != self.name:
            self.spread[placed.example.family].add(placed.example.split)
        self.leakage.add(placed.example, placed.text)
        self.remarks.kept(placed.example)
        if self.spoken is not None:
            self.spoken.see(placed.example)
        self.why[placed.example.split][placed.cause] += 1

    def _example(self, table: Table, raw: RawRow, row: dict[str, Any], plan: Plan, media: Media) -> tuple[Example, str]:
        parts: dict[str, Any] = {}
        for part, path in plan.takes:
            value = row[path[0]] if len(path) == 1 else at(row, path)
            if part in ("choice", "numbered", "distractor", "pictures"):
                parts.setdefault(part, []).append(value)
            else:
                parts[part] = value
        if missing(row.get("kto_tag", True)) or (plan.layout in _JUDGED and missing(row.get("label", True))):
            raise BadRow("the label is missing")
        if plan.layout in _LOGS and (failed := logs.failure(row)):
            raise BadRow(failed)
        if refused := plan.refusal or (plan.verdicts and no_example(row, plan.verdicts)):
            raise BadRow(refused)
        complete = plan.complete
        if self.options.question:
            parts = compose.with_question(parts, self.options.question)
            complete = complete or compose.is_answered_picture(parts)
        if not complete:
            raise BadRow(detect.lacking(parts, row, self.modality, self.options.mapping))
        if "label" in parts:
            self.judgements.label(parts["label"])
        fields = compose.compose(parts, media, lambda key, value: self._inner.append((key, value)))
        if fields.label is not None and not self.judgements.trainable:
            if not fields.label:
                raise BadRow("the answer is labelled as bad, from which only text can learn")
            fields = fields._replace(label=None)
        if plan.feedback:
            fields = fields._replace(label=self.judgements.of(row, plan.feedback, self._values))
        self.remarks.read(fields)
        group = text(parts["group"], "group").strip() if "group" in parts else ""
        source = {"importer": plan.layout, "file": table.name, "line": raw.line, **fields.facts}
        kind = ROW_KINDS[self.modality]
        if kind.question:
            fields = fields._replace(prompt=asked(fields.prompt, kind.question))
            if fields.prompt[-1].text != kind.question and _UNREAD not in self.notes:
                self.notes.append(_UNREAD)
        key = prompt_id(fields.prompt, fields.tools)
        template = group or kind.shared(fields.prompt, fields.target.text) or key
        split, cause = self._split(table, raw, row, fields, group, template, key)
        return to_example(key, fields, group or self.name, template, split, source, self.modality), cause

    def _split(
        self, table: Table, raw: RawRow, row: dict[str, Any], fields: Fields, group: str, template: str, key: str
    ) -> tuple[Split, str]:
        if fields.split:
            return fields.split, "by their own split"  # type: ignore[return-value]
        if raw.split or table.split:
            return raw.split or table.split, f"by the name of {table.name}"  # type: ignore[return-value]
        if self.by_time is not None:
            return self.by_time.split(row), f"by {self.options.split_by_time}"
        if fields.rejected is not None or fields.label is not None:
            return self.waiting.hashed(template, key, fields.prompt, bool(group))
        return "train", ""  # it waits for the others

    def _media_of(self, table: Table) -> Media:
        media = self._media.get(table.root)
        if media is None:
            store = self.writer.add_media
            media = self._media[table.root] = Media(self.modality, table.root, store, self.options.max_seconds)
        return media

    def _reject(self, table: Table, raw: RawRow, reason: str) -> None:
        if len(self.rejected) < MAX_LISTED:
            place = f"{reason} ({table.name})" if len(self.source.tables) > 1 else reason
            self.rejected.append((raw.line, place))
        general = re.sub(r" as line \d+", " as an earlier line", reason)
        row = printable(raw.value) if raw.value is not None else {"text": raw.text}
        general = general.partition(": ")[0] if general.startswith(logs.FAILED) else general
        self.writer.reject({"line": raw.line, "file": table.name, **row}, general)

    def finish(self, folder: Path, start: float) -> ImportReport:
        """Write the card, check for leakage, and report."""
        self.notes += self.remarks.closing_notes(self.writer.task())
        if apart := sum(len(splits) > 1 for splits in self.spread.values()):
            self.notes.append(
                f"{apart:,} values of '{self.options.group_by}' are in several splits, because their rows or files say "
                "which split they belong to"
            )
        if self.spoken is not None and (said := self.spoken.note()):
            self.notes.append(said)
        counted = [table.name for table in self.source.tables if _COUNTED.search(table.name.lower())]
        if counted and self.rejected:
            self.notes.append(f"a “line” of {counted[0]} is a row, counted from 1: it may be anywhere in the file")
        card = self.writer.finish(self._card(time.monotonic() - start))
        leaks = leakage.record(folder, self.leakage.report()).faults
        if any(rows > LEAKAGE_ROWS for rows in card.splits.values()):
            self.notes.append(f"leakage was looked for in the first {LEAKAGE_ROWS:,} rows of each split")
        return self._report(dict(card.splits), leaks)

    def _report(self, splits: dict[str, int], leaks: tuple[str, ...]) -> ImportReport:
        return ImportReport(
            modality=self.modality,
            kept=sum(self.writer.counts.values()),
            rejected=self.rejected,
            reasons=dict(self.writer.reasons.most_common()),
            splits=splits,
            why={split: dict(self.why[split]) for split in SPLITS if split in self.why},
            layouts=dict(self.layouts.most_common()),
            unused=self.unused.listing(),
            groupings=self.suggested,
            notes=tuple(dict.fromkeys(self.notes)),
            leaks=leaks,
        )

    def _card(self, seconds: float) -> Card:
        options, prices = self.options, self.prices.of_models()
        return Card(
            name=self.name,
            modality=self.modality,
            generator="import",
            spec={
                "source": self.source.layout,
                "files": {t.name: sha256_file(t.path) for t in self.source.tables if t.path.is_file()},
                "mapping": dict(options.mapping or {}),
                "shares": dict(options.shares),
                "answer_columns": list(options.answer_columns),
                "question": options.question,
                "group_by": options.group_by,
                "split_by_time": options.split_by_time,
                "split_near_duplicates": options.split_near_duplicates,
            },
            created=now_utc(),
            seconds=round(seconds, 3),
            notes={
                "import": self._report({}, ()).record(),
                NEAR_DUPLICATES: self.waiting.near._asdict(),
                **({logs.PRICES: {m: price._asdict() for m, price in prices.items()}} if prices else {}),
            },
        )
