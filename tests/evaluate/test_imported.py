"""Imported predictions: three formats, and one sentence for each way a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluate.compare import run_comparison
from evaluate.plan import Plan
from evaluate.predict.imported import read_predictions
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError
from synth.example import make_example, user
from synth.storage import read_json
from synth.workspace import Workspace


def test_our_jsonl_needs_only_id_and_text(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    rows = [
        {"example_id": "a", "text": "1"},
        {"id": "b", "answer": "2", "seconds": 0.5},
        {"example_id": "c", "error": "no"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = read_predictions(file)
    assert {k: v.text for k, v in found.items()} == {"a": "1", "b": "2", "c": ""}
    assert found["b"].seconds == 0.5
    assert found["c"].error == "no"


def test_openai_batch_output_brings_its_usage(tmp_path: Path) -> None:
    body = {
        "choices": [{"message": {"role": "assistant", "content": "Answer: 4"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
    }
    rows = [
        {"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None},
        {"custom_id": "b", "response": {"status_code": 500, "body": {}}, "error": None},
        {"custom_id": "c", "response": {"status_code": 200, "body": {"choices": []}}, "error": None},
    ]
    file = tmp_path / "batch.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    found = read_predictions(file)
    assert (found["a"].text, found["a"].usage.input_tokens, found["a"].usage.cached_tokens) == ("Answer: 4", 9, 4)
    assert found["b"].error
    assert found["c"].error
    assert found["b"].usage.billed_retries == 0, "what a batch did not answer it does not bill"
    assert found["c"].usage.billed_retries == 1, "an answer of no use is billed"


def test_batches_of_other_providers_bring_usage_model_and_refusals(tmp_path: Path) -> None:
    message = {
        "type": "message",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "4"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 3},
    }
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 40}}
    output = [{"type": "message", "content": [{"type": "output_text", "text": "5"}]}]
    usage = {"input_tokens": 30, "output_tokens": 8, "output_tokens_details": {"reasoning_tokens": 6}}
    responses = {"model": "gpt-5-2025-08-07", "output": output, "usage": usage}
    rows = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "b", "result": {"type": "expired"}},
        {"key": "c", "response": blocked},
        {"custom_id": "d", "response": {"status_code": 200, "body": responses}, "error": None},
    ]
    file = tmp_path / "batch.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    found = read_predictions(file)
    assert (found["a"].text, found["a"].model, found["a"].usage.input_tokens) == ("4", "claude-haiku-4-5-20251001", 100)
    assert "expired" in found["b"].error
    assert (found["c"].error, found["c"].refused, found["c"].text) == ("", True, "")
    assert (found["d"].text, found["d"].model, found["d"].usage.output_tokens) == ("5", "gpt-5-2025-08-07", 8)
    assert all(prediction.batch for prediction in found.values())


def test_a_number_or_record_is_the_answer_that_its_text_would_be(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    rows = [{"id": "a", "answer": 0}, {"id": "b", "answer": False}, {"id": "c", "answer": {"name": "Zoë"}}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert [one.text for one in read_predictions(file).values()] == ["0", "false", '{"name": "Zoë"}']


@pytest.mark.parametrize(
    "usage", [{"input_tokens": 0, "output_tokens": 0}, {"prompt_tokens": 0, "completion_tokens": 0}]
)
def test_an_answer_with_a_usage_of_zero_is_unpriced_and_not_free(tmp_path: Path, usage: dict[str, int]) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({"id": "a", "text": "soon", "usage": usage}))
    assert not read_predictions(file)["a"].usage.reported


def test_our_jsonl_takes_usage_as_a_provider_reports_it(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    usages = [
        {"prompt_tokens": 90, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 40}},
        {"input_tokens": 50, "cache_read_input_tokens": 40, "output_tokens": 9},
        {"promptTokenCount": 90, "candidatesTokenCount": 4, "thoughtsTokenCount": 5, "cachedContentTokenCount": 40},
    ]
    file.write_text("\n".join(json.dumps({"id": str(at), "text": "x", "usage": one}) for at, one in enumerate(usages)))
    read = [one.usage for one in read_predictions(file).values()]
    assert [(one.input_tokens, one.cached_tokens, one.output_tokens) for one in read] == [(90, 40, 9)] * 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.jsonl", '{"id": "a", "text": "right"}\n{"id": "a", "text": "wrong"}'),
        ("p.csv", "id,text\na,right\na,wrong\n"),
    ],
)
def test_two_answers_to_one_row_are_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="another answer"):
        read_predictions(tmp_path / name)


def test_an_answer_takes_the_place_of_a_failure_of_its_row(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    rows = [{"id": "a", "error": "busy"}, {"id": "a", "text": "4"}, {"id": "a", "error": "busy"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert read_predictions(file)["a"].text == "4"


def test_csv_with_bom_and_quoted_line_breaks(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(b'\xef\xbb\xbfid,output,extra\r\na,"two\nlines",x\r\nb,plain,y\r\n')
    assert {k: v.text for k, v in read_predictions(file).items()} == {"a": "two\nlines", "b": "plain"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.jsonl", "", "holds no predictions"),
        ("p.jsonl", '{"example_id": "a", "text": "x"}\n{"example_id": "a', "line 2"),
        ("p.jsonl", '{"text": "x"}', "line 1"),
        ("p.jsonl", '{"example_id": "a"}', "line 1"),
        ("p.jsonl", '{"custom_id": "a", "response": "?"}', "line 1"),
        ("p.csv", "id,foo\na,b\n", "lacks a column for the text"),
        ("p.csv", "foo,text\na,b\n", "lacks a column for the id"),
        ("p.csv", "id,text\na,b\n,c\n", "line 3 has no id"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said):
        read_predictions(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file of predictions"):
        read_predictions(tmp_path / "no.jsonl")


def test_an_imported_batch_is_priced_with_its_discount_and_is_in_the_ledger(workspace: Workspace) -> None:
    folder = workspace.datasets / "sums"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    rows = [
        make_example([user(f"{i} + 1?")], str(i + 1), answer=str(i + 1), split="test", family="f", template=f"t{i}")
        for i in range(8)
    ]
    for example in rows:
        writer.keep(example)
    writer.finish(Card(name="sums", seconds=2.0))
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100}
    lines = [
        {
            "custom_id": example.id,
            "response": {
                "status_code": 200,
                "body": {
                    "model": "gpt-4o-2024-08-06",
                    "choices": [{"message": {"content": example.target}, "finish_reason": "stop"}],
                    "usage": usage,
                },
            },
        }
        for example in rows
    ]
    batch, mine = workspace.path / "batch.jsonl", workspace.path / "mine.jsonl"
    batch.write_text("\n".join(map(json.dumps, lines)))
    known = [{"id": example.id, "text": example.target} for example in rows]
    mine.write_text("\n".join(map(json.dumps, [*known, {"id": "of another dataset", "text": "5"}])))
    systems = [
        {"id": "mine", "kind": "predictions", "path": str(mine)},
        {"id": "batch", "kind": "predictions", "path": str(batch)},
    ]
    plan = Plan.model_validate(
        {"dataset": "sums", "splits": ["test"], "systems": systems, "small": "mine", "large": "batch"}
    )
    found = read_json(run_comparison(plan, workspace))
    priced = {system["id"]: system["cost"] for system in found["systems"]}
    assert priced["batch"]["usd_per_1k"] == pytest.approx(1000 * (0.0025 + 0.001) / 2)
    assert priced["mine"]["usd_per_1k"] is None
    answered = {
        line["system_id"]: line["usd"] for line in found["fixed_costs"]["items"] if line["kind"] == "evaluation"
    }
    assert answered == {"batch": pytest.approx(8 * (0.0025 + 0.001) / 2)}
    assert all(one["requests_per_s"] is one["wall_seconds"] is None for one in found["systems"] if one["id"] in priced)
    said = "mine: 1 of 9 predictions in mine.jsonl are about no row of this comparison and were not used."
    assert said in found["limits"], "what is left out is counted"
