"""Logs of requests in the forms in which programs export them: JSON in text, Responses, scores, feedback, prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.importing.waiting import beginning
from synth.workspace import Workspace
from tests.imports import bring, lines


def asked(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Where is tram {number}?"}]


def answer(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], **more}


# --- JSON in a text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"messages": json.dumps(asked(1)), "response": json.dumps(answer("At the depot"))},
        {"request": json.dumps({"messages": asked(1)}), "response": json.dumps(answer("At the depot"))},
        {
            "traceId": "t",
            "input": json.dumps({"messages": asked(1)}),
            "output": json.dumps({"role": "assistant", "content": "At the depot"}),
        },
        {"traceId": "t", "input": asked(1), "output": [{"role": "assistant", "content": "At the depot"}]},
        {"request_body": {"messages": asked(1)}, "response_body": answer("At the depot")},
    ],
)
def test_an_answer_that_a_log_holds_as_json_in_text_is_learned_as_it_was_said(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    _, (example,) = bring(lines(tmp_path / "log.jsonl", [row]), workspace)
    assert example.target == "At the depot"
    assert [m.text for m in example.prompt] == ["Where is tram 1?"]


def test_a_record_in_json_that_is_no_chat_stays_the_text_that_it_is(tmp_path: Path, workspace: Workspace) -> None:
    row = {"input": '{"tram": 1}', "output": '{"place": "depot"}', "question": "Where?", "answer": '{"role": "x"}'}
    _, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert '{"tram": 1}' in example.prompt[0].text and example.target == '{"role": "x"}'


def test_a_stream_that_nobody_put_together_is_no_answer(tmp_path: Path, workspace: Workspace) -> None:
    stream = 'data: {"choices": [{"delta": {"content": "At"}}]}\n\ndata: [DONE]\n'
    rows = [
        {"request": {"messages": asked(1)}, "response": stream},
        {"request": {"messages": asked(2)}, "response": answer("x")},
    ]
    report, _ = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    assert report.reasons == {"the answer is a stream of events that nobody put together": 1}


def test_what_an_endpoint_said_beside_the_answer_is_listed(tmp_path: Path, workspace: Workspace) -> None:
    body = answer("Here", id="r1", system_fingerprint="f", usage={"total_tokens": 3}, model="m")
    body["choices"][0]["logprobs"] = {"content": [1]}
    report, (example,) = bring(lines(tmp_path / "log.jsonl", [{"messages": asked(1), "response": body}]), workspace)
    assert {key.key for key in report.unused} == {
        "response.id",
        "response.system_fingerprint",
        "response.choices[].logprobs",
    }
    assert example.source["usage"] == {"total_tokens": 3}


# --- OpenAI's Responses ------------------------------------------------------------------------------------------

SAID = [
    {"type": "reasoning", "id": "r", "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "At the depot"}]},
]


@pytest.mark.parametrize(
    "row",
    [
        {"input": asked(1), "instructions": "Be brief", "output": SAID, "model": "m"},
        {"request": {"input": "Where is tram 1?", "instructions": "Be brief"}, "response": {"output": SAID}},
        {
            "request": json.dumps({"input": asked(1), "instructions": "Be brief"}),
            "response": json.dumps({"output": SAID}),
        },
    ],
)
def test_a_response_is_learned_as_its_text_after_its_instructions(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    report, (example,) = bring(lines(tmp_path / "log.jsonl", [row]), workspace)
    assert report.layouts == {"openai_responses": 1}
    assert [(m.role, m.text) for m in example.prompt] == [("system", "Be brief"), ("user", "Where is tram 1?")]
    assert example.target == "At the depot"


def test_an_answer_as_text_before_it_does_not_make_a_response_a_record(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"input": "Where is it?", "output": "At the depot"}, {"input": "And tram 2?", "output": SAID}]
    report, examples = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    assert [e.target for e in examples] == ["At the depot", "At the depot"]
    assert report.layouts == {"question_answer": 1, "openai_responses": 1}


@pytest.mark.parametrize("first", ["spam", None])
def test_a_label_that_is_no_judgement_does_not_hide_those_that_are(
    first: str | None, tmp_path: Path, workspace: Workspace
) -> None:
    rows = [
        {"question": "Where is tram 0?", "answer": "x", "label": first},
        *({"question": f"Where is tram {n}?", "answer": "x", "label": n % 2} for n in (1, 2, 3)),
    ]
    try:
        _, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    except DataError as error:
        assert "not all of its values are a judgement" in error.message
    else:
        assert [e.label for e in examples if e.source["line"] > 1] == [True, False, True]


def test_calls_of_a_response_and_their_results_are_turns(tmp_path: Path, workspace: Workspace) -> None:
    tools = [{"type": "function", "name": "find", "parameters": {"type": "object"}}]
    call = {"type": "function_call", "call_id": "c", "name": "find", "arguments": '{"tram": 1}'}
    result = {"type": "function_call_output", "call_id": "c", "output": "depot"}
    rows = [
        {"input": asked(1), "tools": tools, "output": [call]},
        {"input": [*asked(1), call, result], "tools": tools, "output": SAID},
    ]
    _, (first, second) = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    assert first.tool_calls[0].name == "find" and first.tool_calls[0].arguments == {"tram": 1}
    assert first.tools[0]["function"] == {"name": "find", "parameters": {"type": "object"}}
    assert [m.role for m in second.prompt] == ["user", "assistant", "tool"] and second.target == "At the depot"


def test_a_response_whose_turns_are_elsewhere_or_incomplete_is_set_aside(tmp_path: Path, workspace: Workspace) -> None:
    rows: list[dict[str, Any]] = [
        {"input": "and then?", "previous_response_id": "r0", "output": SAID},
        {"input": "and now?", "status": "incomplete", "output": SAID},
        {"input": "search", "output": [{"type": "web_search_call", "id": "w"}, SAID[1]]},
        {"input": "fine?", "output": SAID},
    ]
    report, (example,) = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    assert example.prompt[0].text == "fine?"
    assert set(report.reasons) == {
        "the turns before it are in another request (previous_response_id)",
        "the request failed (status incomplete)",
        "an item of type web_search_call",
    }


# --- Anthropic and Gemini ----------------------------------------------------------------------------------------


def test_results_of_tools_inside_a_users_turn_are_turns_of_the_tool(tmp_path: Path, workspace: Workspace) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "find", "input": {"tram": 1}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "depot"}]}
    row = {
        "request": {
            "messages": [*asked(1), {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}],
            "tools": [{"name": "find", "input_schema": {"type": "object"}}],
        },
        "response": {"role": "assistant", "content": [{"type": "text", "text": "There"}], "stop_reason": "end_turn"},
    }
    report, (example,) = bring(lines(tmp_path / "log.jsonl", [row]), workspace)
    assert [(m.role, m.text) for m in example.prompt] == [
        ("user", "Where is tram 1?"),
        ("assistant", ""),
        ("tool", "depot"),
    ]
    assert example.prompt[1].tool_calls[0].arguments == {"tram": 1} and example.prompt[2].tool_call_id == "t1"
    assert example.tools[0]["function"]["parameters"] == {"type": "object"}
    assert example.target == "There" and report.unused == ()


@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_contents_with_parts_are_turns(key: str, tmp_path: Path, workspace: Workspace) -> None:
    row = {
        key: {"role": "system", "parts": [{"text": "Be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Where is"}, {"text": "tram 1?"}]},
            {"role": "model", "parts": [{"text": "At the depot"}]},
        ],
    }
    report, (example,) = bring(lines(tmp_path / "tuning.jsonl", [row]), workspace)
    assert [(m.role, m.text) for m in example.prompt] == [("system", "Be brief"), ("user", "Where is\ntram 1?")]
    assert example.target == "At the depot" and report.unused == ()


# --- judgements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"scores": [{"name": "user-feedback", "value": 1}]}, {"scores": [{"name": "user-feedback", "value": 0}]}),
        (
            {"scores": [{"name": "Thumbs", "value": 1, "stringValue": "up"}]},
            {"scores": [{"name": "Thumbs", "value": 0, "stringValue": "down"}]},
        ),
        ({"desirable": True}, {"desirable": False}),
        ({"is_good": "yes"}, {"is_good": "No"}),
        ({"verdict": "accepted"}, {"verdict": "rejected"}),
        ({"rating": "correct"}, {"rating": "incorrect"}),
        ({"quality": "pass"}, {"quality": "fail"}),
    ],
)
def test_scores_of_a_log_label_its_answers(
    good: dict[str, Any], bad: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    rows = [
        {"traceId": "t", "input": {"messages": asked(n)}, "output": {"role": "assistant", "content": "x"}, **said}
        for n, said in enumerate((good, bad, good))
    ]
    report, examples = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    assert [e.label for e in examples] == [True, False, True]
    assert any("judgement of each answer (KTO): 2 good, 1 bad" in note for note in report.notes)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"feedback": "thumbs_up"}, {"feedback": "thumbs_down"}),
        ({"annotation": {"rating": 1}}, {"annotation": {"rating": -1}}),
        ({"rating": "good"}, {"rating": "bad"}),
    ],
)
def test_feedback_inside_the_last_turn_labels_its_answer(
    good: dict[str, Any], bad: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    rows = [
        {"messages": [*asked(n), {"role": "assistant", "content": "x", **said}]}
        for n, said in enumerate((good, bad, good))
    ]
    _, examples = bring(lines(tmp_path / "chats.jsonl", rows), workspace)
    assert [e.label for e in examples] == [True, False, True]


def test_stars_inside_a_turn_are_listed_and_no_label(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"messages": [*asked(n), {"role": "assistant", "content": "x", "rating": n}]} for n in range(1, 6)]
    report, examples = bring(lines(tmp_path / "chats.jsonl", rows), workspace)
    assert {e.label for e in examples} == {None}
    assert [key.key for key in report.unused] == ["messages[].rating"]


def test_an_earlier_answer_that_is_judged_as_bad_is_context_and_not_learned(
    tmp_path: Path, workspace: Workspace
) -> None:
    turns = [
        *asked(1),
        {"role": "assistant", "content": "On the moon", "feedback": "down"},
        *asked(2),
        {"role": "assistant", "content": "At the depot"},
    ]
    named = [{**turn, "label": "negative"} if turn["content"] == "On the moon" else turn for turn in turns]
    named[1] = {key: value for key, value in named[1].items() if key != "feedback"}
    rows = [{"messages": turns}, {"messages": [{"role": "system", "content": "S"}, *named]}]
    report, (example, sentiment) = bring(lines(tmp_path / "chats.jsonl", rows), workspace)
    assert [m.learn for m in example.prompt] == [None, False, None] and example.label is None
    assert {m.learn for m in sentiment.prompt} == {None}  # the name of a class is no judgement
    assert [key.key for key in report.unused] == ["messages[].label"]


# --- prices and splits -------------------------------------------------------------------------------------------


def test_prices_of_a_log_are_in_the_report_and_on_the_card(tmp_path: Path, workspace: Workspace) -> None:
    rows = [
        {"messages": asked(n), "model": "big", "response": answer("x"), "response_cost": usd}
        for n, usd in enumerate((0.01, 0.02, 0.06, None))
    ]
    report, _ = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    card = DatasetDir(workspace.datasets / "d").card
    assert card.notes["prices"] == {"big": {"rows": 3, "usd": 0.09, "usd_median": 0.02, "usd_per_1000": 30.0}}
    (said,) = [note for note in report.notes if "prices" in note]
    assert "$0.09 for 3 rows of big ($30 per 1,000, median $0.02); 1 rows have no price" in said


def test_requests_of_a_growing_conversation_go_into_one_split_however_many_rows_there_are(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.importing.waiting.MAX_EXACT", 5)
    rows = []
    for talk in range(40):
        chat: list[dict[str, str]] = []
        for turn in range(3):
            chat = [*chat, {"role": "user", "content": f"talk {talk}: what about part {turn} of it?"}]
            rows.append({"messages": chat, "response": answer(f"part {turn} of {talk}"), "session_id": f"s{talk}"})
            chat = [*chat, {"role": "assistant", "content": f"part {turn} of {talk}"}]
    _, examples = bring(lines(tmp_path / "log.jsonl", rows), workspace)
    splits: dict[str, set[str]] = {}
    for example in examples:
        splits.setdefault(example.source["conversation"], set()).add(example.split)
    assert len(splits) == 40 and all(len(found) == 1 for found in splits.values())
    assert len({split for found in splits.values() for split in found}) == 3


def test_a_greeting_alone_does_not_keep_conversations_together(workspace: Workspace, tmp_path: Path) -> None:
    chats = [
        [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello"}, *asked(n)] for n in range(2)
    ]
    rows = [{"messages": [*chat, {"role": "assistant", "content": "x"}]} for chat in chats]
    _, (first, second) = bring(lines(tmp_path / "chats.jsonl", rows), workspace)
    assert beginning(first.prompt) != beginning(second.prompt)
    assert beginning(first.prompt).startswith("hi")


def test_ranked_answers_are_not_all_taken_for_right(tmp_path: Path, workspace: Workspace) -> None:
    answers = [{"answer": "On the moon", "rank": 2}, {"answer": "At the depot", "rank": 1}]
    with pytest.raises(DataError, match="told apart by their 'rank'"):
        bring(lines(tmp_path / "a.jsonl", [{"question": "Where is it?", "answers": answers}]), workspace)
