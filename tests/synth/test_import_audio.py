"""Recordings of users: every layout is read, every bad file ends as a row error, nothing leaves the folder."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from synth.audio.files import decode, read_audio
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.importing.detect import detect, modality_of
from synth.importing.importer import Options, import_data
from synth.importing.preview import only_reading
from synth.importing.report import ImportReport
from synth.workspace import Workspace
from tests.tiny_audio import tone


def import_audio(
    path: Path, name: str, workspace: Workspace, mapping: dict[str, str] | None = None, **options: Any
) -> ImportReport:
    return import_data(path, name, workspace, Options("audio", mapping, **options))


def write(path: Path, seconds: float = 0.5, rate: int = 16_000, channels: int = 1, hertz: float = 440.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mono = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, np.stack([mono] * channels, axis=1), rate)


def test_an_audiofolder_keeps_its_splits_and_becomes_16_khz_mono(tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "calls"
    write(source / "a.wav", rate=44_100, channels=2)
    write(source / "b.flac", rate=8_000, hertz=300)
    (source / "metadata.csv").write_text("file_name,transcription,split\na.wav,Hello there.,train\nb.flac,Two.,test\n")
    report = import_audio(source, "calls", workspace)
    dataset = DatasetDir(workspace.datasets / "calls")
    assert report.kept == 2
    assert report.splits == {"train": 1, "test": 1}
    row = next(dataset.examples("train"))
    info = soundfile.info(dataset.media_path(row.prompt[0].content[0].path))
    assert (info.samplerate, info.channels, row.target, row.scorer) == (16_000, 1, "Hello there.", "wer")
    transcripts = read_audio(dataset.media_path(row.prompt[0].content[0].path))
    peak_hz = np.argmax(np.abs(np.fft.rfft(transcripts))) * 16_000 / len(transcripts)
    assert abs(len(transcripts) / 16_000 - 0.5) < 0.01
    assert abs(peak_hz - 440) < 3


def test_columns_are_guessed_and_can_be_mapped(tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "anrufe"
    write(source / "a.wav")
    write(source / "b.wav", hertz=300)
    (source / "rows.csv").write_text("datei,satz,client_id\na.wav,Guten Tag.,7\nb.wav,Zwei.,7\n")
    assert detect(source / "rows.csv", "audio").mapping == {"speaker": "client_id"}
    with pytest.raises(DataError, match=r"no recording named.*map the columns"):
        import_audio(source / "rows.csv", "calls", workspace)
    with pytest.raises(DataError, match="did you mean 'transcript'"):
        import_audio(source / "rows.csv", "calls", workspace, {"transcripts": "satz"})
    with pytest.raises(DataError, match=r"no column 'sats'.*did you mean 'satz'"):
        import_audio(source / "rows.csv", "calls", workspace, {"path": "datei", "transcript": "sats"})
    mapping = {"path": "datei", "transcript": "satz", "speaker": ""}
    assert import_audio(source / "rows.csv", "calls", workspace, mapping).kept == 2
    dataset = DatasetDir(workspace.datasets / "calls")
    rows = [row for split in dataset.splits() for row in dataset.examples(split)]
    assert {row.target for row in rows} == {"Guten Tag.", "Zwei."}
    assert {row.source.get("speaker") for row in rows} == {None}
    assert dataset.card.spec["mapping"] == mapping


def test_columns_without_names_cannot_be_mapped(tmp_path: Path, workspace: Workspace) -> None:
    write(tmp_path / "wavs" / "LJ001.wav")
    (tmp_path / "metadata.csv").write_text("LJ001|Hello.|Hello.\n")
    assert detect(tmp_path).columns == ()
    with pytest.raises(DataError, match="have no names"):
        import_audio(tmp_path, "lj", workspace, {"transcript": "text"})


def test_ljspeech_and_common_voice_layouts_are_recognised(tmp_path: Path, workspace: Workspace) -> None:
    lj = tmp_path / "lj"
    write(lj / "wavs" / "LJ001.wav", rate=22_050)
    (lj / "metadata.csv").write_text('LJ001|He said "42".|He said "forty two".\n')
    assert import_audio(lj, "lj", workspace).kept == 1
    assert (
        next(
            DatasetDir(workspace.datasets / "lj").examples(next(iter(DatasetDir(workspace.datasets / "lj").splits())))
        ).target
        == 'He said "42".'
    )
    voices = tmp_path / "cv"
    for number, table in enumerate(("train.tsv", "dev.tsv", "test.tsv")):
        write(voices / "clips" / f"{table}.mp3.wav", hertz=300 + 50 * number)
        (voices / table).write_text(f"client_id\tpath\tsentence\nspeaker{number}\t{table}.mp3.wav\tSentence {number}\n")
    assert import_audio(voices, "cv", workspace).splits == {"train": 1, "val": 1, "test": 1}


@pytest.mark.slow
def test_rows_of_one_speaker_share_a_split_when_that_was_chosen(tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "people"
    lines = []
    for number in range(30):
        write(source / f"{number}.wav", seconds=0.1, hertz=200 + 20 * number)
        lines.append(json.dumps({"file_name": f"{number}.wav", "text": f"line {number}", "speaker": number % 6}))
    (source / "metadata.jsonl").write_text("\n".join(lines))
    suggested = import_audio(source, "unasked", workspace).groupings
    assert [(grouping.column, grouping.values) for grouping in suggested] == [("speaker", 6)]
    report = import_audio(source, "people", workspace, group_by="speaker")
    assert report.splits == {split: rows for split, rows in suggested[0].splits.items() if rows}
    dataset = DatasetDir(workspace.datasets / "people")
    found: dict[str, set[str]] = {}
    for split in dataset.splits():
        for row in dataset.examples(split):
            found.setdefault(str(row.source["speaker"]), set()).add(split)
    assert len(found) == 6
    assert all(len(splits) == 1 for splits in found.values())


def lying_wav(path: Path, claimed_bytes: int, data: bytes = b"\0\0" * 800) -> None:
    """A 16 kHz mono WAV whose header claims more samples than there are."""
    header = b"RIFF" + struct.pack("<I", 36 + claimed_bytes) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16) + b"data" + struct.pack("<I", claimed_bytes)
    path.write_bytes(header + data)


@pytest.mark.slow
def test_each_bad_file_is_a_row_error_and_the_good_row_stays(tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "bad"
    write(source / "good.wav")
    write(source / "zero.wav", seconds=0)
    write(source / "long.flac", seconds=600, rate=8_000)
    (source / "text.wav").write_text("this is no recording")
    (source / "cut.wav").write_bytes((source / "good.wav").read_bytes()[:30])
    lying_wav(source / "liar.wav", 2_000_000_000)
    soundfile.write(source / "nan.wav", np.full(1600, np.nan, dtype=np.float32), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "outside.wav", tone(300, 0.2), 16_000)
    names = ["good.wav", "zero.wav", "long.flac", "text.wav", "cut.wav", "nan.wav", "absent.wav"]
    names += ["../outside.wav", "https://example.org/x.wav", "liar.wav", "good.wav"]
    lines = [json.dumps({"file_name": name, "text": f"row {number}"}) for number, name in enumerate(names)]
    lines += ["{torn", json.dumps({"file_name": "good.wav"})]
    (source / "metadata.jsonl").write_text("\n".join(lines))
    report = import_audio(source, "bad", workspace, max_seconds=60)
    reasons = dict(report.rejected)
    assert reasons[2] == "recording is empty"
    assert reasons[3] == "recording is too long"
    assert reasons[4] == reasons[5] == reasons[6] == "recording is broken"
    assert reasons[7] == "recording is missing"
    assert reasons[8] == "recording lies outside the folder"
    assert reasons[9] == "recording is an address, which is never fetched"
    assert reasons[11] == "same recording as line 1, with another transcript"
    assert reasons[13] == "no answer"
    card = DatasetDir(workspace.datasets / "bad").card
    assert card.rows_in == len(lines)
    # libsndfile believes the file's size rather than the header's claim; either way at most 60 s were decoded.
    assert report.kept == 2 - (10 in reasons)


def test_a_folder_without_a_known_layout_says_what_to_add(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError, match=r"metadata\.jsonl or metadata\.csv"):
        import_audio(tmp_path, "none", workspace)
    assert not (workspace.datasets / "none").exists()


@pytest.mark.slow
def test_hours_of_sound_in_a_small_file_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hours.flac", np.zeros(2 * 3600 * 4000, dtype=np.int16), 4000)
    content = (tmp_path / "hours.flac").read_bytes()
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="lasts 7200 s"):
            decode(content, "hours.flac")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_absurd_sizes_rates_and_channels_are_refused_by_their_headers(tmp_path: Path) -> None:
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(65 << 20)
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 100)
    soundfile.write(tmp_path / "crowd.wav", np.zeros((100, 40)), 16_000)
    for name, sentence in (("huge", "more than 64 MiB"), ("slow", "claims 100 Hz"), ("crowd", "40 channels")):
        with pytest.raises(DataError, match=sentence):
            read_audio(tmp_path / f"{name}.wav")


@pytest.mark.parametrize(
    ("name", "samples", "reason"),
    [
        ("silent", np.zeros(8000), "recording is silent"),
        ("almost", np.full(8000, 2e-5), "recording is silent"),
        ("three", np.array([0.5, -0.5, 0.5]), "recording is too short"),
        ("opposed", np.stack([tone(440, 0.5), -tone(440, 0.5)], axis=1), "recording's channels cancel each other out"),
        ("nearly", np.stack([tone(440, 0.5), -0.99 * tone(440, 0.5)], axis=1), "recording's channels cancel each"),
    ],
)
def test_a_recording_in_which_nothing_can_be_heard_is_set_aside(
    name: str, samples: np.ndarray, reason: str, tmp_path: Path, workspace: Workspace
) -> None:
    write(tmp_path / "good.wav")
    soundfile.write(tmp_path / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    (tmp_path / "metadata.csv").write_text(f"file_name,transcription\ngood.wav,Yes.\n{name}.wav,No.\n")
    ((line, given),) = import_audio(tmp_path, "mine", workspace).rejected
    assert (line, given.startswith(reason)) == (3, True)


def test_a_stereo_recording_with_one_empty_channel_is_kept(tmp_path: Path, workspace: Workspace) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(440, 0.5), np.zeros(8000)], axis=1), 16_000)
    (tmp_path / "metadata.csv").write_text("file_name,transcription\na.wav,Yes.\n")
    assert import_audio(tmp_path, "mine", workspace).kept == 1


@pytest.mark.parametrize(
    "line",
    [
        {"audio_filepath": "a.wav", "duration": 0.5, "text": "Hello."},
        {"file_name": "a.wav", "transcription": "Hello.", "locale": "de"},
        {"audio": "a.wav", "sentence": "Hello."},
        {
            "messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "Hello."}],
            "audios": ["a.wav"],
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "audio", "audio": "a.wav"}]},
                {"role": "assistant", "content": "Hello."},
            ]
        },
    ],
)
def test_manifests_and_chats_with_recordings_are_read(
    line: dict[str, Any], tmp_path: Path, workspace: Workspace
) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "manifest.json").write_text(json.dumps(line) + "\n")
    report = import_data(tmp_path / "manifest.json", "mine", workspace)
    assert (report.modality, report.kept) == ("audio", 1)
    dataset = DatasetDir(workspace.datasets / "mine")
    (example,) = (e for s in dataset.splits() for e in dataset.examples(s))
    assert (example.target, example.prompt[0].text) == ("Hello.", "Transcribe the recording.")
    assert example.source.get("language") == line.get("locale")
    assert report.unused == ()


def test_a_question_about_a_recording_is_kept_and_said_to_go_unread(tmp_path: Path, workspace: Workspace) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "metadata.csv").write_text("file_name,question,transcription\na.wav,Who speaks?,Ada\n")
    report = import_audio(tmp_path, "mine", workspace)
    assert any("do not read it" in note for note in report.notes)
    dataset = DatasetDir(workspace.datasets / "mine")
    assert [e.prompt[0].text for s in dataset.splits() for e in dataset.examples(s)] == ["Who speaks?"]


def test_recordings_of_a_table_with_names_of_its_own_are_found_and_their_transcript_guessed(tmp_path: Path) -> None:
    folder = tmp_path / "dictations"
    folder.mkdir()
    for n in range(3):
        write(folder / f"a{n}.wav")
    rows = [f"a{n}.wav;please call patient {n} back;Dr. A" for n in range(3)]
    (folder / "liste.csv").write_text("\n".join(["Datei;Diktat;Arzt", *rows]))
    assert modality_of(folder) == "audio"
    assert only_reading(folder, "audio") == {"path": "Datei", "transcript": "Diktat"}
