"""A tuned Whisper in CTranslate2's layout: float16 and int8. faster-whisper reads it where the window is 30 seconds.

CTranslate2's own converter reads the merged model; tokenizer and feature settings lie beside the weights, as
faster-whisper looks for them. Needs the package `ctranslate2` (extra `export`).
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.export import merged
from recipes.export.exporter import Artefact, Ask, Exporter, Reply, Tuned, joined, merged_from
from recipes.models.files import ModelRef
from synth.errors import ModelError, first_line
from synth.storage import JsonDict, read_json, write_json

if TYPE_CHECKING:
    from recipes.audio.backend import Sound

KINDS = {"float16": "float32", "int8": "int8"}  # as stored -> as a processor computes with it
BESIDE = ("tokenizer.json", "preprocessor_config.json")
PACKAGE = "ctranslate2"
THREADS = 1  # as for llama.cpp: threads that wait by spinning cost a busy machine tenfold


def supports(ref: ModelRef) -> str:
    """Why a base cannot be converted; nothing when it can."""
    kind = read_json(ref.path / "config.json").get("model_type")
    if kind != "whisper":
        return f"it is of class {kind}, and only Whisper models are converted."
    if importlib.util.find_spec(PACKAGE) is None:
        return 'this installation lacks ctranslate2 (pip install "smolstudio[export]").'
    return merged.supports(ref)


def size(tuned: Tuned) -> int:
    """Bytes of both models: two and one a weight."""
    return 3 * merged.stored_weights(tuned.ref.path)[1]


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """A folder for each kind. Raises ModelError when the converter does not know the model."""
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as whole:
        merged.write(tuned, Path(whole), name, "float32")
        # transformers keeps them inside processor_config.json; faster-whisper reads them from a file of their own.
        features = read_json(Path(whole) / "processor_config.json")["feature_extractor"]
        write_json(Path(whole) / "preprocessor_config.json", features)
        for kind in KINDS:
            try:
                TransformersConverter(whole, copy_files=list(BESIDE)).convert(str(folder / kind), quantization=kind)
            except (ValueError, RuntimeError, KeyError, AttributeError) as error:
                message = f"CTranslate2 does not convert {tuned.ref.name}: {first_line(error)}"
                raise ModelError(message, "Export to another target.", "export.base") from error
    return "+".join(KINDS)


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """Both models, as CTranslate2 answers with them."""
    runtime = f"CTranslate2 {metadata.version(PACKAGE)}"
    found = []
    for kind in KINDS:
        files = (folder / kind / "model.bin",)
        ask = functools.partial(opened, tuned, folder / kind, kind)
        found.append(Artefact(kind, kind == "float16", runtime, opened=ask, files=files))
    return found


def opened(tuned: Tuned, folder: Path, kind: str, schema: JsonDict | None = None) -> Ask:
    """A model as it transcribes recordings, each in pieces of at most so many tokens that are joined by spaces."""
    import ctranslate2

    from recipes.models.loading import load_processor

    if schema:
        raise ValueError("transcripts are held to no schema")
    tokenizer = load_processor(tuned.ref).tokenizer
    model = ctranslate2.models.Whisper(str(folder), compute_type=KINDS[kind], intra_threads=THREADS)

    def piece(tokens: list[int], most: int) -> Reply:
        ended = len(tokens) < most
        return Reply(tokenizer.decode(tokens, skip_special_tokens=True).strip(), len(tokens) + ended, ended)

    def ask(recordings: Sequence[list[Sound]], most: int) -> Iterator[Reply]:
        for pieces in recordings:
            found = model.generate(
                ctranslate2.StorageView.from_array(np.stack([sound.features.astype(np.float32) for sound in pieces])),
                [list(sound.head) for sound in pieces],
                beam_size=1,
                max_length=2 * (len(pieces[0].head) + most),  # it takes the half for what it writes
            )
            yield joined([piece(list(one.sequences_ids[0]), most) for one in found])

    return ask


def card(name: str, facts: dict[str, Any]) -> str:
    """The model card as Markdown."""
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: ctranslate2\n---\n\n# {name}\n\n"
        f"{merged_from(facts)}, for CTranslate2, written on {facts['created']} by smolstudio. `float16` answers as it "
        f"was trained, `int8` has half its size.\n\n```python\n{_CODE.format(name=name)}```\n\n"
        "`samples` are at most as long as `chunk_length` seconds in `preprocessor_config.json`: the encoder was tuned "
        "on windows as long as the longest recording. faster-whisper fills every recording up to 30 seconds and reads "
        "models with that window only. Multilingual models also take `<|en|>` and `<|transcribe|>` after the first.\n"
    )


_CODE = """import ctranslate2, tokenizers, transformers

folder = "{name}/int8"
model = ctranslate2.models.Whisper(folder)
hear = transformers.WhisperFeatureExtractor.from_pretrained(folder)
words = tokenizers.Tokenizer.from_file(f"{{folder}}/tokenizer.json")

features = hear(samples, sampling_rate=16_000, return_tensors="np").input_features  # float32, one channel
head = [words.token_to_id(token) for token in ("<|startoftranscript|>", "<|notimestamps|>")]
found = model.generate(ctranslate2.StorageView.from_array(features), [head], beam_size=1)
print(words.decode(found[0].sequences_ids[0]).strip())
"""


EXPORTER = Exporter(
    "ctranslate2", "Whisper as float16 and int8, for CTranslate2", supports, size, write, card, artefacts
)
