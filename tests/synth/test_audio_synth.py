"""Speech rows: forms that match, splits that never meet, voices that repeat themselves, media that exist."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from synth.audio import Spec, forms, generate
from synth.audio.augment import HELD_OUT_NOISES, TRAIN_NOISES
from synth.audio.domains import DOMAINS, FAMILIES, SLOTS, families
from synth.audio.files import decode, encode_flac
from synth.audio.generate import generate_with
from synth.audio.grammar import realise
from synth.audio.preview import spectrogram_png
from synth.audio.sentences import say
from synth.audio.voices import HELD_OUT_VOICES, EspeakVoice, Samples, VoiceSpec
from synth.build import build_dataset
from synth.context import Context
from synth.dataset import DatasetDir
from synth.errors import DataError, RecipeError
from synth.generators import Candidate, generator, parse_spec
from synth.workspace import Workspace
from tests.tiny_audio import tone

pytestmark = pytest.mark.slow

EVERYTHING = {"domains": list(DOMAINS)}


@pytest.fixture(scope="module")
def voice() -> Iterator[EspeakVoice]:
    with EspeakVoice() as speaker:
        yield speaker


def mute(text: str, spec: VoiceSpec) -> Samples:
    """A voice for tests that need no speech: a tone as long as the text."""
    return tone(150 + len(spec.name), 0.05 * len(text))


def rows(spec: Spec) -> list[Candidate]:
    store: dict[str, bytes] = {}

    def add(content: bytes, suffix: str) -> str:
        name = f"media/{len(store)}{suffix}"
        store[name] = content
        return name

    return list(generate_with(mute, spec, Context(add)))


@pytest.mark.parametrize(
    ("slot", "spoken", "written"),
    [
        (forms.blood_pressure, r"one (\w+ )+over", r"1\d\d/\d\d"),
        (
            forms.date,
            r"(january|february|march|april|may|june|july|august|september|october|november|december) \w+",
            r"\w+ \d+",
        ),
        (forms.clock, r"(ay|pee) em", r"\d+(:\d\d)? (am|pm)"),
        (forms.price, r"dollars", r"\$\d+(\.\d\d)?"),
        (forms.code("@@-##"), r"(\S+ ){3,}\w+", r"[A-Z]{2}-\d\d"),
        (forms.decimal(1, 5, "m", "measure"), r"\w+ point \w+ meters", r"\d\.\d m"),
        (forms.amount((5, 50), ("mg",), "dose"), r"(five|fifty) milligrams", r"50? mg"),
    ],
)
def test_spoken_forms_have_no_digits_and_written_forms_have_them(slot: forms.Slot, spoken: str, written: str) -> None:
    import re

    for seed in range(40):
        piece = slot(Random(seed))
        assert re.search(spoken, piece.spoken), piece
        assert not re.search(r"[\d$%/]", piece.spoken), piece
        assert re.fullmatch(written, piece.written), piece


def test_numbers_are_said_as_people_say_them() -> None:
    assert forms.cardinal(132) == "one hundred thirty two"
    assert forms.in_pairs(132) == "one thirty two"
    assert forms.in_pairs(1907) == "nineteen zero seven"
    assert forms.spell("KT-48") == "kay tee four eight"
    assert forms.ordinal(21) == "twenty first"


def test_every_pattern_of_every_family_can_be_filled() -> None:
    for family in FAMILIES:
        for pattern in family.patterns:
            utterance = realise(family._replace(patterns=(pattern,)), SLOTS, Random(0))
            assert utterance.written[0].isupper() or utterance.written[0].isdigit()
            assert utterance.entities, pattern
            assert all(
                entity.written in utterance.written or entity.written.capitalize() in utterance.written
                for entity in utterance.entities
            )


def test_each_domain_holds_out_families_that_training_never_sees() -> None:
    for domain in DOMAINS:
        seen, held = families((domain,), False), families((domain,), True)
        assert len(seen) >= 3
        assert held
        assert not {p for f in seen for p in f.patterns} & {p for f in held for p in f.patterns}


def test_splits_share_no_sentence_and_test_ood_no_voice_noise_or_family() -> None:
    made = [
        c.example
        for c in rows(Spec(train=60, val=15, test=15, test_ood=30, room_share=0.1, domains=DOMAINS))
        if c.example
    ]
    texts = {s: {e.target for e in made if e.split == s and e.target} for s in ("train", "val", "test", "test_ood")}
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["val"]
    assert not texts["val"] & texts["test"]
    held = [e for e in made if e.split == "test_ood"]
    seen = [e for e in made if e.split != "test_ood"]
    assert not ({e.family for e in held} & {e.family for e in seen}) - {"non_speech"}
    assert not {e.template for e in held} & {e.template for e in seen}
    assert {e.source["voice"]["name"] for e in held if e.source["voice"]} <= set(HELD_OUT_VOICES)
    assert not {e.source["voice"]["name"] for e in seen if e.source["voice"]} & set(HELD_OUT_VOICES)
    assert {e.source["noise"] for e in held} <= {*HELD_OUT_NOISES, None}
    assert {e.source["noise"] for e in seen} <= {*TRAIN_NOISES, None}


def test_non_speech_rows_have_an_empty_transcript_and_no_voice() -> None:
    made = [c.example for c in rows(Spec(train=20, val=0, test=0, test_ood=0, silence_share=0.5)) if c.example]
    silent = [e for e in made if e.family == "non_speech"]
    assert 4 <= len(silent) <= 16
    assert all(e.target == "" and e.answer == "" and e.source["voice"] is None for e in silent)
    assert len({e.id for e in silent}) == len(silent)


def test_too_long_recordings_are_rejected_and_replaced() -> None:
    made = rows(Spec(train=12, val=0, test=0, test_ood=0, max_seconds=2.0, room_share=0))
    kept = [c for c in made if c.example]
    lost = [c for c in made if not c.example]
    assert len(kept) == 12
    assert lost
    assert {c.reason for c in lost} == {"too long"}
    assert all(c.example.source["seconds"] <= 2.0 for c in kept if c.example)


def test_the_same_spec_gives_the_same_bytes_with_the_real_voice() -> None:
    def hashes() -> list[str]:
        spec = Spec(train=4, val=1, test=1, test_ood=2, seed=3)
        return [c.example.id for c in generate(spec, Context(lambda content, suffix: "media/x" + suffix)) if c.example]

    assert hashes() == hashes()


def test_a_voice_says_the_same_alike_whatever_it_said_before(voice: EspeakVoice) -> None:
    spec = VoiceSpec("en-us+m1", 170, 40)
    first = voice("twenty five milligrams", spec)
    voice("something else entirely", VoiceSpec("en+f2"))
    assert np.array_equal(first, voice("twenty five milligrams", spec))
    assert 0.5 < len(first) / 16_000 < 3


def test_slower_speech_is_longer_and_voices_differ(voice: EspeakVoice) -> None:
    slow, fast = (voice("the quick brown fox", VoiceSpec("en-us+f1", rate)) for rate in (140, 200))
    assert len(slow) > 1.2 * len(fast)
    other = voice("the quick brown fox", VoiceSpec("en-us+m3", 200))
    assert len(other) != len(fast) or not np.array_equal(other, fast)


def test_settings_that_no_recording_meets_end_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["synth.audio.generate"], "MAX_UNUSABLE", 5)
    with pytest.raises(DataError, match="5 recordings in a row cannot be used for train; the last one: too long"):
        list(generate_with(lambda text, spec: np.ones(16_000 * 60, np.float32), Spec(train=1), Context(lambda *_: "")))


@pytest.mark.parametrize("text", ["…", "-", "___"])
def test_a_text_without_words_is_no_recording(voice: EspeakVoice, text: str) -> None:
    with pytest.raises(DataError, match="gave silence"):
        voice(text, VoiceSpec("en-us+m3"))


def test_an_unknown_voice_is_a_sentence(voice: EspeakVoice) -> None:
    with pytest.raises(DataError, match="no voice named 'nobody'"):
        voice("hello", VoiceSpec("nobody"))
    assert len(voice("still alive", VoiceSpec("en-us+f1")))


def test_a_killed_voice_process_is_started_again() -> None:
    with EspeakVoice() as speaker:
        before = speaker("hello", VoiceSpec("en-us+f1"))
        assert speaker._child is not None
        speaker._child.kill()
        speaker._child.wait()
        assert np.array_equal(before, speaker("hello", VoiceSpec("en-us+f1")))


def test_a_voice_that_cannot_be_started_again_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with EspeakVoice() as speaker, pytest.raises(DataError, match=r"ended while speaking.*smolstudio doctor"):
        speaker("hello", VoiceSpec("en-us+f1"))


def test_the_library_lives_in_a_process_of_its_own() -> None:
    code = "import sys, synth.audio.generate; print('espeakng_loader' in sys.modules, 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_a_dataset_is_built_with_media_by_hash_and_entities_in_the_transcript(workspace: Workspace) -> None:
    dataset = build_dataset(
        "audio", {"train": 6, "val": 2, "test": 2, "test_ood": 2, "silence_share": 0}, "notes", workspace
    )
    assert isinstance(dataset, DatasetDir)
    for split in dataset.splits():
        for row in dataset.examples(split):
            part = row.prompt[0].content[0]
            path = dataset.media_path(part.path)  # type: ignore[union-attr]
            assert path.stem == part.sha256  # type: ignore[union-attr]
            samples = decode(path.read_bytes(), path.name)
            assert abs(len(samples) / 16_000 - row.source["seconds"]) < 0.01
            written = row.target.lower()
            assert all(entity["written"].lower() in written for entity in row.source["entities"])
    assert json.loads((dataset.path / "dataset.json").read_text())["modality"] == "audio"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Give 12.5 mg to KT-4.", "give twelve point five milligrams to kay tee four."),
        ("It costs $4.50, 30% off.", "it costs four dollars and fifty cents, thirty percent off."),
        (
            "Account 004417, 1,250 m of pipe",
            "account zero zero four four one seven, one thousand two hundred fifty meters of pipe",
        ),
        ("Plain words only", "plain words only"),
    ],
)
def test_written_sentences_are_said_in_words(written: str, spoken: str) -> None:
    assert say(written) == spoken
    assert not any(c.isdigit() for c in say(written))


def test_own_sentences_replace_the_grammars_and_keep_to_their_splits(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("".join(f"Move crate {n} to bay {n % 7}.\n" for n in range(100)) + "Dr. Wu\tdoctor woo\n")
    made = [
        c.example for c in rows(Spec(train=30, val=5, test=5, test_ood=5, silence_share=0, sentences_file=str(file)))
    ]
    texts = {s: {e.target for e in made if e and e.split == s} for s in ("train", "val", "test", "test_ood")}
    assert all(text.startswith(("Move crate", "Dr. Wu")) for part in texts.values() for text in part)
    assert not texts["train"] & (texts["val"] | texts["test"] | texts["test_ood"])
    assert {e.family for e in made if e} == {"own_sentences"}
    with pytest.raises(DataError, match="cannot be read"):
        rows(Spec(train=1, sentences_file=str(tmp_path / "none.txt")))


def test_faulty_settings_are_refused_with_their_names() -> None:
    with pytest.raises(RecipeError, match="snr_low_db"):
        parse_spec(generator("audio"), {"snr_low_db": 30, "snr_high_db": 10})
    with pytest.raises(RecipeError, match="domains"):
        parse_spec(generator("audio"), {"domains": ["cooking"]})


def test_flac_keeps_samples_to_16_bits(tmp_path: Path) -> None:
    samples = tone(440, 0.3)
    assert np.max(np.abs(decode(encode_flac(samples), "x") - samples)) < 1 / 32_000


def test_the_preview_is_a_picture_even_of_nothing() -> None:
    for samples in (tone(440, 0.5), np.zeros(0, dtype=np.float32)):
        assert spectrogram_png(samples).startswith(b"\x89PNG")
