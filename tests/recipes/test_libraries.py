"""recipes.models.libraries: the garbage collector rests while a library is imported, and works again afterwards."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from recipes.models.libraries import imported


def test_the_collector_rests_during_an_import_and_works_after_it_even_after_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_large_library.py").write_text("import gc\nworked = gc.isenabled()\n")
    (tmp_path / "a_broken_library.py").write_text("import gc\ngc.collect()\nimport not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert gc.isenabled()
    assert not imported("a_large_library").worked
    assert gc.isenabled()
    with pytest.raises(ModuleNotFoundError) as caught:
        imported("a_broken_library")
    assert caught.value.name == "not_there_at_all"
    assert gc.isenabled()
