"""Voices side by side: sentences a second of espeak-ng and Piper, and how well Whisper understands them.

PYTHONPATH=. python tests/bench/bench_voices.py VOICES                  # a folder, or a voice that was added
PYTHONPATH=. python tests/bench/bench_voices.py VOICES NOISES [ROOMS]   # also through recordings of your own

Whisper is whisper-tiny.en where `smolstudio models add whisper-tiny.en` brought it; without it only speed is measured.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random

import numpy as np

from recipes.models import store
from synth.audio import augment, piper, recordings
from synth.audio.speakers import Speakers
from synth.audio.voices import ESPEAK, Samples, Voice, VoiceSpec
from synth.scoring.normalise import normalised
from synth.scoring.speech import edit_count

SENTENCES = (
    "The train to the coast leaves from the second platform.",
    "She put the keys on the table and went out into the garden.",
    "Nobody had told them that the shop closes early on Fridays.",
    "We painted the kitchen yellow, and the door a dark green.",
    "Please bring a warm coat, because the evenings are cold.",
    "The old bridge was closed after the heavy rain in March.",
    "He forgot his umbrella and came home completely wet.",
    "Our neighbours have two dogs and a very loud parrot.",
    "The doctor asked how long the pain had been there.",
    "Turn left at the church, and walk on until you see the river.",
    "They sold the boat last summer and bought a small van.",
    "I would like a cup of tea with milk and no sugar.",
    "The children built a castle out of boxes and string.",
    "A letter from the bank arrived this morning.",
    "My sister plays the piano better than anyone I know.",
    "The farmer counted his sheep twice before he slept.",
    "It takes about an hour to drive from here to the airport.",
    "Who left the window open during the storm?",
    "The teacher wrote the answer on the board in red.",
    "Fresh bread smells best early in the morning.",
)
ROUNDS = 3
RATIOS_DB = (20.0, 10.0, 5.0)


def spoken(voice: Voice, spec: VoiceSpec) -> tuple[list[Samples], float]:
    """The sentences by one voice, and sentences a second."""
    start = time.monotonic()
    found = [voice(sentence, spec) for sentence in SENTENCES]
    return found, len(SENTENCES) / (time.monotonic() - start)


def word_error_rates(sounds: dict[str, list[Samples]]) -> dict[str, float]:
    """Whisper's word error rate on the sentences in each form; empty where it is not on this machine."""
    found = store.find("whisper-tiny.en")
    if found is None:
        print("whisper-tiny.en is not on this machine; how well voices are understood was not measured")
        return {}
    from recipes.audio import audio_answers
    from recipes.audio.backends import audio_backend
    from recipes.models.loading import load_for_inference

    backend, rates = audio_backend(load_for_inference(str(found.path))), {}
    for name, heard in sounds.items():
        said = audio_answers.transcribe(backend, backend.prepare(heard), 60)
        pairs = zip(SENTENCES, said, strict=True)
        counts = [edit_count(normalised(gold, "en"), normalised(one.text, "en"), by_words=True) for gold, one in pairs]
        rates[name] = sum(edits for edits, _ in counts) / sum(words for _, words in counts)
    return rates


def through(sounds: list[Samples], noises: str, rooms: str, snr_db: float) -> list[Samples]:
    """The sentences behind recordings of a user's folder."""
    rng = Random(0)
    heard = []
    for samples in sounds:
        noise = rng.choice(recordings.noises(noises, False).used)
        room = rng.choice(recordings.rooms(rooms, False).used) if rooms else None
        made = augment.Conditions(1.0, 0.1 if rooms else None, augment.RECORDED, snr_db, False, -3.0)
        heard.append(augment.apply(samples, made, rng, own=augment.Own(noise, room)))
    return heard


def main() -> None:
    where, noises, rooms = [*sys.argv[1:], "", "", ""][:3]
    files = piper.find(where)
    speeds: dict[str, list[float]] = {}
    sounds: dict[str, list[Samples]] = {}
    voices = {ESPEAK: VoiceSpec("en-us+m3")} | {f.names[0]: VoiceSpec(f.names[0], engine="piper") for f in files}
    with Speakers(files, 1.0).speaking() as voice:
        voice("hello", voices[ESPEAK])
        for _ in range(ROUNDS):  # in turns
            for name, spec in voices.items():
                made, speed = spoken(voice, spec)
                if name in sounds:
                    assert all(map(np.array_equal, sounds[name], made)), f"{name} did not repeat itself"
                sounds[name] = made
                speeds.setdefault(name, []).append(speed)
    for name in [*voices] if noises else ():
        for snr_db in RATIOS_DB:
            sounds[f"{name}, own noise at {snr_db:g} dB{' in own rooms' if rooms else ''}"] = through(
                sounds[name], noises, rooms, snr_db
            )
    rates = word_error_rates(sounds)
    for name in sounds:
        speed = f"{np.median(speeds[name]):.1f} sentences a second" if name in speeds else ""
        rate = f"word error rate {rates[name]:.1%}" if name in rates else ""
        print(f"{name}: {', '.join(filter(None, (speed, rate)))}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
