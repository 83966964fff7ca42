"""synth.curation.collapse: texts by models that lose their variety fail the gate, and texts by people never do."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from studio.cli import app
from synth.curation.collapse import LEAST, Limits, check_collapse, generation_of, monitor
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.example import Example, Origin, make_example, user
from synth.pipeline.candidate import Candidate
from synth.pipeline.records import read_records
from synth.pipeline.step import Env
from synth.pipeline.steps.row import ROW, Row
from synth.pipeline.steps.row import row as row_step
from synth.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
WORDS = [a + b for a in "bdfgklmnprstvz" for b in ("ana", "eno", "ilu", "oma", "ute", "ari", "osk")]


def varied(count: int, seed: int = 0) -> list[str]:
    rng = Random(seed)
    return [" ".join(rng.choice(WORDS) for _ in range(30)) for _ in range(count)]


def collapsed(count: int) -> list[str]:
    opening = "In today's fast-paced world it is important to note that we delve into a rich tapestry of"
    return [f"{opening} {text.split()[0]} and {text.split()[1]}." for text in varied(count, 1)]


def rows(texts: list[str], kind: str = "teacher", by: str = "tiny", generation: int = 1) -> list[Example]:
    source = {"generation": generation} if kind == "teacher" else {}
    origin = Origin.model_validate({"kind": kind, "by": by})
    return [
        make_example((user(f"Write {n} {text[:9]}"),), text, family="f", template=str(n), source=source, origin=origin)
        for n, text in enumerate(texts)
    ]


def test_a_teacher_that_repeats_itself_fails_on_every_measure_and_one_that_does_not_passes() -> None:
    report = monitor(rows(collapsed(100)) + rows(varied(100), by="other"), Limits())
    assert len(report.faults) == 4
    assert all(fault.startswith("tiny, generation 1") for fault in report.faults)
    worst = next(group for group in report.groups if group.teacher == "tiny")
    assert {"delve", "rich tapestry"} <= set(worst.phrases)
    assert worst.self_bleu is not None
    assert worst.self_bleu > 0.6


@pytest.mark.parametrize("file", ["synth/extraction/written.jsonl", "synth/math/written.jsonl"])
def test_texts_that_people_wrote_are_within_the_limits(file: str) -> None:
    lines = [json.loads(line) for line in (ROOT / file).read_text().splitlines()]
    texts = [max((value for value in line.values() if isinstance(value, str)), key=len) for line in lines]
    report = monitor(rows(texts), Limits())  # as if a model had written them
    assert len(texts) >= LEAST
    assert report.groups
    assert report.faults == ()


def test_a_user_whose_own_texts_are_alike_may_have_such_of_a_teacher_too() -> None:
    spoken = [f"Give {n} milligrams of {WORDS[n % 50]} to the patient in room {n} now please" for n in range(80)]
    assert monitor(rows(spoken), Limits()).faults
    both = monitor(rows(spoken) + rows(spoken[::-1], "real", "ward"), Limits())
    assert both.faults == ()
    assert both.real_share == 0.5


def test_too_few_rows_are_shown_and_not_judged_and_templates_are_no_models() -> None:
    few = monitor(rows(collapsed(LEAST - 1)), Limits())
    assert few.faults == ()
    assert "too few" in few.notes[0]
    assert monitor(rows(collapsed(100), "template"), Limits()).groups == ()


def test_the_least_share_of_real_rows_is_a_limit_of_its_own() -> None:
    given = rows(varied(90)) + rows(varied(10, 2), "real", "ward")
    assert monitor(given, Limits()).faults == ()
    assert monitor(given, Limits(real=0.2)).faults == (
        "10% of the training rows were not written by a model, and 20% must be",
    )


def test_a_later_generation_that_is_less_varied_is_said_before_it_is_a_fault() -> None:
    worse = [f"{' '.join(WORDS[:9])} {text}" if n % 5 == 0 else text for n, text in enumerate(varied(100, 3))]
    report = monitor(rows(varied(100)) + rows(worse, generation=2), Limits(repeated=1))
    assert report.faults == ()
    assert "generation 2 is less varied than 1" in report.notes[0]


def test_what_the_teacher_wrote_is_measured_and_not_what_every_row_shares() -> None:
    """The topics are one answer for all rows, the label is one word; the question quotes a document that repeats."""
    made = []
    for n, text in enumerate(varied(100)):
        lineage = [
            {"step": "topics", "answers": ["a list of topics " * 40]},
            {"step": "write", "answers": [text]},
            {"step": "second look", "answers": ["urgent"]},
        ]
        prompt = user("the same long extract of a document that all rows share word for word " + str(n))
        source = {"lineage": lineage, "generation": 1}
        origin = Origin(kind="teacher", by="tiny")
        made.append(make_example((prompt,), "urgent", family="f", template=str(n), source=source, origin=origin))
    report = monitor(made, Limits())
    assert report.faults == ()
    assert report.groups[0].words == 3000


def test_rows_made_from_a_models_rows_are_one_generation_later(tmp_path: Path, workspace: Workspace) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text("".join(row.model_dump_json() + "\n" for row in rows(varied(2), generation=3)))
    env = Env(None, {}, tmp_path, {"teacher": type("T", (), {"model": "tiny"})()})  # type: ignore[arg-type]
    seeds = iter([Candidate("s", fields) for fields in read_records(file)])
    made = list(row_step(seeds, Row(prompt="{{ question }}?", target="{{ target }}"), env))
    assert [generation_of(one.fields[ROW]) for one in made if isinstance(one, Candidate)] == [4, 4]


def test_data_check_fails_a_collapsed_dataset_and_limits_can_be_named(workspace: Workspace) -> None:
    folder = workspace.datasets / "bad"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for row in rows(collapsed(60)):
        writer.keep(row)
    writer.finish(Card(name="bad"))
    assert len(check_collapse(DatasetDir(folder)).faults) == 4
    place = ["--workspace", str(workspace.path)]
    failed = CliRunner().invoke(app, ["data", "check", "bad", *place])
    assert failed.exit_code == 1
    assert "tiny, generation 1: Self-BLEU" in failed.output
    assert "| tiny | 1 | 60 |" in failed.output
    loose = ["proxies=10000", "compression=100", "self_bleu=1", "repeated=1"]
    assert CliRunner().invoke(app, ["data", "check", "bad", *loose, *place]).exit_code == 0
