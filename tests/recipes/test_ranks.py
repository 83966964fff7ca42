"""Several processes that train one run: they equal one at the same global batch, one writes, a killed one is told.

What differs between two processes and one is the order in which fp32 numbers are added: padding to another longest
row, two partial sums instead of one. That is some 1e-7 of a loss or gradient at each step. AdamW divides each gradient
by its own size, so that where a gradient is next to nothing its rounding decides the update's sign: a tensor may differ
by a small share of the distance that it travelled. Hence losses to 1e-5, tensors to a hundredth of the mean distance.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes.models.loading import load_for_inference
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.train import ranks
from recipes.train.ranks import Ranks, Repeated
from recipes.train.repeatable import Batches
from recipes.train.work import _refuse_strangers
from studio.engines import jobs, launched
from studio.engines.launched import Launch
from studio.read import curves
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import RecipeError, RunError
from synth.workspace import Workspace
from tests import spare, workers
from tests.ports import free_port
from tests.rank import launched_env
from tests.studio.test_views import page, text
from tests.tiny import sums_dataset, tiny_llama
from tests.tiny_audio import tiny_whisper, tones_dataset
from tests.tiny_vision import picture_dataset, tiny_vlm
from tests.workers import losses

STEPS = 6


FSDP = "distributed_type: FSDP\nfsdp_config: {fsdp_version: 2}\n"


def together(run: Run, *options: str, world: int = 2, disturbed: str = "@") -> list[int]:
    """Exit codes of `world` processes that train a run, as `accelerate launch` would start them.

    disturbed: what happens to the second of them (`tests.rank`).
    """
    made = []
    for rank, env in enumerate(launched_env(world)):
        words = [disturbed if rank == 1 else "@", str(run.path), *options]
        made.append(spare.fork([sys.executable, "-P", "-m", "tests.rank", *words], env=env))
    return [process.wait(240) for process in made]


Making = Callable[[Workspace, Path], dict[str, Any]]


def of_text(workspace: Workspace, folder: Path) -> dict[str, Any]:
    sums_dataset(workspace.datasets / "rows", train=44, val=4)
    return {"method": "text_sft", "base_model": str(tiny_llama(folder))}


def of_pairs(workspace: Workspace, folder: Path) -> dict[str, Any]:
    return {**of_text(workspace, folder), "method": "text_dpo", "lora_alpha": 64}


def of_judged(workspace: Workspace, folder: Path) -> dict[str, Any]:
    options = of_text(workspace, folder)
    (workspace.datasets / "judged").mkdir()
    writer = DatasetWriter(workspace.datasets / "judged")
    rows = DatasetDir(workspace.datasets / "rows")
    for number, row in enumerate(row for split in rows.splits() for row in rows.examples(split)):
        writer.keep(row.model_copy(update={"rejected": None, "label": number % 3 > 0}))
    writer.finish(Card(name="judged"))
    return {**options, "method": "text_kto", "dataset": "judged"}


def of_pictures(workspace: Workspace, folder: Path) -> dict[str, Any]:
    picture_dataset(workspace, "rows", rows=44)
    return {"method": "vision_sft", "base_model": str(tiny_vlm(folder, "SmolVLM")), "max_length": None}


def of_speech(workspace: Workspace, folder: Path) -> dict[str, Any]:
    tones_dataset(workspace.datasets / "rows", train=44)
    return {"method": "audio_sft", "base_model": str(tiny_whisper(folder))}


def of_speech_pairs(workspace: Workspace, folder: Path) -> dict[str, Any]:
    tones_dataset(workspace.datasets / "rows", train=44, wrong=True)
    return {"method": "audio_dpo", "base_model": str(tiny_whisper(folder)), "lora_alpha": 64}


def made_run(workspace: Workspace, name: str, options: dict[str, Any], processes: int, **more: Any) -> Run:
    """Six steps of eight rows together, the last of four, in fp32 and without dropout."""
    common = {
        "dataset": "rows",
        "max_steps": STEPS,
        "learning_rate": 1e-3,
        "bf16": False,
        "torch_compile": "off",
        "lora_r": 4,
        "save_steps": 3,
        "logging_steps": 1,
        "eval_steps": 3,
        "per_device_train_batch_size": 8 // processes,
    }
    return Run.create(workspace, load_recipe({**common, **options, **more}), name)


def test_processes_share_out_each_batch_that_one_would_read() -> None:
    lengths = [7 * n % 31 for n in range(45)]
    for group in (True, False):
        whole = list(Batches(lengths, 8, 3, group))
        parts = [list(Batches(lengths, 8, 3, group, Ranks(rank, 2, 2))) for rank in range(2)]
        for batch, first, second in zip(whole, *parts, strict=True):
            assert sorted({*first, *second}) == sorted(batch)
            assert abs(len(first) - len(second)) <= 1 and first and second
            longest = [max(lengths[i] for i in part) for part in (first, second)]
            assert not group or max(longest) == max(lengths[i] for i in batch)


def test_of_a_batch_with_fewer_rows_than_processes_each_row_counts_once() -> None:
    shared = [Ranks(rank, 4, 4).mine([7, 8, 9]) for rank in range(4)]
    assert shared == [[7], [8], [9], [7]]
    assert [isinstance(rows, Repeated) for rows in shared] == [False, False, False, True]


def test_a_process_that_never_comes_is_not_waited_for_as_long_as_one_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in launched_env(2)[0].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ranks, "MEET", timedelta(seconds=0.1))
    with pytest.raises(RunError, match="One of the 2 processes of this training ended before the others"):
        ranks.join()


def test_a_process_that_reads_other_rows_or_weights_ends_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ranks, "names", lambda self, own: [own, own])
    _refuse_strangers([{"data": {"train.jsonl": "a"}}, 0])
    monkeypatch.setattr(Ranks, "names", lambda self, own: [own, "of other rows"])
    with pytest.raises(RunError, match="Process 1 of this training would learn something else") as refused:
        _refuse_strangers([{"data": {"train.jsonl": "a"}}, 0])
    assert refused.value.code == "run.machine"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("making", "world"), [(of_text, 3), (of_pairs, 2), (of_judged, 3), (of_pictures, 2), (of_speech, 2)]
)
def test_several_processes_equal_one_at_the_same_global_batch(
    workspace: Workspace, tmp_path: Path, making: Making, world: int
) -> None:
    """Six rows together, and the last two: of three processes, one then has none."""
    options = {**making(workspace, tmp_path / "model"), "max_examples": 32, "max_val_examples": 2}
    alone, shared = (made_run(workspace, f"by{n}", options, n, per_device_train_batch_size=6 // n) for n in (1, world))
    workers.finish(alone)
    assert together(shared, world=world) == [0] * world, (shared.path / "worker.log").read_text()[-2000:]
    assert alone.exit() and shared.exit(), "done"
    assert [*losses(alone)] == [*losses(shared)] == [*range(1, STEPS + 1)]
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-5)
    validated = [[event["loss"] for event in run.events("eval")] for run in (alone, shared)]
    assert validated[1] == pytest.approx(validated[0], rel=1e-5)
    tokens = [[event["tokens"] for event in run.events("step")] for run in (alone, shared)]
    assert tokens[0] == tokens[1]
    first, second = (load_file(run.adapter / "adapter_model.safetensors") for run in (alone, shared))
    travelled = 1e-3 * STEPS / 2  # learning rate × steps, halved by the schedule
    apart = {name: float((first[name] - second[name]).abs().mean()) for name in first}
    assert first.keys() == second.keys() and max(apart.values()) < travelled / 100, apart


@pytest.mark.slow
def test_one_writes_the_others_leave_no_trace_and_memory_of_each_is_told(workspace: Workspace, tmp_path: Path) -> None:
    run = made_run(workspace, "shared", of_text(workspace, tmp_path / "model"), 2)
    assert together(run) == [0, 0]
    for kind, count in (("step", STEPS), ("plan", 1), ("eval", 2), ("checkpoint", 2)):
        assert len(run.events(kind)) == count, kind
    assert all(len(event["rank_memory_mb"]) == 2 and min(event["rank_memory_mb"]) > 50 for event in run.events("step"))
    told = curves.ranks(run)
    assert len(told) == 2 and {one.machine for one in told} == {socket.gethostname()}
    assert all("CPU thread" in one.device and (one.memory_mb or 0) > 50 for one in told)
    assert "2 processes on one machine train it together" in text(page("runs", run=run.id))
    kept = {path.name for path in run.path.iterdir()}
    assert kept <= {
        *("recipe.yaml", "env.json", "events.jsonl", "worker.log", "lock", "checkpoints", "adapter", "exit.json"),
        "preflight.json",
    }


@pytest.mark.slow
def test_a_killed_process_ends_the_run_at_once_and_it_resumes_exactly(workspace: Workspace, tmp_path: Path) -> None:
    options = {**of_text(workspace, tmp_path / "model"), "lora_dropout": 0.1}
    whole, killed = (made_run(workspace, name, options, 2) for name in ("whole", "killed"))
    assert together(whole) == [0, 0]
    started = time.monotonic()
    codes = together(killed, disturbed="kill@4")
    assert codes[1] == -signal.SIGKILL and codes[0] == 1 and time.monotonic() - started < 60
    ended = killed.exit()
    assert ended and (ended.verdict, ended.code) == ("failed", "run.rank")
    assert "One of the 2 processes of this training ended before the others" in ended.sentence
    assert workers.finish(killed, "--resume").exit() != ended
    refused = killed.exit()
    assert refused and "was trained by 2 processes and cannot be resumed by 1" in refused.sentence
    assert together(killed, "--resume", disturbed="stop@4") == [0, 0]
    ended = killed.exit()
    assert ended and ended.verdict == "stopped" and "Stopped after step 5" in ended.sentence
    (killed.path / "stop").unlink()  # as whoever resumes it does
    assert together(killed, "--resume") == [0, 0]
    assert losses(killed) == losses(whole)
    first, second = (load_file(run.adapter / "adapter_model.safetensors") for run in (whole, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_process_that_measures_another_validation_loss_ends_with_the_others(
    workspace: Workspace, tmp_path: Path
) -> None:
    options = {**of_text(workspace, tmp_path / "model"), "early_stopping_patience": 1, "load_best_model_at_end": True}
    run = made_run(workspace, "differing", {**options, "eval_steps": 2}, 2)
    assert together(run, disturbed="worse@4") == [0, 0]
    assert len(run.events("step")) == STEPS, "rank 0 saw the loss fall"


@pytest.mark.slow
def test_accelerate_launches_a_run_and_a_killed_rank_is_named_within_30_s(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lent: list[spare.Forked]
) -> None:
    """The whole way: `train --engine accelerate` with FSDP2, a rank killed from outside, resumed as it was begun; one
    process loads the adapter."""
    import psutil

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = tmp_path / "fsdp.yaml"
    file.write_text(FSDP)
    options = of_text(workspace, tmp_path / "model")
    recipe = made_run(workspace, "unused", options, 2, max_steps=40, save_steps=5, eval_steps=40).recipe
    run = jobs.start_training(workspace, recipe, "launched", launch=Launch(num_processes=2, config_file=str(file)))

    def wait_while(true: Callable[[], bool], seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while true():
            assert time.monotonic() < deadline, (run.exit(), (run.path / "worker.log").read_text()[-3000:])
            time.sleep(0.02)

    def at_work() -> bool:
        return run.status() in ("queued", "running")

    wait_while(lambda: at_work() and not run.events("plan"))
    of_run = [p for p in psutil.process_iter(["cmdline"]) if str(run.path) in (p.info["cmdline"] or [])]
    found = {p.environ()["RANK"]: p for p in of_run if "RANK" in p.environ()}
    wait_while(lambda: at_work() and not run.events("checkpoint"))
    found["1"].kill()
    wait_while(at_work, 30)
    ended = run.exit()
    assert ended and ended.code == "run.rank" and "rank 1, killed by signal 9" in ended.sentence
    assert not psutil.wait_procs(found.values(), timeout=30)[1], "no process is left behind"
    jobs.resume_training(run)
    wait_while(at_work)
    ended = run.exit()
    assert ended and ended.verdict == "done", (ended, (run.path / "worker.log").read_text()[-3000:])
    assert [event["step"] for event in run.events("step")].count(1) == 1, "it went on from its checkpoint"
    assert launched.launch_of(run).shards  # type: ignore[union-attr]
    assert load_for_inference(recipe.base_model, run.adapter).info.params


@pytest.mark.slow
def test_two_machines_that_are_started_apart_equal_one_process(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands with one process each, over gloo; the second one writes nothing of its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = of_text(workspace, tmp_path / "model")
    alone = workers.finish(made_run(workspace, "alone", options, 1))
    recipe = made_run(workspace, "unused", options, 2).path / "recipe.yaml"
    port = free_port()
    words = [
        sys.executable,
        "-P",
        "-m",
        "studio",
        "train",
        str(recipe),
        "--engine",
        "accelerate",
        "--num-processes",
        "2",
    ]
    words += ["--num-machines", "2", "--main-process-ip", "127.0.0.1", "--main-process-port", str(port)]
    words += ["--id", "apart", "--workspace", str(workspace.path), "--machine-rank"]
    both = [spare.fork([*words, str(rank)], stdout=subprocess.PIPE) for rank in (1, 0)]
    said = [one.communicate(timeout=200)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    apart = Run(workspace.runs / "apart")
    assert losses(apart) == pytest.approx(losses(alone), rel=1e-5)
    assert len(apart.events("step")) == STEPS and len(apart.events("plan")) == 1
    first, second = (load_file(run.adapter / "adapter_model.safetensors") for run in (alone, apart))
    far = {name: float((first[name] - second[name]).abs().mean()) for name in first}
    assert first.keys() == second.keys() and max(far.values()) < 1e-3 * STEPS / 2 / 100, far


@pytest.mark.slow
@pytest.mark.parametrize("making", [of_text, of_pictures, of_speech, of_pairs, of_speech_pairs])
def test_a_4_bit_base_in_two_parts_learns_what_a_whole_one_does(
    workspace: Workspace, tmp_path: Path, making: Making
) -> None:
    """FSDP2: each of two processes holds half of each frozen layer; one process then loads the adapter."""
    options = {**making(workspace, tmp_path / "model"), "quant.load_in_4bit": True, "quant.weights": "packed"}
    whole, parts = (made_run(workspace, name, options, 2) for name in ("whole", "parts"))
    assert together(whole) == [0, 0], (whole.path / "worker.log").read_text()[-2000:]
    assert together(parts, "--shard") == [0, 0], (parts.path / "worker.log").read_text()[-2000:]
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    first, second = (load_file(run.adapter / "adapter_model.safetensors") for run in (whole, parts))
    apart = {name: float((first[name] - second[name]).abs().mean()) for name in first}
    assert first.keys() == second.keys() and max(apart.values()) < 1e-3 * STEPS / 2 / 100, apart
    assert load_for_inference(options["base_model"], parts.adapter).info.params


@pytest.mark.slow
def test_a_base_in_two_parts_goes_on_exactly_after_a_kill(workspace: Workspace, tmp_path: Path) -> None:
    packed = {"quant.load_in_4bit": True, "quant.weights": "packed", "lora_dropout": 0.1}
    options = {**of_text(workspace, tmp_path / "model"), **packed}
    whole, killed = (made_run(workspace, name, options, 2) for name in ("whole", "killed"))
    assert together(whole, "--shard") == [0, 0], (whole.path / "worker.log").read_text()[-2000:]
    assert together(killed, "--shard", disturbed="kill@4")[1] == -signal.SIGKILL
    ended = killed.exit()
    assert ended and ended.code == "run.rank"
    assert together(killed, "--shard", "--resume") == [0, 0], (killed.path / "worker.log").read_text()[-2000:]
    assert losses(killed) == losses(whole)
    assert [event["step"] for event in killed.events("step")][-3:] == [4, 5, 6]  # from the checkpoint of step 3
    first, second = (load_file(run.adapter / "adapter_model.safetensors") for run in (whole, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("changes", "config", "said"),
    [
        ([], "absent.yaml", "There is no file absent.yaml"),
        ([], "distributed_type: DEEPSPEED", "distributed_type DEEPSPEED, which trainings here cannot follow"),
        ([], "{distributed_type: FSDP, fsdp_config: {fsdp_version: 1}}", "Set fsdp_version: 2"),
        (["score_rows=4"], "{distributed_type: FSDP, fsdp_config: {fsdp_version: 2}}", "Set score_rows to 0"),
        ([], "{distributed_type: MULTI_GPU, num_machines: 2}", "says num_machines, which is given with the command"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_before_a_run_is_made(
    workspace: Workspace, tmp_path: Path, changes: list[str], config: str, said: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config)
    where = config if config.endswith(".yaml") else str(file) if config else ""
    sums_dataset(workspace.datasets / "rows")
    recipe = load_recipe({"base_model": "starter-text", "method": "text_sft", "dataset": "rows"}, changes)
    with pytest.raises(RecipeError) as refused:
        jobs.start_training(workspace, recipe, "never", launch=Launch(num_processes=2, config_file=where))
    assert said in str(refused.value) and refused.value.code == "recipe.launch"
    assert not workspace.runs.exists()


def test_what_gloo_says_of_a_lost_process_becomes_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:31203")
    assert ranks.as_lost(closed) is None, "alone there is nobody to lose"
    monkeypatch.setattr(ranks, "_joined", Ranks(0, 2, 2))
    lost = ranks.as_lost(closed)
    assert lost and lost.code == "run.rank" and "One of the 2 processes" in lost.message
    assert ranks.as_lost(RuntimeError("shapes do not match")) is None


def test_a_choice_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / launched.FILE).write_text('{"num_processes": 1}')
    with pytest.raises(RunError, match="does not say how many processes train") as refused:
        launched.launch_of(Run(tmp_path))
    assert refused.value.code == "run.launch"


def test_the_command_is_accelerates_and_the_choice_stays_with_the_run(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("distributed_type: MULTI_GPU\n")
    launch = Launch(num_processes=3, config_file=str(file))
    words = launched.command(tmp_path, launch, ("--resume",))
    assert words[:2] == [sys.executable, "-P"] and words[-4:] == ["recipes", str(tmp_path), "--resume", "--watched"]
    assert words[words.index("--num_processes") + 1] == "3" and words[words.index("--config_file") + 1] == str(file)
    launched.choose(Run(tmp_path), launch)
    assert launched.launch_of(Run(tmp_path)) == launch
