"""The process in which Piper lives: started by `piper.PiperVoice`, with any Python that has the package piper-tts.

Piper is licensed GPL-3, so it is loaded here and nowhere else; the rest of smolstudio talks to this process over two
pipes. It imports nothing of ours.

Protocol, one request at a time:
    stdin   one JSON line  {"text": str, "model": path of the .onnx, "speaker": number or null, "length_scale": number}
    stdout  one JSON line  {"sample_rate": Hz, "bytes": n} then n bytes of little-endian 16-bit mono samples,
            or            {"error": sentence, "kind": "missing" (no piper), "voice" (its files) or "text"}
It ends when stdin closes. It does not resample, cache or judge what it is asked to say.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

MOST_VOICES = 8  # held at once, some 100 MB each
SEED = 1

_voices: dict[str, Any] = {}


class _Refused(Exception):
    def __init__(self, sentence: str, kind: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def _voice(model: str) -> Any:
    """The voice of a file, loaded once. One thread computes: a fork has no others, and sums keep their order."""
    if model in _voices:
        return _voices[model]
    try:
        import onnxruntime
        import piper
        from piper import SynthesisConfig  # noqa: F401 - older ones have none, and cannot be told a speaker
        from piper.config import PiperConfig
    except ImportError as fault:
        raise _Refused(f"{sys.executable} has no Piper: {fault}.", "missing") from fault
    onnxruntime.set_seed(SEED)
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        with open(f"{model}.json", encoding="utf-8") as file:  # noqa: PTH123
            config = PiperConfig.from_dict(json.load(file))
        session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        voice = piper.PiperVoice(session=session, config=config)
    except Exception as fault:  # whatever onnxruntime and piper raise for files that are no voice
        raise _Refused(f"{os.path.basename(model)} cannot be read as a voice: {_short(fault)}.", "voice") from fault  # noqa: PTH119
    while len(_voices) >= MOST_VOICES:
        del _voices[next(iter(_voices))]
    _voices[model] = voice
    return voice


def _short(fault: Exception) -> str:
    return " ".join(f"{type(fault).__name__}: {fault}".split())[:160].rstrip(".")


def _speak(voice: Any, request: dict[str, Any]) -> bytes:
    """The bytes that answer a request, by a voice that has said nothing before."""
    from piper import SynthesisConfig

    config = SynthesisConfig(speaker_id=request["speaker"], length_scale=float(request["length_scale"]))
    # Two brackets would begin phonemes, which are said instead of the words.
    text = str(request["text"]).replace("[[", "[ [").replace("]]", "] ]")
    try:
        audio = b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(text, config))
    except Exception as fault:
        return _refusal(f"Piper cannot say this text: {_short(fault)}.", "text")
    return json.dumps({"sample_rate": voice.config.sample_rate, "bytes": len(audio)}).encode() + b"\n" + audio


def _refusal(sentence: str, kind: str) -> bytes:
    return json.dumps({"error": sentence, "kind": kind}).encode() + b"\n"


def main() -> None:
    """Serve requests until stdin closes, each in a fork.

    A voice draws random numbers (how long each sound is, its breath), which run on from one utterance to the next; a
    fork of the freshly loaded voice always says the same words the same way, and a crash costs one utterance.
    """
    for line in sys.stdin.buffer:
        try:
            request = json.loads(line)
            voice = _voice(str(request["model"]))
        except _Refused as refused:
            os.write(1, _refusal(str(refused), refused.kind))
            continue
        child = os.fork()
        if child == 0:
            pending = memoryview(_speak(voice, request))
            while pending:
                pending = pending[os.write(1, pending) :]
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            os.write(1, _refusal(f"Piper crashed (status {status}).", "text"))


if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # no threads that a fork would lose
    main()
