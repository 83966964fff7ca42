"""A task card as a form: what the model should do, of which kind that is, the answers that there are, their form.

Draws and reads; who saves it is up to the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import streamlit as st

from studio.widgets import ui
from synth.task import KINDS, TaskCard, TaskKind

BETWEEN = ": "
"""Between a label and what it means, on its line."""
NO_LABELS = (
    "A classification needs its possible answers. Where the rows have many different ones, none are filled in: list "
    "them, or choose another kind of task."
)


def labels_text(labels: dict[str, str]) -> str:
    """One label a line, with what it means."""
    return "\n".join(f"{label}{BETWEEN}{meaning}" if meaning else label for label, meaning in labels.items())


def read_labels(text: str, known: Iterable[str] = ()) -> dict[str, str]:
    """The labels of such lines. A known label may itself hold what stands between a label and its meaning."""
    longest_first = sorted(known, key=len, reverse=True)
    found: dict[str, str] = {}
    for line in (line.strip() for line in text.splitlines()):
        label = next((name for name in longest_first if line == name or line.startswith(name + BETWEEN)), None)
        if label is None:
            label = line.partition(BETWEEN)[0].strip()
        if label:
            found[label] = line[len(label) :].removeprefix(":").strip()
    return found


def task_form(card: TaskCard, key: str, kinds: Sequence[TaskKind], answers: Callable[[], Iterable[str]]) -> TaskCard:
    """The card as edited.

    kinds: those offered, besides the card's own.
    answers: of the rows, where they can be labels: they fill an empty list, and a list that lacks one says so.
    """
    instruction = st.text_area(
        "What the model should do",
        card.instruction,
        height=90,
        key=f"{key}.instruction",
        help="In one or two sentences, as you would tell a person.",
        placeholder="Say which department a message to our clinic belongs to.",
    )
    left, right = st.columns(2)
    offered = [kind for kind in KINDS if kind in kinds or kind == card.kind]
    kind = left.selectbox(
        "Kind of task",
        offered,
        offered.index(card.kind),
        format_func=KINDS.__getitem__,
        key=f"{key}.kind",
    )
    form = right.text_input(
        "How the answer must look", card.answer_format, key=f"{key}.format", placeholder="one word and nothing else"
    )
    labels = dict(card.labels)
    if kind == "classification":
        given = list(answers())
        labels = labels or ({} if card.kind == kind else dict.fromkeys(given, ""))
        text = st.text_area(
            "Possible answers, one a line; a meaning may follow after a colon",
            labels_text(labels),
            height=max(90, min(260, 30 + 26 * len(labels))),
            key=f"{key}.labels",
            placeholder="billing: invoices, insurance, payments",
        )
        labels = read_labels(text, [*labels, *given])
        lacking = [answer for answer in given if answer not in labels]
        if not labels:
            st.warning(NO_LABELS, icon=":material/warning:")
        elif lacking:
            names = ui.inert(", ".join(lacking[:5]))
            said = f"The rows also answer {names}, which the list lacks: models that are prompted would not know of it."
            st.warning(said, icon=":material/warning:")
    else:
        labels = {}
    return TaskCard(instruction=instruction.strip(), kind=kind, labels=labels, answer_format=form.strip().rstrip("."))
