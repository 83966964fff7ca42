"""The short way to the end of a JSON answer: which of the tokens that a grammar allows close what is open.

An answer that comes near the token limit is led this way, so that it can be read. What it says is then cut all the
same, and whoever decodes says so. It knows no schema: the grammar's own mask is narrowed, token by token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Mask = np.ndarray[Any, np.dtype[np.bool_]]

_LETTER = b"a"  # where it may come, a text is open


class Closing(NamedTuple):
    """Kinds of tokens over a vocabulary, the one that closes most first: inside a text, and outside of one."""

    ends: Mask
    letter: int
    lengths: np.ndarray[Any, Any]
    inside: tuple[Mask, ...]
    outside: tuple[Mask, ...]

    @classmethod
    def of(cls, tokenizer: Any, vocabulary: int, ends: list[int]) -> Closing:
        """The kinds of an llguidance tokenizer's tokens."""
        texts = [tokenizer.decode_bytes([token]) for token in range(min(vocabulary, tokenizer.vocab_size))]
        texts += [b""] * (vocabulary - len(texts))

        def among(*beginnings: bytes) -> Mask:
            return np.array([text.lstrip(b" ").startswith(beginnings) for text in texts])

        end = np.zeros(vocabulary, dtype=bool)
        end[ends] = True
        alone = np.array([text == b'"' for text in texts])
        null = np.array([text.lstrip(b" ") == b"null" for text in texts])
        return cls(
            ends=end,
            letter=texts.index(_LETTER) if _LETTER in texts else -1,
            lengths=np.array([len(text) for text in texts]),
            inside=(end, among(b'"]', b'"}'), alone),
            outside=(end, among(b"]", b"}"), null, alone, among(b",")),
        )

    def narrow(self, matcher: Any, allowed: Mask) -> Mask:
        """The allowed tokens that lead to the end soonest; all of them where none does so by itself."""
        if forced := matcher.compute_ff_tokens():
            found = np.zeros_like(allowed)
            found[forced[0]] = True
            return found
        for kind in self.inside if allowed[self.letter] else self.outside:
            if (found := allowed & kind).any():
                return found
        return allowed

    def longest(self, allowed: Mask) -> int:
        """The allowed token with the most bytes."""
        return int(np.where(allowed, self.lengths, -1).argmax())
