"""Changed files of every kind that is read end in a result or in one of our sentences, and within seconds.

SMOLSTUDIO_FUZZ=5000 python -m pytest tests/faults/test_fuzz.py     other changes than usual, and so many each
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.errors import UserError
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
