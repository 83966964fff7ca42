"""Files that were once read without a word and wrongly: a label, a turn, a file or an answer that nobody missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.importing.importer import Options, import_data
from synth.workspace import Workspace
from tests.imports import bring, lines

# --- choices -----------------------------------------------------------------------------------------------------


def test_columns_called_option1_and_option2_are_counted_as_they_are_called(
    tmp_path: Path, workspace: Workspace
) -> None:
    rows = [
        {"sentence": f"{n} trains passed the bridge, _ were late", "option1": "x", "option2": "y", "answer": str(n)}
        for n in (1, 2)
    ]
    _, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [e.target for e in examples] == ["A", "B"]


@pytest.mark.parametrize("columns", [("answerA", "answerB", "answerC")])
def test_answers_in_columns_of_letters_with_a_number_from_1(
    columns: tuple[str, ...], tmp_path: Path, workspace: Workspace
) -> None:
    rows = [
        {
            "context": f"case {n}",
            "question": "What now?",
            **dict.fromkeys(columns, "w"),
            columns[n - 1]: "r",
            "label": n,
        }
        for n in (1, 3)
    ]
    for row in rows:
        row.update({column: f"{row[column]} {column}" for column in columns})
    _, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [e.target for e in examples] == ["A", "C"]
    assert all("case" in e.prompt[0].text and "A. " in e.prompt[0].text for e in examples)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_choices_that_are_counted_from_1_refuse_the_import(name: str, tmp_path: Path, workspace: Workspace) -> None:
    if name.endswith("csv"):
        path = tmp_path / name
        path.write_text("question,A,B,C,answer\n" + "".join(f"colour {n}?,red,blue,green,{n}\n" for n in (1, 2, 3)))
    else:
        rows = [{"question": f"colour {n}?", "choices": ["red", "blue", "green"], "answer": n} for n in (1, 2, 3)]
        path = lines(tmp_path / name, rows)
    with pytest.raises(DataError, match=r"counted from 1.*1 rows"):
        bring(path, workspace)


def test_that_numbers_are_places_from_0_is_said(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"question": f"colour {n}?", "choices": ["red", "blue"], "answer": n} for n in (0, 1)]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [e.target for e in examples] == ["A", "B"]
    assert any("counted from 0" in note for note in report.notes)


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        {"answers": [{"text": "Oslo", "answer_start": 3}, {"text": "Oslo city", "answer_start": 3}]},
        {"answers": {"text": ["Oslo", "Oslo city"], "answer_start": [3, 3], "limit_byte": [4, 4]}},
        {"answer": {"value": "Oslo", "aliases": ["Oslo", "Oslo city"], "normalized_value": "oslo"}},
        {"answers": '["Oslo", "Oslo city"]'},
        {"answers": [{"answer": "Oslo", "answer_confidence": "yes"}, {"answer": "Oslo city", "answer_id": 2}]},
        {"answers": "{'text': ['Oslo', 'Oslo city'], 'answer_start': [3, 3]}"},
    ],
)
def test_answers_with_their_places_or_other_names_are_learned_as_text(
    answers: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    _, (example,) = bring(lines(tmp_path / "a.jsonl", [{"question": "Capital?", **answers}]), workspace)
    assert example.target == "Oslo" and example.source["answers"] == ["Oslo", "Oslo city"]


def test_a_printed_array_of_answers_is_set_aside(tmp_path: Path, workspace: Workspace) -> None:
    rows = [
        {"question": "Capital?", "answers": "{'text': array(['Oslo'], dtype=object), 'answer_start': array([3])}"},
        {"question": "And [this]?", "answers": "[redacted] as ever"},
    ]
    report, (example,) = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert example.target == "[redacted] as ever"
    assert report.reasons == {"the answers are a list that is neither JSON nor Python": 1}


# --- judgements, turns and tools ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "bad"), [("True", "False"), ("1", "0"), ("true", "false")])
def test_a_judgement_in_a_table_keeps_bad_answers_from_being_learned(
    good: str, bad: str, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"prompt,response,label\nhow many?,four,{good}\nhow far?,nowhere,{bad}\n")
    _, examples = bring(path, workspace)
    assert [(e.target, e.label) for e in examples] == [("four", True), ("nowhere", False)]


def test_arguments_of_a_tool_call_are_kept_under_every_usual_name(tmp_path: Path, workspace: Workspace) -> None:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"weather {key}"},
                {"role": "assistant", "content": "", "tool_calls": [{"name": "w", key: {"town": "Bergen"}, "odd": 1}]},
            ]
        }
        for key in ("args", "input", "arguments", "parameters")
    ]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [e.tool_calls[0].arguments for e in examples] == [{"town": "Bergen"}] * 4
    assert [(key.key, key.rows) for key in report.unused] == [("messages[].tool_calls[].odd", 4)]


@pytest.mark.parametrize("prompt", [{}, {"prompt": "how far?"}])
def test_a_system_text_beside_whole_preference_chats_is_kept(
    prompt: dict[str, str], tmp_path: Path, workspace: Workspace
) -> None:
    chats = {
        side: [{"role": "user", "content": "how far?"}, {"role": "assistant", "content": said}]
        for side, said in (("chosen", "9 km"), ("rejected", "no idea"))
    }
    _, (example,) = bring(lines(tmp_path / "a.jsonl", [{"system": "Be exact.", **prompt, **chats}]), workspace)
    assert [(m.role, m.text) for m in example.prompt] == [("system", "Be exact."), ("user", "how far?")]
    assert (example.target, example.rejected) == ("9 km", "no idea")


def test_tools_inside_a_logged_request_are_kept_and_its_settings_listed(tmp_path: Path, workspace: Workspace) -> None:
    tool = {"type": "function", "function": {"name": "w", "parameters": {}}}
    request = {"messages": [{"role": "user", "content": "weather?"}], "tools": [tool], "temperature": 0.2}
    row = {"traceId": "t", "input": request, "output": {"role": "assistant", "content": "rain"}, "totalCost": 0.01}
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert example.tools == (tool,) and example.source["usd"] == 0.01
    assert [key.key for key in report.unused] == ["input.temperature"]


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": "a", "weight": 1, "train": False},
        {"role": "assistant", "content": "a", "value": "b"},
        {"role": "assistant", "from": "human", "content": "a"},
        {"role": "assistant", "content": "a", "reasoning": "x", "thinking": "y"},
    ],
)
def test_a_turn_that_contradicts_itself_is_set_aside(
    turn: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    good = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": good}, {"messages": [{"role": "user", "content": "p"}, turn]}]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert (len(examples), report.rejected_rows) == (1, 1)


# --- pairs and judgements under other names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "how far?", "response": "9 km", "rejected": "no idea"},
        {"prompt": "how far?", "completion": "9 km", "rejected_response": "no idea"},
        {"instruction": "how far?", "output": "9 km", "rejected": "no idea"},
        {"instruction": "how far?", "answer": "9 km", "rejected_answer": "no idea"},
        {"question": "how far?", "answer": "9 km", "rejected": "no idea"},
        {
            "messages": [{"role": "user", "content": "how far?"}, {"role": "assistant", "content": "9 km"}],
            "rejected_response": "no idea",
        },
        {
            "messages": [{"role": "user", "content": "how far?"}, {"role": "assistant", "content": "9 km"}],
            "rejected_messages": [
                {"role": "user", "content": "how far?"},
                {"role": "assistant", "content": "no idea"},
            ],
        },
    ],
)
def test_a_rejected_answer_beside_an_answer_makes_a_pair(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert [m.text for m in example.prompt] == ["how far?"]
    assert (example.target, example.rejected, report.unused) == ("9 km", "no idea", ())


def test_a_rejected_answer_that_no_layout_reads_is_never_left_out_in_silence(
    tmp_path: Path, workspace: Workspace
) -> None:
    rows: list[dict[str, Any]] = [{"question": "how far?", "choices": ["9 km", "1 km"], "answer": 0, "rejected": "B"}]
    with pytest.raises(DataError, match="'rejected' names a rejected answer"):
        bring(lines(tmp_path / "a.jsonl", rows), workspace)


def judged_rows(key: str, values: list[Any]) -> list[dict[str, Any]]:
    rows = []
    for n, value in enumerate(values):
        row: dict[str, Any] = {"prompt": f"how far is stop {n}?", "response": f"{n} km"}
        rows.append({**row, **({key: value} if "." not in key else {key.split(".")[0]: {key.split(".")[1]: value}})})
    return rows


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("feedback", "up", "down"),
        ("rating", "thumbs_up", "thumbs_down"),
        ("user_feedback", "positive", "negative"),
        ("quality", "Good", "bad"),
        ("score", 1, -1),
        ("label", 1, -1),
        ("label", "good", "bad"),
        ("correct", True, False),
        ("feedback.value", 1, 0),
        ("metadata.thumbs", "up", "down"),
    ],
)
def test_thumbs_beside_every_answer_are_judgements(
    key: str, good: Any, bad: Any, tmp_path: Path, workspace: Workspace
) -> None:
    report, examples = bring(lines(tmp_path / "a.jsonl", judged_rows(key, [good, bad, bad, good])), workspace)
    assert [e.label for e in examples] == [True, False, False, True]
    assert report.unused == ()


@pytest.mark.parametrize(("good", "bad"), [(1, -1), ("up", "down"), ("good", "bad")])
@pytest.mark.parametrize("mapped", [False, True])
def test_labels_of_chats_and_mapped_ones_have_the_same_words(
    mapped: bool, good: Any, bad: Any, tmp_path: Path, workspace: Workspace
) -> None:
    chat = [{"role": "user", "content": "how far?"}, {"role": "assistant", "content": "9 km"}]
    key = "thumb" if mapped else "label"
    rows = [{"messages": [{**chat[0], "content": str(n)}, chat[1]], key: v} for n, v in enumerate((bad, good))]
    mapping = {"messages": "messages", "label": "thumb"} if mapped else None
    _, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace, mapping=mapping)
    assert [e.label for e in examples] == [False, True]


def test_a_thumb_down_counts_though_question_and_answer_are_mapped(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,a,feedback\nhow many?,four,up\nhow far?,nowhere,down\n")
    _, examples = bring(path, workspace, mapping={"question": "q", "answer": "a"})
    assert [e.label for e in examples] == [True, False]


def test_two_columns_of_thumbs_that_agree_are_judgements_and_those_that_differ_set_the_row_aside(
    tmp_path: Path, workspace: Workspace
) -> None:
    rows = [{**row, "rating": row["feedback"]} for row in judged_rows("feedback", ["up", "down", "up"])]
    rows[2]["rating"] = "down"
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [e.label for e in examples] == [True, False] and report.rejected_rows == 1


def test_an_answer_that_is_written_twice_is_no_judgement(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"question": f"weld {n}?", "answer": word, "quality": word} for n, word in enumerate(("good", "bad"))]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [e.label for e in examples] == [None, None] and [item.key for item in report.unused] == ["quality"]


def test_what_stands_beside_a_thumb_is_still_listed(tmp_path: Path, workspace: Workspace) -> None:
    rows = judged_rows("feedback.value", ["up", "down"])
    rows[1]["feedback"]["comment"] = "wrong"
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [item.key for item in report.unused] == ["feedback.comment"]


def test_a_thumb_down_in_a_log_with_few_thumbs_is_set_aside(tmp_path: Path, workspace: Workspace) -> None:
    rows = [
        {
            "request": {"messages": [{"role": "user", "content": f"how far is stop {n}?"}]},
            "response": {"choices": [{"message": {"role": "assistant", "content": f"{n} km"}}]},
            **({} if said is None else {"feedback": said}),
        }
        for n, said in enumerate([None, "down", None, "up"])
    ]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert [(e.target, e.label) for e in examples] == [("0 km", None), ("2 km", None), ("3 km", None)]
    assert report.reasons == {"the answer is judged as bad by 'feedback'": 1}
    assert any("1 good, 1 bad, 2 not judged" in note for note in report.notes)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("feedback", ["up", "meh", "down"]),
        ("rating", [1, 0, -1]),
        ("label", [1, 0, -1]),
        ("label", [-1, 0, 1]),
        ("label", [1, 2, 3]),
        ("feedback", ["fine", "thumbs down"]),
    ],
)
def test_feedback_that_is_partly_a_judgement_refuses_the_import(
    key: str, values: list[Any], tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(DataError, match="bad") as refused:
        bring(lines(tmp_path / "a.jsonl", judged_rows(key, values)), workspace)
    assert "rename" in refused.value.remedy


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("rating", [5, 3, 0, 1]),
        ("rating", [5, 3, 2, 1]),
        ("feedback", ["up", "up"]),
        ("feedback", ["Explain more.", "Good work."]),
        ("label", ["positive", "negative"]),
        ("label", [3, 1, 0]),
    ],
)
def test_stars_comments_and_classes_are_listed_and_no_judgement(
    key: str, values: list[Any], tmp_path: Path, workspace: Workspace
) -> None:
    report, examples = bring(lines(tmp_path / "a.jsonl", judged_rows(key, values)), workspace)
    assert {e.label for e in examples} == {None} and len(examples) == len(values)
    assert [item.key for item in report.unused] == [key]
    assert any("whatever" in note for note in report.notes) == (3 in values)


# --- logs ----------------------------------------------------------------------------------------------------------

ASKED = [{"role": "user", "content": "how far?"}]
SAID: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": "9 km"}}]}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": ASKED, **SAID, "model": "m", "usage": {"total_tokens": 5, "cost": 0.25}},
        {"messages": ASKED, "response": SAID, "model": "m", "response_cost": "0.25"},
        {"messages": ASKED, "response": {**SAID, "usage": {"cost": 0.25}}, "model": "m"},
        {"traceId": "t", "input": ASKED, "output": SAID["choices"][0]["message"], "model": "m", "totalCost": "0.25"},
        {"traceId": "t", "input": ASKED, "output": "9 km", "model": "m", "costDetails": {"total": 0.25}},
        {"request": {"messages": ASKED, "model": "m"}, "response": {**SAID, "usage": {"cost": "$0.25"}}},
        {"request": {"messages": ASKED, "model": "m"}, "response": SAID, "usage": {"cost": 0.25}},
    ],
)
def test_what_a_provider_says_that_a_request_cost_is_its_price(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert example.source["usd"] == 0.25 and example.target == "9 km"
    (note,) = [note for note in report.notes if "prices" in note]
    assert note.startswith("by the log's own prices, the requests of the rows kept cost $0.25 for 1 rows of m")


def test_a_price_that_is_no_amount_is_listed(tmp_path: Path, workspace: Workspace) -> None:
    row = {"messages": ASKED, "response": SAID, "response_cost": "unknown"}
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert "usd" not in example.source and [item.key for item in report.unused] == ["price"]


@pytest.mark.parametrize("system", ["Be exact.", [{"type": "text", "text": "Be exact."}]])
@pytest.mark.parametrize(
    "row",
    [
        {"request": {"messages": ASKED, "system": ...}, "response": SAID},
        {"body": {"messages": ASKED, "system": ...}, "response": {"body": SAID}},
        {"traceId": "t", "input": {"messages": ASKED, "system": ...}, "output": "9 km"},
        {
            "request": {"messages": ASKED, "system": ...},
            "response": {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "9 km"}],
                "stop_reason": "end_turn",
                "usage": {"output_tokens": 3},
            },
        },
    ],
)
def test_a_system_text_beside_the_messages_of_a_request_is_its_system_turn(
    row: dict[str, Any], system: Any, tmp_path: Path, workspace: Workspace
) -> None:
    filled = {
        key: {k: system if v is ... else v for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in row.items()
    }
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [filled]), workspace)
    assert [(m.role, m.text) for m in example.prompt] == [("system", "Be exact."), ("user", "how far?")]
    assert (example.target, report.unused) == ("9 km", ())


def test_an_answer_that_ended_at_the_limit_of_tokens_is_set_aside(tmp_path: Path, workspace: Workspace) -> None:
    said = {"role": "assistant", "content": [{"type": "text", "text": "9 k"}], "stop_reason": "max_tokens"}
    rows = [
        {"request": {"messages": ASKED}, "response": said},
        {"request": {"messages": [{**ASKED[0], "content": "now?"}]}, "response": {**said, "stop_reason": "end_turn"}},
    ]
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert report.rejected == [(1, "the answer was cut off")]


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (
            {"messages": ASKED, "response": None, "status": "failure", "error_str": "Timeout"},
            "(status failure): Timeout",
        ),
        ({"messages": ASKED, "response": {}, "error": {"message": "Rate limit", "code": 429}}, ": Rate limit"),
        ({"request": {"messages": ASKED}, "response": {"error": {"type": "overloaded"}}, "status": 529}, "overloaded"),
        (
            {"body": {"messages": ASKED}, "response": {"status_code": 400, "body": {"error": {"message": "too long"}}}},
            "(status 400): too long",
        ),
        (
            {"traceId": "t", "input": ASKED, "output": None, "level": "ERROR", "statusMessage": "boom"},
            ": boom",
        ),
        ({"messages": ASKED, "response": SAID, "status": "failure", "response_cost": 0}, "(status failure)"),
    ],
)
def test_a_request_that_failed_is_set_aside_as_such(
    failed: dict[str, Any], reason: str, tmp_path: Path, workspace: Workspace
) -> None:
    good = [{"role": "user", "content": "how many?"}]
    rows = [{"messages": good, "response": SAID, "status": "success", "error_information": {"error_code": ""}}, failed]
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    ((line, why),) = report.rejected
    assert line == 2 and why.startswith("the request failed") and why.endswith(reason)
    assert all(":" not in general for general in report.reasons)


# --- files and folders -------------------------------------------------------------------------------------------


def test_files_of_a_folder_that_no_row_came_from_are_named(tmp_path: Path, workspace: Workspace) -> None:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    lines(folder / "a.jsonl", [{"prompt": "how many?", "completion": "four"}])
    lines(folder / "more" / "b.jsonl", [{"prompt": "how far?", "completion": "9 km"}])
    (folder / "README.md").write_text("about")
    report, _ = bring(folder, workspace)
    assert [note for note in report.notes if "not read" in note] == [
        "1 files of the folder were not read, because no table or layout names them: 'more/b.jsonl'"
    ]


def test_pictures_that_no_row_names_are_named(tmp_path: Path, workspace: Workspace) -> None:
    folder = tmp_path / "in"
    for name, shade in (("red/a.png", 10), ("red/b.png", 60), ("blue/c.png", 90), ("blue/deep/d.png", 200)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(folder / name)
    (folder / "red" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    report, examples = bring(folder, workspace)
    assert len(examples) == 3
    assert any("'blue/deep/d.png', 'red/photo.heic'" in note for note in report.notes)


def test_a_segment_keeps_what_it_says_of_itself(tmp_path: Path, workspace: Workspace) -> None:
    soundfile.write(tmp_path / "talk.wav", np.random.default_rng(1).normal(0, 0.1, 16000 * 5), 16000)
    segments = [
        {"start": n, "end": n + 1, "text": f"word {n}", "speaker": who, "score": 0.5}
        for n, who in ((0, "Ada"), (2, "Bo"))
    ]
    row = {"audio": "talk.wav", "speaker": "both", "text": "word 0 word 2", "segments": segments}
    report, examples = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert sorted(e.source["speaker"] for e in examples) == ["Ada", "Bo"]
    assert {key.key for key in report.unused} == {"score", "text of the whole"}


def test_two_columns_of_one_name_refuse_a_parquet_file(tmp_path: Path, workspace: Workspace) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        [pa.array(["q"]), pa.array(["right"]), pa.array(["wrong"])], names=["question", "answer", "answer"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="two columns of one name"):
        bring(tmp_path / "a.parquet", workspace)


def test_rows_under_the_name_of_a_test_split_are_not_learned(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"prompt": f"{n} and {n}?", "completion": str(2 * n)} for n in range(20)]
    (tmp_path / "a.json").write_text(json.dumps({"test": rows, "version": 1}))
    report, _ = bring(tmp_path / "a.json", workspace)
    assert report.splits == {"test": 20}


@pytest.mark.parametrize(
    ("encoding", "said"), [("cp1251", "Привет"), ("cp1253", "Καλημέρα"), ("koi8-r", "Привет"), ("iso-8859-5", "Привет")]
)
def test_an_encoding_of_other_letters_is_not_taken_for_windows_1252(
    encoding: str, said: str, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        ("question,answer\n" + "".join(f"{said} {n},{said} {n} {said}\n" for n in range(9))).encode(encoding)
    )
    with pytest.raises(DataError, match="UTF-8"):
        bring(path, workspace)


def test_a_formula_of_an_unknown_name_is_no_answer(tmp_path: Path, workspace: Workspace) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (("question", "answer"), ("how far?", "#NAME?"), ("how many?", "four"), ("tag?", "#what?")):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    report, examples = bring(tmp_path / "a.xlsx", workspace)
    assert [e.target for e in examples] == ["four", "#what?"]
    assert report.reasons == {"a formula of the sheet failed": 1}


# --- splits ------------------------------------------------------------------------------------------------------


def test_the_growing_requests_of_a_conversation_stay_in_one_split(tmp_path: Path, workspace: Workspace) -> None:
    rows: list[dict[str, Any]] = []
    for talk in range(20):
        turns: list[dict[str, str]] = [{"role": "system", "content": "Be brief."}]
        for step, word in enumerate(("alpha", "beta", "gamma")):
            turns.append({"role": "user", "content": f"{talk * 7919} {word} {chr(65 + talk) * 9}?"})
            said = f"{talk} is {step * talk}"
            rows.append({"messages": list(turns), "choices": [{"message": {"role": "assistant", "content": said}}]})
            turns.append({"role": "assistant", "content": said})
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    splits: dict[str, set[str]] = {}
    for example in examples:
        splits.setdefault(example.target.split()[0], set()).add(example.split)
    assert len(splits) == 20 and {len(found) for found in splits.values()} == {1}
    assert {"train", "val", "test"} <= set(report.splits)
    assert any("one conversation" in cause for causes in report.why.values() for cause in causes)


@pytest.mark.parametrize("words", [3, 5])
def test_conversations_are_kept_in_one_split_by_their_first_words_or_it_is_said(
    words: int, tmp_path: Path, workspace: Workspace
) -> None:
    def pair(n: int, turns: int) -> dict[str, Any]:
        said = [f"{n} {k} {' '.join([chr(65 + n) * 9] * (words - 2))}" for k in range(turns)]
        asked = [{"role": ("user", "assistant")[k % 2], "content": text} for k, text in enumerate(said)]
        return {"prompt": asked, "talk": f"t{n}", "chosen": "yes", "rejected": "no"}

    rows = [pair(n, turns) for n in range(9) for turns in (1, 3, 5)]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    said = [note for note in report.notes if note.startswith("18 rows of several turns") and "--group-by" in note]
    splits = {n: {e.split for e in examples if e.prompt[0].text.startswith(f"{n} ")} for n in range(9)}
    assert bool(said) == (words == 3)
    assert words == 3 or all(len(found) == 1 for found in splits.values())
    report = import_data(tmp_path / "a.jsonl", "e", workspace, Options(group_by="talk"))
    assert not any("several turns" in note for note in report.notes)


def test_a_common_greeting_joins_no_conversations(tmp_path: Path, workspace: Workspace) -> None:
    hello = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "How can I help?"}]
    rows = [{"messages": hello}]
    for n in range(200):
        word = "".join(chr(97 + (n * k) % 26) for k in (3, 5, 7, 11, 17))
        asked = {"role": "user", "content": f"{word} {n * 7919} {word[::-1]} {n}"}
        rows.append({"messages": [*hello, asked, {"role": "assistant", "content": f"{n}"}]})
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace, split_near_duplicates=False)
    assert report.splits["test"] >= 15


def test_groups_that_rows_with_splits_of_their_own_tear_apart_are_said(tmp_path: Path, workspace: Workspace) -> None:
    rows = [
        {"prompt": f"{n} and {n}?", "completion": f"{2 * n}", "client": "ab"[n // 2], "split": ("train", "test")[n % 2]}
        for n in range(4)
    ]
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace, group_by="client")
    assert any(note.startswith("2 values of 'client' are in several splits") for note in report.notes)


@pytest.mark.parametrize("key", ["prompt", "chosen"])
def test_a_form_of_plain_texts_refuses_those_that_an_import_would_take_for_turns(
    key: str, tmp_path: Path, workspace: Workspace
) -> None:
    from synth.errors import UserError
    from synth.exporting.folder import export_dataset

    talk = "User: how far?\n\nAssistant: 9 km\n\nUser: and back?"
    turns = [{"role": "user", "content": talk if key == "prompt" else "q"}]
    sides = {"chosen": "a", "rejected": "b"} | ({"chosen": talk} if key == "chosen" else {})
    row = {"messages": turns, **{side: [{"role": "assistant", "content": said}] for side, said in sides.items()}}
    bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    with pytest.raises(UserError, match="marks of a dialogue"):
        export_dataset(DatasetDir(workspace.datasets / "d"), "alpaca", tmp_path / "out")


def test_a_damaged_arrow_file_is_read_or_refused_and_never_ends_the_process(tmp_path: Path) -> None:
    import random

    import pyarrow as pa

    from synth.importing.tables import arrow_rows

    table = pa.table({"question": [f"q{n}" for n in range(300)], "answer": ["ä" * n for n in range(300)]})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    whole, chance = (tmp_path / "a.arrow").read_bytes(), random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(8, len(damaged))] = chance.randrange(256)
        (tmp_path / "b.arrow").write_bytes(bytes(damaged))
        try:
            list(arrow_rows(tmp_path / "b.arrow"))
        except DataError as error:
            assert error.remedy
