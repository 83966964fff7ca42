"""Every shipped method against the stub: it runs, rejects what is wrong, and its rows are what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.curation.leakage import check_dataset
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import text_of
from synth.pipeline import work
from synth.pipeline.candidate import Candidate
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.pipeline.spec import shipped_pipelines
from synth.pipeline.steps.rank import Rank, Rated, pair
from synth.usage import Usage
from synth.workspace import Workspace

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
DAMS = """# Dams

The Hoover Dam was finished in 1936 after 5 years of work. It is 221 metres high and holds back Lake Mead.
The Bureau of Reclamation runs it, and some 7 million people visit Lake Mead each year.

The Itaipu Dam stands between Brazil and Paraguay. It has 20 turbines of 700 megawatts each, and was opened in 1984.
Its reservoir is 170 kilometres long. Treaties say how Brazil and Paraguay share the power of the Itaipu Dam.

Small dams are another matter. Many were built for mills, and a good part of them serves no purpose today. Where they
are removed, fish such as salmon return within 2 or 3 years. The Elwha River lost two dams in 2014.
"""


def price(usage: Usage, model: str) -> float | None:
    return ((usage.input_tokens or 0) + 4 * (usage.output_tokens or 0)) / 1e6


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve_in_thread(StubSettings(skill=0.85)) as running:
        yield running


def made(stub: Stub, workspace: Workspace, pipeline: str, rows: int | None, **inputs: Any) -> DatasetDir:
    teachers = {"teacher": TeacherPlan(model="stub-model", base_url=stub.base_url)}
    plan = RunPlan(pipeline=pipeline, inputs=inputs, rows=rows, teachers=teachers, cap_usd=1.0)
    dataset = work.start("made", plan, Outside(workspace, price))
    assert dataset.verify() == []
    for step in dataset.card.notes["steps"]:
        assert step["taken"] + step["made"] == step["kept"] + sum(step["rejected"].values()) + step["unfinished"], step
    return dataset


def rows_of(dataset: DatasetDir) -> list[Any]:
    return [row for split in dataset.splits() for row in dataset.examples(split)]


def documents(folder: Path) -> Path:
    place = folder / "documents"
    place.mkdir()
    (place / "dams.md").write_text(DAMS)
    (place / "more.txt").write_text(DAMS.replace("Hoover", "Aswan").replace("1936", "1970").replace("Elwha", "Sélune"))
    return place


def test_an_answer_about_documents_has_words_that_stand_in_the_source(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    place = documents(tmp_path)
    dataset = made(stub, workspace, "documents-to-questions", None, documents=str(place), extract_chars=250)
    assert dataset.card.rejected["quoted: the quotation does not stand in the source"] >= 1
    for row in rows_of(dataset):
        source = row.source
        text = (place / source["document"]).read_text()
        note = next(entry for entry in source["lineage"] if entry["step"] == "quoted")
        assert text.strip()[source["quote_start"] : source["quote_end"]] == note["quote"]
        assert note["quote"] in " ".join(text_of(row).split()) or note["quote"] in text_of(row)


def test_a_rewriting_keeps_the_numbers_of_its_source(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    dataset = made(stub, workspace, "rephrase", 12, documents=str(documents(tmp_path)), extract_chars=250)
    assert any("numbers of the source are lost" in reason for reason in dataset.card.rejected)
    assert len(dataset.card.notes["coverage"]["format"]) >= 3
    for row in rows_of(dataset):
        numbers = {word.strip(".,") for word in text_of(row).split() if word.strip(".,").isdigit()}
        assert numbers <= {word.strip(".,") for word in row.target.split()}


def test_documents_that_say_nothing_of_it_are_named_as_such_and_no_log_is_switched_on(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="No extract of the documents is about 'zebras'"):
        made(stub, workspace, "rephrase", 2, documents=str(documents(tmp_path)), about="zebras")
    code = "import logging; from synth.filtering import features; features._embedder(); print(logging.root.handlers)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_logs_are_labelled_anew_and_say_how_often_production_was_agreed_with(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    logs = tmp_path / "logs.jsonl"
    labels = ("billing", "delivery", "other")
    lines = [{"text": f"Request number {n}: where is my parcel", "label": labels[n % 3]} for n in range(60)]
    logs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    dataset = made(stub, workspace, "relabel-logs", None, logs=str(logs), task="Sort requests")
    found = dataset.card.notes["coverage"]["production"]
    assert sum(found.values()) == len(rows_of(dataset)) and found["agrees"] > 0 and found["disagrees"] > 0
    assert dataset.card.rejected["agree with itself: new_label and second_label disagree"] > 0
    assert set(dataset.task.labels) == set(labels)
    assert all(row.scorer == "label" and row.answer in labels for row in rows_of(dataset))


def test_pairs_have_a_right_answer_chosen_and_a_wrong_one_rejected(workspace: Workspace, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    lines = [{"question": f"How much is {n} plus {n}?", "answer": str(2 * n)} for n in range(10, 40)]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    book = tmp_path / "book.jsonl"
    known = [{"prompt": line["question"], "answer": f"It is so.\nAnswer: {line['answer']}"} for line in lines]
    book.write_text("".join(json.dumps(line) + "\n" for line in known))
    with serve_in_thread(StubSettings(answers=book, accuracy=0.5)) as stub:
        dataset = made(stub, workspace, "best-of-n", 20, questions=str(questions), samples=4)
    for row in rows_of(dataset):
        assert row.target.endswith(f"Answer: {row.answer}") and row.rejected and row.rejected != row.target
        assert not row.rejected.endswith(f"Answer: {row.answer}")
        notes = row.source["lineage"]
        assert all(isinstance(text, str) for note in notes for text in note.get("answers", ()))  # a page shows each
        assert next(note for note in notes if note["step"] == "best")["compared"] >= 2


def test_without_known_answers_the_points_of_a_judge_make_the_pair(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.csv"
    questions.write_text("question\n" + "".join(f"<text>Which way is number {n}?</text>\n" for n in range(30)))
    dataset = made(stub, workspace, "preferences", 10, questions=str(questions), samples=5)
    for row in rows_of(dataset):
        notes = {entry["step"]: entry for entry in row.source["lineage"]}
        points = dict(zip(dict.fromkeys(notes["answer"]["answers"]), map(int, notes["points"]["answers"]), strict=True))
        assert points[row.target] == max(points.values()) >= 3 and points[row.rejected] < points[row.target]


def test_the_rejected_answer_is_around_two_deviations_below_the_mean_and_not_the_worst() -> None:
    def made(*points: float) -> Any:
        return pair(Candidate("s", {}), [Rated(f"answer {n}", one) for n, one in enumerate(points)], Rank(prompt="p"))

    found = made(0, 2, *[4] * 10, 5).fields  # mean 3.6, deviation 1.2
    assert (found["chosen_points"], found["rejected_points"]) == (5, 2)
    assert "same points" in made(4, 4).reason and "no answer has 3" in made(1, 2).reason
    assert "fewer than two" in made(5).reason


def test_a_text_in_another_language_is_no_row(stub: Stub, workspace: Workspace) -> None:
    from synth.languages import detect

    dataset = made(stub, workspace, "multilingual", 8, task="Sort messages", labels="a,b", languages="English,de,fr")
    assert set(dataset.card.notes["coverage"]["language"]) == {"English"}  # the stub speaks no other
    assert sum(n for reason, n in dataset.card.rejected.items() if reason.endswith("in another language")) > 5
    rejected = (workspace.pipelines / "made" / "rejected" / "language.jsonl").read_text()
    assert "in French, as" in rejected and "in German, as" in rejected and "in fr, as" not in rejected
    said = [
        "Guten Morgen, ich habe starke Schmerzen",
        "Bonjour, je voudrais un rendez-vous demain",
        "Necesito una receta",
    ]
    assert [detect(text) for text in said] == ["de", "fr", "es"] and detect("123 …") == ""


def test_a_grid_covers_audiences_and_styles_and_keeps_what_the_rubric_keeps(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    dataset = made(stub, workspace, "cosmopedia-grid", 12, documents=str(documents(tmp_path)), extract_chars=250)
    coverage = dataset.card.notes["coverage"]
    assert len(coverage["audience"]) >= 3 and len(coverage["style"]) >= 3
    assert min(float(points) for points in coverage["points"]) >= 3
    assert dataset.card.rejected["threshold: points is below 3"] > 0


def test_a_harder_question_is_kept_where_both_orders_find_it_harder(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    questions = tmp_path / "q.csv"
    questions.write_text("question\n" + "".join(f"How does part {n} of a dam work?\n" for n in range(12)))
    dataset = made(stub, workspace, "evolve", 15, questions=str(questions))
    assert dataset.card.rejected["judge: the judge's choice goes with the order"] > 0
    assert all(len(text_of(row)) > 40 for row in rows_of(dataset))


def test_a_text_becomes_a_task_by_stages_that_all_stay_in_the_lineage(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    dataset = made(stub, workspace, "agent-instruct", 6, documents=str(documents(tmp_path)), extract_chars=250)
    stages = [entry["step"] for entry in rows_of(dataset)[0].source["lineage"]]
    assert [s for s in stages if s in ("transform", "make a task", "suggest", "edit", "answer", "judge")] == [
        "transform",
        "make a task",
        "suggest",
        "edit",
        "answer",
        "judge",
    ]
    assert min(float(points) for points in dataset.card.notes["coverage"]["points"]) >= 3


def test_people_of_the_bank_have_relatives_and_each_asks_once_in_a_way(stub: Stub, workspace: Workspace) -> None:
    dataset = made(
        stub, workspace, "personas", 25, task="Questions to a library", people="a nurse,a roofer,a chef,a boy"
    )
    assert len(dataset.card.notes["coverage"]["person"]) == 4
    assert set(dataset.card.families["test_ood"]).isdisjoint(dataset.card.families["train"])


def test_a_picture_goes_to_the_teacher_and_into_the_row(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    from PIL import Image

    from synth.example import media_parts

    for number in range(5):
        Image.new("RGB", (32, 24), (40 * number, 80, 120)).save(tmp_path / f"{number}.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    lines = [f"{name},a room" for name in ("0.png", "1.png", "2.png", "3.png", "4.png", "torn.png", "gone.png")]
    (tmp_path / "photos.csv").write_text("path,caption\n" + "\n".join([*lines, "../outside.png,a door"]) + "\n")
    dataset = made(stub, workspace, "picture-questions", None, pictures=str(tmp_path / "photos.csv"))
    assert dataset.card.modality == "vision" and len(rows_of(dataset)) >= 8
    assert sum(n for reason, n in dataset.card.rejected.items() if reason.startswith("medium: ")) == 3
    for row in rows_of(dataset):
        (part,) = media_parts(row)
        assert dataset.media_path(part.path).is_file()
    assert sum(request["images"] for request in stub.requests) >= 2 * len(rows_of(dataset))
    by_picture: dict[str, set[str]] = {}
    for row in rows_of(dataset):
        by_picture.setdefault(row.template, set()).add(row.split)
    assert all(len(splits) == 1 for splits in by_picture.values())


def test_sentences_of_a_teacher_are_what_the_voices_say(stub: Stub, workspace: Workspace) -> None:
    from synth.audio.sentences import read_sentences

    dataset = made(stub, workspace, "sentences-to-speak", 20, task="What nurses dictate")
    said = read_sentences(str(dataset.path / "train.jsonl"))
    assert [one.written for one in said] == [" ".join(row.target.split()) for row in dataset.examples("train")]
    assert len(said) == 20 and len(dataset.card.notes["coverage"]["style"]) == 3


def test_an_evaluation_set_holds_topics_out_of_training_and_nothing_that_nearly_stands_there(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    training = tmp_path / "training.csv"
    topics = ("bills", "parcels")
    lines = [f"Message {n} about my {topics[n % 2]},{'ab'[n % 2]},{topics[n % 2]}" for n in range(30)]
    training.write_text("text,label,topic\n" + "\n".join(lines) + "\n")
    dataset = made(stub, workspace, "evaluation-set", 60, training=str(training), task="Sort messages")
    families = {split: {row.family for row in dataset.examples(split)} for split in dataset.splits()}
    assert families["train"] == families["test"] == set(topics) and len(families["test_ood"]) > 4
    assert families["test_ood"].isdisjoint(topics) and dataset.card.splits["train"] == 30
    assert dataset.card.splits["test"] + dataset.card.splits["test_ood"] == 60
    report = check_dataset(dataset)
    pairs = {(pair.one, pair.other): pair for pair in report.pairs}
    for split in ("test", "test_ood"):
        pair = pairs["train", split]
        assert (pair.near_duplicates, pair.equal_prompts, pair.shared_templates, report.faults) == (0, 0, 0, ())
    for row in (*dataset.examples("test"), *dataset.examples("test_ood")):
        looks = [note for note in row.source["lineage"] if note["step"] in ("agree", "agree again")]
        assert row.answer == looks[0]["seen_as"] == looks[1]["seen_again_as"] and len(looks) == 2


def test_each_shipped_method_has_a_test_here_or_beside() -> None:
    beside = (Path(__file__).with_name(name) for name in ("test_pipeline.py", "test_filtering.py"))
    text = Path(__file__).read_text() + "".join(path.read_text() for path in beside)
    assert [name for name in shipped_pipelines() if f'"{name}"' not in text] == []
