"""Answers that obey a JSON schema, or are one of a few texts: at each step only tokens that can still lead to a valid
answer may be chosen.

llguidance keeps the state of each row; its masks are bits over the vocabulary. Greedy and sampled decoding alike. It
cannot make an answer true, only readable; and an answer cut at the token limit is still cut.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from synth.errors import RecipeError

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

# Separators as `json.dumps` writes them, which is how targets are written; free whitespace lets a model stall in it.
_WRITTEN: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Grammar:
    """A JSON schema over a model's vocabulary, or `{"choice": [texts]}`: one of these and nothing else.

    Raises RecipeError for a schema that cannot be enforced.
    """

    def __init__(self, loaded: Loaded, schema: dict[str, Any], end_ids: set[int]) -> None:
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        self.vocabulary = int(loaded.model.get_output_embeddings().weight.shape[0])
        self._tokenizer = from_tokenizer(loaded.tokenizer, n_vocab=self.vocabulary, eos_token=sorted(end_ids))
        if "choice" in schema:
            texts = " | ".join(json.dumps(text, ensure_ascii=False) for text in schema["choice"])
            self._grammar = LLMatcher.grammar_from_lark(f"start: {texts}")
        else:
            self._grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_WRITTEN)
        fault = LLMatcher.validate_grammar(self._grammar, self._tokenizer)
        if fault:
            raise RecipeError(f"The JSON schema cannot be enforced: {fault[:300]}.", "Simplify it.", "schema.invalid")

    def start(self) -> State:
        """The state of a row before its first token."""
        from llguidance import LLMatcher

        return State(LLMatcher(self._tokenizer, self._grammar), self.vocabulary)


class State:
    """How far one row's answer has come."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def forbidden(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(V,): True for tokens after which no valid answer is possible."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: self._vocabulary]
        found: np.ndarray[Any, np.dtype[np.bool_]] = np.ones(self._vocabulary, dtype=bool)
        found[: len(allowed)] = allowed == 0
        return found

    def take(self, token: int) -> None:
        """Go on with a token that was allowed."""
        self._matcher.consume_token(token)


def schema_of(form: dict[str, Any]) -> dict[str, Any]:
    """The schema in a `response_format`, as `Grammar` takes it."""
    found: dict[str, Any] = {"choice": form["choice"]} if form["type"] == "choice" else form["json_schema"]["schema"]
    return found
