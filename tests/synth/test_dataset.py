from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import BaseModel

from synth import build as pipeline
from synth import generators
from synth.context import Context
from synth.dataset import Card, DatasetDir, DatasetWriter, open_dataset
from synth.errors import DataError, RecipeError, RunError, StorageError
from synth.example import Example, Split, make_example, user
from synth.generators import GeneratorInfo, Offers, kept, rejected
from synth.scoring.verify import Verdict
from synth.storage import atomic_dir
from synth.workspace import Workspace


def row(text: str, split: Split = "train") -> Example:
    return make_example([user(text)], "a", answer="a", family="f", template="t", split=split)


def write(workspace: Workspace, name: str = "d") -> DatasetDir:
    with atomic_dir(workspace.datasets / name) as folder:
        writer = DatasetWriter(folder)
        writer.keep(row("one"))
        writer.keep(row("two", "test"))
        writer.reject(row("three"), "duplicate")
        writer.finish(Card(name=name))
    return DatasetDir(workspace.datasets / name)


def test_rows_in_are_kept_plus_rejected_and_come_back_equal(workspace: Workspace) -> None:
    dataset = write(workspace)
    assert dataset.card.rows_in == sum(dataset.card.splits.values()) + sum(dataset.card.rejected.values()) == 3
    assert list(dataset.examples("train")) == [row("one")]
    assert [r.reason for r in dataset.rejected()] == ["duplicate"]
    assert dataset.verify() == []
    assert "1 rejected" in (dataset.path / "README.md").read_text()


def test_changed_file_is_noticed(workspace: Workspace) -> None:
    dataset = write(workspace)
    with (dataset.path / "test.jsonl").open("a") as file:
        file.write("{}\n")
    assert dataset.verify() == ["test.jsonl changed since the dataset was made"]
    with pytest.raises(DataError, match=r"test\.jsonl line 2"):
        list(dataset.examples("test"))


def test_unknown_dataset_names_the_nearest(workspace: Workspace) -> None:
    write(workspace, "invoices")
    with pytest.raises(DataError, match="did you mean 'invoices'"):
        open_dataset("invoice", workspace.datasets)


def test_a_name_is_the_workspaces_before_it_is_a_folder_here(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(workspace, "invoices")
    shutil.copytree(workspace.datasets / "invoices", tmp_path / "here/invoices")
    monkeypatch.chdir(tmp_path / "here")
    assert open_dataset("invoices", workspace.datasets).path == workspace.datasets / "invoices"
    assert open_dataset("./invoices", workspace.datasets).path == Path("invoices")


def test_media_reference_cannot_leave_the_dataset(workspace: Workspace) -> None:
    with pytest.raises(DataError, match="outside"):
        write(workspace).media_path("../../secret")


class Spec(BaseModel, extra="forbid"):
    seed: int = 0
    train: int = 3


VERSION = 1


def generate(spec: Spec, context: Context) -> Offers:
    for number in range(spec.train):
        yield kept(row(f"question {spec.seed} {number}"))
        yield rejected({"n": number}, "odd") if number % 2 else rejected({"n": number}, "even")
    context.add_media(b"png", ".png")


def check(row: Example) -> Verdict:
    return Verdict("wrong" not in row.target, "the toy is wrong")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generators.GENERATORS, "toy", GeneratorInfo("toy", "Toy", "text", __name__, "A toy."))


@pytest.mark.usefixtures("toy")
def test_build_is_deterministic_and_counts_reasons(workspace: Workspace) -> None:
    first = pipeline.build_dataset("toy", {"seed": 1}, "a", workspace)
    second = pipeline.build_dataset("toy", {"seed": 1}, "b", workspace)
    assert first.card.sha256 == second.card.sha256
    assert first.card.rejected == {"even": 2, "odd": 1}
    assert len(list((first.path / "media").iterdir())) == 1
    assert [e.prompt for e in pipeline.preview_rows("toy", {"seed": 1}, 2)] == [
        e.prompt for e in list(first.examples("train"))[:2]
    ]


@pytest.mark.usefixtures("toy")
def test_stopped_build_leaves_nothing(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="nothing was kept"):
        pipeline.build_dataset("toy", {}, "a", workspace, stop=lambda: True)
    assert list(workspace.datasets.iterdir()) == []


@pytest.mark.usefixtures("toy")
def test_faulty_requests_are_sentences(workspace: Workspace) -> None:
    with pytest.raises(RecipeError, match="did you mean 'toy'"):
        pipeline.build_dataset("toi", {}, "a", workspace)
    with pytest.raises(RecipeError, match=r"sed: unknown setting .did you mean 'seed'") as caught:
        pipeline.build_dataset("toy", {"sed": 1, "train": "many"}, "a", workspace)
    assert "train" in str(caught.value)
    with pytest.raises(DataError, match="cannot be a name"):
        pipeline.build_dataset("toy", {}, "../a", workspace)
    pipeline.build_dataset("toy", {}, "a", workspace)
    with pytest.raises(StorageError, match="exists already"):
        pipeline.build_dataset("toy", {}, "a", workspace)
