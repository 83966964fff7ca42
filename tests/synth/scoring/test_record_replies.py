"""Records as large models write them: fenced, introduced, explained, drafted and corrected."""

from __future__ import annotations

import json

import pytest

from synth.scoring.scorers import score_reply
from tests.synth.scoring.replies import misread, row

GOLD = '{"name": "Ava Müller", "total": 12.5, "items": [{"n": "pen", "q": 3}, {"n": "ink", "q": 1}], "note": null}'
SAID = {"name": "Ava Müller", "total": 12.5, "items": [{"n": "pen", "q": 3}, {"n": "ink", "q": 1}], "note": None}
TEXT = json.dumps(SAID, ensure_ascii=False)
DRAFT = json.dumps({**SAID, "total": 99})
FLAT = '{"city": "Rome", "zip": "00184"}'
LIST = '[{"a": 1}, {"a": 2}]'
LINES = "name: Ava\nage: 5"


def changed(**more: object) -> str:
    return json.dumps({**SAID, **more}, ensure_ascii=False)


RIGHT = [
    (GOLD, TEXT),
    (GOLD, json.dumps(SAID)),
    (GOLD, json.dumps(SAID, indent=2)),
    (GOLD, f"```json\n{TEXT}\n```"),
    (GOLD, f"```\n{TEXT}\n```"),
    (GOLD, f"Here is the JSON:\n\n```json\n{TEXT}\n```\n\nLet me know if you need anything else!"),
    (GOLD, f"Sure! {TEXT}"),
    (GOLD, f"**Answer:**\n{TEXT}"),
    (GOLD, f"{TEXT}\n\nThe total was read from the last line (12.5), not from the first (10)."),
    (GOLD, f"First draft:\n{DRAFT}\n\nThe total was wrong. Corrected:\n{TEXT}"),
    (GOLD, f"<think>{DRAFT}</think>{TEXT}"),
    (GOLD, f"hm {DRAFT}</think>\n{TEXT}"),
    (GOLD, f'The schema is {{"name": string, "total": number}}.\n{TEXT}'),
    (GOLD, f"Use {{braces}} with care. {TEXT}"),
    (GOLD, f"{TEXT}\n\n{{}}"),
    (GOLD, f"{TEXT} {{see above}}"),
    (GOLD, changed(items=SAID["items"][::-1])),  # type: ignore[index]
    (GOLD, changed(total="12.50")),
    (GOLD, changed(total="$12.50")),
    (GOLD, changed(name="ava müller")),
    (GOLD, changed(name="Ava Mu\u0308ller")),
    (GOLD, changed(name=" Ava  Müller ")),
    (GOLD, changed(more=None)),
    (GOLD, changed(name="Ava Müller.")),
    (GOLD, TEXT.replace('"name"', '"Name"')),
    (GOLD, TEXT.replace(', "note": null', "")),
    (GOLD, "<answer>" + TEXT + "</answer>"),
    (GOLD, TEXT + "<|im_end|>"),
    (GOLD, "\n\n" + TEXT + "\n"),
    (FLAT, '{"city":"Rome","zip":"00184"}'),
    (FLAT, '{"zip": "00184", "city": "Rome"}'),
    (FLAT, "city: Rome\nzip: 00184"),
    (FLAT, "- **City:** Rome\n- **Zip:** 00184"),
    (FLAT, "Here are the fields of the text:\n\ncity: Rome\nzip: 00184"),
    (FLAT, '{"city": "Rome",\n "zip": "00184"\n}'),
    (LIST, '[{"a": 1}, {"a": 2}]'),
    (LIST, 'The list:\n```json\n[{"a": 2}, {"a": 1}]\n```'),
    (LINES, "name: Ava\nage: 5"),
    (LINES, "Name: Ava\nAge: 5.0"),
    (LINES, '{"name": "Ava", "age": 5}'),
    (LINES, "**name:** Ava\n**age:** 5"),
    ('{"ok": true}', '{"ok": true}'),
    ('{"नाम": "अवा"}', "नाम: अवा"),
    ('{"url": "https://a.b/c"}', '{"url": "https://a.b/c"}'),
    ('{"t": "a {b} c"}', 'It is {"t": "a {b} c"}'),
    ("n/a", "n/a"),
]
WRONG = [
    (GOLD, ""),
    (GOLD, "I cannot extract that."),
    (GOLD, "{}"),
    (GOLD, "null"),
    (GOLD, DRAFT),
    (GOLD, f"{TEXT}\n\nOn second thought:\n{DRAFT}"),
    (GOLD, f"<think>{TEXT}</think>"),
    (GOLD, f"<think>{TEXT}"),
    (GOLD, f"<think>{TEXT}</think>{DRAFT}"),
    (GOLD, TEXT[:-1]),
    (GOLD, TEXT[: len(TEXT) // 2]),
    (GOLD, f"```json\n{TEXT[:40]}"),
    (GOLD, '{"record": {"name": "Ava Müller", "total": 12.5'),
    (GOLD, changed(name="Ava Muller")),
    (GOLD, changed(name="Eva Müller")),
    (GOLD, changed(name=None)),
    (GOLD, changed(name="")),
    (GOLD, changed(name=["Ava Müller"])),
    (GOLD, changed(total=12.05)),
    (GOLD, changed(total=-12.5)),
    (GOLD, changed(total="12.5 or 13")),
    (GOLD, changed(total="twelve")),
    (GOLD, changed(note="none")),
    (GOLD, changed(more=1)),
    (GOLD, changed(items=[])),
    (GOLD, changed(items=SAID["items"][:1])),  # type: ignore[index]
    (GOLD, changed(items=[*SAID["items"], {"n": "cap", "q": 1}])),  # type: ignore[misc]
    (GOLD, changed(items=[{"n": "pen", "q": 1}, {"n": "ink", "q": 3}])),
    (GOLD, changed(items="pen, ink")),
    (GOLD, TEXT.replace('"name"', '"nom"')),
    (GOLD, json.dumps({"data": SAID})),
    (GOLD, json.dumps([SAID, SAID])[1:-1].replace("12.5", "13")),
    (GOLD, TEXT.replace('"', "'").replace("null", "None")),
    (GOLD, TEXT[:-1] + ",}"),
    (FLAT, '{"city": "Rome", "zip": 184}'),
    (FLAT, '{"city": "Rome", "zip": "184"}'),
    (FLAT, '{"city": "Rome"}'),
    (FLAT, "city: Rome"),
    (FLAT, "Rome, 00184"),
    (FLAT, '{"city": "Rome", "zip": "00184", "country": "Italy"}'),
    (LIST, '[{"a": 1}]'),
    (LIST, '[{"a": 1}, {"a": 3}]'),
    (LIST, '{"a": 1}'),
    (LINES, "name: Ava\nage: 6"),
    ('{"ok": true}', '{"ok": 1}'),
    ('{"p": "$5"}', '{"p": "€5"}'),
    ('{"p": "5%"}', '{"p": "$5"}'),
    ("n/a", "{}"),
]


@pytest.mark.parametrize(("cases", "right"), [(RIGHT, True), (WRONG, False)])
@pytest.mark.parametrize("scorer", ["json", "fields"])
def test_a_record_is_read_as_a_person_reads_it(scorer: str, cases: list[tuple[str, str]], right: bool) -> None:
    assert len(cases) >= 40
    assert misread([(row(scorer, gold), reply) for gold, reply in cases], right) == []


@pytest.mark.parametrize(
    "reply", [TEXT[:-1] + ",}", TEXT.replace('"', "'").replace("null", "None"), TEXT.replace(": null", ": None")]
)
def test_a_record_that_is_almost_json_is_wrong_but_would_be_right_if_the_format_were_forgiven(reply: str) -> None:
    score = score_reply(reply, row("json", GOLD))
    assert (score.value, score.value_if_format_forgiven, score.readable, score.format_fault) == (0.0, 1.0, False, True)


def test_a_record_that_was_cut_off_is_not_forgiven() -> None:
    assert score_reply(TEXT[:-1], row("json", GOLD)).value_if_format_forgiven == 0.0
