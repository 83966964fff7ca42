"""The process in which espeak-ng lives: started by `voices.EspeakVoice`.

espeak-ng keeps its state in globals (it is not re-entrant) and is licensed GPL-3, so it is loaded here and nowhere
else; the rest of
smolstudio talks to this process over two pipes and never links the library.

Protocol, one request at a time:
    stdin   one JSON line  {"text": str, "voice": str, "rate": words per minute, "pitch": 0–99}
    stdout  one JSON line  {"sample_rate": Hz, "bytes": n} then n bytes of little-endian 16-bit mono samples,
            or            {"error": sentence}
It ends when stdin closes. It does not resample, cache or judge what it is asked to say.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import Any

# Values from espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_RATE, _PITCH = 1, 3
_CALLBACK_TYPE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def _load(collect: Callable[[bytes], None]) -> tuple[Any, int, Any]:
    """The library, its sample rate in Hz, and the callback (which must be kept alive by the caller)."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data_path = espeakng_loader.get_data_path().encode()
    sample_rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path, 0)
    library.espeak_ng_SetRandSeed(1)  # some voices breathe at random, seeded by the time of day

    def on_samples(wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            collect(ctypes.string_at(wave, count * 2))
        return 0

    callback = _CALLBACK_TYPE(on_samples)
    library.espeak_SetSynthCallback(callback)
    return library, sample_rate_hz, callback


def _speak(library: Any, request: dict[str, Any]) -> str | None:
    """Run one request through the library; returns a sentence when it could not be spoken."""
    if library.espeak_SetVoiceByName(str(request["voice"]).encode()) != 0:
        return f"espeak-ng has no voice named {request['voice']!r}."
    library.espeak_SetParameter(_RATE, int(request["rate"]), 0)
    library.espeak_SetParameter(_PITCH, int(request["pitch"]), 0)
    text = str(request["text"]).replace("\0", " ").encode()
    status = library.espeak_Synth(text, len(text) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
    return None if status == 0 else f"espeak-ng failed with status {status}."


def _answer(library: Any, sample_rate_hz: int, line: bytes, chunks: list[bytes]) -> bytes:
    """The bytes that answer one request line."""
    try:
        fault = _speak(library, json.loads(line))
    except (ValueError, KeyError, TypeError) as problem:
        fault = f"The request could not be read: {problem}."
    if fault:
        return json.dumps({"error": fault}).encode() + b"\n"
    audio = b"".join(chunks)
    return json.dumps({"sample_rate": sample_rate_hz, "bytes": len(audio)}).encode() + b"\n" + audio


def main() -> None:
    """Serve requests until stdin closes, each in a fork.

    The library's oscillators and random numbers run on from one utterance to the next; a fork of the freshly started
    library always
    says the same words the same way, and a crash costs one utterance, not the server.
    """
    chunks: list[bytes] = []
    library, sample_rate_hz, _keep_alive = _load(chunks.append)
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            pending = memoryview(_answer(library, sample_rate_hz, line, chunks))
            while pending:
                pending = pending[os.write(1, pending) :]
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            os.write(1, json.dumps({"error": f"espeak-ng crashed (status {status})."}).encode() + b"\n")


if __name__ == "__main__":
    main()
