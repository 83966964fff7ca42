"""Published weights, tuned and exported: the formats' own runtimes answer as the tuned model does.

SMOLSTUDIO_PARITY_ROWS sets how many rows are asked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from evaluate.compare import run_comparison
from evaluate.parity import parity_gate
from evaluate.plan import Plan
from evaluate.report import render_md
from evaluate.report.reading import read_report
from recipes.audio import audio_sft
from recipes.export import targets
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.text import text_sft
from synth.build import build_dataset
from synth.dataset import Card, DatasetWriter
from synth.storage import read_json
from synth.strict import validated
from synth.workspace import Workspace
from tests.recipes.test_real import messages, text_run, weights

__all__ = ["weights"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(7200)]
EXACT = ("f16", "float16", "float32")
SHARE = 0.99  # of equal texts, of what holds the weights as they were tuned


def rows_asked(usual: int) -> int:
    return int(os.environ.get("SMOLSTUDIO_PARITY_ROWS", usual))


@pytest.fixture(scope="module")
def orders(weights: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """SmolLM2-135M after 20 steps on customers' messages."""
    place = Workspace(tmp_path_factory.mktemp("orders"))
    (place.datasets / "orders").mkdir(parents=True)
    writer = DatasetWriter(place.datasets / "orders")
    for row in (*messages(0, 160, "train"), *messages(0, rows_asked(200), "test")):
        writer.keep(row)
    writer.finish(Card(name="orders"))
    base = weights("smollm2-135m")
    run = text_run(place, base, "smollm2-135m-instruct", "sft", max_steps=20, learning_rate=1e-3)
    text_sft.train(run, run.recipe)
    return run


@pytest.fixture(scope="module")
def notes(weights: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Whisper tiny.en after an epoch on 120 dictated notes."""
    place = Workspace(tmp_path_factory.mktemp("notes"))
    build_dataset("audio", {"train": 120, "val": 0, "test": rows_asked(40), "test_ood": 0}, "notes", place)
    choices = ["num_train_epochs=1", "torch_compile=off", "eval_steps=0", "data.dataset=notes"]
    base = f"base_model={weights('whisper-tiny.en')}"
    run = Run.create(place, load_recipe("whisper-tiny-en", [*choices, base]), "notes")
    audio_sft.train(run, run.recipe)
    return run


def assert_parity(run: Run, out: Path, to: str, rows: int) -> None:
    """Exported, and asked: the gate itself refuses scores below the tuned model's interval."""
    place = Workspace(run.path.parent.parent)
    targets.export_run(run.id, place.runs, out, to, parity_gate(place, rows))
    for one in read_json(out / "manifest.json")["parity"]["artefacts"]:
        facts = {key: one[key] for key in ("artefact", "runtime", "rows", "equal", "score_tuned", "score_exported")}
        print(to, facts, *one["differences"], sep="\n  ")
        if one["artefact"] in EXACT:
            assert one["equal"] >= SHARE * one["rows"]
    for file in sorted(out.rglob("*")):
        if file.suffix in (".gguf", ".onnx", ".bin"):
            print(file.relative_to(out), f"{file.stat().st_size / 1e6:.1f} MB")


@pytest.mark.parametrize("to", ["onnx", "gguf", "merged"])
def test_smollm2_answers_in_other_runtimes_as_it_was_tuned(orders: Run, tmp_path: Path, to: str) -> None:
    assert_parity(orders, tmp_path / "out", to, rows_asked(200))


def test_a_comparison_says_what_each_export_of_smollm2_costs(orders: Run, tmp_path: Path) -> None:
    place = Workspace(orders.path.parent.parent)
    base, limit = str(orders.recipe.base_model), 48
    systems = [{"id": "tuned", "model": base, "adapter": orders.id, "max_new_tokens": limit}]
    for to, kinds in (("gguf", ("f16", "q8_0", "q4_k_m")), ("onnx", ("float32", "int8"))):
        folder = targets.export_run(orders.id, place.runs, tmp_path / to, to)
        systems += [
            {"id": f"{to}-{kind}", "model": str(folder), "artefact": kind, "max_new_tokens": limit} for kind in kinds
        ]
    plan = {"dataset": "orders", "splits": ["test"], "systems": systems, "baselines": False, "speed_rounds": 5}
    found = read_report(run_comparison(validated(Plan, plan, "plan"), place))
    print(render_md.render(found).partition("## What exporting costs")[2].partition("\n## ")[0])
    assert [one.system for one in found.exports] == [system["id"] for system in systems[1:]]
    assert all(one.n == rows_asked(200) for one in found.exports)  # equal texts are the gate's: this side is bfloat16


@pytest.mark.parametrize("to", ["onnx", "ctranslate2"])
def test_whisper_answers_in_other_runtimes_as_it_was_tuned(notes: Run, tmp_path: Path, to: str) -> None:
    assert_parity(notes, tmp_path / "out", to, rows_asked(40))
