"""recipes.decode.constrained: whatever a model would like to say, its answer is valid."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from recipes.decode.constrained import Grammar
from recipes.decode.decoder import Sampling, decode, end_ids
from recipes.models import loading
from recipes.models.files import resolve
from synth.errors import ModelError, RecipeError
from tests.tiny import tiny_llama

SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"enum": ["bug", "feature", "question"]},
        "hours": {"type": "integer", "minimum": 1, "maximum": 40},
        "version": {"anyOf": [{"type": "string", "maxLength": 12}, {"type": "null"}]},
        "steps": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3},
    },
    "required": ["type", "hours", "version", "steps"],
    "additionalProperties": False,
}
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that knows nothing: without a grammar it writes noise."""
    folder = tiny_llama(tmp_path_factory.mktemp("tiny") / "model")
    return loading.load_for_inference(resolve(str(folder)), None, torch.float32)


def texts(loaded: Any, grammar: Grammar | None, count: int = 12, **how: Any) -> list[str]:
    prompts = loaded.tokenizer([f"Row {n}:" for n in range(count)], add_special_tokens=False)["input_ids"]
    done = decode(loaded, prompts, 5, 160, grammar=grammar, **how)
    return [loaded.tokenizer.decode(row.tokens) for row in sorted(done, key=lambda row: row.place)]


@pytest.mark.slow
def test_a_random_model_writes_only_valid_objects(loaded: Any) -> None:
    grammar = Grammar.of(loaded, SCHEMA, end_ids(loaded))
    for how in ({}, {"sampling": Sampling(1.0, 7)}):
        for text in texts(loaded, grammar, **how):
            VALIDATOR.validate(json.loads(text))
    with pytest.raises(ValueError, match=""):
        json.loads(texts(loaded, None)[0])


def test_an_answer_that_would_outgrow_its_limit_is_closed_and_counts_as_cut(loaded: Any) -> None:
    text = {"type": "string"}
    items = {"type": "array", "items": {"anyOf": [text, {"type": "number"}]}}
    fields = {
        "title": text,
        "type": {"enum": ["bug", "api question"]},
        "steps": items,
        "hours": {"type": ["number", "null"]},
    }
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    grammar = Grammar.of(loaded, schema, end_ids(loaded))
    prompts, cut = [[5, 6, 7 + n] for n in range(12)], 0
    for seed in range(3):
        for done in decode(loaded, prompts, 5, 160, sampling=Sampling(1.0, seed), grammar=grammar):
            Draft202012Validator(schema).validate(json.loads(loaded.tokenizer.decode(done.tokens)))
            assert len(done.tokens) < 160
            assert done.ended or len(done.tokens) > 140, "closed late: what fits is not touched"
            cut += not done.ended
    assert cut >= 18, "a random model seldom ends a text by itself"


def test_a_limit_without_room_for_an_answer_cuts_it(loaded: Any) -> None:
    grammar = Grammar.of(loaded, SCHEMA, end_ids(loaded))
    for done in decode(loaded, [[5, 6, 7]], 1, 20, grammar=grammar):
        assert not done.ended and len(done.tokens) == 20


def test_a_random_model_gives_one_of_the_texts_and_ends(loaded: Any) -> None:
    choice = ['he said "no"', "spam", "größer | kleiner"]
    found = texts(loaded, Grammar.of(loaded, {"choice": choice}, end_ids(loaded)), sampling=Sampling(1.0, 7))
    assert set(found) <= set(choice) and len(set(found)) > 1


def test_a_nullable_enum_is_one_of_its_values_or_null(loaded: Any) -> None:
    fields = {"type": {"type": ["string", "null"], "enum": ["bug", "question", None]}}
    schema = {"type": "object", "properties": fields, "required": ["type"], "additionalProperties": False}
    found = texts(loaded, Grammar.of(loaded, schema, end_ids(loaded)), 30, sampling=Sampling(1.0, 7))
    assert {json.loads(text)["type"] for text in found} == {"bug", "question", None}


@pytest.mark.slow
def test_separators_are_those_of_the_targets(loaded: Any) -> None:
    text = texts(loaded, Grammar.of(loaded, SCHEMA, end_ids(loaded)))[0]
    assert text == json.dumps(json.loads(text), ensure_ascii=False)


def test_a_class_that_cannot_be_held_to_a_schema_is_refused(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.decode.decoder.fits", lambda model: False)
    with pytest.raises(ModelError, match=r"cannot be held to a schema\. Leave the schema out"):
        texts(loaded, Grammar.of(loaded, SCHEMA, end_ids(loaded)))


def test_a_schema_that_cannot_be_enforced_is_refused_in_a_sentence(loaded: Any) -> None:
    with pytest.raises(RecipeError, match="cannot be enforced"):
        Grammar.of(
            loaded, {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}, "required": ["a"]}, end_ids(loaded)
        )
