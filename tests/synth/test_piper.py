"""Piper as a second engine: whole voices only, a process that may fail, an engine that only tests hear."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from synth.audio import Spec, piper
from synth.audio.generate import generate_with
from synth.audio.piper import PiperVoice
from synth.audio.speakers import Speakers
from synth.audio.voices import HELD_OUT_VOICES, TRAIN_VOICES, Samples, VoiceSpec
from synth.build import build_dataset
from synth.context import Context
from synth.curation.derive import derive
from synth.errors import DataError, RecipeError
from synth.generators import generator, parse_spec
from synth.workspace import Workspace
from tests.tiny_audio import tone

# Speaks Piper's protocol: a tone of the voice's rate, or whatever FAULT says.
FAKE = """#!{python}
import json, math, os, struct, sys, time
count = 0
for line in sys.stdin.buffer:
    asked, count = json.loads(line), count + 1
    fault = os.environ.get("FAULT", "")
    if fault == "missing":
        sys.stdout.buffer.write(b'{{"error": "this Python has no Piper.", "kind": "missing"}}\\n')
        sys.stdout.flush()
        continue
    if fault == "ends" or (fault == "ends once" and not os.path.exists(sys.argv[0] + ".died")):
        open(sys.argv[0] + ".died", "w").close()
        sys.exit(1)
    if fault == "hangs":
        time.sleep(60)
    if fault == "talks":
        sys.stdout.buffer.write(b"Downloading a voice ...\\n")
    rate = 48000 if fault == "rate" else 22050
    seconds = len(asked["text"]) / 15 * asked["length_scale"]
    level = 0 if fault == "silent" else 20000
    pitch = 200 + 20 * (asked["speaker"] or 0)
    wave = [int(level * math.sin(2 * math.pi * pitch * n / rate)) for n in range(int(rate * seconds))]
    data = b"" if fault == "empty" else struct.pack("<%dh" % len(wave), *wave)
    size = len(data) + 2 if fault == "odd" else len(data)
    head = {{"sample_rate": "fast" if fault == "words" else rate, "bytes": size + (fault == "odd")}}
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\\n" + data)
    sys.stdout.flush()
"""


def a_voice(folder: Path, name: str = "en_US-tone-low", speakers: int = 1, language: str = "en-us") -> Path:
    """The two files of a voice that only the stand-in for Piper can speak with."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(f"network of {name}".encode())
    said = {"audio": {"sample_rate": 22050}, "num_speakers": speakers, "espeak": {"voice": language}}
    (folder / f"{name}.onnx.json").write_text(json.dumps(said))
    return folder


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of a Python that has Piper."""
    program = tmp_path / "piper-python"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(piper.PYTHON, str(program))
    monkeypatch.setenv(piper.HOME, str(tmp_path / "added"))
    return program


def speak(folder: Path, timeout_sec: float = 20.0) -> Samples:
    with PiperVoice(piper.find(str(folder)), timeout_sec) as voice:
        return voice("hello there", VoiceSpec("en_US-tone-low", pitch=None, engine="piper"))


def test_a_voice_is_heard_at_16_khz_whatever_its_rate(fake: Path, tmp_path: Path) -> None:
    samples = speak(a_voice(tmp_path / "v"))
    assert abs(len(samples) / 16_000 - 11 / 15) < 0.01
    peak_hz = np.argmax(np.abs(np.fft.rfft(samples))) * 16_000 / len(samples)
    assert abs(peak_hz - 200) < 2


FAULTS = {
    "missing": ("voice.engine", r"smolstudio\[piper\].*GPL-3"),
    "ends": ("voice.ended", "another voice"),
    "hangs": ("voice.slow", "Shorten the text"),
    "talks": ("voice.answer", "no speech"),
    "words": ("voice.answer", "no speech"),
    "odd": ("voice.answer", "no speech"),
    "rate": ("voice.broken", "48000 Hz, and its file says 22050"),
    "silent": ("voice.silent", "gave silence for “hello there”"),
    "empty": ("voice.silent", "gave silence"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_that_fails_is_a_sentence(
    fault: str, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", fault)
    code, said = FAULTS[fault]
    with pytest.raises(DataError, match=said) as caught:
        speak(a_voice(tmp_path / "v"), timeout_sec=0.5 if fault == "hangs" else 20.0)
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_killed_engine_is_started_again(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "ends once")
    assert len(speak(a_voice(tmp_path / "v")))


def test_a_python_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(piper.PYTHON, str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"cannot be started.*SMOLSTUDIO_PIPER_PYTHON"):
        speak(a_voice(tmp_path / "v"))


def test_a_python_without_piper_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # no site-packages
    bare.chmod(0o755)
    monkeypatch.setenv(piper.PYTHON, str(bare))
    with pytest.raises(DataError, match=r"has no Piper.*smolstudio\[piper\]") as caught:
        speak(a_voice(tmp_path / "v"))
    assert caught.value.code == "voice.engine"


def _without_config(folder: Path) -> None:
    (folder / "en_US-tone-low.onnx.json").unlink()


def _torn(folder: Path) -> None:
    (folder / "en_US-tone-low.onnx.json").write_text("{")


def _with(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "en_US-tone-low.onnx.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no config": (_without_config, "voice.missing", "has no en_US-tone-low.onnx.json"),
    "no model": (lambda folder: (folder / "en_US-tone-low.onnx").unlink(), "voice.missing", "holds no .onnx"),
    "torn config": (_torn, "voice.broken", "does not describe"),
    "no rate": (_with(audio={}), "voice.broken", "does not describe"),
    "absurd rate": (_with(audio={"sample_rate": 22}), "voice.broken", "claims 22 Hz"),
    "no speakers": (_with(num_speakers=0), "voice.broken", "claims 0 speakers"),
    "another language": (_with(espeak={"voice": "de"}), "voice.language", "speaks 'de'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_files_that_are_no_whole_voice_are_refused_before_anything_is_made(
    what: str, tmp_path: Path, workspace: Workspace
) -> None:
    change, code, said = BROKEN[what]
    change(a_voice(tmp_path / "v"))
    with pytest.raises(DataError, match=said) as caught:
        build_dataset("audio", {"train": 1, "piper_voices": str(tmp_path / "v")}, "x", workspace)
    assert caught.value.code == code
    assert not (workspace.datasets / "x").exists()


def test_an_engine_that_cannot_speak_is_noticed_before_the_first_row(
    fake: Path, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", "ends")
    settings = {"piper_voices": str(a_voice(tmp_path / "v")), "held_out_engine": "piper"}
    rows: list[bytes] = []
    with pytest.raises(DataError, match="Piper process ended"):
        for _ in generator("audio").candidates(
            parse_spec(generator("audio"), settings), Context(lambda data, _: rows.append(data) or "media/x")
        ):
            pass
    assert rows == []


def test_an_added_voice_goes_by_its_name_and_a_wrong_one_gets_the_nearest(fake: Path, tmp_path: Path) -> None:
    a_voice(tmp_path / "added" / "en_US-tone-low")
    assert [voice.name for voice in piper.find("en_US-tone-low")] == ["en_US-tone-low"]
    with pytest.raises(DataError, match=r"Did you mean.*en_US-tone-low|en_US-tone-low"):
        piper.find("en_US-tone-lo")
    with pytest.raises(DataError, match=r"no folder or added voice '\.\./x'"):
        piper.find("../x")


def test_each_split_has_its_voices() -> None:
    files = tuple(piper.PiperFile(f"en-{n}", Path(f"{n}.onnx"), 3, 22050, "") for n in range(4))
    beside = Speakers(files, 0.5)
    seen, held = beside.voices(False), beside.voices(True)
    assert seen["espeak-ng"] == TRAIN_VOICES
    assert held["espeak-ng"] == HELD_OUT_VOICES
    assert (len(seen["piper"]), len(held["piper"])) == (10, 2)
    assert not set(seen["piper"]) & set(held["piper"])
    assert Speakers(files, 0.5, "piper").voices(False).keys() == {"espeak-ng"}
    assert Speakers(files, 0.5, "piper").voices(True).keys() == {"piper"}
    assert Speakers(files, 0.5, "espeak-ng").voices(False).keys() == {"piper"}
    assert Speakers(files, 0.5, "espeak-ng").voices(True) == {"espeak-ng": HELD_OUT_VOICES}
    one = Speakers((files[0]._replace(speakers=1),), 0.5)
    assert one.voices(False)["piper"] == ("en-0",)
    assert one.voices(True).keys() == {"espeak-ng"}
    rng = Random(0)
    share = sum(beside.drawn(rng, False).engine == "piper" for _ in range(2000)) / 2000
    assert abs(share - 0.5) < 0.05


def test_one_person_in_several_qualities_is_not_both_trained_on_and_held_out() -> None:
    people = [f"en_US-p{n}" for n in range(4)]
    names = [f"{person}-{quality}" for person in people for quality in ("x_low", "low", "medium", "high")]
    files = tuple(piper.PiperFile(name, Path(f"{name}.onnx"), 1, 22050, "") for name in names)
    cast = Speakers(files, 0.5)
    seen, held = ({name.rpartition("-")[0] for name in cast.voices(ood)["piper"]} for ood in (False, True))
    assert (len(seen), len(held)) == (3, 1) and not seen & held
    assert "piper" not in Speakers(files[:4], 0.5).voices(True)


def test_a_voice_whose_name_holds_a_hash_sign_speaks(fake: Path, tmp_path: Path) -> None:
    with PiperVoice(piper.find(str(a_voice(tmp_path / "v", "take#2")))) as voice:
        assert len(voice("hello there", VoiceSpec("take#2", pitch=None, engine="piper")))


def test_rows_without_piper_draw_what_they_always_drew() -> None:
    drawn, by_hand = Random(7), Random(7)
    for held_out in (False, True):
        expected = VoiceSpec(
            by_hand.choice(HELD_OUT_VOICES if held_out else TRAIN_VOICES),
            by_hand.randint(150, 195),
            by_hand.randint(35, 65),
        )
        assert Speakers().drawn(drawn, held_out) == expected


@pytest.mark.slow
def test_a_held_out_engine_speaks_test_ood_alone_and_is_named_in_rows_card_and_report(
    fake: Path, tmp_path: Path, workspace: Workspace
) -> None:
    folder = a_voice(tmp_path / "v", speakers=3)
    (folder / "MODEL_CARD").write_text("# Card\n\n* Language: en_US\n* License: CC0\n")
    settings = {
        "train": 6, "val": 2, "test": 3, "test_ood": 6, "piper_voices": str(folder), "held_out_engine": "piper",
    }  # fmt: skip
    made = build_dataset("audio", settings, "notes", workspace)
    engines = {
        split: {row.source["voice"]["engine"] for row in made.examples(split) if row.source["voice"]}
        for split in made.splits()
    }
    assert engines == {"train": {"espeak-ng"}, "val": {"espeak-ng"}, "test": {"espeak-ng"}, "test_ood": {"piper"}}
    held = [row for row in made.examples("test_ood") if row.target]
    assert {row.family for row in held} == {"medical_handover_by_piper"}
    assert {row.source["voice"]["name"] for row in held} <= {f"en_US-tone-low#{n}" for n in range(3)}
    for said in ("piper · GPL-3.0-or-later", "espeak-ng · GPL-3.0-or-later", "en_US-tone-low · CC0 (its MODEL_CARD)"):
        assert said in (made.path / "README.md").read_text()
    again = build_dataset("audio", settings, "again", workspace)
    assert again.card.sha256 == made.card.sha256
    copied = derive(made, "copied", workspace, [row for split in made.splits() for row in made.examples(split)], {})
    assert "CC0" in (copied.path / "README.md").read_text()


def test_an_engine_is_held_out_only_where_there_are_two() -> None:
    with pytest.raises(RecipeError, match="held_out_engine needs piper_voices"):
        parse_spec(generator("audio"), {"held_out_engine": "piper"})


def mute(text: str, spec: VoiceSpec) -> Samples:
    return tone(150 + len(spec.name), 0.05 * len(text))


def test_a_sentence_that_a_voice_cannot_say_costs_one_row(fake: Path, tmp_path: Path) -> None:
    codes, asked = ["voice.silent", "voice.refused"], []

    def moody(text: str, spec: VoiceSpec) -> Samples:
        asked.append(text)
        if len(asked) in (2, 4):
            raise DataError("Silence.", "Take it out.", codes.pop(0))
        return mute(text, spec)

    spec = Spec(train=5, val=0, test=0, test_ood=0, silence_share=0, noise_share=0)
    made = list(generate_with(moody, spec, Context(lambda *_: "media/x.flac")))
    assert [c.reason for c in made if c.reason] == ["the voice gave silence", "the voice could not say it"]
    assert sum(c.example is not None for c in made) == 5


def test_both_engines_speak_a_split_in_the_share_that_was_asked(fake: Path, tmp_path: Path) -> None:
    spec = Spec(train=40, val=0, test=0, test_ood=0, piper_voices=str(a_voice(tmp_path / "v")), silence_share=0)
    made = [c.example for c in generate_with(mute, spec, Context(lambda *_: "media/x.flac")) if c.example]
    engines = [row.source["voice"]["engine"] for row in made]
    assert 10 <= engines.count("piper") <= 30
    assert any(a != b for a, b in pairwise(engines))
    assert {row.source["voice"]["pitch"] for row in made if row.source["voice"]["engine"] == "piper"} == {None}
