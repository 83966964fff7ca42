"""What an import would make of a file, to be changed before it is made: columns, splits, unused keys, the task."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from pydantic import ValidationError

from studio.widgets import ui
from studio.widgets.kept import Form
from studio.widgets.task_form import NO_LABELS, task_form
from synth.errors import DataError, UserError
from synth.example import Split
from synth.importing.detect import Guess
from synth.importing.importer import Options
from synth.importing.preview import (
    FEWEST_TEST,
    MAX_BYTES,
    Column,
    Preview,
    columns_of,
    guess_file_roles,
    guess_roles,
    half_width_points,
    preview,
    shares_for,
    size_bytes,
)
from synth.importing.splits import SHARES
from synth.modality import Modality
from synth.task import LEAST_REPEATS, TaskCard, kinds_for, labels_in

ROLES_A_LINE = 4
FEW_KEYS = 5
NAMED = "question_answer"
"""The layout of columns under their usual names."""
FIRST_ROLES = {
    "path": "The file of the picture or recording",
    "question": "What is asked, or the text",
    "answer": "The right answer",
    "transcript": "What is said",
}
"""Those that nearly every file has, as a person calls them; the others are behind a fold."""
SHARED: tuple[Split, Split] = ("test", "val")
SPLIT_TITLES: dict[str, str] = {
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "test_ood": "Unseen families",
    "test_real": "Real rows",
}


class Plan(NamedTuple):
    """How to import. `task` is the card as edited, None where the rows were not looked at; `refusals` forbid it. `form`
    keeps all of it over a refresh.
    """

    mapping: dict[str, str]
    answer_columns: tuple[str, ...]
    question: str
    group_by: str
    shares: dict[Split, float]
    split_near_duplicates: bool
    task: TaskCard | None
    refusals: tuple[str, ...]
    form: Form


def _state(source: Path) -> tuple[int, int]:
    return size_bytes(source), source.stat().st_mtime_ns


@st.cache_data(max_entries=16, show_spinner=False)
def _columns(source: str, state: tuple[int, int]) -> list[Column]:
    return columns_of(Path(source))


@st.cache_data(max_entries=16, show_spinner="Reading the rows …")
def _preview(source: str, state: tuple[int, int], options: Options) -> Preview:
    return preview(Path(source), options)


def _roles(kind: Modality, form: Form, guess: Guess, columns: Sequence[Column]) -> dict[str, str]:
    """Which column plays which role."""
    roles, options = kind.roles(), ["", *dict.fromkeys([*guess.columns, *(column.name for column in columns)])]
    if kind.part is None:
        known = guess_roles(columns, guess.mapping)
    else:
        known = guess_file_roles(guess)
    first = [role for role in roles if role in FIRST_ROLES]
    mapping = {}

    def ask(place: st.delta_generator.DeltaGenerator, role: str) -> None:
        preset = form.place(f"map.{role}", options, options.index(known[role]) if known.get(role) in options else 0)
        mapping[role] = str(
            place.selectbox(
                FIRST_ROLES.get(role, role),
                options,
                preset,
                format_func=lambda column: column or "no column",
                key=form.key(f"map.{role}"),
            )
        )

    for place, role in zip(st.columns(len(first)), first, strict=True):
        ask(place, role)
    others = [role for role in roles if role not in first and role != "group"]  # that is a choice of its own
    used = [role for role in others if known.get(role)]
    with st.expander(f"Other columns{': ' + ', '.join(used) if used else ''}", icon=":material/view_column:"):
        for start in range(0, len(others), ROLES_A_LINE):
            line = others[start : start + ROLES_A_LINE]
            for place, role in zip(st.columns(ROLES_A_LINE), line, strict=False):
                ask(place, role)
    return mapping if kind.names_unmapped else {role: column for role, column in mapping.items() if column}


def _check_chosen(mapping: Mapping[str, str], several: Sequence[str], columns: Sequence[Column]) -> None:
    """Raises DataError, with what to choose, while nothing says which column is the question, or which the answer."""
    left = [column for column in columns if column.name not in mapping.values()]
    if not {"question", "messages"} & mapping.keys():
        likely = [column.name for column in left if column.words and not column.nested]
        raise DataError("No column is chosen for what is asked.", f"Choose it on the left{_one_of(likely)}.")
    if not several and not {"answer", "target", "messages", "chosen", "choice_answer"} & mapping.keys():
        likely = [column.name for column in left if column.short] or [column.name for column in left]
        raise DataError(
            "No column is chosen for the right answer.",
            f"Choose under “{FIRST_ROLES['answer']}” what the model shall answer{_one_of(likely)}.",
        )


def _one_of(columns: Sequence[str]) -> str:
    return f": {', '.join(columns[:10])}" if columns else ""


def _question(kind: Modality, form: Form) -> str:
    """What is asked about pictures whose rows ask nothing; "" for rows of other kinds."""
    if kind.part is None or not kind.asks:
        return ""
    typed = st.text_input(
        "What is asked where a row brings no question",
        form.preset("ask", ""),
        placeholder="What is the total?",
        key=form.key("ask"),
    )
    return str(typed).strip()


def _several(form: Form, mapping: Mapping[str, str], columns: Sequence[Column]) -> tuple[str, ...]:
    """Columns that together are the answer, when two or more could be one and the user wants all."""
    own = mapping.get("answer", "")
    used = {column for role, column in mapping.items() if role != "answer"}
    possible = [c.name for c in columns if (c.short or c.name == own) and c.name not in used]
    if len(possible) < 2:
        return ()
    chosen = st.multiselect(
        "Answer with several columns at once, as one JSON object",
        possible,
        [column for column in form.preset("several", []) if column in possible],
        key=form.key("several"),
        placeholder=f"{f'only {own}; ' if own else ''}choose two or more of {', '.join(possible)}",
        help="The model then answers with an object that has these keys, and every key is checked.",
    )
    if len(chosen) == 1:
        st.caption("One column alone is the answer above; choose a second one, or none.")
    return tuple(chosen) if len(chosen) > 1 else ()


def _shares(form: Form, rows: int) -> dict[Split, float]:
    """Shares of training, validation and test rows; the training rows are what is left. They follow the number of
    rows, which other choices change, until a person sets them.
    """
    usual = shares_for(rows)
    left, right = st.columns(2)
    tested, validated = (form.following(f"share.{split}", round(100 * usual[split])) for split in SHARED)
    test = left.number_input("Test, %", 1, 50, key=tested)
    val = right.number_input("Validation, %", 0, 40, key=validated)
    return {"train": round(1 - (test + val) / 100, 4), "val": val / 100, "test": test / 100}


def _group(form: Form, keys: Sequence[str], found: Preview | None) -> str:
    """The key whose rows stay in one split; "" for none. Nothing is preset: a column is never taken by its name."""
    sizes = {grouping.column: grouping for grouping in (found.report.groupings if found else ())}
    options = ["", *(key for key in sizes), *(key for key in keys if key not in sizes)]

    def title(key: str) -> str:
        if not key:
            return "none: each row by itself"
        if key not in sizes:
            return key
        counts = ", ".join(f"{n:,} {SPLIT_TITLES[s].lower()}" for s, n in sizes[key].splits.items())
        return f"{key}: {sizes[key].values:,} values, {counts}"

    return str(
        st.selectbox(
            "Keep rows together by",
            options,
            form.place("group", options),
            format_func=title,
            key=form.key("group"),
            help="Choose the column that says who or what a row is about (a patient, a customer), when several rows "
            "are about the same one. Not the column with the answer.",
        )
    )


def _splits(found: Preview) -> None:
    """Rows of each split, each answer by itself."""
    report = found.report
    splits = [split for split in SPLIT_TITLES if report.splits.get(split)]
    total = " · ".join(f"**{report.splits[s]:,}** {SPLIT_TITLES[s].lower()}" for s in splits)
    aside = f" · {report.rejected_rows:,} set aside" if report.rejected_rows else ""
    st.markdown(f"{report.kept:,} rows: {total}{aside}")
    if found.classes:
        st.dataframe(
            [
                {"Answer": answer, **{SPLIT_TITLES[s]: counts.get(s, 0) for s in splits}}
                for answer, counts in found.classes.items()
            ],
            hide_index=True,
            height="content" if len(found.classes) <= 8 else 300,
        )
    if (tested := report.splits.get("test", 0)) >= FEWEST_TEST:  # below, a warning says it
        width = half_width_points(tested)
        st.caption(f"On {tested:,} test rows, an accuracy of 80 % is known to ± {width:.0f} points.")


def _remarks(found: Preview) -> None:
    for sentence in found.warnings:
        st.warning(ui.inert(sentence), icon=":material/warning:")
    for sentence in (
        *(note for note in found.report.notes if note not in found.warnings),
        *(f"Leakage check: {fault}." for fault in found.report.leaks),
    ):
        st.caption(ui.inert(sentence))
    if found.report.reasons:
        with st.expander(f"{found.report.rejected_rows:,} rows would be set aside", icon=":material/block:"):
            st.dataframe([{"line": str(n), "reason": why} for n, why in found.report.rejected[:100]], hide_index=True)
    if found.report.unused:
        few = len(found.report.unused) <= FEW_KEYS
        with st.expander(f"Not used: {_names(found)}", expanded=few, icon=":material/visibility_off:"):
            st.dataframe(
                [{"Column": key.key, "Rows": key.rows, "For example": key.example} for key in found.report.unused],
                hide_index=True,
            )


def _names(found: Preview) -> str:
    return ui.inert(", ".join(key.key for key in found.report.unused[:6]), 200)


def _looked(source: Path, state: tuple[int, int], options: Options) -> Preview | None:
    """What would be made; None, and the reason as a sentence, where that takes too long. Raises as an import does."""
    if state[0] > MAX_BYTES:
        mib = state[0] / 2**20
        st.info(f"With {mib:,.0f} MiB it is counted during the import; what became of the rows is shown after it.")
        return None
    return _preview(str(source), state, options)


def render(kind: Modality, source: Path) -> Plan:
    """The choices of an import, with what follows from them. Raises DataError for a file that cannot be read."""
    guess, state = kind.detect(source), _state(source)
    form = Form(f"import.{kind.key}.{source}.{state}")
    columns = _columns(str(source), state) if guess.columns else []
    if guess.format != "columns":
        st.caption(ui.inert(f"Looks like: {guess.format}"))
    if guess.sample:
        with st.expander("The first rows", icon=":material/table_rows:"):
            st.dataframe([{str(k): str(v)[:500] for k, v in row.items()} for row in guess.sample], hide_index=True)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### Which column is what?" if guess.columns else "##### How the rows are split")
        mapping = _roles(kind, form, guess, columns) if guess.columns else {}
        several = _several(form, mapping, columns) if kind.part is None else ()
        if kind.part is None and guess.columns:
            _check_chosen(mapping, several, columns)
        question = _question(kind, form) if guess.format != "example" else ""
        taken = {column for role, column in mapping.items() if role in FIRST_ROLES} | set(several)
        named = guess.format == NAMED or kind.part is not None
        if named and not several and {role: column for role, column in mapping.items() if column} == guess.mapping:
            mapping = {}  # as guessed: the importer reads the columns by their names, and the others that it knows
        first = Options(kind.key, mapping or None, SHARES, answer_columns=several, question=question)
        keys = list(guess.columns) or list(dict.fromkeys(str(key) for row in guess.sample for key in row))
        counted = None if state[0] > MAX_BYTES else _quietly(source, state, first)
        shares = _shares(form, counted.report.kept if counted else 1000)
        alike = kind.part is None and not st.checkbox(
            "Keep rows that say nearly the same in one split", form.preset("near", True), key=form.key("near")
        )
        options = first._replace(shares=shares, split_near_duplicates=alike)
        alone = _quietly(source, state, options) if counted else None
        group_by = _group(form, [key for key in keys if key not in taken], alone)
    with right:
        st.markdown("##### What you get")
        if shares["train"] <= 0:
            raise DataError("No share is left for training.", "Lower those of the test and the validation.")
        found = _looked(source, state, options._replace(group_by=group_by))
        if found:
            _splits(found)
            ui.words("Validation rows", "Test rows", "Stratified", "Near-duplicate", "Leakage")
            _remarks(found)
    task = None
    if found:
        st.markdown("##### The task")
        st.caption(
            "Guessed from the rows. Models that are not tuned get it before each question; correct it now or later."
        )
        said = ui.param("said")  # what was written on Start
        guessed = found.task.model_copy(update={"instruction": said}) if said else found.task
        task = _task(form, guessed, kind, found.classes)
    refusals = tuple(found.refusals) if found else ()
    if task and task.kind == "classification" and not task.labels:
        refusals = (*refusals, NO_LABELS)
    return Plan(mapping, several, question, group_by, shares, alike, task, refusals, form)


def _task(form: Form, guessed: TaskCard, kind: Modality, classes: Mapping[str, Mapping[str, int]]) -> TaskCard:
    """The task card; what was made of this guess before a refresh is shown again."""
    guess = guessed.sha256()
    shown = guessed
    if form.preset("task.of", "") == guess:
        with contextlib.suppress(ValidationError):
            shown = TaskCard.model_validate(form.preset("task", {}))
    labels = labels_in({answer: sum(splits.values()) for answer, splits in classes.items()}, LEAST_REPEATS)
    key = f"task.{form.name}.{shown.sha256()[:8]}"
    task = task_form(shown, key, kinds_for(kind.part), lambda: labels)
    form.note("task.of", guess)
    form.note("task", task.model_dump())
    return task


def _quietly(source: Path, state: tuple[int, int], options: Options) -> Preview | None:
    try:
        return _preview(str(source), state, options)
    except UserError:
        return None  # the same fault is shown where the splits would be
