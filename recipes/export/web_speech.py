"""A tuned Whisper as a static web page that transcribes without a server: int8 ONNX in onnxruntime-web (WebAssembly).

    smolstudio export RUN --to web -o page && python -m http.server -d page

The folder holds the page, the graphs (samples to features, encoder, decoder), the bytes of each token, the runtime with
its licences, and `task.json`: how the decoder is begun in each language of the training rows, and what ends or never
stands in a transcript. The page does what `recipes.export.onnx_runtime` does; published models answer greedily there,
without the further attempts that a comparison makes where a transcript fails (`recipes.audio.audio_answers`).
`recipes.export.web` is the target.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.export import merged, npm, onnx_graphs, onnx_model, onnx_runtime
from recipes.export.exporter import Artefact, Tuned, learned_rows
from recipes.models import loading
from recipes.models.files import ModelRef
from synth.errors import ModelError
from synth.storage import read_json, write_json

if TYPE_CHECKING:
    from recipes.audio.whisper import Whisper

PAGE = Path(__file__).parent / "page"
FILES = ("index.html", "app.js", "worker.js", "pauses.js")
SHARED = ("common.js", "style.css")  # with the page of text models
MODEL, RUNTIME_FOLDER, TASK, WORDS = "model", "runtime", "task.json", "words.json"
KIND = "int8"
RUNTIME = npm.Package(
    "onnxruntime-web",
    "1.30.0",
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61",
)
RUNTIME_FILES = (
    "dist/ort.wasm.min.mjs",
    "dist/ort-wasm-simd-threaded.mjs",
    "dist/ort-wasm-simd-threaded.wasm",
)
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")  # of the Python package: npm's holds neither
LICENCE = f"{RUNTIME_FOLDER}/LICENSE"
RUNTIME_BYTES = 15 << 20
DOES = (
    "Dictate, or drop a recording into it: the model transcribes inside the page, and nothing leaves it. Browsers give "
    "pages a microphone only over https and on `localhost`."
)
SPARE_TOKENS = 16
CLOSE = 1e-2  # of features between about -1 and 1.5, which models take in float16


def supports(ref: ModelRef) -> str:
    """Why a base cannot be in a page; nothing when it can."""
    return onnx_model.supports(ref)


def size(tuned: Tuned) -> int:
    """Bytes while it is written: float32 and int8, and the runtime."""
    return 7 * merged.stored_weights(tuned.ref.path)[1] + RUNTIME_BYTES


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """Write page, graphs, runtime and task. Raises ModelError, also when the runtime cannot be fetched."""
    import torch

    from recipes.audio.whisper import Whisper

    runtime, model = folder / RUNTIME_FOLDER, folder / MODEL
    runtime.mkdir()
    npm.take_out(RUNTIME, RUNTIME_FILES, runtime)
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None and spec.origin is not None
    for file in LICENCES:
        shutil.copyfile(Path(spec.origin).parent / file, runtime / file)
    model.mkdir()
    loaded = loading.load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as made:
        onnx_model.write_graphs(loaded, Path(made) / "graphs")
        for part, graph in (("encoder", onnx_model.ENCODER), ("decoder", onnx_model.DECODER)):
            (Path(made) / "graphs" / f"{graph}{onnx_model.KINDS[KIND]}.onnx").replace(model / f"{part}.onnx")
    backend = Whisper(loaded)
    write_features(backend.processor.feature_extractor, model / "features.onnx")
    for file in FILES:
        shutil.copyfile(PAGE / "speech" / file, folder / file)
    for file in SHARED:
        shutil.copyfile(PAGE / file, folder / file)
    write_json(folder / WORDS, words(backend.tokenizer, int(loaded.model.config.vocab_size)))
    loading_bytes = sum(file.stat().st_size for file in [*model.glob("*.onnx"), *runtime.glob("*.wasm")])
    settings = {**onnx_model.generation(loaded), "name": name, "bytes": loading_bytes}
    write_json(folder / TASK, task_of(tuned, backend, settings))
    return KIND


def write_features(extractor: Any, file: Path) -> None:
    """The graph from samples to features. Raises ModelError where it hears otherwise than the model's own extractor."""
    onnx_graphs.write_features(extractor, file)
    noise = np.random.default_rng(0).normal(size=extractor.n_samples).astype(np.float32)
    noise *= np.linspace(0, 0.2, len(noise), dtype=np.float32)  # silence, and all that is louder
    expected = extractor(noise, sampling_rate=extractor.sampling_rate, return_tensors="np").input_features
    found = onnx_runtime.session(file).run(None, {"waveform": noise[None]})[0]
    if found.shape != expected.shape or np.abs(found - expected).max() > CLOSE:
        raise ModelError(
            "The page would not hear what the model does: its features differ.", "Export to another target."
        )


def task_of(tuned: Tuned, backend: Whisper, settings: dict[str, Any]) -> dict[str, Any]:
    """What the page needs to know of the model and of its task."""
    from recipes.audio import audio_rows

    rows, instruction = learned_rows(tuned)
    languages = sorted({audio_rows.language(row) for row in rows} or {""})
    silence = np.zeros(backend.rate_hz, np.float32)
    heads = {one: backend.prepare([silence], [one])[0].head for one in languages}
    longest = max((len(ids) for ids in backend.tokenizer([row.target for row in rows] or [""])["input_ids"]), default=0)
    config, ends = backend.network.config, settings["eos_token_id"]
    room = int(config.max_target_positions) - max(map(len, heads.values()))
    return {
        "name": settings["name"],
        "instruction": instruction,
        "bytes": settings["bytes"],
        "rate": backend.rate_hz,
        "samples": int(backend.processor.feature_extractor.n_samples),
        "heads": {language or "as trained": list(head) for language, head in heads.items()},
        "ends": ends if isinstance(ends, list) else [ends],
        "never": list(settings.get("suppress_tokens") or ()),
        "not_first": list(settings.get("begin_suppress_tokens") or ()),
        "tokens": min(room, 2 * longest + SPARE_TOKENS) if rows else room,
        "positions": int(config.max_target_positions),
        "cache": {
            "heads": int(config.decoder_attention_heads),
            "width": int(config.d_model // config.decoder_attention_heads),
        },
    }


def words(tokenizer: Any, count: int) -> list[str]:
    """The bytes of each token as hexadecimal digits; nothing for tokens that no transcript shows."""
    added = tokenizer.added_tokens_decoder
    known = tokenizer.convert_ids_to_tokens(list(range(min(count, len(tokenizer)))))
    found = []
    for number, piece in enumerate(known):
        if piece is None or number in added:
            found.append("" if piece is None or added[number].special else piece.encode().hex())
        else:
            found.append(bytes(_BYTES[letter] for letter in piece).hex())
    return found


def _byte_letters() -> dict[str, int]:
    """The letter that byte-level BPE writes for each byte -> the byte: printable ones as they are, others above 255."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_letters()


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """The page's graphs, as onnxruntime answers with them outside a browser."""
    task = read_json(folder / TASK)
    rules = onnx_runtime.Rules(
        frozenset(task["ends"]), int(task["positions"]), tuple(task["never"]), tuple(task["not_first"])
    )
    encoder, decoder = (folder / MODEL / f"{part}.onnx" for part in ("encoder", "decoder"))
    tokenizer = loading.load_processor(tuned.ref).tokenizer
    ask = functools.partial(onnx_runtime.speech_opened, encoder, decoder, rules, tokenizer)
    return [Artefact(KIND, False, onnx_runtime.version(), opened=ask, files=(encoder, decoder))]
