"""Files as annotation tools, endpoints and other programs write them: nothing is learned that nobody meant."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.exporting.folder import export_dataset
from synth.workspace import Workspace
from tests.imports import bring, lines


def chat(asked: Any, said: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}], **more}


MAPPED = {"question": "text", "answer": "label"}


@pytest.mark.parametrize("key", ["_task_hash", "_input_hash"])
@pytest.mark.parametrize("word", ["reject", "ignore"])
def test_what_a_prodigy_annotator_did_not_accept_is_not_learned(
    word: str, key: str, tmp_path: Path, workspace: Workspace
) -> None:
    rows = [{"text": f"t {a}", "label": "BILLING", "answer": a, key: n} for n, a in enumerate(("accept", word))]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace, mapping=MAPPED)
    assert [e.prompt[0].text for e in examples] == ["t accept"]
    assert report.reasons == {f"its annotator answered '{word}' in Prodigy": 1}


def test_a_discarded_row_is_not_learned_and_other_states_are(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"prompt": f"p {s}", "response": "r", "status": s} for s in ("pending", "discarded", "completed")]
    report, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace)
    assert {e.prompt[0].text for e in examples} == {"p pending", "p completed"}
    assert report.reasons == {"its status is 'discarded'": 1}


def test_a_column_that_was_chosen_as_the_answer_judges_nothing(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"text": f"t {a}", "answer": a, "_task_hash": 1} for a in ("accept", "reject")]
    mapping = {"question": "text", "answer": "answer"}
    _, examples = bring(lines(tmp_path / "a.jsonl", rows), workspace, mapping=mapping)
    assert {e.target for e in examples} == {"accept", "reject"}


@pytest.mark.parametrize("kind", ["text", "output_text"])
def test_an_answer_in_pieces_is_one_text_without_breaks(kind: str, tmp_path: Path, workspace: Workspace) -> None:
    said = [{"type": kind, "text": piece} for piece in ("The capital is ", "Paris", ".")]
    _, examples = bring(lines(tmp_path / "a.jsonl", [chat("q?", said)]), workspace)
    assert examples[0].target == "The capital is Paris."


def test_a_turn_of_which_parts_are_to_be_learned_is_set_aside(tmp_path: Path, workspace: Workspace) -> None:
    row = chat("q?")
    row["messages"][1]["train_detail"] = [{"begin_offset": 0, "end_offset": 1, "train": False}]
    report, _ = bring(lines(tmp_path / "a.jsonl", [row, chat("r?")]), workspace)
    assert list(report.reasons) == ["a turn of which only parts are to be learned (train_detail)"]


@pytest.mark.parametrize(
    "mark", ["<img>p.png</img>", "<ImageHere>", "<|image_1|>", "<|image_pad|>", "<image_placeholder>", "<image>\n"]
)
def test_marks_that_are_read_as_words_are_reported_and_never_stand_for_a_picture(
    mark: str, tmp_path: Path, workspace: Workspace
) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "p.png")
    place = lines(tmp_path / "a.jsonl", [chat(f"{mark} what?"), chat("plain < text")])
    report, examples = bring(place, workspace)
    assert len(examples) == 2
    assert any("marks of pictures" in note and note.startswith("1 rows") for note in report.notes)
    place = lines(tmp_path / "a.jsonl", [chat(f"{mark} what?"), chat("see", images=["p.png"])])
    report, examples = bring(place, workspace, "v", modality="vision")
    assert [e.prompt[0].text for e in examples] == ["see"]


@pytest.mark.parametrize(
    ("row", "asked", "said"),
    [
        ({"id": 7, "text": "t", "sentiment": "s", "created_at": "2026"}, "text", "sentiment"),
        ({"id": 7, "fields": {"prompt": "p", "response": "r"}}, "fields.prompt", "fields.response"),
        ({"task_id": "x/1", "text": "t", "code": "c"}, "text", "code"),
        ({"translation": {"en": "e", "de": "d"}}, "translation.en", "translation.de"),
        ({"text": "t", "label": "BILLING", "answer": "accept", "_task_hash": 3}, "text", "label"),
        ({"Frage": "kurz", "Antwort": "eine lange"}, "Frage", "Antwort"),
    ],
)
def test_the_mapping_that_is_offered_reads_the_file_as_it_is_meant(
    row: dict[str, Any], asked: str, said: str, tmp_path: Path, workspace: Workspace
) -> None:
    place = lines(tmp_path / "a.jsonl", [row])
    with pytest.raises(DataError) as caught:
        bring(place, workspace)
    assert f"--map question='{asked}' --map answer='{said}'" in caught.value.remedy
    _, examples = bring(place, workspace, mapping={"question": asked, "answer": said})
    assert len(examples) == 1


@pytest.mark.parametrize("row", [{"job_id": "a", "response": {"status_code": 200}}, {"id": 1, "user_id": 2}])
def test_no_mapping_is_made_up_from_columns_of_facts(row: dict[str, Any], tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError) as caught:
        bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert "question='COLUMN'" in caught.value.remedy


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "response_a": "x", "response_b": "y", "preferred": "b"},
        {"prompt": "a", "response_0": "x", "response_1": "y", "better_response_id": 1},
        {"context": "a", "response1": "x", "response2": "y", "overall_preference": -2},
        {"question": {"full_text": "q"}, "answer_0": "x", "answer_1": "y", "score_0": 0.1},
    ],
)
def test_one_of_two_answers_is_never_offered_as_the_answer(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(DataError) as caught:
        bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert "--map" not in caught.value.remedy
    assert "'chosen'" in caught.value.remedy


ASKED = {"messages": [{"role": "user", "content": "long?"}]}


@pytest.mark.parametrize(
    "row",
    [
        {"request": ASKED, "response": {"message": {"role": "assistant", "content": "c"}, "done_reason": "length"}},
        {"request": ASKED, "response": "c", "finish_reason": "length"},
        {"prompt": "long?", "completion": "c", "finish_reason": "max_tokens"},
        {"prompt": "long?", "response": "c", "stop_reason": "MAX_TOKENS"},
        {"messages": [*ASKED["messages"], {"role": "assistant", "content": "c", "finish_reason": "length"}]},
    ],
)
def test_an_answer_that_ended_too_early_is_not_learned_wherever_the_row_says_so(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    whole = {"prompt": "short?", "completion": "c", "finish_reason": "stop"}
    report, examples = bring(lines(tmp_path / "a.jsonl", [row, whole]), workspace)
    assert [e.prompt[0].text for e in examples] == ["short?"]
    assert report.reasons == {"the answer was cut off": 1}


@pytest.mark.parametrize(("key", "name"), [("label", "dog"), ("labels", "a cat"), ("category", "7b")])
def test_a_picture_with_the_name_of_its_class_is_asked_as_in_folders_of_classes(
    key: str, name: str, tmp_path: Path, workspace: Workspace
) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "p.png")
    report, examples = bring(lines(tmp_path / "a.jsonl", [{"image": "p.png", key: name, "id": "4"}]), workspace)
    assert (examples[0].prompt[0].text, examples[0].target) == ("What does the picture show?", name)
    assert report.layouts == {"pictures_by_class": 1}


@pytest.mark.parametrize("row", [{"label": 3}, {"label": "yes", "text": "Is it red?"}, {"label": "rot", "frage": "?"}])
def test_a_number_or_a_label_of_a_text_is_no_name_of_a_class(
    row: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "p.png")
    with pytest.raises(DataError, match="no question"):
        bring(lines(tmp_path / "a.jsonl", [{"image": "p.png", **row}]), workspace)


def test_what_a_batch_answered_is_read_when_the_remedy_is_followed(tmp_path: Path, workspace: Workspace) -> None:
    choice = {"message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}
    row = {"custom_id": "r1", "response": {"status_code": 200, "body": {"choices": [choice]}}}
    with pytest.raises(DataError) as caught:
        bring(lines(tmp_path / "a.jsonl", [row]), workspace)
    assert "`body`" in caught.value.remedy
    body = {"messages": [{"role": "user", "content": "Capital of France?"}]}
    _, examples = bring(lines(tmp_path / "a.jsonl", [{**row, "body": body}]), workspace)
    assert (examples[0].prompt[0].text, examples[0].target) == ("Capital of France?", "Paris")


def test_pictures_among_rows_that_were_taken_for_text_name_the_option(tmp_path: Path, workspace: Workspace) -> None:
    place = lines(tmp_path / "a.jsonl", [chat([{"type": "image_url", "image_url": {"url": "p.png"}}])])
    with pytest.raises(DataError) as caught:
        bring(place, workspace, modality="text")
    assert caught.value.remedy == "Import it with --modality vision."


@pytest.mark.parametrize(("key", "no", "yes"), [("weight", 0, 1), ("weight", 0.0, 1.0), ("train", False, True)])
@pytest.mark.parametrize("shape", [{"prompt": "p", "completion": "c"}, chat("p")])
def test_a_row_that_is_not_to_be_learned_is_set_aside(
    shape: dict[str, Any], key: str, no: Any, yes: Any, tmp_path: Path, workspace: Workspace
) -> None:
    place = lines(tmp_path / "a.jsonl", [{**shape, key: no}, {**shape, key: yes}])
    report, examples = bring(place, workspace)
    assert [e.source["line"] for e in examples] == [2]
    assert report.reasons == {f"its '{key}' says that it is not to be learned": 1}


@pytest.mark.parametrize("role", ["question", "answer", "target"])
def test_a_column_beside_mapped_messages_is_never_dropped(role: str, tmp_path: Path, workspace: Workspace) -> None:
    place = lines(tmp_path / "a.jsonl", [{**chat("q"), "gold": "g"}])
    with pytest.raises(DataError, match="would not be read"):
        bring(place, workspace, mapping={"messages": "messages", role: "gold"})


def test_turns_without_their_answer_are_offered_as_the_question(tmp_path: Path, workspace: Workspace) -> None:
    place = lines(tmp_path / "a.jsonl", [{"messages": [{"role": "user", "content": "q"}], "reference_answer": "g"}])
    with pytest.raises(DataError) as caught:
        bring(place, workspace)
    assert "--map question='messages' --map answer='reference_answer'" in caught.value.remedy
    _, examples = bring(place, workspace, mapping={"question": "messages", "answer": "reference_answer"})
    assert (examples[0].prompt[0].text, examples[0].target) == ("q", "g")


FORMS = ("messages", "trl", "sharegpt", "openai", "parquet")


@pytest.mark.parametrize("form", FORMS)
def test_the_language_and_speaker_of_a_recording_come_back_from_every_form(
    form: str, tmp_path: Path, workspace: Workspace
) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for n in range(2):
        soundfile.write(place / f"{n}.wav", np.random.default_rng(n).normal(0, 0.1, 8000), 16000)
    rows = [{"file_name": f"{n}.wav", "sentence": f"Satz {n}", "locale": "de", "client_id": f"s{n}"} for n in range(2)]
    lines(place / "metadata.jsonl", rows)
    _, before = bring(place, workspace, modality="audio")
    export_dataset(DatasetDir(workspace.datasets / "d"), form, tmp_path / "out")
    _, after = bring(tmp_path / "out", workspace, "e")
    said = [sorted((e.id, e.source["language"], e.source["speaker"]) for e in rows) for rows in (before, after)]
    assert said[0] == said[1]


@pytest.mark.parametrize("form", FORMS)
def test_rows_with_and_without_a_picture_come_back_together(form: str, tmp_path: Path, workspace: Workspace) -> None:
    place = tmp_path / "in"
    place.mkdir()
    Image.new("RGB", (9, 9), "red").save(place / "p.png")
    lines(place / "a.jsonl", [chat("<image>\nwhat?", images=["p.png"]), chat("no picture?")])
    _, before = bring(place, workspace, modality="vision")
    export_dataset(DatasetDir(workspace.datasets / "d"), form, tmp_path / "out")
    _, after = bring(tmp_path / "out", workspace, "e")
    assert sorted(e.id for e in after) == sorted(e.id for e in before)
    assert len(after) == 2


@pytest.mark.parametrize("files", [1, 2])
def test_a_locked_zip_file_says_that_it_is_locked(files: int, tmp_path: Path, workspace: Workspace) -> None:
    place = tmp_path / "rows.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for number in range(files):
            archive.writestr(f"{number}.jsonl", json.dumps(chat(f"q{number}")))
    data = bytearray(place.read_bytes())
    for head in re.finditer(rb"PK(\x03\x04..|\x01\x02....)", bytes(data), re.DOTALL):
        data[head.end()] |= 1  # the flag of a locked member, in both of its heads
    place.write_bytes(data)
    with pytest.raises(DataError, match=r"rows\.zip is locked with a password"):
        bring(place, workspace)
