"""Prompting: fixed examples from train as chat turns, a schema that fits the gold answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluate.plan import SystemPlan
from evaluate.predict.prompts import Prompter, pick_shots
from recipes.decode.answer_schema import ANSWER_SCHEMA, answer_schema, obeys, record_schema
from synth.errors import RecipeError
from synth.example import Example, make_example, system, user


def row(number: int, family: str = "f", answer: str | None = "1", scorer: str = "math") -> Example:
    prompt = (system("Be brief."), user(f"Question {number}?"))
    return make_example(prompt, f"Answer: {answer}", family=family, template="t", answer=answer, scorer=scorer)


TRAIN = [row(i, family="abc"[i % 3]) for i in range(30)]


def prompter(**choices: Any) -> Prompter:
    return Prompter(SystemPlan(id="s", model="m", **choices), TRAIN, 0, Path())


def test_shots_come_from_different_families_and_stay_the_same() -> None:
    shots = pick_shots(TRAIN, 3, 7)
    assert {s.family for s in shots} == {"a", "b", "c"}
    assert pick_shots(TRAIN, 3, 7) == shots
    assert pick_shots(TRAIN, 3, 8) != shots
    assert pick_shots(TRAIN, 5, 7)[:3] == shots
    assert pick_shots([], 3, 7) == []


def test_zero_shot_is_the_rows_own_prompt() -> None:
    assert prompter().question(row(99)).messages == row(99).prompt


def test_few_shot_puts_worked_examples_between_instructions_and_question() -> None:
    messages = prompter(prompting="few_shot", shots=2, instruction="Think.").question(row(99)).messages
    assert [m.role for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[0].text == "Be brief.\n\nThink."
    assert messages[2].text == "Answer: 1"
    assert messages[-1].text == "Question 99?"


def test_schema_prompting_names_the_schema_and_its_reply_is_read_back() -> None:
    asked = prompter(prompting="schema")
    question = asked.question(row(99))
    assert json.dumps(ANSWER_SCHEMA) in question.messages[0].text
    assert question.response_format is not None
    assert asked.reply('{"working": "2+2", "answer": "4"}', "math") == "2+2\nAnswer: 4"
    assert asked.reply('{"working": "I hear", "answer": "go left"}', "wer") == "go left"
    assert asked.reply('{"answer": 4}', "math").endswith("Answer: 4")
    assert asked.reply("just 4", "math") == "just 4"
    assert prompter().reply('{"answer": 4}', "math") == '{"answer": 4}'


def test_the_schema_of_records_has_their_keys_and_types() -> None:
    gold = {"title": "x", "hours": 2, "open": True, "tags": ["a"], "who": {"name": "y"}}
    schema = answer_schema([row(0, answer=json.dumps(gold), scorer="fields")])
    assert schema["required"] == list(gold)
    kinds = {key: value["type"] for key, value in schema["properties"].items()}
    assert kinds["hours"] == "number"
    assert (kinds["open"], kinds["tags"], kinds["who"]) == ("boolean", "array", "object")


def test_a_local_model_is_held_to_texts_and_lists_of_at_most_twice_the_length_in_train_and_an_endpoint_is_not() -> None:
    golds = [{"note": "a" * 50, "tags": ["x", "y"]}, {"note": None, "tags": []}]
    rows = [row(i, answer=json.dumps(gold), scorer="json") for i, gold in enumerate(golds)]
    schema = record_schema(rows, bounded=True)
    assert schema is not None
    fields = schema["properties"]
    assert (fields["note"]["maxLength"], fields["tags"]["maxItems"]) == (132, 6)
    assert fields["note"]["type"] == ["string", "null"] and fields["tags"]["items"]["maxLength"] == 34
    local = Prompter(SystemPlan(id="a", model="m", prompting="constrained"), rows, 0, Path())
    remote = Prompter(SystemPlan(id="a", model="m", kind="endpoint", prompting="schema"), rows, 0, Path())
    forms = [json.dumps(asker.question(rows[0]).response_format) for asker in (local, remote)]
    assert ["maxLength" in form for form in forms] == [True, False]
    assert "maxLength" not in json.dumps(local.schema)


def test_what_some_records_lack_or_hold_in_another_type_stays_sayable() -> None:
    golds = [
        {"total": None, "note": "a", "items": [], "who": {"name": "y"}},
        {"total": 3, "items": [{"n": 1}], "who": None},
        {"total": 4.5, "items": [{"n": "two"}], "who": {"name": "z", "age": 3}},
    ]
    rows = [row(i, answer=json.dumps(gold), scorer="json") for i, gold in enumerate(golds)]
    schema = answer_schema(rows)
    assert schema["type"] == "object"
    assert schema["required"] == ["total", "note", "items", "who"]
    fields = schema["properties"]
    assert fields["total"] == {"type": ["number", "null"]}
    assert fields["note"] == {"type": ["string", "null"]}
    assert fields["items"]["items"]["properties"] == {"n": {"type": ["string", "number"]}}
    assert fields["who"]["type"] == ["object", "null"]
    assert fields["who"]["properties"]["age"] == {"type": ["number", "null"]}


def record_row(text: str, gold: str) -> Example:
    return make_example([user(text)], gold, answer=gold, scorer="fields", family="f", template="t")


def issues(count: int) -> list[Example]:
    """Records with a closed field that the text does not spell out, one that it does, and one of many values."""
    made = []
    for n in range(count):
        kind, platform = ("bug", "question", None)[n % 3], ("Android", "Windows")[n % 2]
        gold = json.dumps({"type": kind, "platform": platform, "title": f"Case {n}", "hours": n % 3})
        made.append(record_row(f"{n} goes wrong on {platform.upper()}.", gold))
    return made


def test_a_field_that_sorts_the_text_is_an_enum_and_one_that_is_copied_from_it_stays_open() -> None:
    for bounded in (True, False):
        schema = record_schema(issues(90), bounded)
        assert schema is not None
        fields = schema["properties"]
        assert fields["type"] == {"type": ["string", "null"], "enum": ["bug", "question", None]}
        assert "enum" not in fields["platform"], "a complaint about another platform must be sayable"
        assert "enum" not in fields["title"] and "enum" not in fields["hours"]
        assert obeys(schema, {"type": None, "platform": "BeOS", "title": "x", "hours": 1})
        assert not obeys(schema, {"type": "rant", "platform": "BeOS", "title": "x", "hours": 1})


def test_few_rows_close_no_field() -> None:
    schema = record_schema(issues(29))
    assert schema is not None and "enum" not in json.dumps(schema)
    rare = json.dumps({"type": "security", "platform": None, "title": "x", "hours": 1})
    schema = record_schema([*issues(90), record_row("?", rare)])
    assert schema is not None and "enum" not in json.dumps(schema), "a value that was seen once has unseen brothers"


def labelled(target: str = "{}") -> list[Example]:
    """Rows of a classification, as those who measure draw them."""
    common = {"family": "f", "template": "t", "scorer": "label", "source": {"labels": ["ham", "spam"]}}
    return [
        make_example([user(f"Message {n}")], target.format(label), answer=label, **common)  # type: ignore[arg-type]
        for n, label in enumerate(("ham", "spam", "ham"))
    ]


def test_an_endpoint_is_held_to_the_labels_and_its_reply_is_read_back() -> None:
    asked = Prompter(SystemPlan(id="a", model="m", kind="endpoint", prompting="schema"), labelled(), 0, Path())
    form = asked.question(labelled()[0]).response_format
    assert form is not None and form["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["ham", "spam"]
    assert asked.reply('{"working": "it sells", "answer": "spam"}', "label") == "it sells\nAnswer: spam"


def test_a_tuned_classifier_may_be_held_to_its_bare_labels_only_where_it_learned_them_bare() -> None:
    plan = SystemPlan(id="a", model="m", prompting="constrained")
    assert Prompter(plan, labelled(), 0, Path()).obeyed == {"choice": ["ham", "spam"]}
    with pytest.raises(RecipeError, match="neither records nor labels"):
        Prompter(plan, labelled("It is {}."), 0, Path())
