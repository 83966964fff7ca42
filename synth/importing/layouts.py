"""Every layout of rows that is read, as data: which keys play which part. A new layout is one entry of `LAYOUTS`.

A key is a path: `input.messages` is the key `messages` of the object under `input`. What the parts become is in
`synth.importing.compose`. Every key of a row plays a part or is listed as unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from synth.importing.judgements import paths_of, verdicts
from synth.importing.kinds import ROW_KINDS
from synth.importing.logs import LOGS, REQUESTS
from synth.importing.paths import Paths, at, signature, unused
from synth.importing.values import missing

MOST_NUMBERED = 16
"""The highest number of a column `image_N`."""
COMMON: dict[str, Paths] = {
    "system": (
        "system",
        "system_prompt",
        "systemInstruction",
        "system_instruction",
        *(f"{place}.system" for place in REQUESTS),
    ),
    "tools": ("tools", "functions"),
    "images": ("images", "image", "file_names"),
    "pictures": tuple(f"image_{number}" for number in range(MOST_NUMBERED + 1)),
    "audio": ("audio", "audios"),
    "split": ("split",),
    "accepted": ("accepted_answers",),
    "videos": ("videos", "video"),
}
"""Parts that rows of most layouts may have, and the keys under which they are found."""

_TURNS: Paths = ("messages", "conversations", "conversation", "dialogue", "turns", "chat", "contents")
_ASKED: Paths = ("question", "prompt", "instruction", "query", "problem", "q")
_GIVEN: Paths = ("input", "context", "passage", "premise")
_GOLD: Paths = ("answerKey", "answer_idx", "answer_index", "answer", "label", "correct", "gold", "target")
_JUDGEMENTS = ("true", "false", "1", "0", "-1")  # other labels are the names of classes
_CHOSEN: Paths = ("chosen", "chosen_response", "preferred", "chosen_messages", "chosen_answer", "chosen_output")
_REJECTED: Paths = (
    *("rejected", "rejected_response", "dispreferred", "rejected_messages"),
    *("rejected_answer", "rejected_output", "rejected_completion"),
)
_PICTURE: Paths = ("file_name", "file_names", "images", "image", "path", "image_path", "file")
_HEARD: dict[str, Paths] = {
    "speaker": ("client_id", "speaker", "speaker_id"),
    "language": ("locale", "language", "lang"),
}
"""What a row of any layout may say about its recording."""
_SOUND: Paths = ("file_name", "audio", "audio_filepath", "audio_path", "path", "wav", "file")


class Layout(NamedTuple):
    """`parts` are the parts with the keys under which each may be found, the first that has a value; a row has this
    layout when all of `needs` are found. `several` parts take all of their keys. `modality` is "" for any.
    """

    name: str
    needs: Paths
    parts: Mapping[str, Paths]
    modality: str = ""
    several: Paths = ()
    common: bool = True


LAYOUTS: tuple[Layout, ...] = (
    Layout("example", ("prompt", "target", "template"), {p: (p,) for p in ("prompt", "target", "template")}),
    # Preference pairs.
    Layout(
        "openai_preference",
        ("messages", "chosen", "rejected"),
        {
            "messages": ("input.messages",),
            "tools": ("input.tools",),
            "chosen": ("preferred_output",),
            "rejected": ("non_preferred_output",),
        },
    ),
    Layout(
        "preference",
        ("chosen", "rejected"),
        {
            "messages": _TURNS,
            "question": _ASKED,
            "input": _GIVEN,
            "history": ("history",),
            "chosen": (*_CHOSEN, "response", "completion", "output"),
            "rejected": _REJECTED,
        },
    ),
    Layout("preference", ("messages", "rejected"), {"messages": _TURNS, "rejected": _REJECTED}),
    # Requests that were made, with their answers.
    *(Layout(name, needs, {"usage": ("usage",), "model": ("model",), **parts}) for name, needs, parts in LOGS),
    # Chats, with or without a judgement of their last answer.
    Layout("messages", ("messages",), {"messages": _TURNS, "label": ("label", "kto_tag")}),
    # Answers that were judged one by one (KTO).
    Layout(
        "kto",
        ("question", "answer", "label"),
        {"question": ("prompt",), "answer": ("completion",), "label": ("label", "kto_tag")},
    ),
    Layout(
        "kto",
        ("question", "answer", "label"),
        {
            "question": ("instruction", "prompt", "question"),
            "input": _GIVEN,
            "answer": ("output", "response", "completion", "answer"),
            "label": ("kto_tag", "label"),
            "history": ("history",),
        },
    ),
    # Multiple choice.
    Layout(
        "multiple_choice",
        ("question", "choices", "choice_answer"),
        {
            "question": ("question.stem", "question", "question_stem", "prompt", "ctx", "query"),
            "input": ("article", "passage", "context", "support", "fact1"),
            "choices": ("question.choices", "choices", "options", "endings", "candidates"),
            "choice_answer": _GOLD,
            "target": ("rationale", "explanation", "exp", "solution"),
        },
    ),
    *(
        Layout(
            "multiple_choice",
            ("question", part, "choice_answer"),
            {"question": asked, "input": _GIVEN, part: keys, "choice_answer": answer, "target": ("exp", "explanation")},
            several=(part,),
        )
        for asked, part, keys, answer in (
            (("goal", "question"), "choice", ("sol1", "sol2"), ("label",)),
            (("question",), "choice", ("choice1", "choice2"), ("label", "answer")),
            (("question",), "choice", ("opa", "opb", "opc", "opd", "ope"), ("cop", "answer")),
            (("question",), "choice", ("A", "B", "C", "D", "E"), ("answer", "Answer", "label")),
            (("sentence",), "numbered", ("option1", "option2"), ("answer",)),
            (("question",), "numbered", ("answerA", "answerB", "answerC"), ("label",)),
            (("question",), "choice", ("option_a", "option_b", "option_c", "option_d"), ("answer",)),
        )
    ),
    Layout(
        "multiple_choice",
        ("question", "correct", "distractor"),
        {
            "question": ("question",),
            "input": ("support",),
            "correct": ("correct_answer", "Correct Answer"),
            "distractor": ("distractor1", "distractor2", "distractor3", "incorrect_answers"),
        },
        several=("distractor",),
    ),
    # One instruction, one answer.
    Layout(
        "instruction",
        ("question", "answer"),
        {
            "question": ("instruction",),
            "input": _GIVEN,
            "history": ("history",),
            "answer": ("output", "response", "completion", "answer"),
        },
    ),
    Layout(
        "prompt_completion",
        ("question", "answer"),
        {"question": ("prompt",), "answer": ("completion", "response")},
    ),
    Layout("dialogue_text", ("dialogue",), {"dialogue": ("text",)}, modality="dialogue"),
    # Pictures and recordings, a path in each row.
    Layout(
        "pictures_by_class",
        ("images", "class"),
        {"images": _PICTURE, "class": ("label", "labels", "class", "category")},
        modality="vision",
    ),
    Layout(
        "pictures",
        ("images",),
        {
            "images": _PICTURE,
            "messages": ("messages", "conversations"),
            "question": ("question", "query", "prompt", "instruction"),
            "input": _GIVEN,
            "history": ("history",),
            "answers": ("answers",),
            "rejected": _REJECTED,
            "answer": ("answer", "label", "response", "target", "output", "completion"),
            "caption": ("caption", "text"),
        },
        modality="vision",
    ),
    Layout(
        "recordings",
        ("audio",),
        {
            "audio": _SOUND,
            "excerpt": ("_excerpt",),
            "answer": ("transcription", "transcript", "sentence", "text", "normalized_text", "answer"),
            "question": ("question", "prompt"),
            **_HEARD,
        },
        modality="audio",
    ),
    # Columns under their usual names.
    Layout(
        "question_answer",
        (),
        {
            "question": (*_ASKED, "input"),
            "input": ("context", "passage", "input"),
            "answers": ("answers",),
            "answer": ("answer", "completion", "response", "output", "label", "reply", "chosen", "a"),
            "target": ("target", "solution", "rationale", "worked"),
            "rejected": _REJECTED,
        },
    ),
)

_OF_PICTURES = frozenset(("id", "image_id", "image_file_path", "filename", "width", "height", "index", "source"))
"""Columns beside a picture and its class that ask nothing."""
ROLES: dict[str, Paths] = {
    "text": (
        *("question", "answer", "target", "system", "input", "history", "messages", "choices", "choice_answer"),
        *("chosen", "rejected", "label", "tools", "group", "split"),
    ),
    "vision": ("path", "question", "answer", "system", "messages", "chosen", "rejected", "group", "split"),
    "audio": ("path", "transcript", "speaker", "language", "group", "split"),
}
"""What a column can be mapped to."""

ANSWERS_COLUMN = "answers"
"""A column that is called so holds all answers that count, also where it was mapped to the answer."""
ANSWERS = {"answer", "answers", "target", "response", "choice_answer", "correct", "caption"}
"""Parts that hold what is to be said."""


class Plan(NamedTuple):
    """How rows with certain keys are read: (part, path) of what is used, (name, path) of what is not; `feedback` are
    paths of what is not and may judge the answer, `verdicts` of what may say that the row is no example."""

    layout: str
    takes: tuple[tuple[str, Paths], ...]
    unused: tuple[tuple[str, Paths], ...]
    complete: bool = False
    groups: tuple[Paths, ...] = ()
    refusal: str = ""
    feedback: tuple[Paths, ...] = ()
    verdicts: tuple[Paths, ...] = ()


class Planner:
    """Finds the layout of each row, once for all rows with the same keys.

    Args:
        modality: text, vision or audio.
        mapping: part → key, "" for none. For text it is all that is used; a picture's or recording's row has the
            other parts under their usual names.
        group_by: key whose value keeps rows together.
    """

    def __init__(self, modality: str, mapping: Mapping[str, str] | None = None, group_by: str = "") -> None:
        self.modality, self.group_by = modality, group_by
        self._layouts = layouts_for(modality, mapping)
        self._medium, self._plans = bool(ROW_KINDS[modality].medium), dict[Any, Plan]()

    def plan(self, row: Mapping[str, Any]) -> Plan:
        """The layout of a row."""
        known = signature(row)
        if "output" in row or "response" in row:  # text, or the items of an endpoint's answer
            known = (known, type(row.get("output")), type(row.get("response")))
        if self._medium:  # turns may hold what else has to stand beside them
            known = (known, *(type(row.get(key)) for key in ("prompt", "label", "labels")))
        plan = self._plans.get(known)
        if plan is None:
            if len(self._plans) > 4096:  # rows that have hardly a key in common
                self._plans.clear()
            plan = self._plans[known] = self._make(row)
        return plan

    def _make(self, row: Mapping[str, Any]) -> Plan:
        for layout in self._layouts:
            found = _find(layout, row)
            if found is not None:
                if self.group_by and not missing(at(row, tuple(self.group_by.split(".")))):
                    found.append(("group", tuple(self.group_by.split("."))))
                left = tuple(unused(row, [path for _, path in found]))
                shared = ("speaker", "conversation", *(["audio"] if "excerpt" in dict(found) else []))
                groups = tuple(path for part, path in found if part in shared)
                complete = self._complete(row, dict(found))
                judged = not ROW_KINDS[self.modality].asks or {"label", "rejected"} & dict(found).keys()
                verdict = verdicts(row, left)
                feedback = () if judged else paths_of(row, left)
                refusal = _refusal(layout, left)
                return Plan(layout.name, tuple(found), left, complete, groups, refusal, feedback, verdict)
        return Plan("", (), tuple(unused(row, [])))

    def _complete(self, row: Mapping[str, Any], found: Mapping[str, Paths]) -> bool:
        """Whether there is something to ask and something to say; if not, `detect.lacking` says what is missing."""
        kind, parts = ROW_KINDS[self.modality], set(found)
        if kind.medium and kind.medium not in parts and "pictures" not in parts:
            return "messages" in parts or isinstance(at(row, found.get("question", ("",))), list)
        if not kind.asks:
            return True
        if {"dialogue", "messages", "request", "class"} & parts or {"chosen", "rejected"} <= parts:
            return True
        return bool({"question", "caption"} & parts) and bool(ANSWERS & parts)


def layouts_for(modality: str, mapping: Mapping[str, str] | None) -> tuple[Layout, ...]:
    """The layouts to try, in order."""
    kind = ROW_KINDS[modality]
    if mapping and kind.names_all_columns:
        parts = {part: (key,) for part, key in mapping.items() if key}
        if parts.get("answer", ("",))[0].strip().casefold() == ANSWERS_COLUMN:
            parts[ANSWERS_COLUMN] = parts.pop("answer")
        return (Layout("columns", (), parts, common=False),)
    known = tuple(layout for layout in LAYOUTS if layout.modality in ("", "dialogue", modality))
    if kind.medium == "audio":
        known = tuple(layout._replace(parts={**_HEARD, **layout.parts}) for layout in known)
    if not mapping:
        return known
    chosen = {kind.renames.get(part, part): ((key,) if key else ()) for part, key in mapping.items()}
    base = next(layout for layout in LAYOUTS if layout.name == kind.layout)
    if chosen.get("messages"):
        base = base._replace(parts={"images": base.parts["images"]})
    return (Layout("columns", (), {**COMMON, **base.parts, **chosen}, modality, common=False),)


def _find(layout: Layout, row: Mapping[str, Any]) -> list[tuple[str, Paths]] | None:
    """(part, path) of the parts of a layout that the row has, or None when it lacks one that is needed."""
    by_name = {str(key).strip().casefold(): key for key in reversed(list(row))}
    columns = next((layout.parts[part] for part in layout.several if part in ("choice", "numbered")), None)
    if columns and sum(name.casefold() in by_name for name in columns) < 2:
        return None  # one column of a table that happens to be called so
    found: list[tuple[str, Paths]] = []
    taken: set[Paths] = set()
    for part, names in {**(COMMON if layout.common else {}), **layout.parts}.items():
        for name in names:
            path = tuple(name.split("."))
            if not (layout.name == "columns" and name in row):
                path = (by_name.get(path[0].casefold(), path[0]), *path[1:])
            else:
                path = (name,)
            if path in taken or missing(at(row, path)):
                continue
            found.append((part, path))
            taken.add(path)
            if part != "pictures" and part not in layout.several:
                break
    parts = {part for part, _ in found}
    return found if parts >= set(layout.needs) and _fits(layout, row, dict(found)) else None


def _fits(layout: Layout, row: Mapping[str, Any], found: Mapping[str, Paths]) -> bool:
    """What the keys alone do not tell: a layout with parts that are of a kind only."""
    if layout.modality == "dialogue":
        from synth.importing.dialogues import is_dialogue

        return is_dialogue(at(row, found["dialogue"]))
    if "messages" in layout.needs and not isinstance(at(row, found["messages"]), list | str):
        return False
    if layout.name in ("instruction", "prompt_completion") and any(not missing(row.get(key)) for key in _REJECTED):
        return False  # a pair, read by the usual names of its columns
    if layout.name == "kto" and found["label"][-1] != "kto_tag" and found["answer"] != ("completion",):
        return str(at(row, found["label"])).strip().lower() in _JUDGEMENTS
    if layout.name == "openai_responses":
        items = at(row, found["response"])
        return isinstance(items, list) and all(isinstance(item, dict) and "type" in item for item in items)
    if layout.name == "pictures_by_class":  # numbers are no names, and any other column may be the question
        used = {path[0] for path in found.values()}
        others = {str(key).strip().casefold() for key, value in row.items() if key not in used and not missing(value)}
        return isinstance(at(row, found["class"]), str) and others <= _OF_PICTURES
    if layout.name == "litellm":
        return isinstance(at(row, found["response"]), dict | str)
    return True


def _refusal(layout: Layout, left: tuple[tuple[str, Paths], ...]) -> str:
    """Why rows cannot be kept whose layout leaves a rejected answer unread."""
    over = [name for name, _ in left if name.strip().casefold() in _REJECTED]
    if not over or layout.name == "columns":
        return ""
    return f"'{over[0]}' names a rejected answer, and no key its chosen one (--map chosen=…, --map rejected=…)"
