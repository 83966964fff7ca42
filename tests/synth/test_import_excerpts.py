"""Long recordings whose data says when each sentence is spoken: cut there and nowhere else; and odd kinds of files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from synth.audio.files import decode, read_audio
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example
from synth.importing.excerpts import cues, seconds
from synth.importing.importer import Options, import_data
from synth.importing.report import ImportReport
from synth.workspace import Workspace
from tests.tiny_audio import tone


def imported(path: Path, workspace: Workspace, **options: Any) -> tuple[ImportReport, list[Example], DatasetDir]:
    report = import_data(path, "mine", workspace, Options("audio", **options))
    dataset = DatasetDir(workspace.datasets / "mine")
    rows = [row for split in dataset.splits() for row in dataset.examples(split)]
    return (
        report,
        sorted(rows, key=lambda row: row.source["excerpt"]["start_sec"] if "excerpt" in row.source else 0),
        dataset,
    )


def heard_hz(row: Example, dataset: DatasetDir) -> tuple[float, float]:
    """The pitch of a row's recording, and its length in seconds."""
    samples = read_audio(dataset.media_path(row.prompt[0].content[0].path))  # type: ignore[union-attr]
    peak = int(np.abs(np.fft.rfft(samples)).argmax()) * 16_000 / len(samples)
    return round(peak, -1), round(len(samples) / 16_000, 2)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording of 150 s, longer than any that is taken whole: 200 Hz for 10 s, then 210 Hz, 220 Hz …"""
    folder = tmp_path / "talks"
    folder.mkdir()
    parts = [tone(200 + 10 * number, 10.0) for number in range(15)]
    soundfile.write(folder / "talk.wav", np.concatenate(parts), 16_000)
    return folder


@pytest.mark.parametrize(
    "names", [("offset", "duration"), ("start", "end"), ("start_time", "end_time"), ("begin_time", "end_time")]
)
def test_a_row_about_a_part_of_a_recording_gets_that_part(
    names: tuple[str, str], talk: Path, workspace: Workspace
) -> None:
    first, last = names
    length = 2.0 if last == "duration" else 107.5
    lines = [
        {"audio_filepath": "talk.wav", first: 105.5, last: length, "text": "Eleven."},
        {"audio_filepath": "talk.wav", first: "22", last: "1.5" if last == "duration" else "23.5", "text": "Three."},
    ]
    (talk / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report, rows, dataset = imported(talk / "manifest.jsonl", workspace)
    assert (report.kept, report.unused, report.rejected) == (2, (), [])
    assert [(row.target, heard_hz(row, dataset)) for row in rows] == [
        ("Three.", (220.0, 1.5)),
        ("Eleven.", (300.0, 2.0)),
    ]
    assert rows[1].source["excerpt"] == {"start_sec": 105.5, "end_sec": 107.5, "of": "talk.wav"}


def test_segments_become_a_row_each_and_the_whole_transcript_none(talk: Path, workspace: Workspace) -> None:
    segments = [
        {"start": 0.0, "end": 2.0, "text": " One. "},
        {"timestamp": [11.0, 12.0], "text": "Two."},
        {"text": "?"},
    ]
    line = {"file_name": "talk.wav", "text": "One. Two. ?", "segments": segments, "speaker": "Ada"}
    (talk / "metadata.jsonl").write_text(json.dumps(line))
    report, rows, dataset = imported(talk, workspace)
    assert [(row.target, *heard_hz(row, dataset)) for row in rows] == [("One.", 200.0, 2.0), ("Two.", 210.0, 1.0)]
    assert report.reasons == {"a segment has no start, end and text": 1}
    assert {row.source["speaker"] for row in rows} == {"Ada"}


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_recordings_beside_subtitles_are_cut_at_their_times(suffix: str, talk: Path, workspace: Workspace) -> None:
    point = "," if suffix == "srt" else "."
    text = "\ufeff1\n" if suffix == "srt" else "WEBVTT\n\nNOTE made by hand\n\n"
    text += f"00:00:31{point}000 --> 00:00:33{point}500 align:start\n<v Ada>Number\nfour &amp; more.</v>\n\n"
    text += (
        f"2\n00:01:01{point}000 --> 00:01:02{point}000\nSeven.\n\n3\n00:02:40{point}0 --> 00:02:41{point}0\nBeyond.\n"
    )
    (talk / f"talk.{suffix}").write_text(text, "utf-8")
    soundfile.write(talk / "alone.wav", tone(300, 1.0), 16_000)
    report, rows, dataset = imported(talk, workspace)
    assert [(row.target, *heard_hz(row, dataset)) for row in rows] == [
        ("Number four & more.", 230.0, 2.5),
        ("Seven.", 260.0, 1.0),
    ]
    assert report.reasons == {
        "no subtitles beside the recording": 1,
        "recording is shorter than its times say": 1,
    }


def test_rows_of_one_recording_share_a_split_when_that_was_chosen(talk: Path, workspace: Workspace) -> None:
    for name in ("b", "c", "d", "e", "f"):
        soundfile.write(talk / f"{name}.wav", np.concatenate([tone(300 + 7 * ord(name), 6.0)]), 16_000)
    lines = [
        {"audio_filepath": f"{name}.wav", "offset": start, "duration": 0.5 + start / 10, "text": f"{name} {start}"}
        for name in ("b", "c", "d", "e", "f")
        for start in range(5)
    ]
    (talk / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report, rows, _ = imported(talk / "manifest.jsonl", workspace, group_by="audio_filepath")
    assert report.kept == 25
    splits = {row.source["excerpt"]["of"]: set() for row in rows}  # type: ignore[var-annotated]
    for row in rows:
        splits[row.source["excerpt"]["of"]].add(row.split)
    assert all(len(found) == 1 for found in splits.values()), splits


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"offset": 149.0, "duration": 3.0}, "recording is shorter than its times say"),
        ({"offset": 1000, "duration": 3.0}, "recording is shorter than its times say"),
        ({"offset": 0.0, "duration": 140.0}, "recording is too long"),
        ({"offset": -1.0, "duration": 3.0}, "offset or duration is no time"),
        ({"offset": 1.0, "duration": "soon"}, "offset or duration is no time"),
        ({"start": 3.0, "end": 2.0}, "start and end are no times in seconds"),
        ({"offset": 1.0, "duration": 0.01}, "recording is too short"),
    ],
)
def test_times_that_cannot_be_are_reasons_and_nothing_is_cut_by_guess(
    times: dict[str, Any], reason: str, talk: Path, workspace: Workspace
) -> None:
    good = {"audio_filepath": "talk.wav", "offset": 1.0, "duration": 1.0, "text": "Good."}
    bad = {"audio_filepath": "talk.wav", **times, "text": "Bad."}
    (talk / "manifest.jsonl").write_text("\n".join(map(json.dumps, [good, bad])))
    report, _, _ = imported(talk / "manifest.jsonl", workspace)
    assert report.rejected == [(2, reason)]


def test_a_duration_without_offset_is_the_part_that_nemo_would_read(talk: Path, workspace: Workspace) -> None:
    soundfile.write(talk / "short.wav", tone(300, 1.03), 16_000)
    lines = [
        {"audio_filepath": "talk.wav", "duration": 2.0, "text": "One."},
        {"audio_filepath": "short.wav", "duration": 1.1, "text": "Rounded."},
    ]
    (talk / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    _, rows, dataset = imported(talk / "manifest.jsonl", workspace)
    assert {(row.target, *heard_hz(row, dataset)) for row in rows} == {("One.", 200.0, 2.0), ("Rounded.", 300.0, 1.03)}


def test_times_are_read_as_people_write_them() -> None:
    assert [seconds(v) for v in (1, "2.5", "1:02", "1:01:02,5", "00:00:03.250")] == [1.0, 2.5, 62.0, 3662.5, 3.25]
    assert [seconds(v) for v in (None, True, "", "-1", "a:b", "1:2:3:4", float("nan"), 1e9, [1])] == [None] * 9
    assert list(cues("1\n00:00:01,0 --> oops\nno\n\n00:02 --> 00:03\nyes\n")) == [(5, 2.0, 3.0, "yes")]


# --- odd kinds of files -------------------------------------------------------------------------------------------


def encoded(samples: np.ndarray, rate: int, form: str, subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "rate"),
    [
        ("WAV", "PCM_U8", 16_000), ("WAV", "PCM_24", 44_100), ("WAV", "PCM_32", 48_000), ("WAV", "FLOAT", 192_000),
        ("WAV", "DOUBLE", 8_000), ("WAV", "ULAW", 8_000), ("AIFF", "PCM_16", 22_050), ("FLAC", "PCM_24", 96_000),
        ("OGG", "VORBIS", 44_100), ("OGG", "OPUS", 48_000), ("MP3", "MPEG_LAYER_III", 44_100),
        ("CAF", "ALAC_16", 48_000),
    ],
)  # fmt: skip
def test_every_usual_kind_of_recording_sounds_the_same_whatever_its_name_says(
    form: str, subtype: str, rate: int
) -> None:
    time = np.arange(rate) / rate
    samples = decode(encoded(0.5 * np.sin(2 * np.pi * 440 * time), rate, form, subtype), "call.wav")
    peak = int(np.abs(np.fft.rfft(samples)).argmax()) * 16_000 / len(samples)
    assert abs(len(samples) / 16_000 - 1.0) < 0.1
    assert abs(peak - 440) < 2
    assert 0.4 < float(np.abs(samples[2000:-2000]).max()) < 0.6


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\0\0\0\x20ftypM4A \0\0\0\0" + b"\0" * 400, "is in MP4"),
        (b"\xff\xf1P\x80\x02\x1f\xfc" + b"\0" * 400, "is in AAC"),
        (b"\x1aE\xdf\xa3" + b"\0" * 400, "is in Matroska"),
        (b"#!AMR\n" + b"\0" * 400, "is in AMR"),
        (b"", "not a readable recording"),
        (b"RIFF\xff\xff\xff\xffWAVE", "not a readable recording"),
        (encoded(np.r_[tone(300, 0.2), np.nan], 16_000, "WAV", "FLOAT"), "not numbers"),
        (encoded(np.r_[tone(300, 0.2), np.inf], 16_000, "WAV", "FLOAT"), "not numbers"),
        (encoded(20_000 * tone(300, 0.2), 16_000, "WAV", "FLOAT"), "far outside -1 to 1"),
    ],
)
def test_what_cannot_be_heard_right_is_refused_with_its_kind(content: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        decode(content, "call.wav")


def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path: Path, workspace: Workspace) -> None:
    for split, hertz in (("train", 300), ("test", 500)):
        (tmp_path / split).mkdir()
        soundfile.write(tmp_path / split / "a.wav", tone(hertz, 0.5), 16_000)
        (tmp_path / split / "metadata.csv").write_text(f"file_name,transcription\na.wav,{hertz}\n")
    _, rows, dataset = imported(tmp_path, workspace)
    assert {(row.target, row.split, heard_hz(row, dataset)[0]) for row in rows} == {
        ("300", "train", 300.0),
        ("500", "test", 500.0),
    }


def test_the_locale_of_common_voice_stays_with_each_row(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "clips").mkdir()
    lines = ["client_id\tpath\tsentence\tlocale"]
    for number, locale in enumerate(("sv-SE", "de", "en")):
        soundfile.write(tmp_path / "clips" / f"{number}.mp3", tone(300 + 50 * number, 0.5), 16_000, format="MP3")
        lines.append(f"speaker{number}\t{number}.mp3\tRow {number}\t{locale}")
    (tmp_path / "train.tsv").write_text("\n".join(lines))
    _, rows, _ = imported(tmp_path, workspace)
    assert {row.source["language"] for row in rows} == {"sv-SE", "de", "en"}


def test_letters_that_english_does_not_have_without_a_language_are_noted(tmp_path: Path, workspace: Workspace) -> None:
    lines = ["file_name,transcription"]
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", tone(300 + 50 * number, 0.5), 16_000)
        lines.append(f"{number}.wav,Åtta räksmörgåsar {number}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    report, _, _ = imported(tmp_path, workspace)
    assert any("4 of 4 transcripts that name no language" in note for note in report.notes)


def test_an_offset_without_a_duration_is_not_the_whole_recording(talk: Path, workspace: Workspace) -> None:
    rows = [
        {"audio_filepath": "talk.wav", "offset": 30.0, "text": "Which part?"},
        {"audio_filepath": "talk.wav", "offset": 30.0, "duration": 2.0, "text": "Four."},
    ]
    (talk / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report, (row,), _ = imported(talk / "manifest.jsonl", workspace)
    assert row.target == "Four."
    assert report.rejected[0][1].startswith("an offset without a duration")
