"""Tuning on judged answers: TRL's loss, every adapter tensor moves, and rows without a use are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_llama
from workers import tiny_run

from recipes.run.directory import Run
from recipes.text import text_kto
from recipes.train.work import load_rows, prepare
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError, RecipeError
from synth.example import make_example, user
from synth.workspace import Workspace


def judged_dataset(folder: Path, labels: list[bool | None]) -> Path:
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for number, label in enumerate(labels):
        more = {} if label is None else {"label": label}
        writer.keep(make_example([user(f"Row {number}?")], f"say {number}", family="f", template="t", **more))
    writer.finish(Card(name=folder.name))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run_of(workspace: Workspace, model: Path, tmp_path: Path) -> Any:
    def made(labels: list[bool | None], **choices: Any) -> Run:
        dataset = judged_dataset(tmp_path / "judged", labels)
        return tiny_run(workspace, model, dataset, **{"method": "text_kto", "max_steps": 3, "eval_steps": 0, **choices})

    return made


@pytest.mark.slow
def test_good_answers_gain_and_bad_ones_lose_likelihood(run_of: Any) -> None:
    run = run_of([n % 2 == 0 for n in range(8)], max_steps=12, learning_rate=5e-3, per_device_train_batch_size=4)
    work = prepare(run, run.recipe)
    rows = text_kto.encode(load_rows(work).train, work)

    def likelihood(network: Any) -> list[float]:
        found = []
        for row in rows:
            ids = torch.tensor([row.prompt_ids + row.completion_ids])
            with torch.no_grad():
                logs = network(ids).logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
            found.append(float(logs.gather(1, torch.tensor(row.completion_ids)[:, None]).sum()))
        return found

    trainer = text_kto.build_trainer(work, rows, [])
    before = {name: p.detach().clone() for name, p in trainer.trainable().items()}
    network = work.loaded.model.eval()
    start = likelihood(network)
    trainer.train()
    end = likelihood(trainer.model.eval())
    assert all(not torch.equal(p, before[name]) for name, p in trainer.trainable().items())
    gains = [after - first for first, after in zip(start, end, strict=True)]
    good, bad = gains[0::2], gains[1::2]
    assert sum(good) / len(good) > sum(bad) / len(bad)


@pytest.mark.slow
def test_a_run_trains_and_writes_its_adapter(run_of: Any) -> None:
    run = run_of([True, False, True, True])
    result = text_kto.train(run, run.recipe)
    assert result.steps == 3
    assert (run.adapter / "adapter_model.safetensors").is_file()
    assert run.events("labels")[0]["good"] == 3


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([None, True, False], "1 of 3 rows have no label"),
        ([True, True], "labelled as good"),
        ([False] * 3, "labelled as bad"),
    ],
)
def test_rows_that_teach_no_preference_are_refused(labels: list[bool | None], sentence: str, run_of: Any) -> None:
    run = run_of(labels)
    with pytest.raises(DataError, match=sentence):
        text_kto.train(run, run.recipe)


def test_single_rows_cannot_be_compared(run_of: Any) -> None:
    run = run_of([True, False], per_device_train_batch_size=1)
    with pytest.raises(RecipeError, match="Set it to 2 or more"):
        text_kto.train(run, run.recipe)
