"""A user's own recordings as noises and rooms: at the ratio that was asked, from files that training or tests have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.audio import Spec, augment, recordings
from synth.audio.check import check
from synth.audio.generate import generate_with
from synth.audio.recordings import Recording
from synth.audio.voices import Samples, VoiceSpec
from synth.build import build_dataset
from synth.context import Context
from synth.errors import DataError
from synth.example import Example
from synth.generators import Candidate, generator, parse_spec
from synth.ranged import MadeElsewhere
from synth.workspace import Workspace
from tests.tiny_audio import tone

RATE_HZ = 16_000


def hiss(seed: int, seconds: float, rate_hz: int = RATE_HZ, level: float = 0.1, channels: int = 1) -> np.ndarray:
    made = np.random.default_rng(seed).normal(0, level, (int(seconds * rate_hz), channels))
    return made.clip(-1, 1)


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    """Ten noises of several rates, lengths, formats and channels."""
    folder = tmp_path / "noises"
    (folder / "street").mkdir(parents=True)
    kinds = [(8000, "wav"), (44_100, "wav"), (48_000, "flac"), (16_000, "wav"), (22_050, "ogg")]
    for number in range(10):
        rate, suffix = kinds[number % len(kinds)]
        file = folder / ("street" if number % 2 else ".") / f"n{number}.{suffix}"
        soundfile.write(file, hiss(number, 0.6 + number * 0.9, rate, 0.02 * (number + 1), 1 + number % 2), rate)
    return folder


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    folder = tmp_path / "rooms"
    folder.mkdir()
    for number in range(5):
        made = augment.room_response(0.2 + 0.1 * number, np.random.default_rng(number))
        quiet = np.zeros(1000 * number)  # the way to the microphone
        soundfile.write(folder / f"r{number}.wav", np.concatenate([quiet, 0.5 * made / np.abs(made).max()]), RATE_HZ)
    return folder


def mute(text: str, spec: VoiceSpec) -> Samples:
    return tone(150 + len(spec.name), 0.06 * len(text))


def candidates(spec: Spec) -> list[Candidate]:
    return list(generate_with(mute, spec, Context(lambda data, _: f"media/{len(data)}.flac")))


def rows(spec: Spec) -> list[Example]:
    return [c.example for c in candidates(spec) if c.example]


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@given(
    snr_db=st.floats(-5, 40),
    seconds=st.floats(0.1, 6.0),
    seed=st.integers(0, 1000),
    which=st.integers(0, 9),
    level=st.floats(0.01, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_a_recording_is_mixed_within_a_tenth_of_a_decibel_of_the_ratio_asked(
    ten: tuple[Recording, ...], snr_db: float, seconds: float, seed: int, which: int, level: float
) -> None:
    clean = tone(440, seconds) * np.float32(level)
    noisy = augment.Conditions(1.0, None, augment.RECORDED, snr_db, False, 0.0)
    heard = augment.apply(clean, noisy, Random(seed), own=augment.Own(ten[which]))
    # The level is set last, so the speech in it is the part of it that goes with the clean one.
    part = recordings.part(ten[which], len(clean), np.random.default_rng(Random(seed).getrandbits(64)))
    speech, noise = np.linalg.lstsq(
        np.stack([clean, part], 1).astype(np.float64), heard.astype(np.float64), rcond=None
    )[0]
    assert abs(10 * np.log10(power(speech * clean) / power(noise * part)) - snr_db) < 0.1
    assert power(heard - speech * clean - noise * part) < 1e-9
    assert len(part) == len(clean)
    assert abs(power(part) - 1) < 1e-3


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recording, ...]]:
    folder = tmp_path_factory.mktemp("ten")
    for number, rate in enumerate((8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 48_000, 96_000)):
        made = hiss(number, 0.6 + number / 2, rate) + 0.3 * (number == 4)  # one with an offset
        soundfile.write(folder / f"{number}.wav", made, rate)
    yield recordings.noises(str(folder), True).used


def test_the_part_is_the_recording_itself_resampled_and_goes_round_when_short(tmp_path: Path) -> None:
    steps = np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
    soundfile.write(tmp_path / "a.wav", np.stack([steps, np.zeros(48_000)], 1), 48_000)
    (found,) = recordings.noises(str(tmp_path), False).used
    part = recordings.part(found, 5 * RATE_HZ, np.random.default_rng(0))
    peak_hz = np.argmax(np.abs(np.fft.rfft(part))) / 5
    assert abs(peak_hz - 1000) < 0.5
    assert np.allclose(part[: 3 * RATE_HZ], part[RATE_HZ : 4 * RATE_HZ], atol=1e-3)


def test_pauses_of_a_recording_are_not_blown_up(tmp_path: Path) -> None:
    quiet = hiss(0, 60, level=1e-5)[:, 0]
    quiet[40 * RATE_HZ : 41 * RATE_HZ] += hiss(1, 1, level=0.3)[:, 0]
    soundfile.write(tmp_path / "knock.wav", quiet, RATE_HZ, subtype="FLOAT")
    (found,) = recordings.noises(str(tmp_path), False).used
    for seed in range(20):
        part = recordings.part(found, 2 * RATE_HZ, np.random.default_rng(seed))
        assert np.sqrt(power(part[np.argsort(-np.abs(part))[:1000]])) > 2  # the knock is in it


def test_a_short_sentence_over_one_knock_hears_the_knock(tmp_path: Path) -> None:
    """Else its row would tell of a noise, at a level, where there is digital silence."""
    still = np.zeros(60 * RATE_HZ)
    still[40 * RATE_HZ + 12_000 : 40 * RATE_HZ + 13_000] = hiss(1, 1, level=0.3)[:1000, 0]
    soundfile.write(tmp_path / "knock.wav", still, RATE_HZ, subtype="FLOAT")
    (found,) = recordings.noises(str(tmp_path), False).used
    for length in (RATE_HZ // 20, RATE_HZ // 2, 2 * RATE_HZ):
        for seed in range(20):
            part = recordings.part(found, length, np.random.default_rng(seed))
            assert len(part) == length and abs(power(part) - 1) < 0.01


def test_rooms_begin_at_the_direct_sound_keep_the_level_and_die_away(rooms: Path) -> None:
    for room in recordings.rooms(str(rooms), True).used:
        found = recordings.response(room)
        assert int(np.argmax(np.abs(found))) < 0.025 * RATE_HZ
        clean = tone(440, 1.0)
        wet = augment.apply(
            clean, augment.Conditions(1.0, 0.3, None, None, False, 0.0), Random(0), own=augment.Own(None, room)
        )
        assert len(wet) == len(clean) + len(found) - 1
        dry = augment.reverberate(clean, found)
        assert abs(power(dry) / power(clean) - 1) < 1e-3


@pytest.mark.slow
def test_tests_hear_recordings_that_training_never_hears(noises: Path, rooms: Path) -> None:
    spec = Spec(
        train=60, val=10, test=20, test_ood=20, noise_folder=str(noises), room_folder=str(rooms), noise_share=1,
        room_share=1, silence_share=0.1,
    )  # fmt: skip
    made = rows(spec)
    for key, files in (("noise", 8), ("room", 4)):
        seen = {row.source.get(f"{key}_sha256") for row in made if row.split in ("train", "val")} - {None}
        held = {row.source.get(f"{key}_sha256") for row in made if row.split in ("test", "test_ood")} - {None}
        assert len(seen) == files
        assert held
        assert not seen & held
    noisy = [row for row in made if "noise_file" in row.source]
    assert all((noises / row.source["noise_file"]).is_file() and row.source["noise"] == "recording" for row in noisy)
    assert all(5 <= row.source["snr_db"] <= 20 for row in noisy)
    assert {row.source["noise"] for row in made} == {"recording"}
    assert all(check(row) for row in made if row.target), [check(row) for row in made if not check(row)][:1]


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(noises: Path) -> None:
    def ids(seed: int) -> list[str]:
        return [row.id for row in rows(Spec(seed=seed, train=6, val=0, test=2, test_ood=0, noise_folder=str(noises)))]

    assert ids(3) == ids(3)
    assert ids(3) != ids(4)


def test_files_that_cannot_be_used_are_named_counted_and_left_out(noises: Path, workspace: Workspace) -> None:
    (noises / "broken.mp3").write_bytes(b"no sound")
    os.mkfifo(noises / "pipe.wav")
    (noises / "notes.txt").write_text("not a recording")
    soundfile.write(noises / "short.wav", hiss(0, 0.2), RATE_HZ)
    soundfile.write(noises / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(noises / "offset.wav", np.full(RATE_HZ, 0.3), RATE_HZ)
    soundfile.write(noises / "copy.flac", soundfile.read(noises / "n0.wav")[0], 8000)
    soundfile.write(noises / "nan.wav", np.full(RATE_HZ, np.nan), RATE_HZ, subtype="FLOAT")
    soundfile.write(noises / "street/n3.ogg", soundfile.read(noises / "street/n3.wav")[0], RATE_HZ)
    settings = {"train": 4, "val": 0, "test": 2, "test_ood": 0, "noise_folder": str(noises), "silence_share": 0}
    made = build_dataset("audio", settings, "notes", workspace)
    assert {r.row["file"]: r.reason.partition(": ")[2] for r in made.rejected()} == {
        "broken.mp3": "not a readable recording",
        "short.wav": "shorter than 0.5 s",
        "silent.wav": "silent",
        "offset.wav": "silent",
        "pipe.wav": "no plain file",
        "n0.wav": "the same sound as another",
        "nan.wav": "samples that are not numbers",
        "street/n3.wav": "the same name as another, in another format",
    }
    assert made.card.splits == {"train": 4, "test": 2}
    assert made.card.rows_in == 6 + 8
    (said,) = [one for one in made.card.notes["made_of"] if one["what"] == "noise recordings"]
    assert said["name"] == "10 files"
    assert said["sha256"] in (made.path / "README.md").read_text()


def test_what_is_no_impulse_response_is_left_out(rooms: Path) -> None:
    soundfile.write(rooms / "music.wav", hiss(0, 4), RATE_HZ)
    soundfile.write(rooms / "long.wav", hiss(0, 11), RATE_HZ)
    soundfile.write(rooms / "click.wav", np.r_[1.0, np.zeros(8000)], RATE_HZ)
    assert dict(recordings.rooms(str(rooms), True).left_out) == {
        "music.wav": "no impulse response: its sound does not die away",
        "long.wav": "longer than 10 s, which no impulse response is",
        "click.wav": "shorter than 10 ms",
    }


@pytest.mark.parametrize("files", [{}, {"a.wav": 0.1}, {"a.wav": 2.0}])
def test_a_folder_without_enough_recordings_is_refused(files: dict[str, float], tmp_path: Path) -> None:
    for name, seconds in files.items():
        soundfile.write(tmp_path / name, hiss(0, seconds), RATE_HZ)
    with pytest.raises(DataError) as caught:
        recordings.noises(str(tmp_path), both=True)
    assert caught.value.code == "recording.folder"
    expected = {0: "it holds no WAV", 1: "a.wav: shorter than 0.5 s"}[len(files)] if files != {"a.wav": 2.0} else "one"
    assert expected in caught.value.message
    with pytest.raises(DataError, match="There is no folder"):
        recordings.noises(str(tmp_path / "none"), both=True)


def test_a_changed_recording_is_noticed_by_the_fingerprint_and_while_rows_are_made(
    noises: Path, tmp_path: Path, workspace: Workspace
) -> None:
    info = generator("audio")
    values = {"train": 3, "val": 0, "test": 1, "test_ood": 0, "noise_folder": str(noises)}

    def place() -> Path:
        return MadeElsewhere("audio", parse_spec(info, values), tmp_path / "made", None)._folder  # type: ignore[arg-type]

    before, first = place(), noises / "n0.wav"
    assert place() == before
    sound, rate = soundfile.read(first)
    soundfile.write(first, sound[::-1], rate)
    assert place() != before
    os.utime(first, ns=(1, 1))

    def change(*_: object) -> bool:
        soundfile.write(first, sound, rate)
        return False

    with pytest.raises(DataError, match="changed meanwhile") as caught:
        build_dataset("audio", values, "notes", workspace, stop=change)
    assert caught.value.code == "data.changed"
    assert not (workspace.datasets / "notes").exists()


def test_a_recording_that_goes_while_it_is_used_is_a_sentence(noises: Path) -> None:
    one, *_ = recordings.noises(str(noises), True).used
    one.path.unlink()
    with pytest.raises(DataError, match="changed while rows were made of it") as caught:
        recordings.part(one, RATE_HZ, np.random.default_rng(0))
    assert caught.value.code == "recording.changed"
