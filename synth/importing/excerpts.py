"""Rows that are about a part of a recording: offset and duration, start and end, or segments with times.

    {"audio_filepath": "talk.wav", "offset": 3.5, "duration": 2.0, "text": "…"}     one row, of that part
    {"audio": "talk.wav", "segments": [{"start": 0.0, "end": 2.1, "text": "…"}]}    a row for each segment
    talk.wav beside talk.srt or talk.vtt                                            a row for each subtitle

So long recordings are cut where their data says that sentences begin and end, and nowhere else: a transcript without
times cannot be cut honestly. The recordings themselves are read by `synth.importing.media`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synth.importing.raw import SHOWN, RawRow
from synth.importing.values import missing

KEY = "_excerpt"
"""What a row says of its part: [start, end] in seconds."""
SUBTITLES = (".srt", ".vtt")
PAIRS = (("start", "end"), ("start_time", "end_time"), ("start_sec", "end_sec"), ("begin_time", "end_time"))
SEGMENTS = ("segments", "chunks")
TEXTS = ("transcription", "transcript", "sentence", "text", "normalized_text", "answer")
MOST_SEC = 1e6
_OF_SEGMENT = ("id", "text", "start", "end", "timestamp")
_CUE = re.compile(r"^\s*([\d:.,]+)\s*-->\s*([\d:.,]+)")
_TAG = re.compile(r"<[^>]{0,200}>")


def excerpts(raw: RawRow, mapping: Mapping[str, str]) -> Iterator[RawRow]:
    """The row itself, with its part of the recording where it names one, or a row for each of its segments."""
    row = raw.value
    if row is None or _is_part(row.get(KEY)):  # that of a subtitle, which is one already
        yield raw
        return
    by_name = {str(key).strip().casefold(): key for key in row if not missing(row[key])}
    listed = (by_name[name] for name in SEGMENTS if name in by_name)
    if segments := next((key for key in listed if isinstance(row[key], list)), None):
        yield from _segments(raw, row, segments, mapping)
        return
    row = {key: value for key, value in row.items() if key != KEY}
    times = _times(row, by_name)
    if isinstance(times, str):
        yield raw._replace(value=None, fault=times, text=str(row)[:SHOWN])
    elif times is None:
        yield raw._replace(value=row)
    else:
        used, part = times
        yield raw._replace(value={**{key: value for key, value in row.items() if key not in used}, KEY: part})


def _times(row: Mapping[str, Any], by_name: Mapping[str, Any]) -> tuple[set[Any], list[float]] | str | None:
    """The keys that tell of a part, and the part; None where none do, or why it cannot be."""
    if "duration" in by_name and ("offset" in by_name or "audio_filepath" in by_name):  # as NeMo's manifests have them
        keys = {by_name["duration"], *([by_name["offset"]] if "offset" in by_name else [])}
        start = seconds(row[by_name["offset"]]) if "offset" in by_name else 0.0
        length = seconds(row[by_name["duration"]])
        return (keys, [start, start + length]) if start is not None and length else "offset or duration is no time"
    if "offset" in by_name:
        return "an offset without a duration: which part of the recording is meant is not said"
    for first, last in PAIRS:
        if first in by_name and last in by_name:
            start, end = seconds(row[by_name[first]]), seconds(row[by_name[last]])
            if start is None or end is None or end <= start:
                return f"{first} and {last} are no times in seconds"
            return {by_name[first], by_name[last]}, [start, end]
    return None


def _segments(raw: RawRow, row: Mapping[str, Any], key: Any, mapping: Mapping[str, str]) -> Iterator[RawRow]:
    wanted = mapping.get("transcript") or ""
    text_key = next((name for name in (wanted, *TEXTS) if name and name in row), wanted or TEXTS[0])
    rest = {f"{name} of the whole" if name == text_key else name: row[name] for name in row if name != key}
    for segment in row[key]:
        part = _part(segment)
        if part is None:
            shown = str(segment)[:SHOWN]
            yield raw._replace(value=None, fault="a segment has no start, end and text", text=shown)
        else:
            own = {name: value for name, value in segment.items() if name not in _OF_SEGMENT}
            yield raw._replace(value={**rest, **own, text_key: str(segment["text"]).strip(), KEY: part})


def _part(segment: Any) -> list[float] | None:
    if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
        return None
    stamp = segment.get("timestamp")
    first, last = (
        stamp if isinstance(stamp, list | tuple) and len(stamp) == 2 else (segment.get("start"), segment.get("end"))
    )
    start, end = seconds(first), seconds(last)
    return [start, end] if start is not None and end is not None and start < end else None


def _is_part(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(second) is float for second in value)


def seconds(value: Any) -> float | None:
    """Seconds of a number, or of `1:02:03.5`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        parts = [float(part) for part in str(value).strip().replace(",", ".").split(":")]
    except ValueError:
        return None
    total = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    fits = len(parts) <= 3 and all(part >= 0 for part in parts) and 0 <= total < MOST_SEC
    return total if fits else None


def subtitled(folder: Path, sounds: tuple[str, ...]) -> list[Path]:
    """The recordings of a folder that have subtitles beside them, and those that have none, when any has some."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    if not any(file.suffix.lower() in SUBTITLES for file in files):
        return []
    return [file for file in files if file.suffix.lower() in sounds]


def subtitle_rows(recordings: list[Path]) -> Iterator[RawRow]:
    """A row for each subtitle of each recording; one without subtitles is a fault."""
    for file in recordings:
        beside = next((file.with_suffix(end) for end in SUBTITLES if file.with_suffix(end).is_file()), None)
        if beside is None:
            yield RawRow(1, None, "no subtitles beside the recording", file.name)
            continue
        for line, start, end, text in cues(beside.read_text("utf-8-sig", "replace")):
            part = [start, end]
            if start is None or end is None or end <= start:
                yield RawRow(line, None, "the times of a subtitle cannot be read", text[:SHOWN])
            else:
                yield RawRow(line, {"file_name": file.name, "transcription": text, KEY: part})


def cues(content: str) -> Iterator[tuple[int, float | None, float | None, str]]:
    """(line, start, end, text) of SRT or WebVTT."""
    lines = content.splitlines()
    places = [number for number, line in enumerate(lines) if _CUE.match(line)]
    for number in places:
        found = _CUE.match(lines[number])
        assert found is not None
        said = []
        for line in lines[number + 1 :]:
            if not line.strip():
                break
            said.append(line.strip())
        text = html.unescape(_TAG.sub("", " ".join(said)))
        yield number + 1, seconds(found[1]), seconds(found[2]), re.sub(r"\s+", " ", text).strip()
