"""Answers that obey a JSON schema, or are one of a few texts: at each step only tokens that can still lead to a valid
answer may be chosen.

llguidance keeps the state of each row; its masks are bits over the vocabulary. Greedy and sampled decoding alike. It
cannot make an answer true, only readable. An answer that comes near the token limit is closed there: it can be read,
and is still one that was cut.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.decode.closing import Closing, Mask
from synth.errors import RecipeError

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

# Separators as `json.dumps` writes them, which is how targets are written; free whitespace lets a model stall in it.
_WRITTEN: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
MOST_TOKENS = 2048  # of the shortest answer; a grammar with a longer one is left to be cut
SPARE = 4  # tokens: the model's own may end what is half written (a word of an enum) less shortly


class Grammar:
    """A JSON schema over a model's vocabulary, or `{"choice": [texts]}`: one of these and nothing else.

    `vocabulary`: how many tokens the model scores. Raises RecipeError for a schema that cannot be enforced.
    """

    @classmethod
    def of(cls, loaded: Loaded, schema: dict[str, Any], end_ids: set[int]) -> Grammar:
        """The grammar over a loaded model's tokens."""
        return cls(loaded.tokenizer, int(loaded.model.get_output_embeddings().weight.shape[0]), schema, end_ids)

    def __init__(self, tokenizer: Any, vocabulary: int, schema: dict[str, Any], end_ids: set[int]) -> None:
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        self.vocabulary = vocabulary
        self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=sorted(end_ids))
        if "choice" in schema:
            texts = " | ".join(json.dumps(text, ensure_ascii=False) for text in schema["choice"])
            self._grammar = LLMatcher.grammar_from_lark(f"start: {texts}")
        else:
            self._grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_WRITTEN)
        self._ends = sorted(end_ids)
        self._closes = "choice" not in schema
        fault = LLMatcher.validate_grammar(self._grammar, self._tokenizer)
        if fault:
            raise RecipeError(f"The JSON schema cannot be enforced: {fault[:300]}.", "Simplify it.", "schema.invalid")

    def start(self, room: int) -> State:
        """The state of a row before its first token, which may have `room` tokens with the one that ends it.

        Where that is not twice the shortest answer, nothing is closed: a record of blanks would pass for an answer.
        """
        shortest = self._shortest
        closes = shortest is not None and room >= 2 * shortest
        return State(self._matcher(), self.vocabulary, self._closing, room) if closes else self._state()

    def _matcher(self) -> Any:
        from llguidance import LLMatcher

        return LLMatcher(self._tokenizer, self._grammar)

    @functools.cached_property
    def _closing(self) -> Closing:
        return Closing.of(self._tokenizer, self.vocabulary, self._ends)

    @functools.cached_property
    def _shortest(self) -> int | None:
        """Tokens of the shortest answer; None where answers are not closed."""
        if not self._closes:
            return None
        return self._state().tokens_to_end(self._closing)

    def _state(self) -> State:
        return State(self._matcher(), self.vocabulary)


class State:
    """How far one row's answer has come; with `closing`, it is led to its end when `room` tokens leave no other way."""

    def __init__(self, matcher: Any, vocabulary: int, closing: Closing | None = None, room: int = 0) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._closing = closing
        self._room = room
        self._look_at = room // 2  # tokens left when the way to the end is measured next
        self.closed = False  # led to its end, so that the answer says less than the model would have

    def forbidden(self) -> Mask:
        """(V,): True for tokens after which no valid answer is possible."""
        allowed = self._allowed()
        if self._closing:
            if not self.closed and self._room <= self._look_at:
                spare = self._room - SPARE - (self._copy().tokens_to_end(self._closing) or 0)
                self.closed = spare <= 0 and not (allowed & self._closing.ends).any()
                self._look_at = self._room - max(1, spare // 2)
            if self.closed:
                allowed = self._closing.narrow(self._matcher, allowed)
        return ~allowed

    def take(self, token: int) -> None:
        """Go on with a token that was allowed."""
        self._matcher.consume_token(token)
        self._room -= 1

    def tokens_to_end(self, closing: Closing) -> int | None:
        """Tokens of the shortest way to the end, the end included; None where none was found. The state is used up."""
        for count in range(1, MOST_TOKENS + 1):
            allowed = closing.narrow(self._matcher, self._allowed())
            if not allowed.any():
                return None
            if (allowed & closing.ends).any():
                return count
            self.take(closing.longest(allowed))
        return None

    def _allowed(self) -> Mask:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed: Mask = np.zeros(self._vocabulary, dtype=bool)
        known = np.unpackbits(bits, bitorder="little")[: self._vocabulary]
        allowed[: len(known)] = known == 1
        return allowed

    def _copy(self) -> State:
        return State(self._matcher.deep_copy(), self._vocabulary)


def schema_of(form: dict[str, Any]) -> dict[str, Any]:
    """The schema in a `response_format`, as `Grammar` takes it."""
    found: dict[str, Any] = {"choice": form["choice"]} if form["type"] == "choice" else form["json_schema"]["schema"]
    return found
