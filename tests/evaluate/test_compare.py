"""Comparisons: local models, endpoint and imported predictions to one report; killed, resumed, nothing paid twice."""

from __future__ import annotations

import datetime
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evaluate.compare import render_again, run_comparison
from evaluate.plan import Plan, dump_plan
from studio.cli import app
from studio.engines.task import KINDS
from studio.stub.endpoint import StubSettings, serve_in_thread
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, EndpointError, ModelError, RunError
from synth.example import make_example, user
from synth.jobdir import JobDir
from synth.storage import read_json, read_jsonl
from synth.workspace import Workspace
from tests import spare
from tests.tiny import tiny_llama

pytestmark = pytest.mark.slow

SPLITS = {"train": 12, "test": 24, "test_ood": 8}


@pytest.fixture
def dataset(workspace: Workspace) -> DatasetDir:
    folder = workspace.datasets / "sums"
    folder.mkdir(parents=True)
    writer, number = DatasetWriter(folder), 0
    for split, count in SPLITS.items():
        for _ in range(count):
            number += 1
            writer.keep(
                make_example(
                    [user(f"What is {number} + 5?")],
                    f"Answer: {number + 5}",
                    answer=str(number + 5),
                    family=f"sums-{number % 2}",
                    template=f"t{number % 6}",
                    scorer="math",
                    split=split,  # type: ignore[arg-type]
                )
            )
    writer.finish(Card(name="sums", seconds=2.0, created="2026-01-01"))
    return DatasetDir(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tiny"))


def plan_of(systems: list[dict[str, Any]], **more: Any) -> Plan:
    plain = {"name": "Sums & co", "dataset": "sums", "baselines": False}
    return Plan.model_validate({**plain, "systems": systems, **more})


def local(tiny: Path, key: str = "tiny", **more: Any) -> dict[str, Any]:
    return {"id": key, "model": str(tiny), "max_new_tokens": 8, **more}


def endpoint(url: str, key: str = "stub", **more: Any) -> dict[str, Any]:
    return {"id": key, "kind": "endpoint", "model": "gpt-4o-mini", "base_url": url, "concurrency": 4, **more}


def test_every_kind_of_system_meets_in_one_report(workspace: Workspace, dataset: DatasetDir, tiny: Path) -> None:
    rows = [e for split in ("test", "test_ood") for e in dataset.examples(split)]  # type: ignore[arg-type]
    mine = workspace.path / "mine.csv"
    mine.write_text("id,text\n" + "\n".join(f"{e.id},{e.target}" for e in rows[1:]))
    with serve_in_thread(StubSettings(answers=dataset.path / "test.jsonl", accuracy=0.75)) as stub:
        systems = [
            local(tiny),
            local(tiny, "tiny-few", prompting="few_shot", shots=2),
            endpoint(stub.base_url),
            endpoint(stub.base_url, "stub-schema", prompting="schema"),
            {"id": "mine", "kind": "predictions", "path": str(mine)},
        ]
        path = run_comparison(plan_of(systems, small="mine", large="stub"), workspace)
    found = read_json(path)
    by_id = {system["id"]: system for system in found["systems"]}
    assert list(by_id) == ["tiny", "tiny-few", "stub", "stub-schema", "mine"]
    assert by_id["mine"]["splits"]["test"]["n"] == 24
    assert by_id["mine"]["splits"]["test"]["scored"] == 23, "a row that the file lacks is unscored, not zero"
    assert by_id["mine"]["splits"]["test"]["value"] == 1.0
    assert 0.4 < by_id["stub"]["splits"]["test"]["value"] < 1.0
    assert by_id["tiny"]["params"] > 50_000
    assert by_id["tiny"]["requests_per_s"] > 0
    assert by_id["tiny-few"]["shots"] == 2
    assert by_id["stub"]["cost"]["usd_per_1k"] > 0
    assert by_id["mine"]["cost"]["usd_per_1k"] is None
    assert {item["kind"] for item in found["ledger"]} == {"generation", "evaluation"}
    assert JobDir(path.parent).status() == "done"
    scores = [line.value for line in read_jsonl(path.parent / "scores.jsonl")]
    assert len(scores) == 5 * 32
    assert (path.parent / "report.html").is_file()
    assert (path.parent / "report.md").is_file()


def test_adding_a_system_runs_only_that_system(workspace: Workspace, dataset: DatasetDir, tiny: Path) -> None:
    with serve_in_thread() as stub:
        first = run_comparison(plan_of([endpoint(stub.base_url)]), workspace, comparison_id="one")
        asked = len(stub.requests)
        run_comparison(plan_of([endpoint(stub.base_url), local(tiny)]), workspace, comparison_id="two")
        assert len(stub.requests) == asked == 32
    before, after = read_json(first), read_json(workspace.comparisons / "two" / "report.json")
    assert before["systems"][0]["usage"] == after["systems"][0]["usage"]


def test_the_same_id_is_taken_up_again_with_equal_scores(workspace: Workspace, dataset: DatasetDir, tiny: Path) -> None:
    # Without speed, which is measured anew where it did not hold.
    plan = plan_of([local(tiny), local(tiny, "few", prompting="few_shot")], speed_rounds=0)
    path = run_comparison(plan, workspace, comparison_id="c")
    scores, report = (path.parent / "scores.jsonl").read_bytes(), read_json(path)
    run_comparison(plan, workspace, comparison_id="c")
    again = read_json(path)
    assert (path.parent / "scores.jsonl").read_bytes() == scores
    report["provenance"]["created"] = again["provenance"]["created"]
    assert again == report


def test_without_turns_no_price_stands_on_one_reading_of_the_clock(
    workspace: Workspace, dataset: DatasetDir, tiny: Path
) -> None:
    report = read_json(run_comparison(plan_of([local(tiny)], speed_rounds=0), workspace))
    system = next(one for one in report["systems"] if one["method"] != "baseline")
    assert system["requests_per_s"] is None
    assert system["cost"]["usd_per_1k"] is None
    assert "its speed was not measured" in system["cost"]["basis"]
    assert report["what_if"]["small_usd_per_request"] is None


def test_views_are_written_again_from_the_report(workspace: Workspace, dataset: DatasetDir, tiny: Path) -> None:
    path = run_comparison(plan_of([local(tiny)]), workspace)
    kept = {name: (path.parent / name).read_bytes() for name in ("report.json", "report.md", "report.html")}
    (path.parent / "report.html").unlink()
    render_again(path, workspace)
    assert {name: (path.parent / name).read_bytes() for name in kept} == kept


def test_the_studio_and_the_command_line_write_the_same_bytes(
    workspace: Workspace, dataset: DatasetDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noon(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Noon:
            return cls(2026, 1, 1, 12, tzinfo=tz)

    monkeypatch.setattr("evaluate.lineage.datetime", Noon)
    folder = workspace.comparisons / "same"
    with serve_in_thread(StubSettings(answers=dataset.path / "test.jsonl", accuracy=0.7)) as stub:
        plan = plan_of([endpoint(stub.base_url), endpoint(stub.base_url, "schema", prompting="schema")])
        (tmp_path / "plan.yaml").write_text(dump_plan(plan))
        app(["compare", str(tmp_path / "plan.yaml"), "--id", "same"], standalone_mode=False)
        by_command = {name: (folder / name).read_bytes() for name in ("report.html", "report.md", "report.json")}
        # What the studio's page hands to its background task, and what that task does with it.
        arguments = {"plan": plan.model_dump(mode="json"), "comparison_id": "same"}
        KINDS["compare"](JobDir(tmp_path / "task"), workspace, arguments)
    assert {name: (folder / name).read_bytes() for name in by_command} == by_command


def test_a_refused_key_ends_in_one_sentence(workspace: Workspace, dataset: DatasetDir) -> None:
    settings = StubSettings(api_key="right")
    with serve_in_thread(settings) as stub, pytest.raises(EndpointError, match="does not accept the key"):
        run_comparison(plan_of([endpoint(stub.base_url)]), workspace, comparison_id="c")
    ended = JobDir(workspace.comparisons / "c").exit()
    assert ended is not None
    assert (ended.verdict, ended.code) == ("failed", "endpoint.401")
    assert len(stub.requests) == 1


def test_a_misspelt_last_system_costs_nothing(workspace: Workspace, dataset: DatasetDir) -> None:
    with serve_in_thread() as stub, pytest.raises(ModelError, match="no model 'starter-tex'"):
        run_comparison(plan_of([endpoint(stub.base_url), {"id": "x", "model": "starter-tex"}]), workspace)
    assert not stub.requests


def test_answers_without_usage_count_against_the_cap_whenever_it_is_taken_up_again(
    workspace: Workspace, dataset: DatasetDir
) -> None:
    with serve_in_thread(StubSettings(faults={"null-usage": 1.0})) as stub:
        systems = [endpoint(stub.base_url, "a", spend_cap_usd=0.0005, max_new_tokens=100), endpoint(stub.base_url, "b")]
        asked = []
        for _ in range(3):
            with pytest.raises(EndpointError, match="spend cap"):
                run_comparison(plan_of(systems), workspace, comparison_id="c")
            asked.append(len(stub.requests))
        assert asked[0] > 1 and asked[1:] == asked[:1] * 2
        systems[0]["spend_cap_usd"] = 1.0
        run_comparison(plan_of(systems), workspace, comparison_id="c")


def test_splits_without_rows_are_refused(workspace: Workspace, dataset: DatasetDir) -> None:
    plan = plan_of([{"id": "p", "kind": "predictions", "path": "x"}], splits=["val"])
    with pytest.raises(DataError, match="no rows in val"):
        run_comparison(plan, workspace)


def test_predictions_for_other_rows_are_refused(workspace: Workspace, dataset: DatasetDir) -> None:
    foreign = workspace.path / "foreign.csv"
    foreign.write_text("id,text\n1,12\n2,13\n")
    with pytest.raises(DataError, match="no prediction for any row"):
        run_comparison(plan_of([{"id": "p", "kind": "predictions", "path": str(foreign)}]), workspace)


def test_the_time_to_measure_what_was_forgotten_is_a_fixed_cost(
    workspace: Workspace, dataset: DatasetDir, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(dataset.examples("train"))[:4]
    monkeypatch.setattr("evaluate.forgetting._rows_for", lambda plan, count: rows)
    found = read_json(run_comparison(plan_of([local(tiny)], forgetting_rows=4), workspace))
    lines = [line for line in found["fixed_costs"]["items"] if "own families" in line["label"]]
    assert [line["kind"] for line in lines] == ["evaluation"]
    assert lines[0]["seconds"] > 0


def test_an_unknown_metric_is_refused_before_anything_is_paid(workspace: Workspace, dataset: DatasetDir) -> None:
    with serve_in_thread() as stub, pytest.raises(DataError, match="did you mean 'exact'"):
        run_comparison(plan_of([endpoint(stub.base_url)], metric="exakt"), workspace)
    assert not stub.requests


def test_fewer_rows_are_a_random_part_of_more(workspace: Workspace, dataset: DatasetDir) -> None:
    drawn = []
    with serve_in_thread() as stub:
        for most in (4, 10):
            path = run_comparison(plan_of([endpoint(stub.base_url)], max_rows=most, splits=["test"]), workspace)
            lines = read_jsonl(path.parent / "scores.jsonl")
            drawn.append([str((line.value or {})["example_id"]) for line in lines])
        assert len(stub.requests) == 10
    every = [example.id for example in dataset.examples("test")]
    assert set(drawn[0]) < set(drawn[1]) < set(every)
    assert drawn[1] == [name for name in every if name in drawn[1]]
    assert drawn[1] != every[:10]


def test_a_stop_request_is_obeyed_and_taken_up(workspace: Workspace, dataset: DatasetDir) -> None:
    with serve_in_thread() as stub:
        plan = plan_of([endpoint(stub.base_url)])
        with pytest.raises(RunError) as caught:
            run_comparison(plan, workspace, stop=lambda: len(stub.requests) >= 9, comparison_id="c")
        assert caught.value.code == "run.stopped"
        assert JobDir(workspace.comparisons / "c").status() == "stopped"
        run_comparison(plan, workspace, comparison_id="c")
        assert 32 <= len(stub.requests) <= 32 + 4, "only what was on its way is asked again"


WORKER = """
import sys
from evaluate.compare import run_comparison
from evaluate.plan import load_plan
from synth.workspace import resolve_workspace
run_comparison(load_plan(sys.argv[1]), resolve_workspace(), comparison_id="killed")
"""


def test_killed_twice_and_resumed_pays_no_answer_twice(
    workspace: Workspace, dataset: DatasetDir, tmp_path: Path
) -> None:
    with serve_in_thread(StubSettings(latency_sec=0.1)) as stub:
        plan = plan_of([endpoint(stub.base_url, concurrency=2), endpoint(stub.base_url, "schema", prompting="schema")])
        (tmp_path / "plan.yaml").write_text(dump_plan(plan))
        command = [sys.executable, "-P", "-c", WORKER, str(tmp_path / "plan.yaml")]
        for target in (8, 40):
            worker = spare.fork(command)
            while stub.paid < target and worker.poll() is None:
                time.sleep(0.01)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        path = run_comparison(plan, workspace, comparison_id="killed")
    in_flight = 2 + 4
    assert stub.paid == 64
    assert len(stub.requests) <= 64 + in_flight, "only what was on its way is asked again"
    found = read_json(path)
    assert [system["splits"]["test"]["scored"] for system in found["systems"]] == [24, 24]
    assert "OPENAI_API_KEY" not in json.dumps(found)
