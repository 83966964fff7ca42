"""A served cascade over real HTTP: whose answer it is, what it costs, what is kept, and whether the forecast holds."""

from __future__ import annotations

import functools
import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import openai
import pytest

from evaluate.cascade import Estimate, forecast, sides
from evaluate.compare import run_comparison
from evaluate.plan import Plan
from evaluate.report.reading import read_report
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from studio.cli import app
from studio.cli.options import key_values
from studio.serving.cascade.app import CascadeApp
from studio.serving.cascade.journal import Kept
from studio.serving.cascade.large import REST_SEC, Large, Unavailable
from studio.serving.cascade.settings import kept, opened, resolved
from studio.serving.gate import Gate, names
from studio.serving.sockets import bind
from studio.state.endpoints import Endpoint, save_endpoints
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import Card, DatasetDir, DatasetWriter, open_dataset
from synth.endpoint import Ask
from synth.errors import DataError, EndpointError, ModelError, RecipeError, StorageError
from synth.example import Example, Split, make_example, user
from synth.importing.importer import import_data
from synth.scoring.scorers import score_reply
from synth.storage import read_json, read_jsonl, write_json
from synth.workspace import Workspace
from tests import spare
from tests.ports import free_port
from tests.tiny import tiny_llama

pytestmark = pytest.mark.slow

CHOICE: Any = {"extra_body": {"response_format": {"type": "choice", "choice": ["a"]}}}
ASK: Any = [{"role": "user", "content": "How many apples are 3 and 4?"}]


class Served(NamedTuple):
    """The address of a running cascade."""

    url: str

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="sk-client-0123456789", max_retries=0)

    def ask(self, messages: Any = ASK, **more: Any) -> Any:
        return self.client().chat.completions.create(messages=messages, **{"model": "served", "max_tokens": 8, **more})

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels."""
        reply = httpx.get(f"{self.url}/metrics")
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        pairs = [line.rpartition(" ") for line in reply.text.splitlines() if not line.startswith("#")]
        return {name.removeprefix("smolstudio_cascade_"): float(value) for name, _, value in pairs}


@functools.cache
def loaded(model: str) -> Loaded:
    return load_for_inference(model)


@contextmanager
def serving(workspace: Workspace, model: str, *settings: str) -> Iterator[Served]:
    """The server that the command becomes, in a thread of this process."""
    import uvicorn

    cascade = resolved(key_values(list(settings)), model, None, workspace)
    app = CascadeApp(loaded(model), (Path(model).name,), opened(kept(cascade, workspace)))
    sock = bind("127.0.0.1", 0)
    gate = Gate(app.routes(), names("127.0.0.1", ()))
    server = uvicorn.Server(uvicorn.Config(gate, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{sock.getsockname()[1]}")
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)
        sock.close()
        app.close()


@contextmanager
def commanded(workspace: Workspace, model: str, *settings: str) -> Iterator[Served]:
    """`smolstudio serve MODEL --cascade …` as a user gives it."""
    port = free_port()
    argv = [sys.executable, "-P", "-m", "studio", "serve", model, "--port", str(port), "-w", str(workspace.path)]
    process = spare.fork([*argv, "--cascade", *settings], stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            if process.poll() is not None:
                pytest.fail(process.communicate()[0])
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield Served(f"http://127.0.0.1:{port}")
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_llama(tmp_path_factory.mktemp("model") / "served", seed=3))


def large(stub: Stub, *more: str, threshold: float = 1.0) -> list[str]:
    """Settings that name the stub as the large model."""
    return [f"large={stub.base_url}", "model=gpt-4o-mini", f"threshold={threshold}", *more]


def test_an_unsure_answer_comes_from_the_large_model_and_a_sure_one_does_not(workspace: Workspace, tiny: str) -> None:
    with serve_in_thread() as stub:
        with serving(workspace, tiny, *large(stub, threshold=0.0)) as cascade:
            sure = cascade.ask()
            assert not stub.requests
            assert sure.model == "served" and sure.smolstudio["answered_by"] == "small"
            assert 0 < sure.smolstudio["confidence"] < 1
        with serving(workspace, tiny, *large(stub)) as cascade:
            raw = cascade.client().chat.completions.with_raw_response.create(model="served", messages=ASK)
            unsure = raw.parse()
            assert raw.headers["x-smolstudio-answered-by"] == "large"
            assert "[stub endpoint" in (unsure.choices[0].message.content or "")
            assert unsure.usage and unsure.usage.prompt_tokens > 0
            chunks = list(cascade.ask(stream=True, stream_options={"include_usage": True}))
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert said == unsure.choices[0].message.content
            assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 0
            found = cascade.metrics()
    assert len(stub.requests) == 2
    assert (found['requests_total{answered_by="large"}'], found["handed_on_share"], found["threshold"]) == (2, 1, 1)
    assert found["large_usd_total"] > 0
    assert "saved_usd" not in found, "what this machine's time costs was not measured"


def test_the_command_becomes_the_server(workspace: Workspace, tiny: str) -> None:
    with serve_in_thread() as stub, commanded(workspace, tiny, *large(stub)) as cascade:
        assert cascade.ask().smolstudio["answered_by"] == "large"
        assert cascade.metrics()["handed_on_share"] == 1


def test_what_no_forecast_covers_is_refused_with_a_sentence(workspace: Workspace, tiny: str) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with serve_in_thread() as stub, serving(workspace, tiny, *large(stub)) as cascade:
        for more in ({"temperature": 0.7}, {"n": 2}, {"logprobs": True}, {"tools": [tool]}, {"stop": "x"}, CHOICE):
            key = "response_format" if more is CHOICE else next(iter(more))
            with pytest.raises(openai.BadRequestError, match=f"A cascade does not do {key}: "):
                cascade.ask(**more)
        assert cascade.ask(temperature=0).smolstudio["answered_by"] == "large"
    assert len(stub.requests) == 1


def test_a_prompt_that_the_small_model_cannot_hold_goes_to_the_large_one(workspace: Workspace, tiny: str) -> None:
    with serve_in_thread() as stub, serving(workspace, tiny, *large(stub, threshold=0.0)) as cascade:
        client = cascade.client()
        reply = client.chat.completions.create(model="served", messages=[{"role": "user", "content": "apples " * 300}])
        assert reply.smolstudio == {"answered_by": "large", "confidence": None, "threshold": 0.0}  # type: ignore[attr-defined]
        assert len(stub.requests) == 1


def test_a_schema_holds_both_models(workspace: Workspace, tiny: str) -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["bug", "question"]}}, "required": ["kind"]}
    form = {
        "type": "json_schema",
        "json_schema": {"name": "issue", "schema": {**schema, "additionalProperties": False}},
    }
    with serve_in_thread() as stub:
        for threshold in (0.0, 1.0):
            with serving(workspace, tiny, *large(stub, threshold=threshold)) as cascade:
                said = cascade.ask(response_format=form, max_tokens=40).choices[0].message.content
                assert json.loads(said)["kind"] in ("bug", "question")


def test_a_large_model_that_is_down_leaves_the_small_answer_and_says_so(workspace: Workspace, tiny: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    kept = workspace.path / "kept"
    settings = [f"large={nobody}", "model=m", "threshold=1", "deadline_sec=1", f"journal={kept}"]
    with serving(workspace, tiny, *settings) as cascade:
        reply = cascade.ask()
        assert reply.smolstudio["answered_by"] == "small"
        assert "the connection failed" in reply.smolstudio["large_failed"]
        found = cascade.metrics()
        assert found['large_unavailable_total{reason="failed"}'] + found['large_unavailable_total{reason="down"}'] == 1
    rows = [line.value or {} for line in read_jsonl(kept / "large.jsonl")]
    assert rows[0]["error"].startswith("the large model did not answer"), "no import takes it for right"
    with serving(workspace, tiny, *settings, "if_large_fails=refuse") as cascade:
        with pytest.raises(openai.InternalServerError, match="unsure, and the large model does not answer") as refused:
            cascade.ask()
        assert refused.value.status_code == 503


def test_a_large_model_that_comes_back_is_asked_again(tiny: str, workspace: Workspace) -> None:
    clock = [0.0]
    with serve_in_thread(StubSettings(script=("401",))) as stub:
        values = {"large": stub.base_url, "model": "gpt-4o-mini", "threshold": 1.0}
        side = Large(resolved(values, tiny, None, workspace), now=lambda: clock[0])
        for _ in range(3):
            with pytest.raises(Unavailable, match="does not accept the key"):
                side.ask(Ask((user("?"),)))
        assert len(stub.requests) == 1, "while it rests nobody is asked"
        clock[0] = REST_SEC + 1
        assert side.ask(Ask((user("?"),))).ok
        side.close()


def test_the_spend_cap_holds_over_restarts(workspace: Workspace, tiny: str) -> None:
    def answered(cascade: Served, count: int) -> list[str]:
        texts = [[{"role": "user", "content": f"What is {n}?"}] for n in range(count)]
        return [cascade.ask(text, max_tokens=50).smolstudio["answered_by"] for text in texts]

    with serve_in_thread() as stub:
        # A question reserves its worst case, 0.000034 USD; an answer costs 0.000015.
        with serving(workspace, tiny, *large(stub, "spend_cap_usd=0.00004")) as cascade:
            assert answered(cascade, 1) == ["large"]
            spent = cascade.metrics()["large_usd_total"]
        with serving(workspace, tiny, *large(stub, f"spend_cap_usd={0.000036 + spent:.8f}")) as cascade:
            assert cascade.metrics()["large_usd_total"] == pytest.approx(spent)
            assert answered(cascade, 3) == ["large", "small", "small"]
            reply = cascade.ask(max_tokens=50)
            assert "The spend cap of $0.0000" in reply.smolstudio["large_failed"]
            assert cascade.metrics()['large_unavailable_total{reason="spend_cap"}'] >= 1


def test_what_was_spent_is_read_from_a_journal_that_somebody_changed(tmp_path: Path) -> None:
    """A sum that is no number would be above no cap."""
    said = [{"spent_usd": 0.25}, {"spent_usd": 1e400}, {"spent_usd": float("nan")}, {"spent_usd": "9"}, ["x"], None, {}]
    said += [{"spent_usd": -3}, {"spent_usd": True}, {"spent_usd": 0.125}]
    lines = [json.dumps({"cascade": one}) for one in said]
    (tmp_path / "large.jsonl").write_text("\n".join([*lines, "[]", "{"]) + "\n", "utf-8")
    kept = Kept(tmp_path, tmp_path)
    assert kept.spent_usd() == 0.25
    kept.close()


def test_the_journal_is_the_next_dataset_and_holds_no_key(workspace: Workspace, tiny: str) -> None:
    with serve_in_thread() as stub, serving(workspace, tiny, *large(stub)) as cascade:
        for number in range(12):
            cascade.ask([{"role": "user", "content": f"What is {number} and {number}?"}])
    folder = workspace.path / "recordings" / "cascade-served"
    assert "sk-client" not in (folder / "large.jsonl").read_text()
    import_data(folder / "large.jsonl", "next", workspace)
    made = open_dataset("next", workspace.datasets)
    rows = [row for split in made.card.splits for row in made.examples(split)]  # type: ignore[arg-type]
    assert len(rows) == 12
    assert {row.source["model"] for row in rows} == {"gpt-4o-mini"}
    assert all("[stub endpoint" in row.target and row.source["usd"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs an endpoint to hand over to"),
        ({"large": "gpt", "threshold": 0.5}, "Settings has no endpoint 'gpt'"),
        ({"large": "http://127.0.0.1:1/v1", "threshold": 0.5}, "needs the name of its model"),
        ({"large": "near", "threshhold": 0.5}, r"threshhold.*threshold"),
        ({"large": "near", "threshold": 50}, "less than or equal to 1"),
        ({"from": "nothing"}, "There is no finished comparison 'nothing'"),
    ],
)
def test_settings_that_name_no_cascade_are_refused(
    settings: dict[str, Any], said: str, workspace: Workspace, tiny: str
) -> None:
    with pytest.raises((RecipeError, DataError), match=f"(?s){said}"):
        resolved(settings, tiny, None, workspace)


def test_an_endpoint_of_settings_brings_its_address_model_and_cap(workspace: Workspace, tiny: str) -> None:
    known = Endpoint(name="near", base_url="http://127.0.0.1:9/v1", model="m", api_key_env="K", spend_cap_usd=2)
    save_endpoints(workspace, [known])
    found = resolved({"large": "near", "threshold": 0.5}, tiny, None, workspace)
    assert (found.large.base_url, found.large.model, found.large.api_key_env) == (known.base_url, "m", "K")
    assert (found.spend_cap_usd, found.threshold) == (2, 0.5)


def test_questions_leave_this_machine_only_when_somebody_agreed(workspace: Workspace, tiny: str) -> None:
    argv = ["serve", tiny, "--cascade", "large=https://api.example.test/v1", "model=m", "threshold=0.5"]
    with pytest.raises(EndpointError, match=r"would leave this machine: api\.example\.test is asked"):
        app(argv, standalone_mode=False)
    with pytest.raises(RecipeError, match=r"'threshold=0\.5' belongs to no option"):
        app(["serve", tiny, "threshold=0.5"], standalone_mode=False)
    with pytest.raises(ModelError, match="tells no confidences"):
        app([*argv, "--engine", "vllm"], standalone_mode=False)


# --- the forecast


SHORT = ("ages", "comparing", "half_day", "iso_dates", "one_field", "which")


def rows(split: Split, count: int, seed: int) -> list[Example]:
    """Questions of kinds that the embedded starter was made with, and a quarter that nobody taught it."""
    from recipes.starters import text_data

    rng = random.Random(seed)
    found = [row.model_copy(update={"split": split}) for row in text_data.examples(seed, count - count // 4, SHORT)]
    made_by = {"source": found[0].source, "family": "backwards", "scorer": "exact", "split": split}
    for _ in range(count // 4):
        word = "".join(rng.sample("abcdefghijklmnoprstuvw", 6))
        answer = word[::-1]
        asked = [user(f"Write {word} backwards.")]
        found.append(make_example(asked, f"Answer: {answer}", answer=answer, template=word, **made_by))  # type: ignore[arg-type]
    rng.shuffle(found)
    return found


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Stub, Path]]:
    """A comparison of the text starter with a stub that is right in 97 of 100, and rows that nobody has seen."""
    workspace = Workspace(tmp_path_factory.mktemp("compared"))
    folder = workspace.datasets / "mixed"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for row in [*rows("train", 12, 5), *rows("val", 60, 6), *rows("test", 120, 7)]:
        writer.keep(row)
    writer.finish(Card(name="mixed", created="2026-01-01"))
    later = rows("test", 120, 8)
    answers = workspace.path / "answers.jsonl"
    known = [*DatasetDir(folder).examples("val"), *DatasetDir(folder).examples("test"), *later]
    answers.write_text("".join(f"{row.model_dump_json()}\n" for row in known))
    (workspace.path / "later.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in later))
    with serve_in_thread(StubSettings(answers=answers, accuracy=0.97)) as stub:
        endpoint = {"id": "large", "kind": "endpoint", "model": "gpt-4o-mini", "base_url": stub.base_url}
        plan = Plan.model_validate({
            "dataset": "mixed", "splits": ["val", "test"], "baselines": False, "speed_rounds": 1, "choose_on_val": 0,
            "systems": [{"id": "small", "model": "starter-text", "max_new_tokens": 32}, endpoint],
            "small": "small", "large": "large", "machine": {"usd_per_hour": 0.5},
        })  # fmt: skip
        run_comparison(plan, workspace, comparison_id="one")
        yield workspace, stub, workspace.path / "later.jsonl"


def inside(value: float, found: Estimate) -> bool:
    return found.low <= value <= found.high


def test_accuracy_and_cost_of_the_served_cascade_are_those_of_the_forecast(
    compared: tuple[Workspace, Stub, Path],
) -> None:
    workspace, _, file = compared
    found = forecast(workspace, "one").chosen
    said = read_report(workspace.comparisons / "one" / "report.json").cascade
    assert said and said.chosen
    own, reported = (found.threshold, found.handed_on.value, found.score.value), said.chosen
    assert own == pytest.approx((reported.threshold, reported.escalated, reported.score), abs=1e-9), "the same choice"
    assert 0.02 < found.handed_on.value < 0.9, "the threshold parts the rows"
    later = [Example.model_validate(line.value) for line in read_jsonl(file)]
    with serving(workspace, "starter-text", "from=one") as cascade:
        measured = _answered(cascade, later)
        spent = cascade.metrics()["large_usd_total"] / len(later)
        again = list(open_dataset("mixed", workspace.datasets).examples("test"))[:40]
        same = _answered(cascade, again)
    assert inside(measured.handed_on, found.handed_on)
    assert inside(measured.score, found.score)
    assert found.large_usd is not None and inside(spent, found.large_usd)
    known = {row["example_id"]: row for row in _scores(workspace) if row["system"] == "small"}
    expected = sum(known[row.id]["confidence"] < found.threshold for row in again) / len(again)
    assert same.handed_on == pytest.approx(expected, abs=0.03), "as served, so compared"


def _scores(workspace: Workspace) -> list[dict[str, Any]]:
    return [line.value or {} for line in read_jsonl(workspace.comparisons / "one" / "scores.jsonl")]


class Measured(NamedTuple):
    handed_on: float
    score: float


def _answered(cascade: Served, examples: list[Example]) -> Measured:
    """What a client gets that sends each row's own turns and nothing else."""
    client = cascade.client()

    def one(row: Example) -> tuple[bool, float]:
        turns: Any = [{"role": m.role, "content": m.text} for m in row.prompt]
        reply = client.chat.completions.create(model="starter-text", messages=turns)
        value = score_reply(reply.choices[0].message.content or "", row).value
        return reply.smolstudio["answered_by"] == "large", value or 0.0  # type: ignore[attr-defined]

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(one, examples))
    return Measured(sum(handed for handed, _ in got) / len(got), sum(value for _, value in got) / len(got))


def test_the_command_shows_each_threshold_and_how_to_serve_it(
    compared: tuple[Workspace, Stub, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    app(["cascade", "one", "-w", str(compared[0].path)], standalone_mode=False)
    said = capsys.readouterr().out
    assert len(re.findall(r"^\d\.\d{6}", said, re.M)) >= 10
    assert "chosen on 60 val rows; all figures are of 120 rows of test" in said
    assert "--cascade from=one" in said


def test_another_model_than_the_one_that_was_compared_is_refused(
    compared: tuple[Workspace, Stub, Path], tiny: str
) -> None:
    with pytest.raises(ModelError, match="whose weights are not those of served"):
        resolved({"from": "one"}, tiny, None, compared[0])


def changed(workspace: Workspace, name: str, change: Callable[[dict[str, Any]], Any]) -> str:
    """A copy of the comparison whose report is another one."""
    folder = workspace.comparisons / name
    shutil.copytree(workspace.comparisons / "one", folder)
    report = read_json(folder / "report.json")
    change(report)
    write_json(folder / "report.json", report)
    return name


def test_comparisons_that_cannot_tell_are_refused_with_what_to_do(compared: tuple[Workspace, Stub, Path]) -> None:
    workspace = compared[0]
    alone = changed(workspace, "alone", lambda report: report.update(large=None))
    with pytest.raises(DataError, match="no large system"):
        forecast(workspace, alone)
    swapped = changed(workspace, "swapped", lambda report: report.update(small="large", large="small"))
    with pytest.raises(DataError, match="gave no confidences"):
        forecast(workspace, swapped)

    def speech(report: dict[str, Any]) -> None:
        for system in report["systems"]:
            system["metric"] = "wer"

    with pytest.raises(DataError, match="belong to all rows together"):
        forecast(workspace, changed(workspace, "speech", speech))
    torn = changed(workspace, "torn", lambda report: None)
    (workspace.comparisons / torn / "scores.jsonl").write_text('{"system": "small", "split": "test"}\n')
    with pytest.raises(StorageError, match="of this version"):
        forecast(workspace, torn)


def test_a_comparison_whose_examples_or_endpoint_cannot_be_had_again_is_refused(
    compared: tuple[Workspace, Stub, Path],
) -> None:
    workspace = compared[0]

    def few(report: dict[str, Any]) -> None:
        report["provenance"]["plan"]["systems"][1]["prompting"] = "few_shot"

    shown = changed(workspace, "shown", few)
    assert len(sides(workspace, shown).large.framing.shots) >= 8

    def older(report: dict[str, Any]) -> None:
        few(report)
        report["dataset"]["sha256"]["train.jsonl"] = "0"

    stale = changed(workspace, "stale", older)
    with pytest.raises(DataError, match="The train rows of mixed have changed since"):
        sides(workspace, stale)

    def local(report: dict[str, Any]) -> None:
        report["provenance"]["plan"]["systems"][1].update(kind="local", model="starter-text-large")

    with pytest.raises(RecipeError, match="is no endpoint"):
        resolved({"from": changed(workspace, "near", local)}, "starter-text", None, workspace)


def test_a_speech_model_is_no_cascade(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="transcribes recordings"):
        resolved({"large": "http://127.0.0.1:1/v1", "model": "m", "threshold": 0.5}, "starter-audio", None, workspace)


def test_a_comparison_without_val_rows_chooses_no_threshold(workspace: Workspace, tiny: str) -> None:
    folder = workspace.datasets / "sums"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for n in range(6):
        common = {"family": "f", "template": "t", "scorer": "exact", "split": "test"}
        writer.keep(make_example([user(f"What is {n}?")], str(n), answer=str(n), **common))  # type: ignore[arg-type]
    writer.finish(Card(name="sums", created="2026-01-01"))
    with serve_in_thread() as stub:
        systems = [
            {"id": "small", "model": tiny, "max_new_tokens": 4},
            {"id": "large", "kind": "endpoint", "model": "gpt-4o-mini", "base_url": stub.base_url},
        ]
        plan = {"dataset": "sums", "baselines": False, "speed_rounds": 0, "choose_on_val": 0, "systems": systems}
        run_comparison(Plan.model_validate({**plan, "small": "small", "large": "large"}), workspace, comparison_id="a")
    with pytest.raises(DataError, match="chosen on val rows, at least 20"):
        forecast(workspace, "a")
    assert forecast(workspace, "a", 0.5).chosen.threshold == 0.5
