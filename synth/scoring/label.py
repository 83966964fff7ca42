"""One label of a closed set, as classification wants it.

The set is the row's `source["labels"]`, which those who measure take from the task card. Case, Markdown, `_` for a
space and a sentence around the label do not matter; two labels named are no answer, and neither is a label that is
denied. Signs count where only they tell labels of the set apart (`A` and `A-`, `<1` and `>1`). Without a set, labels
are compared as texts.
Per-class figures and macro-F1 are in `evaluate.stats.classes`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Sequence

from synth.example import Example, make_example, user
from synth.scoring import choice, exact, math_answer, names
from synth.scoring.answers import bold, is_bare, lines, marked, plain
from synth.scoring.rule import Metric, Score, ScoreRule
from synth.scoring.verify import fold, quote

Key = Callable[[str], str]
"""What two writings of one label share."""
READ_AS = "own_scorer"
"""Key of `source`: the scorer of a row before its task's labels made it one of a set; it reads what names no label."""
_OWN = {names.MATH: math_answer.grade, names.CHOICE: choice.grade}
SENTENCE_WORDS = 2
_DENIED = re.compile(
    r"(?:\b(?:not|never|no|neither|nor|without|rather than|instead of|than"
    r"|isn't|aren't|wasn't|doesn't|don't|cannot|can't"
    r")\b|\bnon)(?:\s+(?:a|an|the|in|as|be|is|of|to|any|at|all|really|class|category|about|seem|look|fit|match|belong|fall|under|into))*"
    r"[\s\"'-]*$"
)
_BESIDE = re.compile(r"(?i)\W*(?:confidence|certainty)(?: (?:level|score))?\W*:")  # `Confidence: high` is no label
_REMARKS = re.compile(r"(?i)confiden|certain|reason|explan|rationale|justif|evidence|quote")
_PHRASES = re.compile(r"\b(?:in other words|among other things|on the other hand|each other)\b")  # no label "other"
_CLAIMED = r"(?:\bis|\bas|\bbe|:)(?: (?:a|an|the|clearly|mostly|overall|very|quite|predominantly|primarily|mainly))* "
_ASIDE = (
    r"(?=,? ?\(|,? (?:with|despite|although|though|even though|because|since|as|while|whereas|rather than|based on"
    r"|given|due to)\b)"
)
_LISTED = re.compile(r"[\s\"']*(?:,[\s\"']*)?(or|nor)?[\s\"']*")  # what stands between two labels of a list


def grade(reply: str, row: Example) -> Score:
    """The one label that the reply names against gold."""
    gold, labels = row.answer or "", labels_of(row)
    if not labels:
        return exact.grade(reply, row)
    if gold not in labels:
        labels.append(gold)
    named = read(reply, labels)
    own = _OWN.get(str(row.source.get(READ_AS)))
    if not named and own is not None:  # `03` for 3
        found = own(reply, row)
        named = [gold] if found.value == 1 else [label for label in labels if label == found.answer]
    if len(named) != 1:
        why = f"two labels are named: {', '.join(named)}" if named else f"no label of the set in {quote(reply)}"
        return Score(0.0, "", why, readable=False)
    key = _key_of(labels)
    ok = key(named[0]) == key(gold)
    return Score(float(ok), named[0], "equal" if ok else f"{quote(named[0])} is not {quote(gold)}")


def labels_of(row: Example) -> list[str]:
    """The closed set that the row's label is one of; empty where the row names none."""
    given = row.source.get("labels")
    return [str(label) for label in given] if isinstance(given, list) and len(given) > 1 else []


def with_label_set(row: Example, labels: Collection[str]) -> Example:
    """The row as one of a closed set, for whoever measures: a short text that is one of the task's labels.

    The set is the task card's; rows need not repeat it. Numbers and letters of choices stay with their own scorer where
    that tells all labels apart (`03` is 3, `A` is not `B`): it would take `A-` for `A`, and `1/2` for `2/4`. Rows of
    other scorers, and rows that bring a set, stay.
    """
    if row.answer not in labels or labels_of(row):
        return row
    if row.scorer in _OWN and not _tells_apart(row.scorer, tuple(labels)):
        source = {**row.source, "labels": list(labels), READ_AS: row.scorer}
    elif row.scorer in (names.EXACT, names.LABEL):
        source = {**row.source, "labels": list(labels)}
    else:
        return row
    return row.model_copy(update={"scorer": names.LABEL, "source": source})


@functools.lru_cache(64)
def _tells_apart(scorer: str, labels: tuple[str, ...]) -> bool:
    """Whether a scorer takes each label for itself and for no other one."""
    rows = [make_example((user("?"),), label, family="", template="", answer=label) for label in labels]
    return all((_OWN[scorer](label, row).value == 1) == (label == row.answer) for label in labels for row in rows)


def read(reply: str, labels: Sequence[str]) -> list[str]:
    """The labels that the reply names where it states its answer: one is an answer, none or two are not."""
    key = _key_of(labels)
    by_key = {key(label): label for label in labels}
    if key(reply) in by_key:
        return [by_key[key(reply)]]
    explicit = [*_from_json(reply), *marked(reply)]
    parts = [line for line in lines(reply) if not _BESIDE.match(plain(line))]
    shown = [one for line in parts[:1] + parts[-1:] for one in (line, _without_name(line, key, by_key))]
    ends = [part for line in shown for part in (line, _first_clause(line))]
    for passage in [*explicit, *(end for end in ends if is_bare(end))]:
        if key(passage) in by_key:
            return [by_key[key(passage)]]
    for passage in explicit[:1] or [*bold(reply), *parts[:1], *parts[-1:], reply]:
        found = _named(key(passage), by_key)
        if found:
            return found
    return []


def member(text: str, labels: Sequence[str]) -> str | None:
    """The label that the whole text is, as `grade` compares (case, `_` for a space); None for another text."""
    key = _key_of(labels)
    return text if text in labels else next((label for label in labels if key(label) == key(text)), None)


def variants(labels: Sequence[str]) -> list[list[str]]:
    """Labels that differ only in case or in what joins their words, each group by itself: `High`, `high`."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", label.strip()).casefold(), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def variants_notes(labels: Sequence[str]) -> list[str]:
    """A sentence for each group of `variants`."""
    return [
        f"{' and '.join(map(quote, group))} differ only in case, spaces or joining signs: make them one label in your "
        "file before anything is tuned"
        for group in variants(labels)
    ]


def _first_clause(line: str) -> str:
    """What stands before the first comma or dash when a sentence follows it; a list of labels is left whole."""
    first, *rest = re.split(r"[,.;:(\n]|\s[—–-]\s", plain(line), maxsplit=1)
    return first if rest and len(rest[0].split()) >= SENTENCE_WORDS else line


def _without_name(line: str, key: Key, by_key: dict[str, str]) -> str:
    """What follows the name of a field (`Urgency: High – …`); the line itself where there is none, or it is a label."""
    name, colon, rest = plain(line).partition(":")
    return rest.strip() if colon and len(name.split()) <= SENTENCE_WORDS and key(name) not in by_key else line


def _key_of(labels: Sequence[str]) -> Key:
    """The most forgiving reading that tells the most labels apart."""
    return max((_word, _signed, _written), key=lambda key: len({key(label) for label in labels}))


def _word(text: str) -> str:
    return re.sub(r"[\s_/-]+", " ", fold(plain(text).strip("\"'[](){}<> "))).strip() or fold(text)


def _signed(text: str) -> str:
    """With the signs at its edges: `-1` is not `1`, `A-` is not `A`."""
    folded = fold(plain(text).replace("−", "-").strip("\"'[](){} "))
    return re.sub(r"(?<=\w)-(?=\w)|[\s_/]+", " ", folded).strip() or fold(text)


def _written(text: str) -> str:
    """With Markdown's signs and closing points too: `A*` is not `A`."""
    return " ".join(text.split()).casefold()


def _named(text: str, by_key: dict[str, str]) -> list[str]:
    """Labels in a folded text as whole words, the longest first, those left out that the text denies.

    Digits of a longer number are no label: `4.5` is neither 4 nor 5.
    """
    text = _PHRASES.sub(" ", text)
    pattern = "|".join(re.escape(key) for key in sorted(by_key, key=len, reverse=True) if key)
    found = list(re.finditer(rf"(?<!\w)(?<!\d[.,])(?:{pattern})(?!\w)(?![.,]\d)", text)) if pattern else []
    denied = [_DENIED.search(text[max(0, match.start() - 60) : match.start()]) is not None for match in found]
    refused = _with_lists(text, found, denied)
    kept = list(dict.fromkeys(match.group(0) for match, no in zip(found, refused, strict=True) if not no))
    if len(kept) > 1:  # `The sentiment is negative, with a few positive remarks`: what is claimed, not the aside
        claimed = set(re.findall(rf"{_CLAIMED}[\"']?({pattern})[\"']?{_ASIDE}", text))
        kept = list(claimed) if len(claimed) == 1 else kept
    if not kept:  # of `spam` and `not spam`, who denies the one names the other
        kept = [other for other in dict.fromkeys(f"not {match.group(0)}" for match in found) if other in by_key]
    return [by_key[key] for key in kept]


def _with_lists(text: str, found: Sequence[re.Match[str]], denied: Sequence[bool]) -> list[bool]:
    """Which labels are denied: with `not A, B or C` all that the list joins, with `not A, B` A alone."""
    refused = list(denied)
    for start in (at for at, no in enumerate(denied) if no):
        for at in range(start + 1, len(found)):
            between = _LISTED.fullmatch(text[found[at - 1].end() : found[at].start()])
            if between is None:
                break
            if between.group(1):
                refused[start : at + 1] = [True] * (at + 1 - start)
    return refused


def _from_json(reply: str) -> list[str]:
    """Values of a flat JSON object, as replies under a schema are."""
    match = re.search(r"\{[^{}]*\}", reply)
    try:
        record = json.loads(match.group(0)) if match else None
    except (ValueError, RecursionError):
        return []
    if not isinstance(record, dict):
        return []
    texts = {key: value for key, value in record.items() if isinstance(value, str)}
    said = {key: value for key, value in texts.items() if not _REMARKS.search(key)} or texts  # `return_reason` alone
    telling = [
        value for key, value in said.items() if re.search(r"label|class|categor|answer|intent|sentiment", key, re.I)
    ]
    return telling or (list(said.values()) if len(said) == 1 else [])


RULE = ScoreRule(names.LABEL, grade, Metric("accuracy", "accuracy"))
