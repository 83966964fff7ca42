"""Changed files of every kind that is read end in a result or in one of our sentences, and within seconds.

SMOLSTUDIO_FUZZ=5000 python -m pytest tests/faults/test_fuzz.py     other changes than usual, and so many each
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluate.predict.imported import read_predictions
from recipes.recipe.schema import load_recipe
from synth.errors import RecipeError, UserError
from synth.importing.importer import import_data
from synth.workspace import Workspace
from tests.faults.fuzzing import CORPUS, PARSERS, mutated, write

pytestmark = pytest.mark.slow

USUAL = 30
EXAMPLES = int(os.environ.get("SMOLSTUDIO_FUZZ", USUAL))
LONGEST_SEC = 20.0


def test_every_parser_has_seeds_that_are_small_and_read_as_they_are(tmp_path: Path) -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(PARSERS)
    for name, parse in PARSERS.items():
        seeds = sorted((CORPUS / name).iterdir())
        assert len(seeds) >= 2
        for number, seed in enumerate(seeds):
            folder = tmp_path / f"{name}-{number}"
            files = {"": seed.read_bytes()} if seed.is_file() else {
                f.relative_to(seed).as_posix(): f.read_bytes() for f in seed.rglob("*") if f.is_file()
            }  # fmt: skip
            parse(write(files, seed, folder / "given"), folder)
    assert sum(f.stat().st_size for f in CORPUS.rglob("*") if f.is_file()) < 200_000


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", PARSERS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES == USUAL,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_no_change_of_a_file_ends_in_anything_but_a_sentence(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(sorted((CORPUS / name).iterdir())), label="seed")
    files = data.draw(mutated(seed), label="files")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="smolstudio-fuzz-") as scratch:
        folder = Path(scratch) / "deep" / "enough"
        try:
            PARSERS[name](write(files, seed, folder / "given"), folder)
        except UserError as error:
            assert error.message and error.code
        outside = [path for path in Path(scratch).rglob("*") if not path.is_relative_to(folder) and path.is_file()]
        assert outside == []
    assert time.monotonic() - began < LONGEST_SEC


# --- what they found, and what was found while they were written


def test_a_recipe_of_others_whose_datasets_are_no_list_is_a_sentence() -> None:
    with pytest.raises(RecipeError, match="datasets: True is no list"):
        load_recipe({"base_model": "starter-text", "adapter": "qlora", "datasets": True})


def test_an_archive_whose_directory_lacks_a_name_is_read_without_it(tmp_path: Path) -> None:
    data = (CORPUS / "archives/pictures.zip").read_bytes()
    place = data.rindex(b"a.png")
    (tmp_path / "a.zip").write_bytes(data[:place] + b"\0" + data[place + 1 :])  # zipfile ends names at a NUL
    with contextlib.suppress(UserError):
        import_data(tmp_path / "a.zip", "mine", Workspace(tmp_path / "workspace"))


@pytest.mark.parametrize(
    "splits", ["[]", "{", '{"splits": 1}', '{"splits": [1, "."]}', '{"splits": ["..", "../saved"]}']
)
def test_a_saved_dataset_names_folders_in_it_and_no_others(tmp_path: Path, splits: str) -> None:
    shutil.copytree(CORPUS / "folders/saved", tmp_path / "saved")
    (tmp_path / "saved/dataset_dict.json").write_text(splits)
    with contextlib.suppress(UserError):
        import_data(tmp_path / "saved", "mine", Workspace(tmp_path / "workspace"))


def test_a_saved_dataset_names_tables_in_it_and_no_others(tmp_path: Path) -> None:
    shutil.copytree(CORPUS / "folders/saved", tmp_path / "saved")
    table = tmp_path / "outside.arrow"
    table.write_bytes((tmp_path / "saved/train/data-00000-of-00001.arrow").read_bytes())
    state = {"_data_files": [{"filename": "../../outside.arrow"}]}
    (tmp_path / "saved/train/state.json").write_text(json.dumps(state))
    with pytest.raises(UserError, match="outside"):
        import_data(tmp_path / "saved", "mine", Workspace(tmp_path / "workspace"))


def test_predictions_in_csv_may_have_long_cells(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"id,text\ne1,{'a' * 200_000}\n")
    assert len(read_predictions(tmp_path / "p.csv")["e1"].text) == 200_000
