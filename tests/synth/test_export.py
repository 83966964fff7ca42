"""Datasets in other programs' forms: nothing is left out, and what is imported again is equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from studio.cli.data import EXPORT_FORMATS
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError
from synth.example import Example, Message, ToolCall, assistant, make_example, system, user
from synth.exporting.folder import export_dataset
from synth.exporting.formats import FORMATS
from synth.importing.importer import Options, import_data
from synth.workspace import Workspace

CALL = ToolCall(name="weather", arguments={"city": "Oslo", "days": 2}, id="c1")
TOOLS = ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)


def row(*turns: Message, target: str = "yes", answer: str | None = None, **more: Any) -> Example:
    return make_example(turns, target, family="f", template="t", answer=answer or target, **more)


PLAIN = [
    row(user("One?"), target="1"),
    row(system("Be brief."), user("Two?"), target="Worked.\nAnswer: 2", answer="2"),
    row(user("u1"), assistant("a1"), user("u2\n\nmore"), target="é, “quoted”\tand tabbed"),
    row(user("Capital?"), target="Rome", source={"answers": ["Rome", "Roma"]}),
    row(user("Held out?"), split="test"),
]
PAIRS = [row(user(f"Pair {n}?"), target=f"good {n}", rejected=f"bad {n}") for n in range(3)]
JUDGED = [row(user(f"Good {n}?"), target=f"say {n}", label=True) for n in range(2)]
JUDGED.append(make_example([user("Bad?")], "say it", family="f", template="t", label=False))
AGENTS = [
    make_example([user("Warm?")], "", family="f", template="t", tools=TOOLS, tool_calls=(CALL,)),
    make_example(
        [
            user("Warm?"),
            Message(role="assistant", content=(), tool_calls=(CALL,)),
            Message(role="tool", content="12", tool_call_id="c1", name="weather"),  # type: ignore[arg-type]
        ],
        "No.",
        answer="No.",
        family="f",
        template="t",
        tools=TOOLS,
    ),
]
SKIPPED = Message(role="assistant", content="skip", learn=False)  # type: ignore[arg-type]
THINKING = [row(user("q"), SKIPPED, user("r"), target="a"), row(user("q2"), target="a2", reasoning="because")]


def dataset_of(folder: Path, rows: list[Example], modality: str = "text") -> DatasetDir:
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for example in rows:
        writer.keep(example)
    writer.finish(Card(name=folder.name, modality=modality))
    return DatasetDir(folder)


def essence(example: Example) -> tuple[Any, ...]:
    """What must survive; ids of calls are bookkeeping that ShareGPT has no place for."""
    calls = [[(c.name, c.arguments) for c in m.tool_calls] for m in (*example.prompt, example.target_message)]
    answers = example.source.get("answers") or ([example.answer] if example.answer and not example.tool_calls else [])
    turns = [(m.role, m.text, m.reasoning, m.learn) for m in example.prompt]
    return (
        example.id, turns, example.target, example.rejected, example.label, calls, example.tools, example.reasoning,
        list(answers), example.split,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows", [PLAIN, PAIRS, JUDGED, AGENTS, THINKING], ids=["plain", "pairs", "judged", "agents", "thinking"]
)
@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if not form.media_beside])
def test_what_is_exported_and_imported_again_is_equal(
    form: str, rows: list[Example], tmp_path: Path, workspace: Workspace
) -> None:
    dataset = dataset_of(tmp_path / "mine", rows)
    try:
        written = export_dataset(dataset, form, tmp_path / "out")
    except DataError as refused:
        assert "cannot hold" in refused.message
        assert rows in (AGENTS, THINKING, JUDGED)
        assert not (tmp_path / "out").exists()
        return
    assert sum(written.values()) == len(rows)
    report = import_data(tmp_path / "out", "again", workspace)
    again = DatasetDir(workspace.datasets / "again")
    found = {e.id: essence(e) for split in again.splits() for e in again.examples(split)}
    assert report.rejected == []
    assert found == {e.id: essence(e) for e in rows}


def test_the_command_offers_every_form() -> None:
    assert set(EXPORT_FORMATS) == set(FORMATS)


def test_a_form_that_cannot_hold_every_row_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"alpaca cannot hold this dataset: .*Export it as messages") as caught:
        export_dataset(dataset_of(tmp_path / "mine", AGENTS), "alpaca", tmp_path / "out")
    assert caught.value.code == "data.export" and not (tmp_path / "out").exists()


def test_an_unknown_form_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'sharegpt'"):
        export_dataset(dataset_of(tmp_path / "mine", PLAIN), "shargpt", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["", "messages", "trl", "parquet", "openai"])
def test_datasets_reads_the_folder_with_its_splits_apart(form: str, tmp_path: Path) -> None:
    from datasets import load_dataset

    dataset = dataset_of(
        tmp_path / "mine", [*PLAIN, *AGENTS[:1], row(user("v"), split="val"), row(user("o"), split="test_ood")]
    )
    folder = dataset.path
    if form:
        folder = tmp_path / "out"
        export_dataset(dataset, form, folder)
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == dict(dataset.card.splits)


@pytest.mark.slow
def test_pictures_and_recordings_come_back_byte_for_byte(tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name, colour in (("a.png", (200, 0, 0)), ("b.png", (0, 200, 0))):
        Image.new("RGB", (8, 8), colour).save(source / name)
    lines = ["file_name,question,answer,split", "a.png,What colour?,red,train", "b.png,What colour?,green,test"]
    (source / "metadata.csv").write_text("\n".join(lines))
    import_data(source, "pictures", workspace)
    for form in ("imagefolder", "messages", "trl", "sharegpt"):
        export_dataset(DatasetDir(workspace.datasets / "pictures"), form, tmp_path / form)
        import_data(tmp_path / form, f"again-{form}", workspace, Options("vision"))
        names = {p.name for p in (workspace.datasets / f"again-{form}" / "media").iterdir()}
        assert names == {p.name for p in (workspace.datasets / "pictures" / "media").iterdir()}
        again = DatasetDir(workspace.datasets / f"again-{form}")
        assert [e.target for e in again.examples("test")] == ["green"]
        assert [e.id for e in again.examples("test")] == [
            e.id for e in DatasetDir(workspace.datasets / "pictures").examples("test")
        ]
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    soundfile.write(sounds / "a.wav", 0.3 * np.sin(np.arange(8000) / 5), 16_000)
    (sounds / "metadata.csv").write_text("file_name,transcription,split\na.wav,Hello.,train\n")
    import_data(sounds, "sounds", workspace)
    export_dataset(DatasetDir(workspace.datasets / "sounds"), "audiofolder", tmp_path / "audiofolder")
    report = import_data(tmp_path / "audiofolder", "again-sounds", workspace)
    assert (report.modality, report.kept) == ("audio", 1)
