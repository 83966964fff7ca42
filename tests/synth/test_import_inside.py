"""What lies inside the values of rows and the cells of tables: objects of answers, digits, frames, marks."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from synth.errors import DataError
from synth.example import Example, ImagePart
from synth.importing.importer import import_data
from synth.workspace import Workspace
from tests.imports import bring, lines

# --- beside turns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "last"),
    [
        (
            {"instruction": [{"role": "user", "content": "Translate."}], "input": "a house", "output": "une maison"},
            "Translate.\n\na house",
        ),
        (
            {"question": "Human: hello\n\nAssistant: hi\n\nHuman: where?", "context": "the shed", "answer": "there"},
            "where?\n\nthe shed",
        ),
        (
            {"prompt": [{"from": "human", "value": "Pick one"}], "choices": ["red", "blue"], "answer": 1},
            "Pick one\nA. red\nB. blue",
        ),
        (
            {
                "conversations": [{"from": "human", "value": "Sum up"}],
                "input": "a text",
                "chosen": "x",
                "rejected": "y",
            },
            "Sum up\n\na text",
        ),
    ],
)
def test_the_input_and_the_choices_beside_turns_stand_in_the_one_that_asks(
    row: dict[str, Any], last: str, tmp_path: Path, workspace: Workspace
) -> None:
    _, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert example.prompt[-1].text == last


@pytest.mark.parametrize(
    "text",
    [
        "### Human: Where is it?### Assistant: In the shed### Human: Which?### Assistant: The red one",
        "<|im_start|>user\nWhere is it?<|im_end|>\n<|im_start|>assistant\nIn the shed<|im_end|>\n"
        "<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\nThe red one<|im_end|>\n",
    ],
)
def test_a_chat_in_one_text_is_read_by_its_marks(text: str, tmp_path: Path, workspace: Workspace) -> None:
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [{"text": text}]), workspace)
    assert [m.text for m in example.prompt] == ["Where is it?", "In the shed", "Which?"]
    assert any(note.startswith("the texts of 1 rows hold marks of who speaks") for note in report.notes)
    assert example.target == "The red one"


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "listed"),
    [
        ({"answers": [{"answer": "a", "answer_confidence": "yes"}]}, "answers[].answer_confidence"),
        (
            {"answer": {"value": "a", "aliases": ["b"], "matched_wiki_entity_name": "A"}},
            "answer[].matched_wiki_entity_name",
        ),
        (
            {"choices": [{"text": "a", "label": "A", "votes": 1}, {"text": "b", "label": "B"}], "answer": "A"},
            "choices[].votes",
        ),
    ],
)
def test_what_objects_of_answers_say_besides_is_listed(
    row: dict[str, Any], listed: str, tmp_path: Path, workspace: Workspace
) -> None:
    report, _ = bring(lines(tmp_path / "a.jsonl", [{"question": "q", **row}]), workspace)
    assert listed in [key.key for key in report.unused]


def test_the_answer_that_is_learned_counts_as_right_beside_accepted_ones(tmp_path: Path, workspace: Workspace) -> None:
    rows = [
        {"question": "Capital of Italy?", "answer": "Rome", "accepted_answers": ["Roma"]},
        {"question": "Six times seven?", "answer": "6 * 7 is 42", "accepted_answers": ["42", "forty-two"]},
        {"question": "Capital of Norway?", "answer": "Oslo", "answers": ["Christiania"]},
        {"question": "How many?", "answer": "12", "answers": ["2", "a dozen"]},
    ]
    _, (first, second, third, fourth) = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert first.source["answers"] == ["Rome", "Roma"]
    assert second.source["answers"] == ["42", "forty-two"]
    assert third.source["answers"] == ["Oslo", "Christiania"]
    assert fourth.source["answers"] == ["12", "2", "a dozen"]


def test_a_list_of_labels_of_which_one_is_learned_is_said(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"question": "ticket 1", "label": ["billing", "urgent"]}, {"question": "ticket 2", "label": ["billing"]}]
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert any(note.startswith("1 rows have a list of answers") for note in report.notes)


@pytest.mark.parametrize("word", ["None", "NULL", "N/A", "nan", "\\N"])
def test_a_word_that_stands_for_nothing_is_counted_aloud(word: str, tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"question": "q1", "answer": word}, {"question": "q2", "answer": "a"}]
    report, _ = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert any(f"'{word}' (1)" in note for note in report.notes)


def test_whole_numbers_that_a_program_made_fractions_are_counted(tmp_path: Path, workspace: Workspace) -> None:
    table = pa.table({"question": ["q1", "q2", "q3"], "answer": pa.array([1.0, None, 2.5])})
    pq.write_table(table, tmp_path / "a.parquet")
    report, examples = bring(tmp_path / "a.parquet", workspace)
    assert [e.target for e in examples] == ["1.0", "2.5"]
    assert any(note.startswith("in 1 rows the answer is a whole number with .0") for note in report.notes)


def test_a_file_that_is_read_through_a_link_is_not_called_unread(tmp_path: Path, workspace: Workspace) -> None:
    lines(tmp_path / "blob", [{"question": "q", "answer": "a"}])
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "train.jsonl").symlink_to(tmp_path / "blob")
    report, _ = bring(tmp_path / "snapshot", workspace)
    assert not any("not read" in note for note in report.notes)


# --- tables ------------------------------------------------------------------------------------------------------


def sheet(path: Path, cells: list[tuple[Any, str]]) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    page.append(["question", "answer"])
    for number, (value, shown) in enumerate(cells, start=2):
        page.append([f"q{number}", value])
        page.cell(number, 2).number_format = shown
    book.save(path)
    return path


def test_numbers_of_a_sheet_are_read_as_they_are_shown(tmp_path: Path, workspace: Workspace) -> None:
    cells = [
        (1.1, "0.00"),
        (0.25, "0%"),
        (0.1255, "0.00%"),
        (7, "000"),
        (0.1 + 0.2, "General"),
        (2, "0.0"),
        (1.234, "0.0"),
    ]
    _, examples = bring(sheet(tmp_path / "a.xlsx", cells), workspace)
    assert [e.target for e in examples] == ["1.10", "25%", "12.55%", "007", "0.3", "2.0", "1.234"]


def test_formulas_whose_results_were_never_computed_refuse_the_sheet(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="formulas without results, the first in cell B3"):
        bring(sheet(tmp_path / "a.xlsx", [(1, "General"), ("=1+1", "General")]), workspace)


def test_nested_numbers_and_maps_of_parquet_keep_their_digits_and_keys(tmp_path: Path, workspace: Workspace) -> None:
    kind = pa.list_(pa.struct([("x", pa.float32()), ("m", pa.map_(pa.string(), pa.float16()))]))
    table = pa.table({"question": ["q"], "answer": pa.array([[{"x": 0.1, "m": [("k", np.float16(0.2))]}]], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    _, (example,) = bring(tmp_path / "a.parquet", workspace)
    assert example.target == '[{"x": 0.1, "m": {"k": 0.2}}]'


@pytest.mark.parametrize("nested", [False, True])
def test_classes_inside_lists_and_objects_have_their_names(nested: bool, tmp_path: Path, workspace: Workspace) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Value

    label = ClassLabel(names=["spam", "ham"])
    features = Features({"question": Value("string"), "answer": {"of": label} if nested else List(label)})
    values: list[Any] = [{"of": 1}, {"of": 0}] if nested else [[1], [0]]
    Dataset.from_dict({"question": ["q1", "q2"], "answer": values}, features=features).save_to_disk(str(tmp_path / "d"))
    mapping = {"question": "question", "answer": "answer.of"} if nested else None
    report, examples = bring(tmp_path / "d", workspace, mapping=mapping)
    assert [e.target for e in examples] == ["ham", "spam"]
    assert any("written as the names of their classes: spam, ham" in note for note in report.notes)


def test_quotation_marks_of_a_tsv_are_kept_and_counted(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "a.tsv").write_text('question\tanswer\n"He said ""hi"""\tx\nplain\ty\n')
    report, examples = bring(tmp_path / "a.tsv", workspace)
    assert examples[0].prompt[0].text == '"He said ""hi"""'
    assert any(note.startswith("1 cells of a.tsv stand in quotation marks") for note in report.notes)


def test_cells_of_several_lines_in_a_tsv_are_said_to_break_off(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "a.tsv").write_text('question\tanswer\nOne?\tyes\n"Two\nlines?"\tno\n', "utf-8")
    report, _ = bring(tmp_path / "a.tsv", workspace)
    assert any(note.startswith("1 lines of a.tsv break off in a cell") for note in report.notes)


def test_columns_of_each_split_are_read_with_their_split(tmp_path: Path, workspace: Workspace) -> None:
    value = {"train": {"question": ["a", "b"], "answer": ["1", "2"]}, "test": {"question": ["c"], "answer": ["3"]}}
    (tmp_path / "a.json").write_text(json.dumps(value))
    _, examples = bring(tmp_path / "a.json", workspace)
    assert [(e.target, e.split) for e in examples] == [("1", "train"), ("2", "train"), ("3", "test")]


def test_a_file_of_turkish_is_no_training_split(tmp_path: Path, workspace: Workspace) -> None:
    for language in ("de", "tr"):
        rows = [{"question": f"{language} {n} {'x' * n}", "answer": str(n)} for n in range(10)]
        lines(tmp_path / f"{language}.jsonl", rows)
    _, examples = bring(tmp_path, workspace)
    assert {e.split for e in examples if e.source["file"] == "tr.jsonl"} > {"train"}


# --- pictures and recordings -------------------------------------------------------------------------------------


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (8, 8), colour)


@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_a_picture_of_several_pages_is_set_aside_not_read_as_its_first(
    ending: str, tmp_path: Path, workspace: Workspace
) -> None:
    picture("red").save(tmp_path / f"a.{ending}", save_all=True, append_images=[picture("blue")])
    picture("green").save(tmp_path / "b.png")
    rows = [{"file_name": f"a.{ending}", "question": "q", "answer": "a"}]
    lines(tmp_path / "metadata.jsonl", [*rows, {"file_name": "b.png", "question": "q", "answer": "a"}])
    report, _ = bring(tmp_path, workspace)
    assert report.reasons == {"picture holds several frames or pages": 1}


def colours(example: Example, workspace: Workspace) -> list[tuple[int, ...]]:
    root = workspace.datasets / "d"
    parts = [part for message in example.prompt for part in message.content if isinstance(part, ImagePart)]
    return [Image.open(root / part.path).getpixel((0, 0)) for part in parts]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("row", "order"),
    [
        ({"image_1": "a.png", "image_2": "b.png", "question": "<image 2> or <image 1>?"}, ["blue", "red"]),
        ({"image_1": "a.png", "image_2": "b.png", "question": "Which?"}, ["red", "blue"]),
        ({"file_names": ["b.png", "a.png"], "question": "Which?"}, ["blue", "red"]),
    ],
)
def test_pictures_in_numbered_columns_and_lists_are_read_in_their_order(
    row: dict[str, Any], order: list[str], tmp_path: Path, workspace: Workspace
) -> None:
    picture("red").save(tmp_path / "a.png")
    picture("blue").save(tmp_path / "b.png")
    lines(tmp_path / "metadata.jsonl", [{**row, "answer": "x"}])
    _, (example,) = bring(tmp_path, workspace)
    seen = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    assert colours(example, workspace) == [seen[name] for name in order]


def test_a_context_and_earlier_turns_beside_a_picture_are_in_its_prompt(tmp_path: Path, workspace: Workspace) -> None:
    picture("red").save(tmp_path / "a.png")
    row = {"image": "a.png", "question": "Which?", "context": "In spring.", "history": [["Hi", "Hello"]], "answer": "x"}
    report, (example,) = bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert [m.text for m in example.prompt] == ["Hi", "Hello", "Which?\n\nIn spring."] and report.unused == ()
    rows = [{"image": "a.png", "caption": "A wall", "context": "In spring."}]
    with pytest.raises(DataError, match="an input or choices, and no question"):
        import_data(lines(tmp_path / "b.jsonl", rows), "e", workspace)


def test_a_picture_in_a_source_object_is_read(tmp_path: Path, workspace: Workspace) -> None:
    data = io.BytesIO()
    picture("red").save(data, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data.getvalue()).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "colour?"}]
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": "red"}]
    _, (example,) = bring(lines(tmp_path / "a.jsonl", [{"messages": chat}]), workspace)
    assert colours(example, workspace) == [(255, 0, 0)]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "input_image", "file_id": "f1"}, {"type": "text", "text": "colour?"}],
        [{"type": "image"}, {"type": "text", "text": "colour?"}],
        "<image>\ncolour?",
    ],
)
def test_a_mark_without_its_picture_is_set_aside(content: Any, tmp_path: Path, workspace: Workspace) -> None:
    picture("red").save(tmp_path / "a.png")
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": "red"}]
    rows = [{"messages": chat}, {"image": "a.png", "question": "q", "answer": "a"}]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace, modality="vision")
    assert len(examples) == 1 and report.rejected_rows == 1


def speech(folder: Path) -> None:
    (folder / "clips").mkdir()
    tone = (0.3 * np.sin(np.arange(16_000) / 8)).astype(np.float32)
    for number in range(2):
        soundfile.write(folder / "clips" / f"{number}.wav", tone * (1 - number / 4), 16_000)
    head = "client_id\tpath\tsentence\tlocale\n"
    (folder / "validated.tsv").write_text(head + "".join(f"c{n}\t{n}.wav\tSatz {n}\tde\n" for n in range(2)))
    (folder / "invalidated.tsv").write_text(head)


@pytest.mark.parametrize("named", [lambda folder: folder, lambda folder: folder / "validated.tsv"])
def test_common_voice_without_its_splits_is_read_and_a_table_of_it_too(
    named: Callable[[Path], Path], tmp_path: Path, workspace: Workspace
) -> None:
    speech(tmp_path)
    _, examples = bring(named(tmp_path), workspace)
    assert [e.target for e in examples] == ["Satz 0", "Satz 1"]
    assert {e.source["language"] for e in examples} == {"de"}


@pytest.mark.parametrize("key", ["label", "kto_tag"])
def test_bad_answers_about_pictures_are_set_aside_because_nothing_learns_from_them(
    key: str, tmp_path: Path, workspace: Workspace
) -> None:
    for name in ("red", "blue"):
        picture(name).save(tmp_path / f"{name}.png")
    answered = {"label": ("prompt", "completion"), "kto_tag": ("instruction", "output")}[key]
    rows = [
        {"image": f"{name}.png", answered[0]: "q", answered[1]: "a", key: name == "red"} for name in ("red", "blue")
    ]
    report, (example,) = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert colours(example, workspace) == [(255, 0, 0)] and example.label is None
    assert report.reasons == {"the answer is labelled as bad, from which only text can learn": 1}
