"""ONNX graphs with a cache, as `recipes.export.onnx_graphs` writes them, answered greedily through onnxruntime.

    ask = text_opened(file, rules, tokenizer); ask(prompts, 64)            # token ids -> replies
    ask = speech_opened(encoder, decoder, rules, tokenizer); ask(recordings, 64)

One prompt at a time, on one thread: it shows what the files answer, not how fast they can. The packages are optional
(extra `export`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.decode.constrained import Grammar, State
from recipes.export.exporter import Ask, Reply, joined
from recipes.export.onnx_graphs import CACHE, HEARD
from synth.storage import JsonDict

if TYPE_CHECKING:
    from recipes.audio.backend import Sound

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
THREADS = 1  # as for llama.cpp: threads that wait by spinning cost a busy machine tenfold


class Rules(NamedTuple):
    """What ends an answer, what is never written in it, what does not begin it, and positions of the model."""

    ends: frozenset[int]
    limit: int
    never: tuple[int, ...] = ()
    not_first: tuple[int, ...] = ()


class Written(NamedTuple):
    """Tokens of an answer; `ended` is False where it was cut."""

    tokens: list[int]
    ended: bool


def lacking() -> list[str]:
    """The packages that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def version() -> str:
    """The runtime in words."""
    return f"onnxruntime {metadata.version('onnxruntime')}"


def session(file: Path) -> Any:
    """A graph on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def text_opened(file: Path, rules: Rules, tokenizer: Any, schema: JsonDict | None = None) -> Ask:
    """A graph as it answers prompts, within a schema where one is given (`recipes.decode.constrained`)."""
    graph = _Cached(session(file))
    grammar = Grammar(tokenizer, graph.vocabulary, schema, set(rules.ends)) if schema else None

    def feeds(ids: list[int], total: int) -> dict[str, NDArray[Any]]:
        return {
            "input_ids": np.array([ids]),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(total - len(ids), total)[None],
        }

    def ask(prompts: Sequence[list[int]], most: int) -> Iterator[Reply]:
        for prompt in prompts:
            state = grammar.start(most) if grammar else None
            yield _decoded(tokenizer, graph.greedy(prompt, feeds, rules, most, state))

    return ask


def speech_opened(encoder: Path, decoder: Path, rules: Rules, tokenizer: Any, schema: JsonDict | None = None) -> Ask:
    """Graphs as they transcribe recordings, each in pieces of at most so many tokens that are joined by spaces."""
    if schema:
        raise ValueError("transcripts are held to no schema")
    encode, graph = session(encoder), _Cached(session(decoder))

    def piece(sound: Sound, most: int) -> Reply:
        encoded = encode.run(None, {"input_features": sound.features.astype(np.float32)[None]})[0]

        def feeds(ids: list[int], total: int) -> dict[str, NDArray[Any]]:
            return {"input_ids": np.array([ids]), HEARD: encoded}

        return _decoded(tokenizer, graph.greedy(list(sound.head), feeds, rules, most))

    def ask(recordings: Sequence[list[Sound]], most: int) -> Iterator[Reply]:
        for pieces in recordings:
            yield joined([piece(sound, most) for sound in pieces])

    return ask


def _decoded(tokenizer: Any, written: Written) -> Reply:
    text = str(tokenizer.decode(written.tokens, skip_special_tokens=True)).strip()
    return Reply(text, len(written.tokens) + written.ended, written.ended)


class _Cached:
    """A decoder whose cache goes from one step into the next without a copy."""

    def __init__(self, opened: Any) -> None:
        self._session = opened
        self._empty = {
            port.name: (1, port.shape[1], 0, port.shape[3])
            for port in opened.get_inputs()
            if port.name.startswith(f"{CACHE}.")
        }
        self.vocabulary = int(next(port.shape[-1] for port in opened.get_outputs() if port.name == "logits"))
        self._outputs = ["logits", *(name.replace(CACHE, "present") for name in self._empty)]

    def greedy(self, prompt: list[int], feeds: Any, rules: Rules, most: int, state: State | None = None) -> Written:
        """The likeliest tokens after the prompt, without what ends them; `feeds(new ids, all tokens)` are the rest.

        `state`: of the grammar that they obey.
        """
        from onnxruntime import OrtValue

        value = OrtValue.ortvalue_from_numpy
        cache = {name: value(np.zeros(shape, np.float32)) for name, shape in self._empty.items()}
        found: list[int] = []
        ids = prompt
        while len(found) < most and len(prompt) + len(found) < rules.limit:
            given = {name: value(array) for name, array in feeds(ids, len(prompt) + len(found)).items()}
            logits, *present = self._session.run_with_ort_values(self._outputs, {**given, **cache})
            cache = dict(zip(self._empty, present, strict=True))
            scores = logits.numpy()[0, -1]
            scores[[*rules.never, *(() if found else rules.not_first)]] = -np.inf
            if state:
                scores[state.forbidden()] = -np.inf
            token = int(scores.argmax())
            if token in rules.ends:
                return Written(found, True)
            if state:
                state.take(token)
            found.append(token)
            ids = [token]
        return Written(found, False)
