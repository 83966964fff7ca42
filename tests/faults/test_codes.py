"""Every code of docs/errors.md is raised by a test: `tests/raised.json` names it, and `conftest` proves it there.

What no other test raises is raised here, at the place that a user meets it.
"""

from __future__ import annotations

import io
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from evaluate.report.reading import opened
from recipes.__main__ import as_user_error, check_start
from recipes.export.exporter import refuse_taken
from recipes.models import files
from recipes.models.adding import add
from recipes.run.directory import Run
from studio.engines import jobs
from studio.serving.sockets import bind
from studio.state.endpoints import load_endpoints
from studio.state.notes import read_notes
from synth.audio.files import decode, read_audio
from synth.audio.voices import EspeakVoice, VoiceSpec
from synth.dataset import DatasetDir
from synth.endpoint.settings import Settings
from synth.endpoint.throttle import Budget, Purse
from synth.errors import UserError
from synth.importing import json_rows, streams
from synth.importing.images import MAX_PIXELS, decode_image, read_image
from synth.jobdir import JobDir
from synth.media import resolve_inside
from tests.faults.fuzzing import CORPUS
from tests.raised import CODES, catalogued, fits

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_code_of_the_catalogue_is_raised_by_a_test_that_exists() -> None:
    """That each of them raises what it is said to is proved where it runs."""
    for code, test in CODES.items():
        file, _, name = test.partition("::")
        function = name.partition("[")[0]
        assert f"def {function}(" in (ROOT / file).read_text("utf-8"), (code, test)
    known = [pattern for pattern in catalogued() if pattern != "…"]
    without = [pattern for pattern in known if not any(fits(code, pattern) for code in CODES)]
    assert without == [], "write a test that a user's mistake leads to, then see tests/raised.py"


def _write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def _sound(samples: Any, rate: int = 8000) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV")
    return out.getvalue()


def _two_pages() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "TIFF", save_all=True, append_images=[Image.new("RGB", (4, 4), "red")])
    return out.getvalue()


def _huge_picture() -> bytes:
    """The head of a BMP that claims too many pixels."""
    side = int(MAX_PIXELS**0.5) + 1
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def _card(folder: Path, **changes: Any) -> DatasetDir:
    card = json.loads((CORPUS / "dataset/text/dataset.json").read_text())
    return DatasetDir(_write(folder / "dataset.json", json.dumps({**card, **changes})).parent)


def _finished(folder: Path, verdict: str) -> Run:
    run = Run(_write(folder / "recipe.yaml", "seed: 1\n").parent)
    run.finish(cast(Any, verdict))
    return run


def _held(folder: Path) -> None:
    run = Run(_write(folder / "recipe.yaml", "seed: 1\n").parent)
    with run.hold():
        check_start(Run(folder), resume=False)


def _begun(folder: Path) -> None:
    run = Run(_write(folder / "recipe.yaml", "seed: 1\n").parent)
    (folder / "checkpoints/step-000001").mkdir(parents=True)
    run.has_checkpoints = lambda: True  # type: ignore[method-assign]
    check_start(run, resume=False)


def _lost(folder: Path) -> None:
    job = JobDir(folder)
    with job.hold():
        job.emit("phase", name="loading")
    jobs.follow(job, lambda _: None)


def _taken(_: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        bind("127.0.0.1", first.getsockname()[1])


def _torn_utf16(folder: Path) -> None:
    file = _write(folder / "a.csv", b"\xff\xfe" + "a,b\n".encode("utf-16-le") + b"\x00\xd8")
    streams.open_text(file).file.read()


def _slow_voice(_: Path) -> None:
    with EspeakVoice(timeout_sec=0.0) as voice:
        voice("one two three", VoiceSpec("en", 150, 50))


TONE = np.sin(np.arange(4000) / 10)
RAISED: dict[str, Callable[[Path], object]] = {
    "data.card": lambda folder: _card(folder, rows_in="many"),
    "data.newer": lambda folder: _card(folder, version=99),
    "data.encoding": _torn_utf16,
    "endpoint.address": lambda _: Settings(base_url="file:///etc/passwd", model="m").url,
    "endpoint.port": _taken,
    "endpoint.unpriced": lambda _: Budget(Purse(1.0), None),
    "medium.irregular": lambda folder: resolve_inside(folder, "."),
    "medium.outside": lambda folder: resolve_inside(folder, "../x"),
    "model.layout": lambda folder: files.modality_of(
        _write(folder / "config.json", '{"model_type": "qwen3_asr", "thinker_config": {}}').parent
    ),
    "model.licence": lambda _: add("llama-3.2-1b"),
    "model.source": lambda _: add("smollm2-135m", origin=cast(Any, "elsewhere")),
    "model.to_fetch": lambda _: files.resolve("smollm2-135m"),
    "picture.broken": lambda _: decode_image(b"no picture", "a.png"),
    "picture.frames": lambda _: decode_image(_two_pages(), "a.tif"),
    "picture.missing": lambda folder: read_image(folder / "gone.png"),
    "picture.too_large": lambda _: decode_image(_huge_picture(), "a.bmp"),
    "recording.broken": lambda _: decode(b"no sound", "a.wav"),
    "recording.cancelled": lambda _: decode(_sound(np.stack([TONE, -TONE], 1)), "a.wav"),
    "recording.empty": lambda _: decode(_sound(TONE[:0]), "a.wav"),
    "recording.missing": lambda folder: read_audio(folder / "gone.wav"),
    "recording.too_large": lambda _: decode(bytes((64 << 20) + 1), "a.wav"),
    "recording.too_long": lambda _: decode(_sound(TONE), "a.wav", max_seconds=0.1),
    "report.broken": lambda _: opened([]),
    "run.bug": lambda _: _raise(as_user_error(ZeroDivisionError("no such thing"))),
    "run.done": lambda folder: check_start(_finished(folder, "done"), resume=False),
    "run.lost": _lost,
    "run.memory": lambda _: _raise(as_user_error(MemoryError())),
    "run.running": _held,
    "run.started": _begun,
    "storage.endpoints": lambda folder: load_endpoints(_workspace(_write(folder / "endpoints.json", "[1]").parent)),
    "storage.exists": lambda folder: refuse_taken(_write(folder / "a", "x")),
    "storage.notes": lambda folder: read_notes(_write(folder / "notes.json", "[]").parent),
    "voice.slow": _slow_voice,
}


def _raise(error: UserError) -> None:
    raise error


def _workspace(folder: Path) -> Any:
    from synth.workspace import Workspace

    return Workspace(folder)


@pytest.mark.parametrize("code", RAISED)
def test_a_code_is_raised_with_a_sentence_and_a_remedy(code: str, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(UserError) as caught:
        RAISED[code](tmp_path / "place")
    assert caught.value.code == code
    assert caught.value.message and caught.value.remedy


def test_a_file_of_one_object_is_read_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_JSON", 10)
    with pytest.raises(UserError) as caught:
        list(json_rows.whole(io.BytesIO(b'{"a": "' + b"x" * 20), "a.json"))
    assert caught.value.code == "data.size"
