"""A case as a message: what people write, from one line to a page, tidy or not.

Every field of the issue that is not null stands in the message word for word; typing errors fall only on what surrounds
them. It decides wording and order, never facts.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from synth.extraction.bank import bank
from synth.extraction.case import Case
from synth.extraction.forms import headed, log, tabled
from synth.extraction.named import written_version
from synth.extraction.phrase import capital, fill, vary
from synth.extraction.schema import Issue

FORMS = ("line", "review", "mail", "template", "chat", "log", "page", "voice", "notes", "table", "ticket", "thread")
HELD_OUT_FORMS = ("ticket", "thread")
HEADED = ("template", "table", *HELD_OUT_FORMS)
"""Forms with headings or quotes of their own, which no bank words."""
WEIGHTS = {
    "line": 4,
    "review": 3,
    "template": 4,
    "mail": 2,
    "chat": 2,
    "log": 2,
    "page": 1,
    "voice": 1,
    "notes": 1,
    "table": 1,
}
"""How often each form is drawn that training shows."""
_LONG = {
    "page": (5, 9),
    "mail": (1, 4),
    "thread": (1, 3),
    "log": (0, 2),
    "review": (0, 2),
    "voice": (0, 3),
    "line": (0, 1),
}
_NEIGHBOURS = {"e": "r", "a": "s", "o": "p", "t": "r", "n": "m", "i": "o", "s": "d", "r": "t"}
_UNITS = ("hour", "Stunde", "hora", "heure")
_AND = {
    "en": (" and ", " so ", " but ", " anyway ", " also ", " well ", " "),
    "de": (" und ", " also ", " ja ", " naja ", " jedenfalls ", " "),
    "es": (" y ", " pues ", " bueno ", " o sea ", " además ", " "),
    "fr": (" et ", " alors ", " enfin ", " bon ", " en plus ", " "),
    "pt": (" e ", " bom ", " então ", " "),
}
"""What speakers put between two sentences, by language."""


class Message(NamedTuple):
    """A message, its form, and the issue as this message lets it be read (lower case where the message is)."""

    text: str
    form: str
    issue: Issue


def compose(case: Case, form: str, rng: Random) -> Message:
    """The message of a case in one of FORMS."""
    if form in ("template", "ticket"):
        text = headed(case, form, statement(case, rng), rng)
    else:
        text = _flowing(case, form, rng)
    if rng.random() < 0.3:
        text = _mistyped(text, _kept(case), rng)
    if form in ("chat", "voice") or (form in ("line", "review") and rng.random() < 0.25):
        return Message(text.lower(), form, _lowered(case.issue))
    return Message(text, form, case.issue)


def _lowered(issue: Issue) -> Issue:
    """The issue with what is copied from the message in lower case."""
    copied = ("component", "version", "platform", "expected", "actual")
    low = {key: value.lower() for key in copied if (value := getattr(issue, key)) is not None}
    return issue.model_copy(update={**low, "steps": tuple(step.lower() for step in issue.steps)})


def statement(case: Case, rng: Random) -> str:
    """The sentence, or two, that say what it is about."""
    words, said, issue = bank(case.phrases).says, case.said, case.issue
    slots = {"s": case.subject, "S": capital(case.subject), "c": case.component, "C": capital(case.component)}
    if said.ask:
        sentence = said.ask
    elif not said.clause:
        verb = not case.problem.noun and "wish_verb" in words
        wish = issue.expected or ""
        sentence = vary(rng.choice(words["wish_verb" if verb else "wish"]), rng).format(
            expected=wish, Expected=capital(wish)
        )
    else:
        when = bank(case.phrases).doing.format(do=said.do) if said.do else said.when
        slots |= {"actual": said.clause, "Actual": capital(said.clause), "it": said.it}
        slots |= {"when": when, "When": capital(when), "do": said.do}
        sentence = rng.choice(words[_carrier(case, rng)]).format(**slots)
    name = re.escape((issue.component or "").casefold())
    named = issue.component is None or re.search(rf"(?<!\w){name}(?!\w)", sentence.casefold())
    subject = [] if named else [fill(rng.choice(words["subject"]), case.component, case.subject)]
    return " ".join([*subject, sentence])


def _carrier(case: Case, rng: Random) -> str:
    """Which list of sentences carries a fault."""
    words, said = bank(case.phrases).says, case.said
    if said.do and "problem_do" in words and rng.random() < 0.35:
        return "problem_do"
    if said.do or said.when:
        whole = case.problem.do or case.problem.when  # worded to follow what comes before it
        return "problem_clause" if "problem_clause" in words and not whole else "problem"
    return "problem_it" if said.it and "problem_it" in words and rng.random() < 0.45 else "problem_plain"


def _facts(case: Case, statement: str, rng: Random) -> list[str]:
    """The statement among the sentences that say what else is known."""
    words, issue = bank(case.phrases).says, case.issue
    version = written_version(issue.version, rng) if issue.version is not None else None
    platform, other, found = issue.platform, case.other_version, []
    if version and other and "from_to" in words and rng.random() < 0.5:
        found.append(rng.choice(words["from_to"]).format(o=other, v=version))
        version = other = None
    if version and platform and "both" in words and rng.random() < 0.5:
        found.append(rng.choice(words["both"]).format(v=version, p=platform))
        version = platform = None
    if version and "around" in words and rng.random() < 0.3:
        statement, version = rng.choice(words["around"]).format(v=version, said=statement), None
    elif platform and "around_platform" in words and rng.random() < 0.3:
        statement, platform = rng.choice(words["around_platform"]).format(p=platform, said=statement), None
    found += [rng.choice(words["version"]).format(v=version)] if version else []
    found += [rng.choice(words["platform"]).format(p=platform)] if platform else []
    if other is not None:
        found.append(rng.choice(words["old_version"]).format(o=other))
    if case.other_platform is not None:
        found.append(rng.choice(words["other_platform"]).format(o=case.other_platform))
    if case.latest and "latest" in words:
        found.append(rng.choice(words["latest"]))
    if case.lost:
        found.append(rng.choice(words["lost"]).format(k=case.lost))
    if issue.estimated_hours is not None:
        found.append(rng.choice(words["estimate"]).format(h=f"{issue.estimated_hours:g}"))
    if issue.expected is not None and case.said.clause:
        wish = issue.expected
        found.append(rng.choice(words["expected"]).format(expected=wish, Expected=capital(wish)))
    if case.impact:
        found.append(case.impact)
    rng.shuffle(found)
    before = rng.randint(0, len(found)) if rng.random() < 0.3 else 0
    return [*found[:before], statement, *found[before:]]


def _steps_block(case: Case, rng: Random) -> str:
    intro = rng.choice(bank(case.phrases).says["steps_intro"])
    mark = rng.choice(("{i}. ", "- ", "{i}) ", "* ", "{i}: ", "-> "))
    end = rng.choice(("", "", "", "."))
    return "\n".join([intro, *(mark.format(i=i) + step + end for i, step in enumerate(case.issue.steps, 1))])


def _flowing(case: Case, form: str, rng: Random) -> str:
    """Sentences one after the other, with a greeting, chatter and a farewell as the form has them."""
    words = bank(case.phrases)
    said, least_most = statement(case, rng), _LONG.get(form, (0, 0))
    body = [said, *([case.impact] if case.impact else [])] if form == "table" else _facts(case, said, rng)
    chatter = rng.sample(words.chatter, min(rng.randint(*least_most), len(words.chatter)))
    for sentence in chatter:
        number = str(rng.randrange(11, 60))
        body.insert(rng.randint(0, len(body)), vary(sentence, rng).replace("{k}", number))
    if rng.random() < 0.1 and form != "line":  # "also" and "by the way" come after what they are beside
        at = next(at for at, sentence in enumerate(body) if said in sentence)
        body.insert(rng.randint(at + 1, len(body)), rng.choice(words.second))
    blocks = [_joined(body, case.language, form, rng)]
    if case.listed:
        blocks.append(_steps_block(case, rng))
    if form == "log":
        blocks.append(log(rng))
    if form == "table":
        blocks.append(tabled(case, rng))
    if form in ("mail", "page", "thread") or rng.random() < 0.2:
        blocks.insert(0, vary(rng.choice(words.openings), rng))
    if form in ("mail", "page") or rng.random() < 0.2:
        blocks.append(vary(rng.choice(words.closings), rng).replace("{k}", str(rng.randrange(10, 99))))
    if form == "thread":
        quoted = (vary(sentence, rng).replace("{k}", "20") for sentence in rng.sample(words.chatter, 2))
        blocks.insert(rng.randrange(2), "> " + " ".join(quoted))
    separator = "\n\n" if form in ("mail", "page", "log", "thread", "table") else rng.choice((" ", " ", "\n"))
    if case.listed and separator == " ":
        separator = "\n"
    return separator.join(block for block in blocks if block)


def _joined(sentences: list[str], language: str, form: str, rng: Random) -> str:
    """Sentences as one paragraph, or several where there are many."""
    if form == "voice":  # somebody speaks, and nothing sets stops
        first, *others = [sentence.rstrip(".!?").strip() for sentence in sentences]
        return first + "".join(rng.choice(_AND[language]) + sentence for sentence in others)
    if form == "notes":
        mark = rng.choice(("- ", "* ", "• "))
        return "\n".join(mark + sentence for sentence in sentences)
    if form != "page":
        return (" " if rng.random() < 0.85 else "\n").join(sentences)
    size = rng.randint(2, 4)
    return "\n\n".join(" ".join(sentences[i : i + size]) for i in range(0, len(sentences), size))


def _kept(case: Case) -> list[str]:
    """What typing errors must not touch, as it may stand in a message."""
    issue, says = case.issue, bank(case.phrases).says
    copied = (case.subject, issue.component, issue.version, issue.platform, issue.expected, issue.actual, *issue.steps)
    said = (*case.said, case.impact.rstrip(" .!?"), *case.distractors, *says["steps_intro"])
    return [value for value in (*copied, *said, *(_UNITS if issue.estimated_hours else ())) if value]


def _mistyped(text: str, kept: list[str], rng: Random) -> str:
    """The text with a few typing errors: letters swapped, doubled, missed or hit beside."""
    low, spans = text.casefold(), []
    if len(low) != len(text):
        return text
    for value in kept:
        sought, at = value.casefold(), -1
        while (at := low.find(sought, at + 1)) >= 0:
            spans.append((at, at + len(sought)))
    letters = list(text)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(max(1, len(letters) - 1))
        free = not any(start - 1 <= at <= end for start, end in spans)
        if not (free and text[at : at + 2].isalpha() and len(text[at : at + 2]) == 2):
            continue
        kind = rng.randrange(4)
        if kind == 0:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        elif kind == 1:
            letters[at] += letters[at]
        elif kind == 2:
            letters[at] = ""
        else:
            letters[at] = _NEIGHBOURS.get(letters[at], letters[at])
    return "".join(letters)
