"""A Ray cluster of two machines generates, cleans and evaluates as one process does, also when one is lost midway."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluate.plan import SystemPlan
from evaluate.predict.journal import Predictor
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from studio.engines import machines, on_ray, rows
from studio.engines.rows import Setting
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth import ranged
from synth.build import build_dataset
from synth.curation.curate import Rules, preview_curation
from synth.endpoint.elsewhere import Got, Sent
from synth.errors import EndpointError, ModelError, RunError, StorageError
from synth.example import user
from synth.pipeline import work
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.progress import silent
from synth.ranges import Range, RangeEngine, Work
from synth.usage import Usage
from synth.workspace import Workspace
from tests.short_pipeline import SHORT
from tests.tiny import tiny_llama

PICTURES = {"train": 240, "val": 4, "test": 4, "test_ood": 4, "size": 160, "model_size": 160}
QUESTIONS = [Question(str(i), (user("word " * (i % 7) + "?"),), Path()) for i in range(70)]


class Losing:
    """A cluster that loses a machine when its second range is done, while others are open."""

    def __init__(self, engine: RangeEngine, lose: Callable[[], None]) -> None:
        self.engine, self.lose = engine, lose
        self.done_before: dict[Path, int] = {}
        self.changed: list[Path] = []
        self.open = 0

    def slots(self, model: bool = False) -> int:
        return self.engine.slots(model)

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        cut = list(ranges)
        for number, one in enumerate(self.engine.each(work, cut, stop, model), start=1):
            if number == 2 and not self.done_before:
                self.lose()
                self.done_before = {r.file: r.file.stat().st_mtime_ns for r in cut if r.done}
                self.open = len(cut) - len(self.done_before)
            yield one
        self.changed += [f for f, at in self.done_before.items() if f.is_file() and f.stat().st_mtime_ns != at]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def files(folder: Path) -> dict[str, str]:
    found = [f for f in folder.rglob("*") if f.is_file() and f.name not in ("dataset.json", "README.md")]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


@pytest.mark.slow
def test_a_machine_lost_midway_costs_only_its_open_ranges(
    workspace: Workspace, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranged, "UNITS", 8)
    second = cluster.add_node(num_cpus=1)
    alone = build_dataset("vision", PICTURES, "alone", workspace).path
    with on_ray.joined(workspace, cluster.address) as engine:
        assert engine.slots() == 2
        assert [machine.fault for machine in engine.machines()] == ["", ""]
        losing = Losing(engine, lambda: cluster.remove_node(second, allow_graceful=False))
        shared = build_dataset("vision", PICTURES, "shared", workspace, engine=losing).path
    assert losing.open > 2
    assert losing.changed == []
    assert files(shared) == files(alone)


@pytest.mark.slow
def test_two_machines_answer_and_clean_as_one_process_does(workspace: Workspace, cluster: Any, tmp_path: Path) -> None:
    from evaluate.predict import ranged as answers_ranged

    plan = SystemPlan(id="tiny", model=str(tiny_llama(tmp_path)), max_new_tokens=6)

    def said(mark: str, engine: RangeEngine | None) -> list[tuple[str, str]]:
        journal = workspace.comparisons / mark / "predictions" / "tiny.jsonl"
        predictor = Predictor(journal, mark * 64, "Tiny", workspace, retry_errors=False)
        if engine:
            found = answers_ranged.run(predictor, QUESTIONS, (plan, workspace), engine, silent, lambda: False)
        else:
            found = predictor.run(QUESTIONS, lambda: open_system(plan, Context(workspace)), silent, lambda: False)
        return sorted((p.example_id, p.text) for p in found.predictions.values())

    sums = build_dataset("math", {"train": 400, "val": 10, "test": 10, "test_ood": 10}, "sums", workspace)
    rules = Rules(near=0.4, max_target_chars=200)
    second = cluster.add_node(num_cpus=1)
    with on_ray.joined(workspace, cluster.address) as engine:
        assert said("a", engine) == said("b", None)
        assert preview_curation(sums, rules, engine=engine) == preview_curation(sums, rules)
        missing = SystemPlan(id="gone", model=str(tmp_path / "gone"))
        predictor = Predictor(workspace.path / "gone.jsonl", "c" * 64, "Gone", workspace, retry_errors=False)
        with pytest.raises(ModelError):  # what a user can do something about comes back as it is here
            answers_ranged.run(predictor, QUESTIONS, (missing, workspace), engine, silent, lambda: False)
    seen = rows.connection(workspace, cluster.address)
    assert [(machine.cpus, machine.fault) for machine in seen] == [(1, ""), (1, "")]
    cluster.remove_node(second)


def fails(one: Range) -> None:
    raise ModelError(f"{one.first} has no model.", "Name one.", "model.none")


@pytest.mark.slow
def test_work_that_fails_everywhere_at_once_ends_with_its_own_sentence_each_time(
    workspace: Workspace, cluster: Any
) -> None:
    with on_ray.joined(workspace, cluster.address) as engine:
        for number in range(
            100
        ):  # ranges that answer while they are taken back: Ray aborts a process that cancels them
            ranges = [Range(workspace.path / f"{number}-{i}.jsonl", i, i + 1) for i in range(8)]
            with pytest.raises(ModelError, match="0 has no model"):
                list(engine.each(fails, ranges, lambda: False))
    assert not list(workspace.path.glob("*engine*"))


def dies(one: Range) -> None:
    os._exit(1)


@pytest.mark.slow
def test_a_range_that_kills_every_process_ends_the_work_with_a_sentence(
    workspace: Workspace, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "RETRIES", 0)
    one = Range(workspace.path / "one.jsonl", 0, 5)
    with (
        on_ray.joined(workspace, cluster.address) as engine,
        pytest.raises(RunError, match=r"Rows 0 to 5 were begun 1 times.*memory of the machines") as caught,
    ):
        list(engine.each(dies, [one], lambda: False))
    assert caught.value.code == "engine.lost"


def is_slow(one: Range) -> None:
    time.sleep(0.5)
    one.file.write_text("")


@pytest.mark.slow
def test_without_a_machine_that_has_a_gpu_a_model_is_not_waited_for_for_ever(
    workspace: Workspace, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "LOOK_SEC", 5.0)
    second = cluster.add_node(num_cpus=1, num_gpus=1)
    ranges = [Range(workspace.path / f"{number}.jsonl", number, number + 1) for number in range(8)]
    with on_ray.joined(workspace, cluster.address) as engine:
        done = engine.each(is_slow, ranges, lambda: False, model=True)
        assert next(done) == ranges[0]
        cluster.remove_node(second, allow_graceful=False)
        with pytest.raises(RunError, match="No machine with a GPU is left in the cluster") as caught:
            list(done)
    assert caught.value.code == "engine.lost"


@pytest.mark.slow
def test_a_machine_with_another_library_is_named(workspace: Workspace, cluster: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(on_ray, "libraries", lambda: {**machines.libraries(), "pillow": "1.0"})
    with (
        pytest.raises(RunError, match=r"it has pillow [\d.]+, and the machine that asks 1\.0"),
        on_ray.joined(workspace, cluster.address),
    ):
        pass


@pytest.mark.slow
def test_a_machine_of_another_version_is_named(workspace: Workspace, cluster: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(on_ray, "code_hash", lambda: "another")
    with (
        pytest.raises(RunError, match="its smolstudio is another version") as caught,
        on_ray.joined(workspace, cluster.address),
    ):
        pass
    assert caught.value.code == "engine.machine"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "10.0.0.5:port"])
def test_an_address_where_nobody_listens_is_a_sentence_at_once(workspace: Workspace, address: str) -> None:
    with pytest.raises(RunError, match="ray start --head") as caught, on_ray.joined(workspace, address):
        pass
    assert caught.value.code == "engine.address"


def test_without_ray_the_command_says_what_to_install(workspace: Workspace) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "sys.argv = ['smolstudio', 'synth', 'vision', 'train=2', '--name', 'v', '--engine', 'ray']\n"
        "from studio.cli import main\nmain()"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.returncode == 1
    assert "pip install 'smolstudio[ray]'" in out.stderr
    assert "Traceback" not in out.stderr
    assert not (workspace.datasets / "v").exists()


def test_an_engine_that_is_none_is_refused(workspace: Workspace) -> None:
    for engine, address in (("rai", ""), ("local", "10.0.0.5:6379")):
        with pytest.raises(RunError) as caught, rows.opened(workspace, engine, address):
            pass
        assert caught.value.code == "engine.name"


def test_the_setting_is_kept_and_passes_over_what_cannot_be_shared(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rows.opened(workspace) as engine:
        assert engine is None
    rows.save(workspace, Setting(engine="ray", address="127.0.0.1:1"))
    assert rows.setting(workspace) == Setting(engine="ray", address="127.0.0.1:1")
    with rows.for_generation(workspace, "math") as engine:
        assert engine is None
    (workspace.path / rows.FILE).write_text('{"engine": "spark"}')
    with pytest.raises(StorageError) as caught:
        rows.setting(workspace)
    assert caught.value.code == "engine.setting"


def usd(usage: Usage, model: str) -> float | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return (usage.input_tokens + 4 * usage.output_tokens) / 1e6


def asking(stub: Stub, folder: Path, cap_usd: float | None = None) -> RunPlan:
    folder.mkdir(exist_ok=True)
    (folder / "short.yaml").write_text(SHORT)
    seeds = folder / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"question": f"question {n}"}) + "\n" for n in range(60)))
    teachers = {"teacher": TeacherPlan(model="stub-model", base_url=stub.base_url, concurrency=6)}
    return RunPlan(
        pipeline=str(folder / "short.yaml"), inputs={"seeds": str(seeds)}, teachers=teachers, cap_usd=cap_usd
    )


@pytest.mark.slow
def test_a_pipeline_that_two_machines_ask_for_writes_and_pays_as_one_process_also_when_one_is_lost(
    workspace: Workspace, cluster: Any, tmp_path: Path
) -> None:
    with serve_in_thread(StubSettings(skill=0.9)) as stub:
        alone = work.start("rows", asking(stub, tmp_path), Outside(workspace, usd))
        assert stub.paid == 60
    second, lost, there = cluster.add_node(num_cpus=1), list[bool](), Workspace(tmp_path / "there")
    with (
        serve_in_thread(StubSettings(skill=0.9, latency_sec=0.05)) as stub,
        on_ray.joined(there, cluster.address) as engine,
        engine.sending() as send,
    ):
        with pytest.raises(EndpointError) as stopped:
            work.start("rows", asking(stub, tmp_path, 0.003), Outside(there, usd, send=send))
        assert stopped.value.code == "endpoint.budget"
        billed = sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in stub.requests if r["paid"])
        assert 0 < billed <= 0.003, "all machines share one cap"
        before = len(stub.requests)

        def losing(sent: Sent, nobody_waits: Callable[[], bool]) -> Got:
            if len(stub.requests) > before + 5 and not lost:
                lost.append(True)
                cluster.remove_node(second, allow_graceful=False)
            return send(sent, nobody_waits)

        shared = work.resume("rows", Outside(there, usd, send=losing), cap_usd=1.0)
        assert lost and 0 < before < 60
        assert stub.paid == 60, "what was open on the lost machine has its idempotency key"
    assert files(shared.path) == files(alone.path)
    assert shared.card.rejected == alone.card.rejected
