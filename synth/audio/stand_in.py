"""Dictation by the voices of another engine: stand-ins for real speakers, shipped as recordings with transcripts.

    other_voices/  transcripts.jsonl  00.ogg …        66 sentences of the medical domain, 22 by each of three voices

Spoken by Flite (Carnegie Mellon University and its contributors), whose voices slt, rms and awb were built from
people's recordings: another synthesis, another prosody, other phonemes than espeak-ng, which speaks all training rows.
The sentences are the grammar's own, of those that only tests use: it is the voices that stand in for real ones here.
"""

from __future__ import annotations

import json
from pathlib import Path

from synth.audio.files import encode_flac, read_audio
from synth.audio.generate import INSTRUCTION
from synth.audio.grammar import text_id
from synth.example import AudioPart, Example, Origin, make_example, user
from synth.media import AddMedia, resolve_inside
from synth.scoring.names import WER
from synth.storage import sha256_bytes

FOLDER = Path(__file__).with_name("other_voices")
SAID = "Dictation spoken by three voices of another engine (Flite), a stand-in for real speakers."


def real_rows(add_media: AddMedia) -> list[Example]:
    """The rows, of the split test_real; recordings go to `add_media` as FLAC. A sentence is its own cluster."""
    rows = []
    for line in (FOLDER / "transcripts.jsonl").read_text("utf-8").splitlines():
        found = json.loads(line)
        data = encode_flac(read_audio(resolve_inside(FOLDER, found["file"], "recording")))
        part = AudioPart(path=add_media(data, ".flac"), sha256=sha256_bytes(data))
        rows.append(
            make_example(
                (user(part, INSTRUCTION),),
                found["written"],
                answer=found["written"],
                split="test_real",
                family=found["family"],
                template=text_id(found["written"]),
                scorer=WER,
                origin=Origin(kind="stand_in", by=f"flite {found['voice']}"),
                source={"spoken": found["spoken"], "voice": found["voice"]},
            )
        )
    return rows
