"""What a file or folder looks like before it is imported, and the sentences for those that cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import DataError, did_you_mean
from synth.importing import archives, folders
from synth.importing.folders import Source
from synth.importing.kinds import ROW_KINDS, file_columns
from synth.importing.layouts import ANSWERS_COLUMN, LAYOUTS, ROLES, Planner
from synth.importing.lifted import lifted
from synth.importing.paths import at
from synth.importing.usual_names import ASKS, SAYS, best, no_content, rank
from synth.importing.values import missing

SAMPLE_ROWS = 50
_ABOVE = "The first line names fewer or more columns than the rows have: delete what stands above the header."


class Guess(NamedTuple):
    """What a file or folder looks like. `columns` and `mapping` (role → column) are empty when it needs no mapping."""

    format: str
    modality: str
    columns: tuple[str, ...]
    mapping: dict[str, str]
    sample: list[dict[str, Any]]


def detect(path: Path, modality: str = "") -> Guess:
    """Layout and columns of a file or folder, from its first rows. Raises DataError when none can be read."""
    with archives.unpacked(path) as place:
        source = folders.recognise(place)
        chosen = modality or folders.modality_of(source)
        rows = _sample(source)
    if not source.named:
        return Guess("LJSpeech: id, text, normalised text", chosen, (), {}, [])
    planner = Planner(chosen)
    layouts = [planner.plan(lifted(row)).layout for row in rows]
    found = max(set(layouts), key=layouts.count)
    if found not in ("question_answer", "pictures", "recordings", ""):
        return Guess(found, chosen, (), {}, rows[:5])
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    mapping = guess_mapping(columns, chosen)
    if chosen != "text":
        found = f"rows of {source.layout}"
    elif not ("question" in mapping and ("answer" in mapping or "target" in mapping)):
        found = "columns"
    return Guess(found or "columns", chosen, tuple(columns), mapping, rows[:5])


def modality_of(path: Path, asked: bool = False) -> str:
    """text, vision or audio: what a file or folder holds (`folders.modality_of`). Raises DataError."""
    with archives.unpacked(path) as place:
        return folders.modality_of(folders.recognise(place), asked)


def guess_mapping(columns: list[str], modality: str) -> dict[str, str]:
    """Role → column, by the usual names; roles without one are left out."""
    kind = ROW_KINDS[modality]
    usual = next(layout for layout in LAYOUTS if layout.name == kind.layout)
    renamed = {part: role for role, part in kind.renames.items()}
    by_name = {column.strip().casefold(): column for column in columns}
    mapping: dict[str, str] = {}
    for part, names in {**usual.parts, "system": ("system", "system_prompt"), "split": ("split",)}.items():
        role = renamed.get(part, part)
        found = (by_name[name] for name in names if name in by_name and by_name[name] not in mapping.values())
        column = next(found, None)
        if column is not None and role in ROLES[modality]:
            mapping[role] = column
    if "answer" in ROLES[modality] and "answer" not in mapping and ANSWERS_COLUMN in by_name:
        mapping["answer"] = by_name[ANSWERS_COLUMN]
    return mapping


def check_options(source: Source, modality: str, mapping: Mapping[str, str] | None, key: str) -> None:
    """Raises DataError for an unknown modality or role, or a column that the rows have not."""
    if modality not in ROLES:
        message = f"There is no modality '{modality}'{did_you_mean(modality, list(ROLES))}."
        raise DataError(message, f"Choose one of {', '.join(ROLES)}.")
    if not mapping and not key:
        return
    if mapping and not source.named:
        raise DataError(f"The columns of {source.layout} have no names.", "Import it without a mapping.")
    rows = _sample(source)
    columns = list(dict.fromkeys(str(name) for row in rows for name in row))
    for role, column in (mapping or {}).items():
        if role not in ROLES[modality]:
            hint = did_you_mean(role, list(ROLES[modality]))
            raise DataError(f"There is no role '{role}'{hint}.", f"Choose one of {', '.join(ROLES[modality])}.")
        _check_column(source, rows, columns, column)
    _check_column(source, rows, columns, key)
    roles = {role for role, column in (mapping or {}).items() if column}
    if "messages" in roles and roles & (
        {"answer", "target"} if "chosen" in roles else {"question", "answer", "target"}
    ):
        raise DataError(
            "The turns of messages are question and answer: one of the columns would not be read.",
            "Map messages alone; or, where the turns only ask, --map question=COLUMN --map answer=COLUMN.",
        )
    if mapping and ROW_KINDS[modality].names_all_columns:
        asked = {"question", "messages"} & set(mapping)
        said = {"answer", "target", "messages", "chosen", "choice_answer"} & set(mapping)
        if not asked or not said:
            role, columns = "answer" if asked else "question", [c for c in columns if c not in mapping.values()]
            raise DataError(
                f"No column is chosen for the {role}.",
                f"Say which one holds it, with --map {role}=COLUMN: one of {', '.join(columns[:20])}.",
            )


def check_question(modality: str) -> None:
    """Raises DataError where rows are no pictures, which alone can all be asked the same."""
    kind = ROW_KINDS[modality]
    if not (kind.medium and kind.asks):
        message = "One question for all rows is for pictures."
        raise DataError(message, "What a model does with each text is the task's instruction (`data task`).")


def _check_column(source: Source, rows: list[dict[str, Any]], columns: list[str], column: str) -> None:
    if not column or column in columns or any(not missing(at(row, tuple(column.split(".")))) for row in rows):
        return
    hint = did_you_mean(column, columns)
    raise DataError(
        f"{source.layout} has no column '{column}'{hint}.", f"Choose one of its columns: {', '.join(columns[:20])}."
    )


def _sample(source: Source) -> list[dict[str, Any]]:
    """The first readable rows of the first table. Raises DataError when there is none."""
    table = source.tables[0]
    rows = list(islice(table.rows([]), 20 * SAMPLE_ROWS))
    found = [raw.value for raw in rows if raw.value is not None][:SAMPLE_ROWS]
    if found:
        return found
    if not rows:
        raise DataError(f"{table.name} has no rows.", "Put the questions and answers in, one a row.", "data.no_rows")
    first = rows[0]
    remedy = _ABOVE if "header" in first.fault else "Check that it has rows, in UTF-8."
    message = f"No row of {table.name} can be read; the first, line {first.line}: {first.fault}."
    raise DataError(message, remedy, "data.no_rows")


def lacking(
    parts: Mapping[str, Any], row: Mapping[str, Any], modality: str, mapping: Mapping[str, str] | None = None
) -> str:
    """What a row lacks, and whether the column for it is there."""
    kind = ROW_KINDS[modality]
    for role in ("question", "answer"):
        column = (mapping or {}).get(role)
        if column and role not in parts and column in row:
            return f"no {role}: its cell of '{column}' is empty"
    if kind.medium and kind.medium not in parts:
        return f"no {kind.noun} named"
    names = {str(key).strip().casefold() for key in row}
    usual = next(layout for layout in LAYOUTS if layout.name == kind.layout)
    if names & {"messages", "conversations"}:
        return "no turns"
    for part, others in (("question", ()), ("answer", ("target", "answers", "caption"))):
        if part in parts or any(other in parts for other in others):
            continue
        known = {name for key in (part, *others) for name in usual.parts.get(key, ())}
        if names & known or kind.medium:
            return f"no {part}"
        break
    return "no column for the question and the answer"


def nothing_left(
    source: Source, modality: str, mapping: Mapping[str, str] | None, rejected: list[tuple[int, str]]
) -> tuple[str, str]:
    """Sentence and remedy for a source of which no row was kept."""
    if not rejected:
        return f"{source.layout} has no rows.", "Put the questions and answers in, one a row."
    line, reason = rejected[0]
    count = f"{len(rejected)}" if len(rejected) < 1000 else "rows, 1000 and more,"
    sentence = f"None of the {count} rows of {source.layout} can be used; the first, line {line}: {reason}."
    try:
        rows = _sample(source)
    except DataError:  # not one line could be taken apart
        return sentence, _ABOVE if "header" in reason else "Fix the rows."
    columns = [column for column in dict.fromkeys(str(key) for row in rows for key in row) if column]
    if columns == ["text"] and not mapping:
        return (
            sentence,
            "Plain text says neither what is asked nor what is answered: give questions with answers, or chats.",
        )
    own = ROW_KINDS[modality].endings
    if named := next(((kind, column) for kind, column in file_columns(rows) if not own), None):
        noun = ROW_KINDS[named[0]].noun
        return sentence, (
            f"The column '{named[1]}' names {noun}s: put them beside the table, as it names them, and import their "
            f"folder with --modality {named[0]}."
        )
    if other := _OTHER_MODALITY.search(reason):
        return sentence, f"Import it with --modality {other[1]}."
    if "custom_id" in columns and "response" in columns and "body" not in columns and not mapping:
        return sentence, (
            "What a batch answers does not say what was asked: put the `body` of the line with the same custom_id in "
            "the batch's input file into each line."
        )
    if mapping and reason == "no question" and ROW_KINDS[modality].medium:
        return (
            sentence,
            "Say what is asked about each of them, such as “What is the total?” (below the columns, or with "
            "--question), or add a column `question`.",
        )
    if mapping and reason == "no answer" and ROW_KINDS[modality].medium:
        left = ", ".join(column for column in columns if column not in mapping.values())
        role = "answer" if "answer" in ROLES[modality] else "transcript"
        return sentence, f"Choose the column of the {role} (--map {role}=COLUMN): one of {left}."
    if mapping or not source.named or not _is_about_columns(reason):
        return sentence, "Fix the rows."
    return sentence, _offer(rows, columns, modality) or "Fix the rows."


_OTHER_MODALITY = re.compile(r"import it as (text|vision|audio)")
_ONE_OF_TWO = re.compile(
    r"(.*(?:response|answer|output|completion|conversation|generation|reply|ref))[_ -]?[ab012]", re.I
)


def _offer(rows: list[dict[str, Any]], columns: list[str], modality: str) -> str:
    """The mapping that would read these columns; "" where there are too few."""
    stems = [found[1] for column in columns if (found := _ONE_OF_TWO.fullmatch(column))]
    if len(stems) > len(set(stems)):
        two = ", ".join(column for column in columns if _ONE_OF_TWO.fullmatch(column))
        return (
            f"Its columns are {', '.join(columns[:20])}: {two} are answers to one question. Write the better one as "
            "'chosen' and the other as 'rejected', beside 'prompt'."
        )
    guessed = guess_mapping(columns, modality)
    if {"_task_hash", "_input_hash"} & set(columns) and guessed.get("answer") == "answer":
        columns.remove("answer")  # Prodigy's accept and reject
        del guessed["answer"]
    if turns := next((column for column in columns if isinstance(rows[0].get(column), list)), ""):
        first = (rows[0][turns] or [None])[0]
        if isinstance(first, dict) and {"role", "from"} & set(first) and ROW_KINDS[modality].names_all_columns:
            guessed["question"] = turns  # turns that lack their answer
    objects = {column for column in columns if isinstance(rows[0].get(column), dict)}
    guessed = {role: column for role, column in guessed.items() if role == "path" or column not in objects}
    files = {column for _, column in file_columns(rows)}
    likely = _likely([{key: row.get(key) for key in columns if key not in files} for row in rows], guessed)
    if ROW_KINDS[modality].medium and files:
        likely["path"] = next(column for column in columns if column in files)
    if len(columns) < 2 and len(likely) < 2:
        return ""
    roles = {"text": ("question", "answer"), "vision": ("path", "question", "answer"), "audio": ("path", "transcript")}
    chosen = {role: guessed.get(role) or likely.get(role, "COLUMN") for role in roles[modality]}
    options = " ".join(f"--map {role}='{column}'" for role, column in chosen.items())
    return (
        f"Its columns are {', '.join(columns[:20])}: map the columns, for instance {options}; or import it as another "
        f"modality (--modality {' or '.join(kind for kind in ROLES if kind != modality)})."
    )


def _likely(rows: list[dict[str, Any]], guessed: Mapping[str, str]) -> dict[str, str]:
    """Columns, also inside objects, that may hold the question and the answer: by their names, else the first texts."""
    texts, numbers = dict[str, None](), dict[str, None]()
    for row in rows:
        for key, value in row.items():
            inside = value.items() if isinstance(value, dict) else ()
            for path, name, item in ((key, key, value), *((f"{key}.{inner}", inner, item) for inner, item in inside)):
                if path not in guessed.values() and not no_content(name):
                    if isinstance(item, str):
                        texts[path] = None
                    elif isinstance(item, int) and rank(name, SAYS) is not None:
                        numbers[path] = None
    found: dict[str, str] = {}
    for role, names in (("question", ASKS), ("answer", SAYS)):
        if role in guessed:
            continue
        free = [
            path for path in (*texts, *numbers) if path not in found.values() and (role == "answer" or path in texts)
        ]
        if path := best(free, names) or next(iter(free), ""):
            found[role] = path
    return found


def _is_about_columns(reason: str) -> bool:
    return reason.startswith(("no ", "the question is not", "the answer is not"))
