"""Does a recording say what its transcript says? The written form is read a second way and held against what was said.

`check` reads each written token in all the ways in which it may be said (a number as a whole, digit by digit or in
pairs; a date; a time; a code by its letters) and asks whether the words that the voice was given are one of these
readings, and whether the recording lasts as long as so many words last. It shares with the generator the names of
letters and units, and no rule of how numbers are said. `check_media` looks at the recording itself. What neither can
know is whether the voice pronounced the words well.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator

from synth.audio.forms import LETTER_NAMES, UNITS
from synth.audio.sentences import SAID_AS_GIVEN
from synth.audio.voices import USUAL_WPM
from synth.example import Example
from synth.scoring.verify import Verdict

Words = tuple[str, ...]
CHARS_PER_SEC = (8.0, 24.0)
"""Letters of the spoken form per second, at USUAL_WPM: 450 recordings of all domains and voices have 9.8 to 19.6."""
EDGE_SEC = 1.0
"""Silence, room and breath at the edges, which no letters fill."""
QUIET = 0.002
"""RMS (full scale is 1) below which nothing can be heard in any frame."""

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_DAYS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth", 20: "twentieth"}
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_TOKEN = re.compile(
    r"(?P<money>\$\d[\d,]*(?:\.\d\d)?)"
    r"|(?P<over>\d+/\d+)"
    r"|(?P<clock>\d{1,2}:\d\d)"
    r"|(?P<number>\d[\d,]*(?:\.\d+)?)(?:\s?(?P<unit>" + "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))
    + r"))?(?![\w])"
    r"|(?P<run>[^\W_]+(?:['’][^\W_]+)*)"
)  # fmt: skip


def check(row: Example) -> Verdict:
    """Do transcript, spoken form, entities and length agree? Raises KeyError for a row without its lineage."""
    source, written = row.source, row.answer or ""
    if row.target != written:
        return Verdict(False, "the target is not the transcript", f"The target says “{row.target[:60]}”.")
    if source["voice"] is None or not source["spoken"]:
        if written.strip():
            detail = f"Nobody speaks in the recording; the transcript says “{written[:60]}”."
            return Verdict(False, "a recording without speech has a transcript", detail)
        return Verdict(True, "nobody speaks")
    spoken = _words(source["spoken"])
    if source["grammar"] != SAID_AS_GIVEN and not says(written, spoken):
        detail = f"The recording was spoken from “{source['spoken'][:120]}”; the transcript says something else."
        return Verdict(False, "the transcript is not what was spoken", detail)
    missing = [e["written"] for e in source["entities"] if e["written"].casefold() not in written.casefold()]
    if missing:
        return Verdict(False, "an entity is not in the transcript", f"The transcript lacks “{missing[0]}”.")
    pace = source["voice"]["rate_wpm"] / USUAL_WPM * source["speed"]
    echo = source["room_sec"] if source.get("room_file") else 0.0
    return _plausible_length(sum(map(len, spoken)), source["seconds"] - echo, pace)


def _plausible_length(letters: int, seconds: float, pace: float) -> Verdict:
    slow, fast = (rate * pace for rate in CHARS_PER_SEC)
    if letters / fast <= seconds <= letters / slow + EDGE_SEC:
        return Verdict(True, "equal")
    detail = f"The recording lasts {seconds:.1f} s, in which nobody says {letters} letters."
    return Verdict(False, "the recording is too short or too long for its words", detail)


def check_media(row: Example, data: bytes) -> Verdict:
    """Is the recording 16 kHz mono, as long as the row says, and, where somebody speaks, not silent?"""
    import numpy as np
    import soundfile

    from synth.audio.voices import SAMPLE_RATE_HZ

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels = file.samplerate, file.channels
            samples = file.read(dtype="float32")
    except soundfile.LibsndfileError:
        return Verdict(False, "the recording cannot be read")
    if (rate, channels) != (SAMPLE_RATE_HZ, 1):
        return Verdict(False, "the recording is not 16 kHz mono", f"It has {rate} Hz and {channels} channels.")
    if abs(len(samples) / rate - row.source["seconds"]) > 0.01:
        return Verdict(False, "the recording is not as long as its row says")
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    if row.answer and not (np.sqrt((frames**2).mean(axis=1)) > QUIET).any():
        return Verdict(False, "the recording is silent")
    return Verdict(True, "")


# --- readings ------------------------------------------------------------------------------------------------------


def says(written: str, spoken: Words) -> bool:
    """Whether the spoken words are one of the ways to say the written sentence."""
    places = {0}
    for readings in _readings(written):
        places = {at + len(words) for at in places for words in readings if spoken[at : at + len(words)] == words}
    return len(spoken) in places


def _words(text: str) -> Words:
    return tuple(re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold()))


def _readings(written: str) -> Iterator[set[Words]]:
    """For each token of the sentence, the ways to say it; signs that are not said have none."""
    before = ""
    for match in _TOKEN.finditer(written):
        part = match.groupdict()
        if part["money"]:
            yield set(_money(part["money"]))
        elif part["over"]:
            one, other = (set(_number(side)) for side in part["over"].split("/"))
            yield {(*a, *link, *b) for a in one for b in other for link in ((), ("over",))}
        elif part["clock"]:
            yield set(_clock(part["clock"]))
        elif part["number"]:
            numbers = set(_number(part["number"]))
            if before in _MONTHS:
                numbers |= set(_day(int(part["number"].replace(",", "").split(".")[0])))
            units = _unit(part["unit"]) if part["unit"] else [()]
            yield {(*number, *unit) for number in numbers for unit in units}
        else:
            yield set(_run(part["run"]))
        before = match.group().casefold()


def _cardinal(number: int) -> Words:
    if number < 20:
        return (_ONES[number],)
    if number < 100:
        return (_TENS[number // 10 - 2], *(() if number % 10 == 0 else _cardinal(number % 10)))
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = () if number % size == 0 else _cardinal(number % size)
            return (*_cardinal(number // size), name, *rest)
    raise AssertionError(number)


def _number(text: str) -> Iterator[Words]:
    """As a whole, digit by digit, or in pairs as years and pressures are said; a decimal part digit by digit."""
    digits, _, decimals = text.replace(",", "").partition(".")
    tail = ("point", *(_ONES[int(d)] for d in decimals)) if decimals else ()
    if len(digits) <= 9:
        yield (*_cardinal(int(digits)), *tail)
    yield (*(_ONES[int(d)] for d in digits), *tail)
    if len(digits) in (3, 4) and digits[0] != "0":
        high, low = _cardinal(int(digits[:-2])), int(digits[-2:])
        if low == 0:
            yield (*high, "hundred", *tail)
        elif low < 10:
            yield from ((*high, nought, *_cardinal(low), *tail) for nought in ("zero", "oh"))
        else:
            yield (*high, *_cardinal(low), *tail)


def _day(number: int) -> Iterator[Words]:
    if not 1 <= number <= 31:
        return
    *tens, last = _cardinal(number)
    ones = number if number < 20 else number % 10 or number
    yield (*tens, _DAYS.get(ones, "thirtieth" if number == 30 else f"{last}th"))


def _money(text: str) -> Iterator[Words]:
    dollars, _, cents = text[1:].replace(",", "").partition(".")
    whole = (*_cardinal(int(dollars)), "dollars")
    yield whole if not cents or not int(cents) else (*whole, "and", *_cardinal(int(cents)), "cents")


def _clock(text: str) -> Iterator[Words]:
    hour, minute = map(int, text.split(":"))
    said = _cardinal(minute)
    if minute == 0:
        yield _cardinal(hour)
    elif minute < 10:
        yield from ((*_cardinal(hour), nought, *said) for nought in ("oh", "zero"))
    else:
        yield (*_cardinal(hour), *said)


def _unit(unit: str) -> list[Words]:
    words = _words(UNITS[unit])
    return [words, (*words[:-1], words[-1].removesuffix("s"))]


def _run(text: str) -> Iterator[Words]:
    """A word as it is; short ones, capitals and codes also by their letters and digits."""
    yield _words(text)
    plain = text.casefold().removesuffix("s") if text.isupper() else text.casefold()
    if text.isascii() and text.isalnum() and (text.isupper() or plain in ("am", "pm") or text.isdigit()):
        said = [LETTER_NAMES[c] if c.isalpha() else _ONES[int(c)] for c in text.upper()]
        yield tuple(itertools.chain.from_iterable(_words(name) for name in said))
