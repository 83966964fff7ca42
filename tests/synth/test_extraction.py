"""synth.extraction: every value can be recovered from its message, nothing is invented, and messages differ widely."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from synth.build import preview_rows
from synth.example import Example, text_of
from synth.extraction import check
from synth.extraction.bank import HELD_OUT_LANGUAGE, UNSEEN, Bank, bank
from synth.extraction.case import LANGUAGE_WEIGHTS, draw
from synth.extraction.message import FORMS, HELD_OUT_FORMS, compose
from synth.extraction.named import PLATFORM, VERSION, draw_platform, draw_version, is_cut_short, written_version
from synth.extraction.phrase import Pattern, capital, vary
from synth.extraction.schema import KEYS, TYPES, json_schema
from synth.extraction.written import real_rows


def no_media(data: bytes, suffix: str) -> str:
    raise AssertionError("text has no media")


@pytest.fixture(scope="module")
def rows() -> list[Example]:
    return preview_rows("extraction", {"train": 600, "val": 0, "test": 100, "test_ood": 60}, 760)


def changed(row: Example, **values: object) -> Example:
    """The row with fields of its issue replaced."""
    answer = json.dumps({**json.loads(row.answer or ""), **values}, ensure_ascii=False)
    return row.model_copy(update={"answer": answer, "target": answer})


@pytest.mark.slow
def test_every_answer_obeys_the_schema_and_is_one_line(rows: list[Example]) -> None:
    validator = Draft202012Validator(json_schema())
    for row in rows:
        validator.validate(json.loads(row.answer or ""))
        assert tuple(json.loads(row.answer or "")) == KEYS
        assert "\n" not in row.target


def test_all_kinds_lengths_and_languages_occur(rows: list[Example]) -> None:
    kinds = Counter(json.loads(row.answer or "")["type"] for row in rows)
    assert set(kinds) == set(TYPES)
    lengths = [len(row.prompt[-1].text) for row in rows]
    assert min(lengths) < 60
    assert max(lengths) > 500
    assert {row.source["language"] for row in rows} == {"en", "de", "es", "fr", "pt"}
    assert len({row.template for row in rows}) > 300


@pytest.mark.parametrize("key", ["version", "platform", "component", "expected", "actual"])
def test_a_value_that_the_message_does_not_state_is_rejected(rows: list[Example], key: str) -> None:
    row = next(r for r in rows if json.loads(r.answer or "")[key] is None)
    assert not check(changed(row, **{key: "9.87.6 of something else"}))


@pytest.mark.slow
@pytest.mark.parametrize("key", ["version", "platform", "actual"])
def test_a_value_that_the_message_states_and_the_issue_lacks_is_rejected(rows: list[Example], key: str) -> None:
    stated = [
        r
        for r in rows
        if json.loads(r.answer or "")[key] is not None and "." in str(json.loads(r.answer or "")["version"])
    ]
    assert sum(not check(changed(row, **{key: None})) for row in stated) == len(stated) > 10


def test_a_wrong_priority_or_type_is_rejected(rows: list[Example]) -> None:
    for row in rows[:100]:
        issue = json.loads(row.answer or "")
        assert check(row)
        assert not check(changed(row, priority="low" if issue["priority"] != "low" else "high"))
        assert not check(changed(row, type="docs" if issue["type"] != "docs" else "bug"))


def _planted(issue: dict[str, Any], beside: list[str]) -> Iterator[dict[str, object]]:
    """Issues that are wrong by one thing, for a message of this one."""
    yield {"component": None} if issue["component"] else {"component": "cellar door"}
    yield {"steps": [*issue["steps"], "restart the moon"]}
    yield {"title": "The moon is down"}
    yield {"estimated_hours": (issue["estimated_hours"] or 0) + 7.5}
    if issue["steps"]:
        yield from ({"steps": issue["steps"][1:]}, {"steps": issue["steps"][:-1]})
    for key in ("actual", "expected"):
        if issue[key] is not None:
            yield from ({key: None}, {key: issue[key].rsplit(" ", 1)[0]}, {key: issue[key][:-1]})
    if issue["version"] is not None:
        yield from ({"version": issue["version"][:-1] or "x"}, {"platform": issue["version"]})
    for other in beside:
        if "." in other and " " not in other:
            yield {"version": other}
        elif other.split()[-1] in ("hours", "Stunden", "horas", "heures"):
            yield {"estimated_hours": float(other.split()[0])}
        else:
            yield {"platform": other}


def test_an_answer_that_is_wrong_by_one_thing_is_rejected(rows: list[Example]) -> None:
    """What is left out, cut short, put into another field, or taken from what only stands beside it."""
    planted = [
        (fault, row)
        for row in rows[:150]
        for fault in _planted(json.loads(row.answer or ""), row.source["distractors"])
    ]
    passed = [(fault, row.prompt[-1].text) for fault, row in planted if check(changed(row, **fault))]
    assert len(planted) > 600
    assert passed == []


def test_a_platform_that_is_cut_short_is_rejected(rows: list[Example]) -> None:
    """`Windows` for Windows 11, `Pixel 7` for a Pixel 7 Pro, `Firefox 112 on Windows` for all of it."""
    cut = []
    for row in rows:
        platform = json.loads(row.answer or "")["platform"] or ""
        if (less := platform.rpartition(" ")[0].rstrip(" ,(")) and check(row):
            cut.append(changed(row, platform=less))
    assert len(cut) > 100
    assert [json.loads(row.answer or "")["platform"] for row in cut if check(row)] == []


def test_a_number_in_the_next_line_is_no_part_of_a_platform() -> None:
    assert not is_cut_short("Edge", "Device: Edge\n\n20:33:59 ERROR handler")
    assert not is_cut_short("Firefox", "Firefox 2.3.4")
    assert is_cut_short("edge", "On Edge  112.")


def _wordings(words: Bank) -> set[str]:
    """Every sentence that a bank can say, without marks, parts of products and what grammar needs aside."""
    kept = words.model_dump(
        exclude={"domains", "held_out_domains", "unnamed", "subjects", "wholes", "doing"}, exclude_none=True
    )
    found = set()
    for phrase in _texts(kept):
        parts = re.split(r"\[([^\[\]]*)\]", phrase)
        for one in itertools.product(*(part.split("|") if at % 2 else [part] for at, part in enumerate(parts))):
            found.add(" ".join(re.findall(r"\w+", "".join(one).casefold())))
    return found - {""}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner) if key not in ("p", "title") else ()
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _texts(inner)


@pytest.mark.parametrize("language", LANGUAGE_WEIGHTS)
def test_training_has_no_wording_of_the_unseen_bank(language: str) -> None:
    shown, unseen = _wordings(bank(language)), _wordings(bank(UNSEEN + language))
    assert not shown & unseen
    whole = {f" {one} " for one in shown if len(set(one.split()) - {"when", "actual", "expected", "s", "v", "o"}) > 2}
    assert [(one, other) for one in whole for other in unseen if one in f" {other} "] == []


def test_unseen_phrasings_are_a_family_of_their_own_and_change_nothing_else() -> None:
    settings: dict[str, object] = {"train": 20, "val": 0, "test": 10, "test_ood": 12}
    asked = preview_rows("extraction", {**settings, "unseen": ["phrasing"]}, 42)
    without = preview_rows("extraction", {**settings, "unseen": ["language", "domain", "form"]}, 42)
    new = [row for row in asked if row.split == "test_ood"]
    assert [row for row in asked if row.split != "test_ood"] == [row for row in without if row.split != "test_ood"]
    assert all(row.family.endswith("/phrasing") and check(row) for row in new)
    assert {str(row.source["phrases"]) for row in new} <= {UNSEEN + language for language in LANGUAGE_WEIGHTS}
    assert not any("phrasing" in row.family or "phrases" in row.source for row in without)


def test_versions_and_platforms_that_work_are_named_and_are_not_the_answer() -> None:
    rng, seen = Random(0), 0
    for _ in range(300):
        case = draw(rng)
        message = compose(case, "mail", rng)
        for other, key in ((case.other_version, "version"), (case.other_platform, "platform")):
            if other is not None:
                seen += 1
                assert other in message.text
                assert getattr(message.issue, key) != other
    assert seen > 30


def test_the_checker_knows_every_version_and_platform_that_can_be_drawn() -> None:
    """Or it would let a row pass whose message names one and whose issue has none."""
    rng = Random(0)
    for _ in range(2000):
        assert PLATFORM.search(draw_platform(rng).casefold())
        assert VERSION.search(f"since {written_version(draw_version(rng), rng)} here".casefold())
    assert not VERSION.search("2.3 gb in 1.5 s, error 500, 12,50 euros, 40 rows, section 3")


def test_training_never_shows_what_the_unseen_test_holds(rows: list[Example]) -> None:
    shown = [row for row in rows if row.split in ("train", "test")]
    unseen = [row for row in rows if row.split == "test_ood"]
    assert not {row.family for row in shown} & {row.family for row in unseen}
    assert HELD_OUT_LANGUAGE not in {row.source["language"] for row in shown}
    assert not any(row.family.endswith(HELD_OUT_FORMS) for row in shown)
    held_out = {domain for language in ("en", "de", "es", "fr") for domain in bank(language).held_out_domains}
    assert {row.family.split("/")[1] for row in unseen} >= held_out & {row.family.split("/")[1] for row in unseen}


def test_a_message_of_an_unseen_domain_names_a_part_of_it() -> None:
    """Else the row would measure nothing that training has not shown."""
    for seed in range(80):
        case = draw(Random(seed), "domain")
        assert case.domain in bank(case.language).held_out_domains
        assert case.issue.component is not None


def test_an_empty_option_leaves_no_blank_before_a_stop() -> None:
    said = {vary("[Tap|Click] [on |]it [now|].", Random(seed)) for seed in range(40)}
    assert said == {f"{verb} {it}." for verb in ("Tap", "Click") for it in ("it", "on it", "it now", "on it now")}


def test_code_keeps_its_first_letter() -> None:
    assert [capital(name) for name in ("parse_rows()", "item.ts", "iPhone", "e-mail", "the cart")] == [
        "parse_rows()", "item.ts", "iPhone", "E-mail", "The cart",
    ]  # fmt: skip


def test_what_is_said_beside_the_problem_comes_after_it() -> None:
    """A message that opens with "Also, the newsletter comes twice" would be about the newsletter."""
    seen = 0
    for seed in range(400):
        rng = Random(seed)
        case = draw(rng)
        text = compose(case, "mail", rng).text
        beside = next((one for one in bank(case.language).second if one in text), None)
        said = case.issue.actual or case.issue.expected or case.said.ask
        if beside and said in text:
            seen += 1
            assert text.index(said) < text.index(beside)
    assert seen > 10


def test_german_puts_the_verb_first_after_a_clause_and_speech_joins_sentences_in_its_own_language() -> None:
    for seed in range(400):
        rng = Random(seed)
        case = draw(rng, languages=("de", "fr", "es"))
        text = compose(case, "voice", rng).text
        assert not re.search(r"\bwenn (?:ich|mehrere|der|die|das) [^,:]+, (?:es|ich|die summe|die hälfte) ", text)
        assert not re.search(r" (?:anyway|well) ", text)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_every_language_reads_without_open_slots(form: str) -> None:
    for seed in range(60):
        rng = Random(seed)
        text = compose(draw(rng, "language" if seed % 4 == 0 else ""), form, rng).text
        assert "{" not in text.replace("```", "")
        assert text.strip() == text


def test_the_written_complaints_say_what_their_issues_say() -> None:
    """They were written by hand: what they copy stands in the text, and there are enough of every type."""
    found = real_rows(no_media)
    assert len(found) >= 60
    assert {json.loads(row.answer or "")["type"] for row in found} == set(TYPES)
    assert all(row.origin is not None and row.origin.kind == "hand" and row.split == "test_real" for row in found)
    for row in found:
        text = text_of(row).casefold()
        issue = json.loads(row.answer or "")
        for key in ("version", "actual"):
            if issue[key] is not None:
                assert issue[key].casefold() in text, (key, issue)


def test_no_written_complaint_is_made_of_the_generators_phrases() -> None:
    """They measure what templates cannot: a sentence of the banks in them would be a leak."""
    said = {
        Pattern(sentence.rstrip(" .!?").replace("{k}", "20"))
        for language in ("en", "de", "es", "fr", "pt")
        for group in (bank(language).impact.values(), [bank(language).chatter, bank(language).second])
        for sentences in group
        for sentence in sentences
        if len(sentence.split()) > 3
    }
    leaks = [one.phrase for row in real_rows(no_media) for one in said if one.within(text_of(row).casefold())]
    assert leaks == []
