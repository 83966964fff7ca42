"""llama.cpp in this process, through the `xllamacpp` package: GGUF files answered as they will be, weights quantised.

    ask = opened(file, 2048); ask(prompts, 64)  # token ids -> greedy replies
    quantise(values, "Q4_K")                    # float32 (rows, width) -> uint8 (rows, bytes)

k-quants are ggml's own (`ggml_quantize_chunk`, its C interface), without an importance matrix. The package is optional
(extra `export`): without it f16 and q8_0 are still written, and nothing here is asked.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import json
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np

from recipes.export.exporter import Ask, PicturedChat, Reply
from recipes.export.gbnf import gbnf
from synth.errors import ModelError
from synth.storage import JsonDict

PACKAGE = "xllamacpp"
THREADS = 1  # its threads wait for each other by spinning, which a busy machine pays for tenfold
BLOCK = 256  # numbers that a k-quant packs together: a row must be a multiple of it


def installed() -> bool:
    """Whether llama.cpp is here."""
    return importlib.util.find_spec(PACKAGE) is not None


def version() -> str:
    """The runtime in words."""
    return f"llama.cpp ({PACKAGE} {metadata.version(PACKAGE)})"


def opened(file: Path, context: int, schema: JsonDict | None = None, tower: Path | None = None) -> Ask:
    """A file as it answers prompts, within a schema where one is given (`recipes.decode.constrained`).

    Prompts are token ids; with a `tower`, which sees pictures, they are chats, which go through the template inside.
    `context`: the longest prompt with its answer. Raises ModelError when llama.cpp does not read the file or fails.
    """
    server = _opened(file, context, tower)
    asked: dict[str, Any] = {"temperature": 0, "top_k": 1, "cache_prompt": False}
    asked |= {"grammar": gbnf(schema)} if schema else {}

    def ask(prompts: Sequence[Any], most: int) -> Iterator[Reply]:
        for prompt in prompts:
            if isinstance(prompt, PicturedChat):
                chat = {"messages": prompt.turns, "max_tokens": most, **asked}
                reply = _replied(file, server.handle_chat_completions(chat))
                text = reply["choices"][0]["message"]["content"] or ""
            else:
                reply = _replied(file, server.handle_completions({"prompt": prompt, "n_predict": most, **asked}))
                text = reply["choices"][0]["text"]
            tokens = int(reply["usage"]["completion_tokens"])
            yield Reply(str(text).strip(), tokens, reply["choices"][0]["finish_reason"] != "length")

    return ask


def read_lengths(file: Path, context: int, tower: Path | None, chats: Sequence[list[dict[str, Any]]]) -> list[int]:
    """How many tokens the chat template and the tokenizer inside a file make of chats. Raises ModelError."""
    server = _opened(file, context, tower)
    asked: dict[str, Any] = {"temperature": 0, "max_tokens": 1, "cache_prompt": True}
    replies = (_replied(file, server.handle_chat_completions({"messages": chat, **asked})) for chat in chats)
    return [int(reply["usage"]["prompt_tokens"]) for reply in replies]


def read_tokens(file: Path, context: int, chats: Sequence[list[dict[str, Any]]]) -> list[list[int]]:
    """The tokens that the chat template and the tokenizer inside a file make of chats. Raises ModelError."""
    server = _opened(file, context, None)
    prompts = [_posted(server, file, "/apply-template", {"messages": chat})["prompt"] for chat in chats]
    way = {"add_special": True, "parse_special": True}
    return [_posted(server, file, "/tokenize", {"content": text, **way})["tokens"] for text in prompts]


def _posted(server: Any, file: Path, route: str, body: JsonDict) -> JsonDict:
    """What the server inside this process answers; it listens on this machine only, and no proxy is asked."""
    asked = Request(server.listening_address + route, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with build_opener(ProxyHandler({})).open(asked, timeout=60) as reply:
            found: JsonDict = json.load(reply)
            return found
    except (OSError, ValueError) as error:
        message = f"llama.cpp does not read a chat with {file.name}: {error}"
        raise ModelError(message, "Export it again.", "export.parity") from error


def _opened(file: Path, context: int, tower: Path | None) -> Any:
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = str(file)
    if tower:
        options.mmproj.path = str(tower)
    options.n_ctx, options.n_parallel, options.n_gpu_layers = context, 1, 0
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = THREADS
    options.warmup, options.verbosity, options.use_jinja = False, -1, True
    try:
        server = xllamacpp.Server(options)
    except Exception as error:  # it raises what the C++ side threw
        raise ModelError(
            f"llama.cpp does not read {file.name}: {error}", "Export it again.", "export.parity"
        ) from error
    # A server that is let go before its loop began waits for it for ever: what is answered shows that it runs.
    _replied(file, server.handle_completions({"prompt": ".", "n_predict": 1, "cache_prompt": False}))
    return server


def _replied(file: Path, reply: Any) -> dict[str, Any]:
    if not isinstance(reply, dict) or "choices" not in reply:
        message = f"llama.cpp does not answer with {file.name}: {str(reply)[:200]}"
        raise ModelError(message, "Export it again.", "export.parity")
    return reply


def quantise(values: np.ndarray, kind: str) -> np.ndarray:
    """Float32 (rows, width) as ggml stores them in `kind`, such as "Q4_K": uint8 (rows, bytes of a row).

    `width` is a multiple of the kind's block (256 for k-quants, 32 for Q5_0).
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    number = GGMLQuantizationType[kind]
    block, block_bytes = GGML_QUANT_SIZES[number]
    rows, width = values.shape
    if width % block:
        raise ValueError(f"rows of {width} are no multiple of {block}")
    source = np.ascontiguousarray(values, dtype=np.float32)
    packed = np.empty((rows, width // block * block_bytes), dtype=np.uint8)
    written = _library().ggml_quantize_chunk(int(number), source.ctypes.data, packed.ctypes.data, 0, rows, width, None)
    if written != packed.nbytes:
        raise ModelError(f"ggml wrote {written} bytes of {kind}, not {packed.nbytes}.", "Export to another kind.")
    return packed


@functools.cache
def _library() -> Any:
    """ggml inside the package's extension module: its C functions are exported."""
    import xllamacpp

    folder = Path(xllamacpp.__file__).parent
    library = ctypes.CDLL(str(next(folder.glob("xllamacpp*.so"))))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
    ]  # fmt: skip
    return library
