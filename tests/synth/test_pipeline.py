"""Pipelines over real HTTP: exact targets, money, kills, edits, faults, and counts that add up."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.context import Context
from synth.curation.minhash import shingles
from synth.curation.runs import read_text
from synth.dataset import DatasetDir
from synth.endpoint import Reply, throttle
from synth.endpoint.elsewhere import Got, Sent
from synth.errors import EndpointError, RecipeError, RunError, StorageError, UserError
from synth.example import text_of
from synth.pipeline import forecast, work
from synth.pipeline.candidate import Candidate, Rejected
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.pipeline.spec import find_pipeline, shipped_pipelines
from synth.pipeline.step import Env
from synth.pipeline.steps.ask import fault, unmarked
from synth.pipeline.steps.parse import Parse, parse
from synth.pipeline.steps.spread import own_examples
from synth.storage import sha256_bytes
from synth.usage import Usage
from synth.workspace import Workspace
from tests import spare
from tests.short_pipeline import SHORT

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PATIENTS = [
    {"text": f"{symptom} since {when}, what should I do?", "label": label}
    for symptom, label in (("My chest hurts", "urgent"), ("My knee is sore", "soon"), ("I need a form", "routine"))
    for when in ("this morning", "Monday", "last week", "yesterday")
]


def price(usage: Usage, model: str) -> float | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return (usage.input_tokens + 4 * usage.output_tokens) / 1e6


def teacher(stub: Stub, concurrency: int = 8) -> dict[str, TeacherPlan]:
    return {"teacher": TeacherPlan(model="stub-model", base_url=stub.base_url, concurrency=concurrency)}


def seeds(folder: Path, count: int, edited: int | None = None) -> Path:
    lines = [{"question": f"question {n}{' edited' if n == edited else ''}"} for n in range(count)]
    folder.mkdir(exist_ok=True)
    file = folder / "seeds.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


EXTRACTS = """
version: 1
title: Extracts
about: Extracts as rows.
inputs:
  texts: {title: Texts, kind: paths}
steps:
  - {step: documents, path: $texts, chars: 800}
  - {step: row, prompt: "{{ text }}", target: "yes", family: "{{ document }}", template: "{{ document }} {{ start }}"}
split: {train: 0.6, val: 0.2, test: 0.2, held_out_families: 0.1}
"""


def short(folder: Path, text: str = SHORT) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "short.yaml").write_text(text)
    return str(folder / "short.yaml")


def short_plan(folder: Path, stub: Stub, count: int, **more: Any) -> RunPlan:
    return RunPlan(
        pipeline=short(folder),
        inputs={"seeds": str(seeds(folder, count))},
        teachers=teacher(stub, more.pop("concurrency", 8)),
        **more,
    )


def describe_plan(stub: Stub, **more: Any) -> RunPlan:
    inputs = {"task": "Sort messages of patients by urgency", **more.pop("inputs", {"labels": "urgent,soon,routine"})}
    return RunPlan(pipeline="describe-a-domain", inputs=inputs, teachers=teacher(stub), **more)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is asked again without a long pause."""
    monkeypatch.setattr(throttle, "BACKOFF_BASE_SEC", 0.01)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve_in_thread(StubSettings(skill=0.9)) as running:
        yield running


def rows_of(dataset: DatasetDir) -> list[Any]:
    return [row for split in dataset.splits() for row in dataset.examples(split)]


def check_counts(dataset: DatasetDir) -> None:
    for step in dataset.card.notes["steps"]:
        assert step["taken"] + step["made"] == step["kept"] + sum(step["rejected"].values()) + step["unfinished"], step
    card = dataset.card
    assert card.rows_in == sum(card.splits.values()) + sum(card.rejected.values())


@pytest.mark.slow
def test_a_described_domain_becomes_exactly_the_rows_asked_for(stub: Stub, workspace: Workspace) -> None:
    dataset = work.start("triage", describe_plan(stub, rows=40), Outside(workspace, price))
    rows = rows_of(dataset)
    assert len(rows) == 40 and dataset.verify() == []
    assert {row.origin.kind for row in rows} == {"teacher"} and {row.origin.by for row in rows} == {"stub-model"}
    assert set(dataset.task.labels) == {row.answer for row in rows} == {"urgent", "soon", "routine"}
    assert dataset.card.usd == pytest.approx(
        sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in stub.requests)
    )
    check_counts(dataset)
    steps = [entry["step"] for entry in rows[0].source["lineage"]]
    assert steps == ["list topics", "grid", "write", "second look", "agree"]
    assert rows[0].source["lineage"][2]["prompt"].startswith("A task: Sort messages of patients")
    assert sum(dataset.card.notes["coverage"]["label"].values()) == 40


def handbook(seed: int, paragraphs: int, of_year: str = "") -> str:
    """Paragraphs of words drawn by the seed; another year is another version, with a paragraph put in."""
    chance = Random(seed)
    found = [" ".join(chance.choices([f"word{n}" for n in range(3000)], k=60)) for _ in range(paragraphs)]
    if of_year:
        found = [f"{text[:200]} {of_year} {text[200:]}" for text in found]
        found.insert(int(of_year) % paragraphs, " ".join(chance.choices([f"other{n}" for n in range(900)], k=60)))
    return "\n\n".join(found)


def test_two_versions_of_a_file_are_never_parted_and_the_card_says_so(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(8):
        (texts / f"{number}.txt").write_text(handbook(number, 8))
    for number, year in ((20, "2024"), (20, "2025"), (21, "2024"), (21, "2026")):
        (texts / f"{number}-{year}.txt").write_text(handbook(number, 8, year))
    plan = RunPlan(pipeline=short(tmp_path, EXTRACTS), inputs={"texts": str(texts)}, teachers=teacher(stub))
    dataset = work.start("versions", plan, Outside(workspace, price))
    rows = [(row.split, shingles(read_text(text_of(row)))) for row in rows_of(dataset)]
    pairs = [
        (one, two) for one, two in combinations(rows, 2) if 2 * len(one[1] & two[1]) >= min(len(one[1]), len(two[1]))
    ]
    assert len(pairs) > 10 and all(one[0] == two[0] for one, two in pairs)
    note = dataset.card.notes["overlapping_extracts"]
    assert note["groups"] >= 2 and note["extracts"] == note["rows"] >= 4 * 5
    assert f"{note['rows']} rows are from" in (dataset.path / "README.md").read_text()
    assert {"train", "test", "test_ood"} <= set(dataset.splits())


@pytest.mark.slow
def test_whole_families_are_held_out(stub: Stub, workspace: Workspace) -> None:
    dataset = work.start("triage", describe_plan(stub, rows=60), Outside(workspace, price))
    families = dataset.card.families
    assert families["test_ood"] and not set(families["test_ood"]) & set(families["train"])


def test_examples_are_in_training_or_in_a_test_and_never_in_both(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "patients.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in PATIENTS))
    plan = describe_plan(stub, rows=30, inputs={"examples": str(file), "held_out": 4})
    dataset = work.start("triage", plan, Outside(workspace, price))
    texts = {split: {row.prompt[-1].text for row in dataset.examples(split)} for split in dataset.splits()}
    mine = [row["text"] for row in PATIENTS]
    held_out = texts["test_real"]
    labels = [row["label"] for row in PATIENTS if row["text"] in held_out]
    assert len(held_out) == 4 and set(labels) == {"urgent", "soon", "routine"}
    assert held_out < set(mine) and set(mine) - held_out <= texts["train"]
    assert not set(mine) & (texts["val"] | texts["test"] | texts["test_ood"])
    assert sum(dataset.card.origins[s].get("teacher", 0) for s in dataset.splits()) == 30
    prompts = "".join(e["prompt"] for row in rows_of(dataset) for e in row.source["lineage"] if e["step"] == "write")
    assert not any(text in prompts for text in held_out) and any(text in prompts for text in mine)


def test_a_copy_of_an_example_is_no_row(workspace: Workspace, tmp_path: Path) -> None:
    from random import Random

    from synth.context import Context
    from synth.pipeline.candidate import Candidate, Rejected
    from synth.pipeline.output import media_in
    from synth.pipeline.step import Env
    from synth.pipeline.steps.checks import Unlike, unlike

    file = tmp_path / "mine.csv"
    file.write_text("text,label\nMy chest hurts since Monday,urgent\n")
    env = Env(Context(media_in(tmp_path), Random), {}, tmp_path)
    longer = "It is about my brother: my chest hurts, he said, and then that he would go to work all the same."
    held = ["Please help. My chest hurts since Monday, what now?", "Hello,\n- My chest hurts since  Mondays.\nBye"]
    texts = ["my chest hurts since Monday!", "The pharmacy was closed on Sunday", longer, *held]
    found = list(unlike(iter([Candidate(t, {"m": t}) for t in texts]), Unlike(field="m", path=str(file)), env))
    assert [isinstance(one, Rejected) for one in found] == [True, False, False, True, True]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    skill=st.floats(0.3, 1),
    rows=st.integers(1, 12),
    seed=st.integers(0, 9),
    faults=st.sampled_from([{}, {"refusal": 0.2}, {"truncated": 0.3}, {"empty": 0.2, "null-usage": 0.2}, {"cut": 0.1}]),
)
def test_what_goes_into_a_step_is_kept_or_rejected(
    tmp_path: Path, skill: float, rows: int, seed: int, faults: dict[str, float]
) -> None:
    import tempfile

    place = Workspace(Path(tempfile.mkdtemp(dir=tmp_path)))
    with serve_in_thread(StubSettings(skill=skill, faults=faults, seed=seed)) as stub:
        try:
            dataset = work.start("made", describe_plan(stub, rows=rows, seed=seed), Outside(place, price))
        except UserError as error:
            assert error.code in ("pipeline.nothing_accepted", "pipeline.exhausted"), error
            return
    assert len(rows_of(dataset)) == rows
    check_counts(dataset)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refusal", "the teacher declined"),
        ("truncated", "the answer was cut at the token limit"),
        ("empty", "the answer is empty"),
        ("400", "no answer came"),
    ],
)
def test_an_answer_that_failed_is_never_a_row(name: str, reason: str, workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(script=("ok", name, "ok", "ok"))) as stub:
        plan = short_plan(tmp_path / "p", stub, 4, concurrency=1)
        dataset = work.start("short", plan, Outside(workspace, price))
    assert len(rows_of(dataset)) == 3 and dataset.card.rejected == {f"ask: {reason}": 1}
    check_counts(dataset)


@pytest.mark.parametrize(
    "name", ["429", "429-date", "502", "503", "529", "reset", "html", "cut", "no-choices", "null-usage"]
)
def test_a_passing_fault_costs_no_row(name: str, workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(script=("ok", name), retry_after_sec=0.05)) as stub:
        dataset = work.start("short", short_plan(tmp_path / "p", stub, 6), Outside(workspace, price))
    assert len(rows_of(dataset)) == 6


def test_an_answer_that_drips_is_given_up_after_the_time_that_was_set_and_costs_no_row(
    workspace: Workspace, tmp_path: Path
) -> None:
    with serve_in_thread(StubSettings(script=("ok", "drip"), drip_sec=60)) as stub:
        plan = short_plan(tmp_path / "p", stub, 6)
        patient = {name: one.model_copy(update={"timeout_sec": 1.0}) for name, one in plan.teachers.items()}
        began = time.monotonic()
        dataset = work.start("short", plan.model_copy(update={"teachers": patient}), Outside(workspace, price))
    assert len(rows_of(dataset)) == 6 and len(stub.requests) == 7
    assert time.monotonic() - began < 30


def test_a_full_disk_stops_the_run_and_the_answers_before_it_are_kept(
    stub: Stub, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth.endpoint import ReplyCache

    write = ReplyCache.write

    def full(self: ReplyCache, key: str, reply: Reply) -> int:
        if len(self) >= 10:
            raise StorageError("Cannot write: No space left on device.", "Free some space.")
        return write(self, key, reply)

    with monkeypatch.context() as patched, pytest.raises(StorageError, match="No space left") as caught:
        patched.setattr(ReplyCache, "write", full)
        work.start("short", short_plan(tmp_path / "p", stub, 40), Outside(workspace, price))
    assert "pipeline resume short" in caught.value.remedy and len(stub.requests) <= 10 + 2 * 8
    dataset = work.resume("short", Outside(workspace, price))
    assert len(rows_of(dataset)) == 40 and stub.paid == 40  # those whose answers were lost are not billed again


def test_a_refused_key_stops_at_once_and_says_how_to_go_on(workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(api_key="right")) as stub, pytest.raises(EndpointError) as caught:
        work.start("short", short_plan(tmp_path / "p", stub, 50), Outside(workspace, price))
    assert len(stub.requests) == 1 and caught.value.code == "endpoint.401"
    assert "0 rows are accepted" in caught.value.message and "pipeline take" not in caught.value.remedy
    assert "pipeline resume short" in caught.value.remedy


def test_a_declining_phrase_is_no_answer() -> None:
    assert fault(Reply("I'm sorry, but I can't help with that.")) == "the teacher declined"
    assert fault(Reply("I’m sorry, but I cannot write that.")) == "the teacher declined"
    assert fault(Reply("I am sorry to hear that you are ill; please call us.")) == ""


def test_marks_that_a_teacher_copies_from_the_prompt_never_stand_in_a_row() -> None:
    prompt = "Rewrite this.\n<text>\nIt rains.\n</text>"
    for answer in ("<text>\nRain falls.\n</text>", "  <text>Rain falls.</text>", "Rain falls.\n</text>"):
        assert unmarked(answer, prompt) == "Rain falls." and fault(Reply(answer), prompt) == ""
    announced = "Here it is:\n\n<text>\nRain falls."
    for answer in (announced, f"{announced}\n</text>"):
        assert unmarked(answer, prompt) == "Rain falls." and fault(Reply(answer), prompt) == ""
    for copied in (prompt, f"{announced}\n</text>\nIs it right?", "<text>\nRain.\n</text>\n<text>\nIt falls.\n</text>"):
        assert "repeats the prompt's <text> marks" in fault(Reply(copied), prompt)
    assert fault(Reply("<text>\n</text>"), prompt) != ""
    assert unmarked(announced, "Draw it as SVG.") == announced and fault(Reply(announced), "Draw it as SVG.") == ""


def test_a_piece_of_the_prompt_is_no_text_that_a_teacher_wrote(workspace: Workspace, tmp_path: Path) -> None:
    said = ["Answer question 0", "question 1.", '"Answer question 2"', "The answer is 3"]
    rows = [{"prompt": f"Answer question {n}", "answer": answer} for n, answer in enumerate(said)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serve_in_thread(StubSettings(answers=tmp_path / "answers.jsonl", accuracy=1.0)) as stub:
        plan = short_plan(tmp_path / "p", stub, len(said))
        short(tmp_path / "p", SHORT.replace("into: said", "into: said, echo: false"))
        dataset = work.start("short", plan, Outside(workspace, price))
    assert [row.target for row in rows_of(dataset)] == ["The answer is 3"]
    assert dataset.card.rejected["parse: the answer repeats the prompt"] == 3


def test_a_line_of_the_instructions_is_no_row_and_a_quotation_of_the_source_is(tmp_path: Path) -> None:
    asked = "Answer briefly, in the words of the text.\nThe lake is nine metres deep at its end."
    candidate = Candidate("s", {"text": "The lake is nine metres deep at its end."}).noting("ask", prompt=asked)
    reply = {
        "Sure. Answer briefly, in the words of the text. Nine metres.": "the answer repeats the prompt",
        "As it says: The lake is nine metres deep at its end.": "",
        "It is nine metres.": "",
    }
    settings = Parse(form="text", into="said", echo=False)
    for said, reason in reply.items():
        (outcome,) = parse(iter([candidate.having(reply=said)]), settings, Env(Context(fail), {}, tmp_path))
        assert getattr(outcome, "reason", "") == reason
    lines = Parse(form="lines", into="item", items=True, echo=False)
    said = "- Answer briefly, in the words of the text.\n- how deep a lake is\n- the text"
    found = list(parse(iter([candidate.having(reply=said)]), lines, Env(Context(fail), {}, tmp_path)))
    assert [one.fields["item"] for one in found if isinstance(one, Candidate)] == ["how deep a lake is", "the text"]
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["a line repeats the prompt"]


def fail(*_: Any) -> str:
    raise AssertionError("no media here")


def answering(answer: Callable[[dict[str, Any]], str | None]) -> tuple[Callable[..., Got], list[dict[str, Any]]]:
    """A server that says what `answer` makes of a request, and refuses one that it makes None of; and the requests."""
    asked: list[dict[str, Any]] = []

    def send(sent: Sent, gone: Callable[[], bool]) -> Got:
        asked.append(json.loads(sent.body))
        said = answer(asked[-1])
        if said is None:
            return Got(400, (), b'{"error": {"message": "response_format json_schema is not supported"}}')
        choice = {"message": {"content": said}, "finish_reason": "stop"}
        return Got(200, (), json.dumps({"choices": [choice], "usage": {}}).encode())

    return send, asked


CHOOSES = """
version: 1
title: Chooses
about: One label for each row.
inputs: {seeds: {title: Seeds, kind: path}}
steps:
  - {step: records, path: $seeds}
  - {step: ask, prompt: "Which label has {{ question }}?", choices: [hot, cold], max_tokens: 60, temperature: 0}
  - {step: parse, form: label, labels: [hot, cold], into: said}
  - {step: row, prompt: "{{ question }}", target: "{{ said }}"}
"""


@pytest.mark.parametrize("takes_formats", [True, False])
def test_a_server_holds_an_answer_to_the_choices_where_it_can(
    takes_formats: bool, workspace: Workspace, tmp_path: Path
) -> None:
    def answer(body: dict[str, Any]) -> str | None:
        if "response_format" not in body:
            return "It is cold."
        if not takes_formats:
            return None
        (key, schema), *_ = body["response_format"]["json_schema"]["schema"]["properties"].items()
        return json.dumps({key: schema["enum"][0]})

    send, asked = answering(answer)
    teachers = {"teacher": TeacherPlan(model="m", base_url="http://127.0.0.1:9/v1", concurrency=4)}
    given = {"seeds": str(seeds(tmp_path / "p", 12))}
    plan = RunPlan(pipeline=short(tmp_path / "p", CHOOSES), inputs=given, teachers=teachers)
    dataset = work.start("made", plan, Outside(workspace, send=send))
    assert {row.target for row in rows_of(dataset)} == {"hot" if takes_formats else "cold"}
    assert len(rows_of(dataset)) == 12 and len(asked) <= (12 if takes_formats else 12 + 4)


def test_people_that_give_the_prompt_back_are_no_personas_and_no_answers(workspace: Workspace) -> None:
    def answer(body: dict[str, Any]) -> str:
        prompt, number = body["messages"][-1]["content"], len(asked)
        if prompt.startswith("Somebody: "):
            return f"- people who have something to do with this person\n- {prompt.splitlines()[0]} number {number}"
        if prompt.startswith("You are "):
            return " ".join(sha256_bytes(str(number).encode())[place : place + 8] for place in range(0, 40, 8))
        return f"{prompt.splitlines()[-1]} {'Upstairs.' * (number % 2)}"

    send, asked = answering(answer)
    teachers = {"teacher": TeacherPlan(model="m", base_url="http://127.0.0.1:9/v1", concurrency=1)}
    given = {"task": "Questions to a library", "people": "a nurse,a roofer"}
    plan = RunPlan(pipeline="personas", inputs=given, rows=2, teachers=teachers)
    with pytest.raises(RunError, match="repeats the prompt"):
        work.start("made", plan, Outside(workspace, send=send))
    steps = {step["step"]: step for step in json.loads((workspace.pipelines / "made/counts.json").read_text())["steps"]}
    assert steps["read people"]["rejected"] == {"a line repeats the prompt": 2} and steps["read people"]["kept"] == 2
    assert steps["read answer"]["rejected"].keys() == {"the answer repeats the prompt"}
    assert steps["read answer"]["kept"] == 0


def test_a_stopped_run_goes_on_without_paying_twice(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    plan = short_plan(tmp_path / "p", stub, 60)
    with pytest.raises(RunError, match="stopped") as caught:
        work.start("short", plan, Outside(workspace, price, stop=lambda: len(stub.requests) >= 20))
    assert caught.value.code == "run.stopped" and "paid" in caught.value.message
    paid_before = len(stub.requests)
    assert paid_before < 60
    dataset = work.resume("short", Outside(workspace, price))
    assert len(stub.requests) == 60 and len(rows_of(dataset)) == 60
    assert dataset.card.usd == pytest.approx(
        sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in stub.requests)
    )


def test_one_edited_seed_asks_one_question(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    plan = short_plan(tmp_path / "p", stub, 30)
    work.start("first", plan, Outside(workspace, price))
    assert len(stub.requests) == 30
    seeds(tmp_path / "p", 30, edited=7)
    dataset = work.start("second", plan, Outside(workspace, price))
    assert len(stub.requests) == 31
    texts = [row.prompt[-1].text for row in rows_of(dataset)]
    assert len(texts) == 30 and "question 7 edited" in texts and "question 7" not in texts


def test_an_edited_prompt_asks_only_what_it_changes(workspace: Workspace, tmp_path: Path) -> None:
    source = find_pipeline("describe-a-domain")
    folder = tmp_path / "mine"
    (folder / "prompts").mkdir(parents=True)
    (folder / "mine.yaml").write_text(source.path.read_text())
    for name, text in source.prompts().items():
        (folder / "prompts" / name).write_text(text)
    with serve_in_thread(StubSettings(skill=1.0)) as stub:
        plan = describe_plan(stub, rows=10).model_copy(update={"pipeline": str(folder / "mine.yaml")})
        work.start("first", plan, Outside(workspace, price))
        assert len(stub.requests) == 1 + 10 + 10  # topics, texts, second looks: none that nobody needs
        (folder / "prompts" / "label-text.md").write_text(source.prompts()["label-text.md"] + " One word.")
        dataset = work.start("second", plan, Outside(workspace, price))
        assert len(stub.requests) == 21 + 10  # topics and texts came from the cache
    assert len(rows_of(dataset)) == 10


def test_the_cap_is_never_passed_and_a_higher_one_goes_on(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    plan = short_plan(tmp_path / "p", stub, 80, cap_usd=0.004)
    with pytest.raises(EndpointError) as caught:
        work.start("short", plan, Outside(workspace, price))
    billed = sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in stub.requests)
    assert caught.value.code == "endpoint.budget" and "--cap" in caught.value.remedy
    assert 0.003 < billed <= 0.004
    before = len(stub.requests)
    dataset = work.resume("short", Outside(workspace, price), cap_usd=1.0)
    assert len(rows_of(dataset)) == 80 and len(stub.requests) == 80 and before < 80


def test_answers_without_usage_count_against_the_cap_of_a_later_session(workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(faults={"null-usage": 1.0})) as stub:
        plan = short_plan(tmp_path / "p", stub, 80, cap_usd=0.004)
        with pytest.raises(EndpointError, match="cap of"):
            work.start("short", plan, Outside(workspace, price))
        before = len(stub.requests)
        with pytest.raises(EndpointError, match="cap of"):
            work.resume("short", Outside(workspace, price))
    assert 0 < before < 30 and len(stub.requests) == before  # each may have cost its worst case


@pytest.mark.usefixtures("soon")
def test_answers_of_no_use_count_against_the_cap_of_every_later_session(workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(script=("ok", *["no-choices"] * 2000))) as stub:
        plan = short_plan(tmp_path / "p", stub, 80, cap_usd=0.004)
        with pytest.raises(EndpointError):
            work.start("short", plan, Outside(workspace, price))
        for _ in range(3):
            with pytest.raises(EndpointError):
                work.resume("short", Outside(workspace, price))
        billed = sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in stub.requests)
    assert 0.001 < billed <= 0.004


@pytest.mark.parametrize("sum_of_money", ["NaN", "-1", '"0.1"', "null", "1e999"])
def test_a_ledger_that_somebody_changed_loosens_no_cap(
    sum_of_money: str, stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(EndpointError, match="cap of"):
        work.start("short", short_plan(tmp_path / "p", stub, 80, cap_usd=0.004), Outside(workspace, price))
    paid = workspace.pipelines / "short" / "paid.jsonl"
    lines = paid.read_text("utf-8").splitlines()
    lines[0] = re.sub(r'"at_most_usd":[^,}]+', f'"at_most_usd":{sum_of_money}', lines[0])
    paid.write_text(
        "\n".join([*lines, "[]", "{}", '{"key": [], "value": {}}', '{"key": "x", "value": 3}']) + "\n", "utf-8"
    )
    before = len(stub.requests)
    with pytest.raises(StorageError, match="no cap can hold"):
        work.resume("short", Outside(workspace, price))
    assert len(stub.requests) == before


def test_what_a_capped_run_accepted_can_be_taken(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    plan = short_plan(tmp_path / "p", stub, 80, cap_usd=0.004)
    with pytest.raises(EndpointError) as caught:
        work.start("short", plan, Outside(workspace, price))
    before = len(stub.requests)
    dataset = work.take("short", workspace)
    assert len(stub.requests) == before and 0 < len(rows_of(dataset)) <= before
    assert f"{len(rows_of(dataset))} rows are accepted" in caught.value.message
    check_counts(dataset)


def test_a_cap_without_a_price_is_refused_before_anything_is_asked(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(EndpointError, match="no price"):
        work.start("short", short_plan(tmp_path / "p", stub, 5, cap_usd=1.0), Outside(workspace))
    assert stub.requests == []


def test_seeds_that_run_out_are_told_and_nothing_is_lost(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        work.start("short", short_plan(tmp_path / "p", stub, 5, rows=9), Outside(workspace, price))
    assert caught.value.code == "pipeline.exhausted" and "5 of 9 rows" in caught.value.message
    assert len(rows_of(work.take("short", workspace))) == 5


@pytest.mark.usefixtures("soon")
def test_seeds_that_meet_a_teacher_without_answers_are_not_called_too_few(workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(faults={"no-choices": 1.0})) as stub, pytest.raises(RunError) as caught:
        work.start("short", short_plan(tmp_path / "p", stub, 2, rows=9), Outside(workspace, price))
    assert "the teacher did not answer. See that it answers" in caught.value.message
    assert caught.value.remedy == "`smolstudio pipeline resume short` goes on.", "there is no answer to read or to take"


@pytest.mark.parametrize(
    ("accepted", "silent", "others", "said"),
    [(8, 1, 0, "The seeds ran out."), (0, 3, 4, "The seeds ran out."), (1, 4, 2, "did not answer")],
)
def test_a_teacher_is_called_silent_only_where_most_seeds_met_no_answer(
    accepted: int, silent: int, others: int, said: str
) -> None:
    reasons = Counter({work.NO_ANSWER: silent, **{f"reason {n}": 1 for n in range(others)}})
    engine = SimpleNamespace(accepted=accepted, reasons=lambda: reasons)
    assert said in work._exhausted(engine).message  # type: ignore[arg-type]


def test_a_run_without_a_row_says_what_was_rejected_and_offers_no_empty_dataset(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    plan = short_plan(tmp_path / "p", stub, 3, rows=9)
    short(
        tmp_path / "p",
        SHORT.replace("{step: parse,", "{step: length, field: reply, min_chars: 999}\n  - {step: parse,"),
    )
    with pytest.raises(RunError, match=r"0 of 9 rows are accepted.*Rejected: 3 reply is too short") as caught:
        work.start("short", plan, Outside(workspace, price))
    assert "pipelines/short/rejected" in caught.value.remedy and "take" not in caught.value.remedy


def test_a_run_that_accepts_nothing_ends_before_it_spends_all(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    plan = short_plan(tmp_path / "p", stub, 900)
    short(
        tmp_path / "p",
        SHORT.replace("{step: parse,", "{step: length, field: reply, min_chars: 999}\n  - {step: parse,"),
    )
    with pytest.raises(RunError, match=r"last 200 candidates was accepted \(200 reply is too short") as caught:
        work.start("short", plan, Outside(workspace, price))
    assert caught.value.code == "pipeline.nothing_accepted" and len(stub.requests) < 250


def test_seeds_that_are_out_before_anything_was_asked_end_no_run_and_no_preview(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    plan = short_plan(tmp_path / "p", stub, 3)
    table = Path(plan.inputs["seeds"])
    first, *others = table.read_text().splitlines()
    table.write_text("\n".join([*[first] * 250, *others]) + "\n")
    assert len(forecast.preview(plan, Outside(workspace, price), 5).rows) == 3
    dataset = work.start("short", plan, Outside(workspace, price))
    assert len(rows_of(dataset)) == 3 and dataset.card.rejected == {"records: the same seed twice": 249}


def test_answers_outside_the_schema_are_counted_and_never_asked_for_without_end(
    workspace: Workspace, tmp_path: Path
) -> None:
    answers = ['{"said": "yes"}', '```json\n{"Said": 7}\n```', "yes", '{"other": 1}', '{"said": ["yes"]}', '{"said": ']
    rows = [{"prompt": f"Answer question {n}", "answer": answer} for n, answer in enumerate(answers)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serve_in_thread(StubSettings(answers=tmp_path / "answers.jsonl", accuracy=1.0)) as stub:
        plan = short_plan(tmp_path / "p", stub, len(answers))
        short(tmp_path / "p", SHORT.replace("form: text, into: said", "form: json, keys: [said]"))
        dataset = work.start("short", plan, Outside(workspace, price))
        assert len(stub.requests) == len(answers)
    assert sorted(row.target for row in rows_of(dataset)) == ["7", "yes"]
    reasons = {"parse: the answer holds no JSON object": 2, "parse: the JSON object lacks 'said'": 2}
    assert dataset.card.rejected == reasons
    check_counts(dataset)


@pytest.mark.slow
def test_a_preview_of_the_rows_it_asks_for_forecasts_the_bill_within_ten_percent(
    stub: Stub, workspace: Workspace
) -> None:
    plan = describe_plan(stub, rows=300)
    short_one = forecast.preview(plan, Outside(workspace, price), 20)
    assert len(short_one.rows) == 20 and short_one.paid_usd
    wanted = short_one.forecast.rows_for_tenth
    assert wanted is not None and 20 < wanted < 300
    seen = forecast.preview(plan, Outside(workspace, price), wanted)
    assert len(seen.rows) == wanted and seen.paid_usd is not None and seen.forecast.usd is not None
    after_preview = len(stub.requests)
    dataset = work.start("triage", plan, Outside(workspace, price))
    bill = sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in stub.requests)
    assert seen.forecast.usd == pytest.approx(bill, rel=0.10)
    before = short_one.paid_usd + seen.paid_usd
    assert dataset.card.usd == pytest.approx(bill - before)  # answers of previews are not paid again
    assert {row.id for row in seen.rows} <= {row.id for row in rows_of(dataset)} and after_preview > 20


def test_answers_of_candidates_on_their_way_when_a_preview_ends_are_no_cost_of_its_rows(workspace: Workspace) -> None:
    with serve_in_thread(StubSettings(skill=0.8)) as stub:
        seen = forecast.preview(describe_plan(stub, rows=300), Outside(workspace, price), 20)
    steps = {step.step: step for step in seen.steps}
    ended = seen.forecast.accepted + seen.forecast.rejected
    assert steps["agree"].rejected and steps["write"].kept > ended  # some were on their way
    assert set().union(*(step.rejected for step in seen.steps)) == {"label and seen_as disagree"}
    each = sum((steps[name].usd or 0) / steps[name].kept for name in ("write", "second look"))
    assert seen.forecast.usd_per_row == pytest.approx(each * ended / seen.forecast.accepted)


@pytest.mark.slow
def test_a_killed_run_repeats_at_most_what_was_in_flight(workspace: Workspace, tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(latency_sec=0.03)) as stub:
        folder = tmp_path / "p"
        argv = [sys.executable, "-P", "-m", "studio", "pipeline", "run", short(folder), f"seeds={seeds(folder, 120)}"]
        argv += ["--model", "stub-model", "--base-url", stub.base_url, "--concurrency", "8", "--name", "short"]
        process = spare.fork(argv)
        while len(stub.requests) < 60 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert 60 <= len(stub.requests) < 110
        dataset = work.resume("short", Outside(workspace, price))
        assert 120 <= len(stub.requests) <= 120 + 8  # each in flight was asked again; its idempotency key is not billed
        assert stub.paid == 120
    assert len(rows_of(dataset)) == 120 and len({row.id for row in rows_of(dataset)}) == 120


@pytest.mark.slow
def test_the_rows_do_not_depend_on_which_answer_comes_first(workspace: Workspace, tmp_path: Path) -> None:
    found = []
    for concurrency in (1, 16):
        place = tmp_path / str(concurrency)
        with serve_in_thread(StubSettings(faults={"429": 0.1, "refusal": 0.1}, retry_after_sec=0.01)) as stub:
            plan = short_plan(place, stub, 40, rows=30, concurrency=concurrency)
            dataset = work.start("short", plan, Outside(Workspace(place), price))
        found.append([(row.id, row.split, row.target) for row in rows_of(dataset)])
    assert len(found[0]) == 30 and found[0] == found[1]


@pytest.mark.slow
def test_64_in_flight_are_reached_and_never_passed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many requests a second that gives is measured by the bench, on a machine that does nothing else."""
    open_now: list[int] = []
    meet = Stub._meet

    async def watched(self: Stub, request: Any, payload: bytes) -> str:
        open_now.append(self.active + 1)
        return await meet(self, request, payload)

    monkeypatch.setattr(Stub, "_meet", watched)
    with serve_in_thread(StubSettings(latency_sec=0.5)) as stub:
        work.start("short", short_plan(tmp_path / "p", stub, 320, concurrency=64), Outside(workspace, price))
    assert len(stub.requests) == 320 and 60 <= max(open_now) <= 64


def test_every_fault_of_a_pipeline_is_told_at_once(tmp_path: Path, workspace: Workspace) -> None:
    text = SHORT.replace("form: text, into", "form: prose, intoo").replace("step: dedup", "step: dedupe")
    with pytest.raises(RecipeError) as caught:
        pipeline = find_pipeline(short(tmp_path / "p", text))
        pipeline.bind(pipeline.read_inputs({"seeds": "x"}))
    said = str(caught.value)
    assert "did you mean 'dedup'" in said and "did you mean 'into'" in said and "step 3 (parse)" in said


def test_unknown_and_missing_inputs_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        find_pipeline("describe-a-domain").read_inputs({"taks": "x", "topics": "many"})
    said = str(caught.value)
    assert "did you mean 'task'" in said and "task: is missing" in said and "topics: 'many' is no integer" in said
    with pytest.raises(RecipeError, match="did you mean 'describe-a-domain'"):
        find_pipeline("describe-domain")


def test_a_prompt_that_uses_an_unknown_field_is_refused_by_name(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    plan = short_plan(tmp_path / "p", stub, 3)
    short(tmp_path / "p", SHORT.replace("Answer {{ question }}", "Answer {{ questoin }}"))
    with pytest.raises(RecipeError, match="did you mean 'question'"):
        work.start("short", plan, Outside(workspace, price))
    assert stub.requests == []


def test_seeds_and_answers_are_never_read_as_templates(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    plan = short_plan(tmp_path / "p", stub, 1)
    Path(plan.inputs["seeds"]).write_text(json.dumps({"question": "{{ 7 * 7 }} {% for %}"}) + "\n")
    dataset = work.start("short", plan, Outside(workspace, price))
    assert rows_of(dataset)[0].prompt[-1].text == "{{ 7 * 7 }} {% for %}"


def test_a_name_that_is_taken_is_refused_before_anything_is_asked(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    plan = short_plan(tmp_path / "p", stub, 3)
    work.start("short", plan, Outside(workspace, price))
    with pytest.raises(StorageError, match="already"):
        work.start("short", plan, Outside(workspace, price))
    assert len(stub.requests) == 3


FAULTY: dict[str, tuple[str, str, str]] = {
    "a field that no step makes": ("field: question, near", "field: questoin, near", "pipeline.field"),
    "a prompt that is no template": ("Answer {{ question }}", "Answer {% question", "pipeline.prompt"),
    "a prompt that fails": ("Answer {{ question }}", "Answer {{ question / 2 }}", "pipeline.prompt"),
    "a prompt that reaches into Python": ("{{ question }}", "{{ question.__class__.__mro__ }}", "pipeline.prompt"),
    "a file of a prompt that is not there": ("Answer {{ question }}", "gone.md", "pipeline.prompt"),
    "an input that is not declared": ("path: $seeds", "path: $sedes", "pipeline.invalid"),
    "no step": ("steps:", "steps: []\nother:", "pipeline.invalid"),
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_faulty_pipeline_is_a_sentence_before_anything_is_paid(
    what: str, stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    right, wrong, code = FAULTY[what]
    plan = short_plan(tmp_path / "p", stub, 3)
    short(tmp_path / "p", SHORT.replace(right, wrong, 1))
    with pytest.raises(UserError) as caught:
        work.start("short", plan, Outside(workspace, price))
    assert caught.value.code == code and caught.value.remedy
    assert code == "pipeline.field" or stub.requests == []


def test_what_a_pipeline_lacks_is_named(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    outside, plan = Outside(workspace, price), short_plan(tmp_path / "p", stub, 3)
    labels = {"task": "Sort", "labels": "", "examples": str(seeds(tmp_path / "p", 3))}
    lacking: dict[str, Callable[[], object]] = {
        "pipeline.teacher": lambda: work.start("a", plan.model_copy(update={"teachers": {}}), outside),
        "pipeline.bakeoff": lambda: forecast.bake_off(plan, outside),
        "pipeline.column": lambda: find_pipeline("describe-a-domain").read_inputs(labels),
        "pipeline.examples": lambda: own_examples(labels["examples"], 3),
    }
    for code, do in lacking.items():
        with pytest.raises(UserError) as caught:
            do()
        assert caught.value.code == code and caught.value.remedy
    assert stub.requests == []


def test_every_shipped_pipeline_can_be_bound() -> None:
    names = list(shipped_pipelines())
    assert "describe-a-domain" in names
    for name in names:
        pipeline = find_pipeline(name)
        assert pipeline.path.read_text().startswith(f"# smolstudio pipeline run {name} ")
        given = {key: "a,b" for key, one in pipeline.file.inputs.items() if one.default is None}
        pipeline.bind(pipeline.read_inputs(given))
        assert all(pipeline.prompts().values())


def test_an_input_wins_over_a_column_of_its_name_and_any_column_can_be_named(
    stub: Stub, workspace: Workspace, tmp_path: Path
) -> None:
    text = SHORT.replace("Answer {{ question }}", "{{ task }} {{ fields['a column'] }}").replace(
        "inputs: {", "inputs: {task: {title: Task}, "
    )
    folder = tmp_path / "p"
    plan = short_plan(folder, stub, 1).model_copy(update={"pipeline": short(folder, text)})
    row = {"question": "q", "task": "not this", "a column": "value", "step": 1, "file": 2, "self": 3}
    Path(plan.inputs["seeds"]).write_text(json.dumps(row) + "\n")
    plan = plan.model_copy(update={"inputs": {**plan.inputs, "task": "Sort: this"}})
    (made,) = rows_of(work.start("short", plan, Outside(workspace, price)))
    assert [entry["prompt"] for entry in made.source["lineage"] if "prompt" in entry] == ["Sort: this value"]
    assert made.source["lineage"][0]["row"]["task"] == "not this"


def test_five_thousand_rows_of_three_labels_do_not_run_out_of_cells() -> None:
    pipeline = find_pipeline("describe-a-domain")
    steps = pipeline.bind(pipeline.read_inputs({"task": "x", "labels": "a,b"}))
    grid: Any = next(step.settings for step in steps if step.name == "grid")
    assert grid.per_cell * 2 * 12 >= 20_000
