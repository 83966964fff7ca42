"""What an import would make, before it is made: splits, answers in each of them, keys without a part, the task.

The rows are imported into a temporary folder by the importer itself, so that what is shown is what will be. Files over
MAX_BYTES are not looked at this way, because somebody waits for the answer.
"""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from synth.dataset import DatasetDir
from synth.errors import UserError
from synth.example import Split
from synth.importing import archives, detect, folders, streams, tables
from synth.importing.detect import Guess
from synth.importing.importer import Options, import_data
from synth.importing.kinds import ROW_KINDS, names_files
from synth.importing.layouts import ROLES
from synth.importing.report import ImportReport
from synth.importing.splits import SHARES
from synth.importing.usual_names import ASKS, SAYS, TRANSCRIPTS, best, called, no_content, rank
from synth.importing.values import missing
from synth.scoring.label import variants_notes
from synth.task import TaskCard, numeric
from synth.workspace import Workspace

MAX_BYTES = 16 << 20
FEWEST_TEST = 30
"""Test rows below which hardly any difference can be shown."""
LARGEST_TEST_SHARE = 0.3
MAX_CLASSES = 50
ASKED_LAST = ("answer", "transcript", "question")
"""In this order a column that is left over beside a picture or recording is taken for one of them."""
_USUAL = {"answer": SAYS, "transcript": TRANSCRIPTS, "question": ASKS}
_LOOKED_AT = 2000
_SHORT_CHARS, _REPEATS = 60, 4
_WORD = re.compile(r"(?<!\S)[^\w\s]*[^\W\d_]+(?:['’-][^\W\d_]+)*[^\w\s]*(?!\S)")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts that put no spaces between words, about _UNSPACED_CHARS to a word."""
_UNSPACED_CHARS = 2
_READ_CHARS = 4000


class Column(NamedTuple):
    """A column by its values: how long they are on average, how many words they have, how many differ.

    `short` ones repeat a few short texts; `words`: whether most values are more than a number; `nested`: whether one is
    a list or an object. Addresses, times and keys have no words.
    """

    name: str
    mean_chars: float
    different: int
    short: bool
    words: bool = True
    mean_words: float = 0.0
    nested: bool = False


class Preview(NamedTuple):
    """What would be made.

    Attributes:
        classes: answer → split → rows; empty where answers are not a few that repeat.
        refusals: why the split cannot be used, each with what to do; `warnings`: what a person should know of it.
    """

    report: ImportReport
    classes: dict[str, dict[str, int]]
    task: TaskCard
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


def size_bytes(path: Path) -> int:
    """Of a file, or of the files in a folder, when unpacked; beyond MAX_BYTES it is no longer counted.

    Raises DataError for a file that cannot be unpacked.
    """
    files = iter([path]) if path.is_file() else (file for file in path.rglob("*") if file.is_file())
    size = 0
    while size <= MAX_BYTES and (file := next(files, None)):
        size += _unpacked_bytes(file)
    return size


def _unpacked_bytes(file: Path) -> int:
    with streams.readable(file):
        with file.open("rb") as opened:
            head = opened.read(8)
        if head.startswith(b"PAR1"):
            return tables.unpacked_bytes(file)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return sum(entry.file_size for entry in archive.infolist())
        if not streams.packed_as(head):
            return file.stat().st_size
        size, (unpacked, _) = 0, streams.unpack(file)
        with unpacked:
            while size <= MAX_BYTES and (chunk := unpacked.read(1 << 20)):
                size += len(chunk)
        return size


def columns_of(path: Path) -> list[Column]:
    """The columns of the first table, from its first rows, without those that name pictures or recordings. Raises
    DataError.
    """
    values: dict[str, Counter[str]] = {}
    nested: set[str] = set()
    with archives.unpacked(path) as place:
        for raw in islice(folders.recognise(place).tables[0].rows([]), _LOOKED_AT):
            for key, value in _with_inner(raw.value or {}):
                if not missing(value):
                    values.setdefault(key, Counter())[str(value)] += 1
                    nested |= {key} if isinstance(value, dict | list) else set()
    files = tuple(ending for kind in ROW_KINDS.values() for ending in kind.endings)
    read = {name: counts for name, counts in values.items() if not all(v.casefold().endswith(files) for v in counts)}
    return [_column(name, counts, name in nested) for name, counts in read.items()]


def _with_inner(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The cells of a row, and after an object those in it, as `payload.text`."""
    for key, value in row.items():
        yield str(key), value
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", item) for inner, item in value.items())


def _column(name: str, counts: Counter[str], nested: bool) -> Column:
    rows = counts.total()
    few = 1 < len(counts) <= min(MAX_CLASSES, rows / _REPEATS)
    numbers = sum(map(numeric, counts))
    short = few and all(len(value) <= _SHORT_CHARS for value in counts) and numbers <= len(counts) / 2
    words = sum(any(c.isalpha() for c in value) for value in counts) > len(counts) / 2
    mean_chars = sum(len(value) * n for value, n in counts.items()) / rows
    mean_words = sum(_words_in(value) * n for value, n in counts.items()) / rows
    return Column(name, mean_chars, len(counts), short, words, mean_words, nested)


def _words_in(value: str) -> float:
    value = value[:_READ_CHARS]
    return len(_WORD.findall(value)) + len(_UNSPACED.findall(value)) / _UNSPACED_CHARS


def guess_roles(columns: Sequence[Column], known: Mapping[str, str], sure: bool = False) -> dict[str, str]:
    """`known` (role → column), with question and answer by their usual names, else by their values.

    The answer is the column with the most usual name, else the one that repeats a few short texts; of several such
    nothing tells which. The question is the text with a usual name, else any, of several the longest. Where `sure`
    both are the only ones.
    """
    found = dict(known)
    if {"messages", "chosen", "target", "choice_answer"} & found.keys():
        return found
    free = [column for column in columns if column.name not in found.values()]
    told = [column for column in free if not no_content(column.name)]
    if "question" not in found:
        texts = [c for c in told if c.words and not c.short and not c.nested]
        texts = texts or [c for c in free if not c.short and not c.nested and not sure]
        texts = [c for c in texts if rank(c.name, SAYS) is None] or texts
        names = called([c.name for c in texts], ASKS)
        texts = [c for c in texts if c.name in names] or texts
        if texts and (len(texts) == 1 or not sure):
            found["question"] = max(texts, key=lambda c: (c.mean_words, c.mean_chars)).name
    if "answer" not in found:
        outer = {column.name.partition(".")[0] for column in columns if "." in column.name}
        short = [c.name for c in told if c.short and c.name not in outer]
        short = short or [c.name for c in free if c.short and c.name not in outer and not sure]
        asked = found.get("question")
        possible = called([c.name for c in told if c.name != asked], SAYS) or [name for name in short if name != asked]
        usual = "" if sure else best(possible, SAYS)
        if usual or len(possible) == 1:
            found["answer"] = usual or possible[0]
    return found


def guess_file_roles(guess: Guess) -> dict[str, str]:
    """`guess.mapping` of pictures or recordings, with what no name told: the column whose values end as such files do,
    and those of ASKED_LAST by their usual names, or the first of them where one column is left.
    """
    found = dict(guess.mapping)
    free = [column for column in guess.columns if column not in found.values()]
    endings = ROW_KINDS[guess.modality].endings
    path = next((column for column in free if names_files(guess.sample, column, endings)), None)
    if "path" not in found and path is not None:
        found["path"] = path
        free.remove(path)
    lacking = [role for role in ASKED_LAST if role in ROLES[guess.modality] and role not in found]
    if lacking and len(free) == 1:
        return found | {lacking[0]: free[0]}
    for role in lacking:
        if len(likely := called([c for c in free if c not in found.values()], _USUAL[role])) == 1:
            found[role] = likely[0]
    return found


def only_reading(path: Path, modality: str, aside: Sequence[str] = (), answered: bool = False) -> dict[str, str]:
    """Role → column of a table whose columns no layout knows, where there is one way to read it; else {}.

    `aside`: columns that have another use; `answered`: whether the answer is known, so that a question is enough.
    """
    if modality not in ROW_KINDS:
        return {}
    guess = detect.detect(path, modality)
    if ROW_KINDS[modality].medium:
        found = guess_file_roles(guess)
        return {} if found == guess.mapping else found
    if guess.format != "columns":
        return {}
    known = {role: column for role, column in guess.mapping.items() if column not in aside}
    columns = [column for column in columns_of(path) if column.name not in aside]
    others = [column.name for column in columns if "." not in column.name and column.name != known.get("question")]
    if not answered and "answer" in known and called(others, SAYS) not in ([], [known["answer"]]):
        return {}
    found = guess_roles(columns, known, sure=True)
    if answered:
        found.pop("answer", None)
    if "question" not in found or not (answered or "answer" in found):
        return {}
    return {role: found[role] for role in ("question", "answer") if role in found} | found


def shares_for(rows: int) -> dict[Split, float]:
    """80, 10 and 10 % of the rows; of few rows more are for the test, so that it has FEWEST_TEST, up to 30 %."""
    percents = range(10, round(100 * LARGEST_TEST_SHARE) + 1)
    test = next((p / 100 for p in percents if rows * p / 100 > FEWEST_TEST - 0.5), LARGEST_TEST_SHARE)
    return {"train": round(0.9 - test, 2), "val": 0.1, "test": test}


def usual_shares(source: Path, options: Options) -> dict[Split, float]:
    """`shares_for` the rows that an import with these options keeps; SHARES where counting them would take long, or
    where it fails, which the import then says.
    """
    with contextlib.suppress(UserError):
        if size_bytes(source) <= MAX_BYTES and not _is_long(source):
            return shares_for(preview(source, options).report.kept)
    return dict(SHARES)


def _is_long(source: Path) -> bool:
    with archives.unpacked(source) as place:
        rows = (raw for table in folders.recognise(place).tables for raw in table.rows([]))
        return next(islice(rows, _LOOKED_AT, None), None) is not None


def few_test_rows(tested: int) -> str:
    """A sentence on fewer test rows than FEWEST_TEST; "" for more, and for none."""
    if not 0 < tested < FEWEST_TEST:
        return ""
    return (
        f"{tested} test rows are few: an accuracy of 80 % would be known to ± {half_width_points(tested):.0f} points. "
        "Raise the share for the test, or add real rows after the import."
    )


def half_width_points(rows: int, accuracy: float = 0.8) -> float:
    """How far a measured accuracy may be off (95 %, normal approximation), in points."""
    return 100 * 1.96 * math.sqrt(accuracy * (1 - accuracy) / rows)


def preview(source: Path, options: Options) -> Preview:
    """What `import_data` would make of the source. Raises as it does."""
    with tempfile.TemporaryDirectory(prefix="smolstudio-preview-") as folder:
        workspace = Workspace(Path(folder))
        report = import_data(source, "rows", workspace, options)
        dataset = DatasetDir(workspace.datasets / "rows")
        task = dataset.task
        counts: dict[str, Counter[str]] = {}
        for split in dataset.splits():
            for row in dataset.examples(split):
                if len(counts) <= MAX_CLASSES:
                    counts.setdefault(row.answer or row.target, Counter())[split] += 1
    repeated = 1 < len(counts) <= min(MAX_CLASSES, report.kept / 2)
    ordered = sorted(counts, key=lambda answer: (-counts[answer].total(), answer)) if repeated else []
    classes = {answer: dict(counts[answer]) for answer in ordered}
    refusals, warnings = _judged(report, classes if task.kind == "classification" else {})
    warnings += variants_notes(list(task.labels))
    return Preview(report, classes, task, tuple(refusals), tuple(warnings))


def _judged(report: ImportReport, classes: Mapping[str, Mapping[str, int]]) -> tuple[list[str], list[str]]:
    refusals, warnings = [], []
    if not report.splits.get("train"):
        return [], ["There would be no training row: these rows can be tested on, and no model can learn from them."]
    tested = report.splits.get("test", 0)
    if not tested:
        return [], ["There would be no test row, so nothing can be proved until there are real rows."]
    unlearned = [name for name, splits in classes.items() if splits.get("test") and not splits.get("train")]
    if unlearned:
        rows = sum(classes[name]["test"] for name in unlearned)
        refusals.append(
            f"{_listed(unlearned)} would be tested ({rows} rows) and never learned, so the result would say nothing. "
            "Keep rows together by no column, or give these answers to the training rows too."
        )
    untested = [name for name, splits in classes.items() if not splits.get("test")]
    if untested:
        warnings.append(f"{_listed(untested)} would have no test row: the result will not speak of it.")
    few = [name for name, splits in classes.items() if 0 < splits.get("train", 0) < 5]
    if few:
        warnings.append(f"{_listed(few)} would have fewer than 5 training rows, too few to be learned well.")
    if few_tested := few_test_rows(tested):
        warnings.append(few_tested)
    return refusals, warnings


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
