"""Claims about records in the report: every figure by hand, in every view, and never where answers are no records."""

from __future__ import annotations

import json

import pytest
from plausible import results

from evaluate.report import by_field, render_html, render_md, report_json
from evaluate.report.results import Results, Row, SystemResult
from recipes.decode.answer_schema import obeys, record_schema
from synth.example import make_example, user

GOLD = [
    {"type": "bug", "version": "1.2", "steps": []},
    {"type": "bug", "version": None, "steps": ["open", "save"]},
    {"type": "docs", "version": None, "steps": []},
    {"type": "docs", "version": "3.0", "steps": []},
]
GIVEN = [
    {"type": "bug", "version": "1.2", "steps": []},
    {"type": "bug", "version": "9.9", "steps": ["open", "close"]},
    {"type": "bug", "version": None, "steps": []},
    {"type": "docs", "version": None, "steps": []},
]
WHERE = {"family": "f", "template": "t", "split": "train"}
TRAIN = [
    make_example((user(str(i)),), json.dumps(gold), answer=json.dumps(gold), scorer="fields", **WHERE)
    for i, gold in enumerate(GOLD)
]


def rows(given: list[str]) -> tuple[Row, ...]:
    return tuple(
        Row(
            example_id=str(i),
            split="test",
            family="f",
            template=str(i),
            scorer="fields",
            score=1.0,
            gold=json.dumps(gold),
            answer=reply,
            answer_text=reply,
        )
        for i, (gold, reply) in enumerate(zip(GOLD, given, strict=True))
    )


def system(given: list[str]) -> SystemResult:
    return SystemResult(id="small", label="Small", kind="local", metric="f1", rows=rows(given))


def test_each_field_has_its_accuracy_and_counts_of_missed_wrong_and_invented_values() -> None:
    (part,) = by_field.build([system([json.dumps(g) for g in GIVEN])], "small", {"test": "template"}, None)
    found = part.systems["small"]
    version, steps, kind = (found.figures(name) for name in ("version", "steps", "type"))
    assert version and steps and kind and found.exact == 0.25 and found.valid is None
    assert (kind.accuracy, kind.filled, kind.wrong, kind.empty, kind.invented_share) == (0.75, 4, 1, 0, None)
    assert (version.accuracy, version.filled, version.missed, version.wrong) == (0.5, 2, 1, 0)
    assert (version.empty, version.invented, version.invented_share, version.right_of_filled) == (2, 1, 0.5, 0.5)
    assert (steps.filled, steps.wrong, steps.overlap, steps.right_of_filled) == (1, 1, 0.5, 0.0)
    assert version.accuracy_ci95[0] < 0.5 < version.accuracy_ci95[1]


@pytest.mark.parametrize(
    ("reply", "valid"),
    [
        ('{"type": "bug", "version": null, "steps": []}', True),
        ('{"steps": ["a"], "version": "1", "type": ""}', True),
        ('Here: {"type": "bug", "version": null, "steps": []}', False),
        ('{"type": "bug", "version": null}', False),
        ('{"type": null, "version": null, "steps": []}', False),
        ('{"type": "bug", "version": 1.2, "steps": []}', False),
        ('{"type": "bug", "version": null, "steps": [1]}', False),
        ('{"type": "bug", "version": null, "steps": [], "more": 1}', False),
        ('{"type": "bug", "version": nu', False),
    ],
)
def test_a_reply_is_valid_when_all_of_it_is_one_object_with_the_keys_and_kinds_of_train(reply: str, valid: bool):
    schema = record_schema(TRAIN)
    assert schema is not None
    (part,) = by_field.build([system([reply] * 4)], "small", {"test": "template"}, schema)
    assert part.systems["small"].valid == float(valid)
    assert obeys(schema, GOLD[1])


def with_records(original: Results) -> Results:
    """The plausible comparison with records for answers; a wrong one invents a note."""

    def recorded(one: SystemResult) -> SystemResult:
        changed = []
        for row in one.rows:
            gold = json.dumps({"<b>type|</b>": row.family, "note": None})
            reply = gold if row.score == 1 else json.dumps({"<b>type|</b>": row.family, "note": "<i>x"})
            fields = {"gold": gold, "answer": reply, "answer_text": reply, "scorer": "fields"}
            changed.append(row.model_copy(update=fields))
        return one.model_copy(update={"rows": tuple(changed)})

    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    found = tuple(recorded(one) for one in original.systems)
    return original.model_copy(update={"systems": found, "answer_schema": schema})


def test_the_fields_are_in_every_view_of_the_report_and_survive_new_prices() -> None:
    from evaluate.cost.prices import load

    made = report_json.build(with_records(results(per_split=60)))
    assert [part.split for part in made.by_field] == list(made.dataset.splits)
    note = made.by_field[0].systems[made.small].figures("note")
    assert note is not None and note.empty == note.rows and note.invented == round(note.rows * (1 - note.accuracy))
    page, text = render_html.render(made), render_md.render(made)
    section = page.split('id="fields"')[1].split("<h2")[0]
    assert f"{note.invented}</span> of" in section and "<b>type" not in section
    assert f"{note.invented} of {note.empty}" in text and "<b>type" not in text
    assert report_json.reprice(made, load()).by_field == made.by_field


def test_answers_that_are_no_records_have_no_section_by_field() -> None:
    made = report_json.build(results(per_split=60))
    assert made.by_field == ()
    assert 'id="fields"' not in render_html.render(made) and "## By field" not in render_md.render(made)
