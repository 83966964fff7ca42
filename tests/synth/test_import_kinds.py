"""Kinds of files that people bring, several of each: what each becomes, or the sentence that refuses it."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example
from synth.importing.importer import Options, import_data
from synth.importing.report import ImportReport
from synth.workspace import Workspace

Bring = Callable[..., tuple[ImportReport, list[Example]]]


@pytest.fixture
def bring(tmp_path: Path, workspace: Workspace) -> Bring:
    """Import rows (as JSONL) or bytes under a file name; the counts are checked against the card every time."""
    made = iter(range(1000))

    def imported(*rows: Any, name: str = "rows.jsonl", **options: Any) -> tuple[ImportReport, list[Example]]:
        number = next(made)
        path = tmp_path / f"in{number}" / name
        path.parent.mkdir()
        if len(rows) == 1 and isinstance(rows[0], bytes):
            path.write_bytes(rows[0])
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        report = import_data(path, f"d{number}", workspace, Options(**options))
        dataset = DatasetDir(workspace.datasets / f"d{number}")
        assert dataset.card.rows_in == report.kept + report.rejected_rows
        assert sum(report.splits.values()) == report.kept == sum(n for c in report.why.values() for n in c.values())
        return report, [e for split in dataset.splits() for e in dataset.examples(split)]

    return imported


def only(examples: list[Example]) -> Example:
    (example,) = examples
    return example


def asked(example: Example) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in example.prompt]


# --- judged answers ----------------------------------------------------------------------------------------------

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.slow
@pytest.mark.parametrize(("value", "bad"), [(True, False), (1, 0), ("true", "false"), (1.0, 0.0)])
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "completion": "a", "label": ...},
        {"prompt": CHAT[:1], "completion": CHAT[1:], "label": ...},
        {"messages": CHAT, "label": ...},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "kto_tag": ...},
        {"instruction": "q", "output": "a", "kto_tag": ...},
    ],
)
def test_a_bad_answer_is_never_a_gold_one(row: dict[str, Any], value: Any, bad: Any, bring: Bring) -> None:
    filled = [{k: v if v is not ... else label for k, v in row.items()} for label in (value, bad)]
    _, examples = bring(*filled)
    assert sorted((e.target, e.label, e.answer) for e in examples) == [("a", False, None), ("a", True, "a")]
    report, _ = bring(filled[0], {**filled[1], next(k for k, v in row.items() if v is ...): "perhaps"})
    assert report.rejected == [(2, "the label is neither true nor false")]


# --- turns before the question, inputs, contexts ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (
            {"instruction": "And now?", "output": "2", "history": [["First?", "1"]], "system": "S"},
            [("system", "S"), ("user", "First?"), ("assistant", "1"), ("user", "And now?")],
        ),
        ({"instruction": "Translate.", "input": "house", "response": "maison"}, [("user", "Translate.\n\nhouse")]),
        ({"instruction": "Sum up.", "context": "Long.", "response": "Short."}, [("user", "Sum up.\n\nLong.")]),
        ({"question": "Who?", "context": "Ada.", "answer": "Ada"}, [("user", "Who?\n\nAda.")]),
        ({"input": "2+2", "output": "4"}, [("user", "2+2")]),
        (
            {
                "conversations": [
                    {"from": "system", "value": "S"},
                    {"from": "user", "value": "q"},
                    {"from": "assistant", "value": "a"},
                ]
            },
            [("system", "S"), ("user", "q")],
        ),
        ({"messages": [{"role": "developer", "content": "S"}, *CHAT]}, [("system", "S"), ("user", "q")]),
        (
            {"text": "### Human: Hi\n### Assistant: Hello\n### Human: Bye\n### Assistant: See you"},
            [("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")],
        ),
    ],
)
def test_what_comes_before_the_answer_is_all_in_the_prompt(
    row: dict[str, Any], prompt: list[tuple[str, str]], bring: Bring
) -> None:
    report, examples = bring(row)
    assert asked(only(examples)) == prompt
    assert report.unused == ()


# --- multiple choice ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "letter"),
    [
        ({"question": "?", "choices": ["P", "Q", "R", "S"], "answer": 2}, "C"),
        ({"question": "?", "choices": ["P", "Q"], "answer": "B"}, "B"),
        ({"question": "?", "options": ["P", "Q"], "answer": "Q"}, "B"),
        ({"question": "?", "choices": {"text": ["P", "Q"], "label": ["1", "2"]}, "answerKey": "2"}, "B"),
        (
            {
                "question": {"stem": "?", "choices": [{"text": "P", "label": "A"}, {"text": "Q", "label": "B"}]},
                "answerKey": "A",
            },
            "A",
        ),
        ({"question": "?", "options": {"A": "P", "B": "Q"}, "answer_idx": "B"}, "B"),
        ({"question": "?", "options": ["A)P", "B)Q"], "answer": "B"}, "B"),
        ({"question": "?", "opa": "P", "opb": "Q", "opc": "R", "opd": "S", "cop": 3}, "D"),
        ({"goal": "?", "sol1": "P", "sol2": "Q", "label": 1}, "B"),
        ({"ctx": "?", "endings": ["P", "Q", "R"], "label": "2"}, "C"),
        ({"question": "?", "correct_answer": "Q", "distractor1": "R", "distractor2": "P", "distractor3": "S"}, "B"),
    ],
)
def test_choices_stand_in_the_prompt_and_the_letter_is_the_answer(
    row: dict[str, Any], letter: str, bring: Bring
) -> None:
    example = only(bring(row)[1])
    assert (example.target, example.answer, example.scorer) == (letter, letter, "choice")
    assert asked(example)[0][1].startswith("?\nA. P\nB. Q")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "?", "choices": ["P", "Q"], "answer": 2}, "the answer is none of the choices"),
        ({"question": "?", "choices": ["P", "Q"], "answer": "Z"}, "the answer is none of the choices"),
        ({"question": "?", "choices": [1, 2, 3], "answer": 2}, "the answer is the place of one choice and the text"),
        ({"question": "?", "choices": ["P"], "answer": 0}, "not 2 to 26 choices"),
        ({"question": "?", "choices": ["P", "p"], "answer": "P"}, "two choices are the same"),
    ],
)
def test_a_choice_that_can_be_read_two_ways_or_none_is_set_aside(
    row: dict[str, Any], reason: str, bring: Bring
) -> None:
    report, _ = bring({"question": "fine?", "choices": ["a", "b"], "answer": 0}, row)
    assert report.rejected[0][1].startswith(reason)


# --- preference --------------------------------------------------------------------------------------------------

USER, GOOD, BAD = CHAT[0], {"role": "assistant", "content": "good"}, {"role": "assistant", "content": "bad"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "good", "rejected": "bad"},
        {"question": "q", "chosen": "good", "rejected": "bad"},
        {"instruction": "q", "input": "", "chosen": "good", "rejected": "bad"},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "q", "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "q", "chosen": GOOD, "rejected": BAD},
        {"messages": [USER], "chosen": GOOD, "rejected": BAD},
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        },
        {"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"},
        {"prompt": "\n\nHuman: q\n\nAssistant:", "chosen": " good", "rejected": " bad"},
        {"input": {"messages": [USER]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
    ],
)
def test_a_pair_is_read_in_every_shape(row: dict[str, Any], bring: Bring) -> None:
    report, examples = bring(row)
    example = only(examples)
    assert asked(example) == [("user", "q")]
    assert (example.target.strip(), (example.rejected or "").strip()) == ("good", "bad")
    assert report.unused == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "other", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, "the prompt is another one than"),
        (
            {"chosen": [USER, GOOD], "rejected": [{**USER, "content": "x"}, BAD]},
            "the chosen and the rejected answer have",
        ),
    ],
)
def test_a_pair_about_two_prompts_is_set_aside(row: dict[str, Any], reason: str, bring: Bring) -> None:
    report, _ = bring({"prompt": "fine", "chosen": "a", "rejected": "b"}, row)
    assert report.rejected[0][1].startswith(reason)


# --- tools, reasoning, weights -----------------------------------------------------------------------------------

TOOL = {"type": "function", "function": {"name": "w", "parameters": {}}}


@pytest.mark.parametrize(
    "turn",
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "w", "arguments": '{"c": "Oslo"}'}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"type": "function", "function": {"name": "w", "arguments": {"c": "Oslo"}}}],
        },
        {"role": "assistant", "content": "", "function_call": {"name": "w", "arguments": '{"c": "Oslo"}'}},
        {"from": "function_call", "value": '{"name": "w", "arguments": {"c": "Oslo"}}'},
    ],
)
@pytest.mark.parametrize("tools", [{"tools": [TOOL]}, {"tools": json.dumps([TOOL])}, {"functions": [TOOL["function"]]}])
def test_tools_and_their_calls_are_kept(turn: dict[str, Any], tools: dict[str, Any], bring: Bring) -> None:
    example = only(bring({"messages": [{"role": "user", "content": "q"}, turn], **tools})[1])
    assert [(call.name, call.arguments) for call in example.tool_calls] == [("w", {"c": "Oslo"})]
    assert example.tools == (TOOL,)
    after = [{"role": "user", "content": "q"}, turn, {"from": "observation", "value": "12"}, CHAT[1]]
    example = only(bring({"messages": after, **tools})[1])
    assert [message.role for message in example.prompt] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("key", ["thinking", "reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_answer(key: str, bring: Bring) -> None:
    example = only(bring({"messages": [CHAT[0], {**CHAT[1], key: "because"}]})[1])
    assert (example.reasoning, example.target) == ("because", "a")


@pytest.mark.parametrize("mark", [{"weight": 0}, {"train": False}, {"loss": False}, {"loss_weight": 0.0}])
def test_turns_that_are_not_to_be_learned_are_marked(mark: dict[str, Any], bring: Bring) -> None:
    first = {"role": "assistant", "content": "not this", **mark}
    example = only(bring({"messages": [CHAT[0], first, {"role": "user", "content": "r"}, CHAT[1]]})[1])
    assert [message.learn for message in example.prompt] == [None, False, None]
    report, _ = bring({"messages": CHAT}, {"messages": [{"role": "user", "content": "z"}, first]})
    assert report.rejected == [(2, "no turn is to be learned")]


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("true", "true"),
        ("0", "0"),
        ("1.0", "1.0"),
        ("1.10", "1.10"),
        ("1e-07", "1e-07"),
        ("-0.0", "-0.0"),
        ("12345678901234567890123", "12345678901234567890123"),
        ('"007"', "007"),
        ('"nan"', "nan"),
        ('{"total": 1.50, "n": 3}', '{"total": 1.50, "n": 3}'),
    ],
)
def test_values_keep_their_digits(answer: str, said: str, bring: Bring) -> None:
    line = f'{{"question": "?", "answer": {answer}}}\n'.encode()
    assert only(bring(line)[1]).target == said


@pytest.mark.parametrize("answer", ["null", "NaN", '""', "[]", "[null]", "{}", "Infinity"])
def test_what_is_missing_is_missing(answer: str, bring: Bring) -> None:
    good = b'{"question": "fine?", "answer": "yes"}\n'
    report, _ = bring(good + f'{{"question": "?", "answer": {answer}}}\n'.encode())
    assert report.rejected == [(2, "no answer")]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_table_keeps_codes_and_takes_what_programs_write_for_missing_as_missing(suffix: str, bring: Bring) -> None:
    mark = "," if suffix == "csv" else "\t"
    rows = [("question", "answer"), ("code?", "007"), ("none?", "nan"), ("and?", "1.10"), ("empty?", "")]
    report, examples = bring("\n".join(mark.join(row) for row in rows).encode(), name=f"rows.{suffix}")
    assert {example.target for example in examples} == {"007", "1.10"}
    assert report.rejected == [(3, "no answer"), (5, "no answer")]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Capital?", "answers": ["Rome", "Roma"]},
        {"question": "Capital?", "answer": ["Rome", "Roma", "Rome"]},
        {"question": "Capital?", "answers": {"text": ["Rome", "Roma"], "answer_start": [0, 3]}},
        {"prompt": "Capital?", "completion": "Rome", "accepted_answers": ["Rome", "Roma"]},
    ],
)
def test_every_accepted_answer_counts_and_the_first_is_learned(row: dict[str, Any], bring: Bring) -> None:
    from synth.scoring.scorers import score_reply

    example = only(bring(row)[1])
    assert example.target == "Rome"
    assert [score_reply(reply, example).value for reply in ("Rome", "roma", "Oslo")] == [1.0, 1.0, 0.0]


def test_two_ways_to_write_a_letter_are_one_when_compared_and_both_are_as_written_when_learned(bring: Bring) -> None:
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    report, _ = bring({"question": nfc, "answer": nfc}, {"question": nfd, "answer": nfd})
    assert report.rejected == [(2, "same prompt as line 1")]
    assert only(bring({"question": nfd, "answer": nfd})[1]).target == nfd
    assert only(bring({"question": nfd, "answer": "x"})[1]).id == only(bring({"question": nfc, "answer": "x"})[1]).id


# --- keys that play no part, splits and groups -----------------------------------------------------------------------


def test_every_key_without_a_part_is_listed_with_its_count_and_an_example(bring: Bring) -> None:
    rows = [{"question": f"{n}?", "answer": "a", "score": n, **({"meta": {"who": "x"}} if n else {})} for n in range(3)]
    chat = {"messages": [CHAT[0], {**CHAT[1], "refusal": "no"}], "parallel_tool_calls": False}
    report, _ = bring(*rows, chat)
    listed = {key.key: (key.rows, key.example) for key in report.unused}
    assert listed == {
        "score": (3, "0"),
        "meta": (2, '{"who": "x"}'),
        "messages[].refusal": (1, '"no"'),
        "parallel_tool_calls": (1, "false"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("column", ["source", "group", "topic", "document", "speaker"])
def test_a_column_groups_rows_only_when_chosen_and_is_suggested_with_its_sizes(column: str, bring: Bring) -> None:
    rows = [{"question": f"{n}?", "answer": "a", column: f"v{n % 7}"} for n in range(140)]
    report, _ = bring(*rows)
    assert set(report.splits) == {"train", "val", "test"}
    (suggested,) = report.groupings
    assert (suggested.column, suggested.values, sum(suggested.splits.values())) == (column, 7, 140)
    grouped, examples = bring(*rows, group_by=column)
    assert {split: rows for split, rows in suggested.splits.items() if rows} == grouped.splits
    assert len({(e.template, e.split) for e in examples}) == 7
    constant, _ = bring(*[{**row, column: "same"} for row in rows])
    assert set(constant.splits) == {"train", "val", "test"}
    assert constant.groupings == ()


def test_rows_can_be_split_by_time_so_that_the_latest_test(bring: Bring) -> None:
    rows = [{"question": f"{n}?", "answer": "a", "at": f"2026-01-{n + 1:02}T00:00:00Z"} for n in range(20)]
    report, examples = bring(*reversed(rows), {"question": "when?", "answer": "a"}, split_by_time="at")
    assert report.splits == {"train": 16, "val": 2, "test": 2}
    assert {e.prompt[0].text for e in examples if e.split == "test"} == {"18?", "19?"}
    assert report.rejected == [(21, "no time")]


# --- containers --------------------------------------------------------------------------------------------------

ROWS = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(5)]
TABLE = "question,answer\n" + "".join(f"q{n},a{n}\n" for n in range(5))


def parquet(_: Path) -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def arrow(_: Path) -> bytes:
    import pyarrow as pa

    table, sink = pa.Table.from_pylist(ROWS), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def xlsx(folder: Path) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for line in [["question", "answer"], *([row["question"], row["answer"]] for row in ROWS)]:
        book.active.append(line)
    book.save(folder / "b.xlsx")
    return (folder / "b.xlsx").read_bytes()


def zipped(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr("__MACOSX/._rows.csv", "junk")
        archive.writestr("inner/rows.csv", TABLE)
    return (folder / "z.zip").read_bytes()


def zst(_: Path) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd").compress(TABLE.encode()))


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CONTAINERS: dict[str, tuple[str, Any]] = {
    "jsonl": ("r.jsonl", LINES),
    "jsonl named json": ("r.json", LINES),
    "array": ("r.json", json.dumps(ROWS)),
    "array over lines": ("r.json", json.dumps(ROWS, indent=2)),
    "data": ("r.json", json.dumps({"version": "1", "data": ROWS})),
    "rows under another key": ("r.json", json.dumps({"items": ROWS}, indent=1)),
    "columns": ("r.json", json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]})),
    "columns over lines": ("r.json", json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}, indent=1)),
    "pandas columns": (
        "r.json",
        json.dumps({key: {str(n): row[key] for n, row in enumerate(ROWS)} for key in ROWS[0]}),
    ),
    "pandas index": ("r.json", json.dumps({str(n): row for n, row in enumerate(ROWS)})),
    "pandas split": (
        "r.json",
        json.dumps({"columns": ["question", "answer"], "index": [*range(5)], "data": [[*r.values()] for r in ROWS]}),
    ),
    "pandas table": ("r.json", json.dumps({"schema": {"fields": []}, "data": ROWS})),
    "csv": ("r.csv", TABLE),
    "csv with semicolons": ("r.csv", TABLE.replace(",", ";")),
    "tsv": ("r.tsv", TABLE.replace(",", "\t")),
    "utf-16": ("r.csv", TABLE.encode("utf-16")),
    "utf-16 without mark": ("r.csv", TABLE.encode("utf-16-le")),
    "utf-8 with mark": ("r.csv", TABLE.encode("utf-8-sig")),
    "utf-32": ("r.jsonl", LINES.encode("utf-32")),
    "gzip": ("r.jsonl.gz", gzip.compress(LINES.encode())),
    "gzip of csv": ("r.csv.gz", gzip.compress(TABLE.encode())),
    "zip": ("r.zip", zipped),
    "zstandard": ("r.csv.zst", zst),
    "parquet": ("r.parquet", parquet),
    "arrow": ("r.arrow", arrow),
    "xlsx": ("r.xlsx", xlsx),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_same_rows_come_out_of_every_container(kind: str, tmp_path: Path, bring: Bring) -> None:
    name, content = CONTAINERS[kind]
    content = content(tmp_path) if callable(content) else content
    report, examples = bring(content if isinstance(content, bytes) else content.encode(), name=name)
    assert {(e.prompt[0].text, e.target) for e in examples} == {(f"q{n}", f"a{n}") for n in range(5)}
    assert report.rejected == []


def test_a_folder_that_datasets_saved_is_read_with_its_splits(tmp_path: Path, workspace: Workspace) -> None:
    from datasets import Dataset, DatasetDict

    parts = {"train": Dataset.from_list(ROWS[:3]), "validation": Dataset.from_list(ROWS[3:])}
    DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    assert import_data(tmp_path / "saved", "a", workspace).splits == {"train": 3, "val": 2}
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "one"))
    assert import_data(tmp_path / "one", "b", workspace).kept == 5


def test_another_encoding_is_read_and_said(bring: Bring) -> None:
    report, examples = bring("question,answer\ncafé?,où\n".encode("cp1252"), name="r.csv")
    assert only(examples).target == "où"
    assert report.notes == ("r.csv is not UTF-8; it was read as Windows-1252 (cp1252). Check its letters: café?,où",)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (TABLE + '"q5 opens,a5\nq6,a6\n', "line 7"),
        ('question,answer\nq0,"a0\nq1,a1\nq2,"a2"\n', "line 2"),
        ('question,answer\nq0,a0\n"q1" and more,a1\n', "line 3"),
        ('question,answer\n"q0\nq1,a1\nq2",a2,x\n', "line 2"),
    ],
)
def test_a_fault_of_quoting_stops_with_its_line_and_keeps_nothing(table: str, line: str, bring: Bring) -> None:
    with pytest.raises(DataError, match=rf"{line}\b.*quotation marks do not match"):
        bring(table.encode(), name="r.csv")


def test_long_cells_are_read_and_endless_ones_stop(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    from synth.importing import delimited

    long = "word, " * 50_000
    assert only(bring(f'question,answer\nq,"{long}"\n'.encode(), name="r.csv")[1]).target == long
    monkeypatch.setattr(delimited, "MAX_CELL", 10_000)
    with pytest.raises(DataError, match="line 2: a cell is longer"):
        bring(f'question,answer\nq,"{long}"\n'.encode(), name="r.csv")


def test_quotation_marks_in_a_tsv_are_ordinary_characters(bring: Bring) -> None:
    assert only(bring(b'question\tanswer\nsay "hi\t"hi" there\n', name="r.tsv")[1]).target == '"hi" there'


# --- logs of requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER], "choices": [{"message": GOOD, "finish_reason": "stop"}], "usage": {"total_tokens": 5}},
        {
            "messages": [USER],
            "response": {"choices": [{"message": GOOD}], "usage": {"total_tokens": 5}},
            "response_cost": 0.01,
        },
        {"input": [USER], "output": GOOD, "usage": {"total_tokens": 5}, "calculatedTotalCost": 0.01, "traceId": "t"},
        {"input": {"messages": [USER]}, "output": "good", "usage": {"total_tokens": 5}, "sessionId": "t"},
        {"request": {"messages": [USER]}, "response": {"choices": [{"message": GOOD}], "usage": {"total_tokens": 5}}},
        {
            "body": {"messages": [USER]},
            "response": {"body": {"choices": [{"message": GOOD}], "usage": {"total_tokens": 5}}},
        },
    ],
)
def test_logs_become_rows_with_usage_and_price(row: dict[str, Any], bring: Bring) -> None:
    report, examples = bring(row, row)
    example = only(examples)
    assert (asked(example), example.target) == ([("user", "q")], "good")
    assert example.source["usage"] == {"total_tokens": 5}
    assert ("usd" in example.source) == any("ost" in key for key in row)
    assert report.rejected == [(2, "same prompt as line 1")]


def test_an_answer_that_was_cut_off_or_never_came_is_set_aside(bring: Bring) -> None:
    def log(text: str, **choice: Any) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": text}], "choices": [choice], "id": "x"}

    report, _ = bring(
        log("1", message=GOOD), log("2", message=GOOD, finish_reason="length"), log("3", message={"role": "assistant"})
    )
    assert report.rejected == [(2, "the answer was cut off"), (3, "an empty turn")]
    assert [key.key for key in report.unused] == ["id"]


def test_several_answers_to_one_prompt_are_learned_from_and_tested_once(bring: Bring) -> None:
    rows = [{"prompt": f"q{n // 2}", "completion": f"a{n}", "label": n % 2 == 0} for n in range(200)]
    report, examples = bring(*rows, *rows[:2])
    learned = [e for e in examples if e.split == "train"]
    others = [e for e in examples if e.split != "train"]
    assert len(learned) == 2 * len({e.id for e in learned}) > 100
    assert len(others) == len({e.id for e in others}) > 5
    assert len({e.id for e in learned} & {e.id for e in others}) == 0
    assert set(report.reasons) == {"same prompt as an earlier line"}


# --- what a JSON file holds beside its rows --------------------------------------------------------------------------

TWO = [{"question": "q0", "answer": "a0"}, {"question": "q1", "answer": "a1"}]


@pytest.mark.parametrize(
    ("held", "beside"),
    [
        ({"data": TWO, "version": 1, "license": "MIT"}, {"version", "license"}),
        ({"meta": {"by": "x"}, "items": TWO, "tags": ["a", "b"], "nothing": None}, {"meta", "tags"}),
        ({"train": TWO[:1], "test": TWO[1:], "version": "2"}, {"version"}),
        (
            {"columns": ["question", "answer"], "index": [0, 1], "data": [[*r.values()] for r in TWO], "by": "x"},
            {"by"},
        ),
        ({"schema": {"fields": []}, "data": TWO, "pandas_version": "1"}, {"pandas_version"}),
        ({"data": {"question": ["q0", "q1"], "answer": ["a0", "a1"]}, "version": 3}, {"version"}),
        ({"rows": {"0": TWO[0], "1": TWO[1]}, "version": 3}, {"version"}),
        ({"data": TWO}, set()),
    ],
)
def test_what_stands_beside_the_rows_of_a_json_file_is_listed(
    held: dict[str, Any], beside: set[str], bring: Bring
) -> None:
    for indent in (None, 1):
        report, examples = bring(json.dumps(held, indent=indent).encode(), name="r.json")
        assert {(e.prompt[0].text, e.target) for e in examples} == {("q0", "a0"), ("q1", "a1")}
        assert {key.key for key in report.unused if key.beside} == beside == {key.key for key in report.unused}
        assert sum("beside the rows" in line for line in report.lines()) == len(beside)


def test_keys_of_a_paragraph_are_no_less_than_those_of_its_questions(bring: Bring) -> None:
    qas = [{"question": "Who?", "answers": [{"text": "Ada"}], "id": 1}]
    squad = {"version": "1", "data": [{"title": "T", "paragraphs": [{"context": "Ada.", "qas": qas, "source": "web"}]}]}
    report, _ = bring(json.dumps(squad).encode(), name="r.json")
    assert {key.key for key in report.unused} == {"version", "title", "id", "source"}


def test_columns_that_are_not_equally_long_are_refused(bring: Bring) -> None:
    with pytest.raises(DataError, match="question: 3, answer: 2"):
        bring(json.dumps({"question": ["a", "b", "c"], "answer": ["x", "y"]}).encode(), name="r.json")


# --- judgements, tables, archives and folders as programs write them -------------------------------------------------


def test_a_judged_answer_without_its_judgement_is_not_taken_for_a_good_one(bring: Bring) -> None:
    rows = [{"prompt": f"q{n}", "completion": "a", "label": label} for n, label in enumerate((True, None, "", False))]
    report, _ = bring(*rows)
    assert report.rejected == [(2, "the label is missing"), (3, "the label is missing")]
    report, _ = bring(
        *({"messages": [{**USER, "content": str(n)}, GOOD], "kto_tag": t} for n, t in enumerate((1, None)))
    )
    assert report.rejected == [(2, "the label is missing")]


def test_true_and_false_beside_any_answer_are_a_judgement_and_other_labels_are_not(bring: Bring) -> None:
    _, examples = bring(
        {"prompt": "q", "response": "a", "label": False}, {"question": "r", "answer": "b", "label": True}
    )
    assert sorted((e.target, e.label) for e in examples) == [("a", False), ("b", True)]
    report, examples = bring({"prompt": "q", "response": "a", "label": "spam"})
    assert (only(examples).label, [key.key for key in report.unused]) == (None, ["label"])


def test_one_column_with_the_name_of_a_choice_does_not_make_a_test_of_the_table(bring: Bring) -> None:
    report, examples = bring({"question": "q", "answer": "a", "d": 5}, {"question": "r", "answer": "a", "d": None})
    assert (len(examples), [key.key for key in report.unused]) == (2, ["d"])
    report, _ = bring(
        {"question": "ok?", "A": "P", "B": "Q", "answer": "B"}, {"question": "?", "A": "P", "B": None, "answer": "A"}
    )
    assert report.rejected == [(2, "not 2 to 26 choices")]


@pytest.mark.parametrize("before", ["sep=;\r\n", "SEP=;\n", "\n\n", "\n  \nsep=;\n"])
def test_what_programs_write_before_the_header_of_a_csv_is_no_row(before: str, bring: Bring) -> None:
    report, examples = bring(f'{before}question;answer\n"q,1";a\nbad\n'.encode(), name="r.csv")
    assert (only(examples).prompt[0].text, only(examples).target) == ("q,1", "a")
    assert report.rejected == [(before.count("\n") + 3, "another number of fields than the header")]
    with pytest.raises(DataError, match=rf"line {before.count(chr(10)) + 2}\b"):
        bring(f'{before}question;answer\n"q" 1;a\n'.encode(), name="r.csv")


def test_a_sheet_keeps_the_zeros_of_codes_and_names_the_sheets_that_were_not_read(tmp_path: Path, bring: Bring) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for line in [["question", "answer"], ["zip?", 742], ["how many?", 7], ["share?", 0.25]]:
        book.active.append(line)
    book.active["B2"].number_format, book.active["B4"].number_format = "00000", "0%"
    book.create_sheet("second").append(["question", "answer"])
    book.save(tmp_path / "b.xlsx")
    report, examples = bring((tmp_path / "b.xlsx").read_bytes(), name="r.xlsx")
    assert sorted(e.target for e in examples) == ["00742", "25%", "7"]
    assert any("'second'" in line for line in report.notes)


@pytest.mark.parametrize("kind", ["parquet", "save_to_disk"])
def test_classes_that_datasets_wrote_as_numbers_have_their_names(
    kind: str, tmp_path: Path, workspace: Workspace
) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"]), "n": Value("int64")})
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1], "n": [1, 0, 0]}, features)
    path = tmp_path / ("r.parquet" if kind == "parquet" else "saved")
    rows.to_parquet(str(path)) if kind == "parquet" else rows.save_to_disk(str(path))
    report = import_data(path, "d", workspace, Options(mapping={"question": "text", "answer": "label"}))
    dataset = DatasetDir(workspace.datasets / "d")
    assert sorted(e.target for s in dataset.splits() for e in dataset.examples(s)) == ["bad", "good"]
    assert report.rejected == [(3, "no answer: its cell of 'label' is empty")]
    assert any("bad, good" in note for note in report.notes)


def tarred(files: dict[str, str], mode: str = "w") -> bytes:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "mode"), [("r.tar", "w"), ("r.tar.gz", "w:gz"), ("r.tgz", "w:gz"), ("r.tar.xz", "w:xz")]
)
def test_a_tar_file_is_read_like_the_folder_in_it(name: str, mode: str, bring: Bring) -> None:
    files = {"d/train.jsonl": LINES, "d/test.csv": "question,answer\nx,y\n"}
    report, _ = bring(tarred(files, mode), name=name)
    assert report.splits == {"train": 5, "test": 1}
    assert len(bring(tarred({"rows.jsonl": LINES}, mode), name=name)[1]) == 5


def test_a_tar_file_that_points_outside_or_is_torn_is_refused(tmp_path: Path, bring: Bring) -> None:
    with pytest.raises(DataError):
        bring(tarred({"../out.jsonl": LINES}), name="r.tar")
    assert not list(tmp_path.rglob("out.jsonl"))
    with pytest.raises(DataError, match="cannot be read"):
        bring(b"no archive at all" * 100, name="r.tar")


def test_folders_named_like_splits_and_a_folder_around_them_are_read(tmp_path: Path, workspace: Workspace) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / "outer" / "inner" / split).mkdir(parents=True)
        (tmp_path / "outer" / "inner" / split / "part-0.jsonl").write_text(
            f'{{"question": "{split}", "answer": "a"}}\n'
        )
    assert import_data(tmp_path / "outer", "d", workspace).splits == {"train": 1, "val": 1, "test": 1}


def sheet(*rows: tuple[str, ...]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.xlsx", sheet(("Export of May",), ("text", "label"), ("Where?", "place")), "delete what stands above"),
        ("a.csv", b"Export of May;;\n\ntext;label;\nWhere?;place;\n", "Delete what stands above"),
        ("a.xlsx", sheet(("text", "label", "label"), ("Where?", "place", "x")), "names two columns 'label'"),
        ("a.csv", b"text,label,label\nWhere?,place,x\n", "names two columns 'label'"),
    ],
)
def test_a_first_line_that_is_no_header_is_called_what_it_is(bring: Bring, name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        bring(data, name=name)
    assert "UTF-8" not in str(refused.value)
