"""A case as a message: what people write, from one line to a page, tidy or not.

Every field of the issue that is not null stands in the message word for word; typing errors fall only on what surrounds
them. It decides wording and order, never facts.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from synth.extraction.bank import bank
from synth.extraction.case import Case, fill
from synth.extraction.schema import Issue

FORMS = ("line", "review", "mail", "template", "chat", "log", "page", "ticket", "thread")
HELD_OUT_FORMS = ("ticket", "thread")
_LONG = {"page": (5, 9), "mail": (1, 4), "thread": (1, 3), "log": (0, 2), "review": (0, 2)}
_NEIGHBOURS = {"e": "r", "a": "s", "o": "p", "t": "r", "n": "m", "i": "o", "s": "d", "r": "t"}
_LOG = (
    "{time} ERROR handler: timeout after 30000 ms",
    "{time} WARN retry {n} of 5",
    "{time} INFO user {n} signed in",
    "Traceback (most recent call last):\n  File \"app/main.py\", line {n}, in run\nKeyError: 'id'",
    "java.lang.NullPointerException: null\n\tat com.example.Main.render(Main.java:{n})",
    "HTTP 500 Internal Server Error (request {n})",
    "[{time}] segfault at 0000000000000{n} ip 00007f",
    "POST /items?page={n} 504 (Gateway Time-out)",
)


class Message(NamedTuple):
    """A message, its form, and the issue as this message lets it be read (lower case where the message is)."""

    text: str
    form: str
    issue: Issue


def compose(case: Case, form: str, rng: Random) -> Message:
    """The message of a case in one of FORMS."""
    if form in ("template", "ticket"):
        text = _headed(case, form, rng)
    else:
        text = _flowing(case, form, rng)
    if form == "chat" or (form in ("line", "review") and rng.random() < 0.25):
        return Message(text.lower(), form, _lowered(case.issue))
    return Message(text, form, case.issue)


def _lowered(issue: Issue) -> Issue:
    """The issue with what is copied from the message in lower case."""
    copied = ("component", "version", "platform", "expected", "actual")
    low = {key: value.lower() for key in copied if (value := getattr(issue, key)) is not None}
    return issue.model_copy(update={**low, "steps": tuple(step.lower() for step in issue.steps)})


def statement(case: Case, rng: Random) -> str:
    """The sentence, or two, that say what it is about."""
    words, problem, issue = bank(case.language), case.problem, case.issue
    named = "{c}" in f"{problem.when}{problem.actual}{problem.expected}{problem.ask}"
    subject = [] if named or issue.component is None else [rng.choice(words.says["subject"])]
    if problem.ask is not None:
        core = problem.ask
    elif problem.actual is None:
        verb = not problem.noun and "wish_verb" in words.says
        core = rng.choice(words.says["wish_verb" if verb else "wish"])
    else:
        core = rng.choice(words.says["problem" if problem.when else "problem_plain"])
    slots = {"when": problem.when, "actual": problem.actual or "", "expected": problem.expected or ""}
    filled = {key: fill(value, case.component) for key, value in slots.items()}
    filled |= {key.capitalize(): value[:1].upper() + value[1:] for key, value in filled.items()}
    sentence = fill(core, case.component) if problem.ask is not None else core.format(**filled)
    return " ".join([*(fill(s, case.component) for s in subject), sentence])


def _facts(case: Case, rng: Random) -> list[str]:
    """The sentences that state what else is known, in any order."""
    words, issue = bank(case.language).says, case.issue
    found = []
    if issue.version is not None:
        found.append(rng.choice(words["version"]).format(v=issue.version))
    if case.other_version is not None:
        found.append(rng.choice(words["old_version"]).format(o=case.other_version))
    if issue.platform is not None:
        found.append(rng.choice(words["platform"]).format(p=issue.platform))
    if case.other_platform is not None:
        found.append(rng.choice(words["other_platform"]).format(o=case.other_platform))
    if issue.estimated_hours is not None:
        found.append(rng.choice(words["estimate"]).format(h=f"{issue.estimated_hours:g}"))
    if issue.expected is not None and case.problem.actual is not None:
        wish = issue.expected
        found.append(rng.choice(words["expected"]).format(expected=wish, Expected=wish[:1].upper() + wish[1:]))
    if case.impact:
        found.append(rng.choice(bank(case.language).impact[issue.priority]))
    rng.shuffle(found)
    return found


def _steps_block(case: Case, rng: Random) -> str:
    intro = rng.choice(bank(case.language).says["steps_intro"])
    mark = rng.choice(("{i}. ", "- ", "{i}) ", "* ", "{i}: "))
    return "\n".join([intro, *(mark.format(i=i) + step for i, step in enumerate(case.issue.steps, 1))])


def _flowing(case: Case, form: str, rng: Random) -> str:
    """Sentences one after the other, with a greeting, chatter and a farewell as the form has them."""
    words = bank(case.language)
    facts, least_most = _facts(case, rng), _LONG.get(form, (0, 0))
    chatter = rng.sample(words.chatter, min(rng.randint(*least_most), len(words.chatter)))
    extra = [*chatter, *([rng.choice(words.second)] if rng.random() < 0.12 and form != "line" else [])]
    extra = [_mistyped(sentence, rng) if rng.random() < 0.3 else sentence for sentence in extra]
    before = rng.randint(0, len(facts)) if rng.random() < 0.4 else 0
    body = [*facts[:before], statement(case, rng), *facts[before:]]
    for sentence in extra:
        body.insert(rng.randint(0, len(body)), sentence)
    blocks = [_joined(body, form, rng)]
    if case.issue.steps:
        blocks.append(_steps_block(case, rng))
    if form == "log":
        blocks.append(_log(rng))
    if form in ("mail", "page", "thread") or rng.random() < 0.3:
        blocks.insert(
            0, _mistyped(rng.choice(words.openings), rng) if rng.random() < 0.2 else rng.choice(words.openings)
        )
    if form in ("mail", "page") or rng.random() < 0.25:
        blocks.append(rng.choice(words.closings))
    if form == "thread":
        blocks.insert(rng.randrange(2), "> " + " ".join(rng.sample(words.chatter, min(2, len(words.chatter)))))
    separator = "\n\n" if form in ("mail", "page", "template", "log", "thread") else rng.choice((" ", "\n"))
    if case.issue.steps and separator == " ":
        separator = "\n"
    return separator.join(blocks)


def _joined(sentences: list[str], form: str, rng: Random) -> str:
    """Sentences as one paragraph, or several where there are many."""
    if form != "page":
        return (" " if rng.random() < 0.85 else "\n").join(sentences)
    size = rng.randint(2, 4)
    return "\n\n".join(" ".join(sentences[i : i + size]) for i in range(0, len(sentences), size))


def _headed(case: Case, form: str, rng: Random) -> str:
    """A form that was filled in: headings (a bug tracker's), or `key: value` lines (a help desk's)."""
    issue, words = case.issue, bank(case.language)
    said = [statement(case, rng)]
    if case.impact:
        said.append(rng.choice(words.impact[issue.priority]))
    if case.other_version is not None:
        said.append(rng.choice(words.says["old_version"]).format(o=case.other_version))
    if case.other_platform is not None:
        said.append(rng.choice(words.says["other_platform"]).format(o=case.other_platform))
    fields = [
        (
            "Description" if form == "ticket" else rng.choice(("Describe the bug", "What happened?", "Problem")),
            " ".join(said),
        )
    ]
    if issue.steps:
        listed = "\n".join(f"{i}. {step}" for i, step in enumerate(issue.steps, 1))
        fields.append(("Steps to reproduce", listed))
    if issue.expected is not None and case.problem.actual is not None:
        fields.append((rng.choice(("Expected behaviour", "Expected", "What did you expect?")), issue.expected))
    if issue.version is not None:
        fields.append(("Version", issue.version))
    if issue.platform is not None:
        fields.append((rng.choice(("Environment", "Platform", "Device")), issue.platform))
    if issue.estimated_hours is not None:
        fields.append(("Estimate", f"{issue.estimated_hours:g} hours"))
    if form == "ticket":
        head = [
            ("Ticket", f"#{rng.randrange(1000, 99999)}"),
            ("From", rng.choice(("web form", "phone", "e-mail", "chat"))),
        ]
        return "\n".join(f"{key}: {value}" for key, value in [*head, *fields])
    level = rng.choice(("### {}", "## {}", "**{}**", "{}:"))
    return "\n\n".join(f"{level.format(key)}\n{value}" for key, value in fields)


def _log(rng: Random) -> str:
    lines = []
    for _ in range(rng.randint(1, 4)):
        time = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
        lines.append(rng.choice(_LOG).format(time=time, n=rng.randrange(10, 999)))
    block = "\n".join(lines)
    return f"```\n{block}\n```" if rng.random() < 0.6 else block


def _mistyped(sentence: str, rng: Random) -> str:
    """A sentence with one or two typing errors: letters swapped, doubled, missed or hit beside."""
    letters = list(sentence)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(letters) - 1)
        if not (letters[at].isalpha() and letters[at + 1].isalpha()):
            continue
        kind = rng.randrange(4)
        if kind == 0:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        elif kind == 1:
            letters[at] *= 2
        elif kind == 2:
            letters[at] = ""
        else:
            letters[at] = _NEIGHBOURS.get(letters[at], letters[at])
    return "".join(letters)
