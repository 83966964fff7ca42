"""Texts as numbers for linear models: token embeddings that come with a package, or hashed words and pairs of words.

Nothing is downloaded. Embeddings are the mean of WordLlama's token vectors (256 dimensions, in its wheel; their licence
is in docs/synthesis.md): they know topic and tone, not the order of words. Hashed n-grams know the very words and
nothing else.
"""

from __future__ import annotations

import functools
import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

FeatureKind = Literal["embeddings", "ngrams"]
MAX_CHARS = 20_000
"""Longer texts are judged by their beginning."""
BATCH = 512
"""Texts that are turned into numbers at once, so that memory does not grow with their number."""
_BUCKETS = 1 << 20


def features(texts: Sequence[str], kind: FeatureKind) -> Any:
    """One row of numbers for each text: dense float32 `[texts, 256]`, or sparse `[texts, 2^20]`.

    Raises ModuleNotFoundError where the embeddings' package is missing (the extra `documents`).
    """
    cut = [text[:MAX_CHARS] or " " for text in texts]
    if kind == "ngrams":
        return _vectorizer().transform(cut)
    import numpy as np

    parts = [_embedded(batch) for batch in in_batches(cut)]
    return np.concatenate(parts) if parts else np.empty((0, 256), np.float32)


def _embedded(texts: list[str]) -> Any:
    """Mean token vectors of length 1, as a product with a sparse matrix: 1.7 times as fast as padding the texts."""
    import numpy as np
    from scipy.sparse import csr_matrix

    table, tokenizer = _embedder()
    tokens, counts = array("i"), []
    for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        ids = encoded.ids
        tokens.extend(ids)
        counts.append(len(ids))
    flat, lengths = np.frombuffer(tokens, np.int32), np.array(counts)
    weights = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    found = csr_matrix((weights, flat, starts), shape=(len(texts), len(table))) @ table
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """The items, `size` at a time."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


@functools.cache
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=_BUCKETS, ngram_range=(1, 2), alternate_sign=False, token_pattern=r"\b\w+\b")


@functools.cache
def _embedder() -> tuple[Any, Any]:
    """Token vectors `[tokens, 256]` and their tokenizer, out of the package's own files."""
    import numpy as np

    root = logging.getLogger()
    kept = root.level, root.handlers[:]
    import wordllama  # which sets up the log of whoever imports it: every request of a pipeline was printed

    root.level, root.handlers[:] = kept
    from safetensors import safe_open
    from tokenizers import Tokenizer

    folder = Path(wordllama.__file__).parent
    with safe_open(folder / "weights" / "l2_supercat_256.safetensors", framework="np") as weights:
        table = weights.get_tensor("embedding.weight").astype(np.float32)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return table, tokenizer
