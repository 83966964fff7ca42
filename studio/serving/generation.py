"""Answers of a decoder-only model token by token: several at once, sampled or greedy, with stops, schema and logprobs.

Rows of one call share their steps, leave them when they end, and others may join. Greedy rows choose what a
comparison's decoder chooses. Prompts come as tensors; requests and HTTP are not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.decode.decoder import end_ids

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.decode.constrained import Grammar, State
    from recipes.models.loaded import Loaded


class Wish(NamedTuple):
    """How one answer is to be written. `temperature` 0 is greedy; `top` None asks for no logprobs."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stops: tuple[str, ...] = ()
    grammar: Grammar | None = None
    top: int | None = None


class TokenChance(NamedTuple):
    """A token that was chosen, its log-probability, and the likeliest tokens with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


class Piece(NamedTuple):
    """What is new of an answer; `finish` with the last: stop or length. `tokens` counts the end token too.

    `confidence`, with the last: exp(mean log-probability) of these tokens, as `recipes.decode.decoder` has it.
    """

    text: str
    chances: tuple[TokenChance, ...] = ()
    finish: str = ""
    tokens: int = 0
    confidence: float = 0.0


class Row:
    """One answer on its way."""

    def __init__(self, wish: Wish, give: Callable[[Piece], None], wanted: Callable[[], bool] = lambda: True) -> None:
        import torch

        self.wish, self.give, self.wanted = wish, give, wanted
        self.tokens: list[int] = []
        self.over = False
        self.state: State | None = None
        self._generator = torch.Generator().manual_seed(wish.seed % (1 << 63))
        self._chances: list[tuple[int, TokenChance]] = []  # with the characters that were written before each
        self._logprob = 0.0
        self._shown = 0
        self._text = ""
        self._most = wish.max_tokens

    def begin(self, room: int) -> None:
        """Before the first token: the context leaves `room` tokens."""
        self._most = min(self.wish.max_tokens, room)
        if self.wish.grammar:
            self.state = self.wish.grammar.start(self._most)

    def choose(self, logits: Tensor) -> int:
        """The next token from logits (V,)."""
        import torch

        offered = logits
        if self.state is not None:
            offered = logits.masked_fill(torch.from_numpy(self.state.forbidden()), -math.inf)
        token = int(offered.argmax())
        if self.wish.temperature > 0:
            chances = (offered / self.wish.temperature).softmax(-1)
            if self.wish.top_p < 1:
                ordered, places = chances.sort(descending=True)
                ordered[ordered.cumsum(-1) - ordered >= self.wish.top_p] = 0.0
                chances = torch.zeros_like(chances).scatter(0, places, ordered)
            token = int(torch.multinomial(chances, 1, generator=self._generator))
        self._logprob += float(logits[token] - logits.logsumexp(-1))
        if self.wish.top is not None:
            logprobs = logits.log_softmax(-1)
            values, ids = logprobs.topk(self.wish.top) if self.wish.top else ((), ())
            top = tuple((int(i), float(v)) for i, v in zip(ids, values, strict=True))
            self._chances.append((len(self._text), TokenChance(token, float(logprobs[token]), top)))
        return token

    def take(self, token: int, ends: set[int], tokenizer: Any) -> bool:
        """Go on with a token and give out what is sure; True when the answer is over."""
        if token in ends:
            del self._chances[-1:]  # the end is no token of the answer
            closed = self.state is not None and self.state.closed
            self._finish("length" if closed else "stop", len(self.tokens) + 1)
            return True
        self.tokens.append(token)
        if self.state is not None:
            self.state.take(token)
        self._text = tokenizer.decode(self.tokens, skip_special_tokens=True)
        cut = min((at for stop in self.wish.stops if (at := self._text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self._text = self._text[:cut]
            self._chances = [one for one in self._chances if one[0] < cut]
            self._finish("stop", len(self.tokens))
            return True
        if len(self.tokens) >= self._most:
            self._finish("length", len(self.tokens))
            return True
        self._show(len(self._text) - self._unsure())
        return False

    def _unsure(self) -> int:
        """Characters at the end that may yet be taken back: half a character, or the beginning of a stop."""
        if self._text.endswith("\ufffd"):
            return len(self._text) - len(self._text.rstrip("\ufffd")) + self._held(self._text.rstrip("\ufffd"))
        return self._held(self._text)

    def _held(self, text: str) -> int:
        longest = 0
        for stop in self.wish.stops:
            sizes = range(min(len(stop) - 1, len(text)), longest, -1)
            longest = next((size for size in sizes if text.endswith(stop[:size])), longest)
        return longest

    def _show(self, until: int) -> None:
        if until <= self._shown:
            return
        chances = tuple(chance for at, chance in self._chances if at < until)
        self._chances = [one for one in self._chances if one[0] >= until]
        self.give(Piece(self._text[self._shown : until], chances))
        self._shown = until

    def _finish(self, why: str, tokens: int) -> None:
        self.over = True
        chances = tuple(chance for _, chance in self._chances)
        confidence = math.exp(self._logprob / max(1, tokens))
        self.give(Piece(self._text[self._shown :], chances, why, tokens, confidence))


def padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> dict[str, Tensor]:
    """Prompts of different lengths as model inputs, padded on the left."""
    import torch

    longest = max(map(len, prompts))
    gaps = torch.tensor([longest - len(prompt) for prompt in prompts])
    ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = (torch.arange(longest) >= gaps[:, None]).long()
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


class _Batch(NamedTuple):
    """Rows on their way with their newest tokens; mask (rows, tokens) and cache are of what was read so far."""

    rows: list[Row]
    tokens: list[int]
    mask: Tensor
    cache: Any
    ragged: bool


Newcomers = Sequence[tuple[Sequence[int], Row]]


def nobody(live: int) -> Newcomers:
    """No newcomers."""
    return ()


def generate(
    loaded: Loaded,
    feed: dict[str, Tensor],
    rows: Sequence[Row],
    limit: int,
    join: Callable[[int], Newcomers] = nobody,
) -> None:
    """Write every row's answer. `feed` holds input_ids (rows, tokens); no row outgrows `limit` tokens.

    `join` is asked before each step for prompts that came meanwhile, told how many rows are on their way: a short
    answer need not wait for the longest of a batch. For models with full attention alone.
    """
    import torch

    tokenizer, device = loaded.tokenizer, loaded.model.device
    ends = end_ids(loaded)

    def step(feed: dict[str, Tensor], batch: _Batch) -> _Batch:
        given = {**feed, "attention_mask": batch.mask} if batch.ragged or batch.cache is None else feed
        with torch.inference_mode():
            out = loaded.model(**given, past_key_values=batch.cache, use_cache=True, logits_to_keep=1)
        cache, logits, mask = out.past_key_values, out.logits[:, -1].float().cpu(), batch.mask
        kept, tokens = [], []
        for place, row in enumerate(batch.rows):
            if not row.wanted():
                continue
            token = row.choose(logits[place])
            if not row.take(token, ends, tokenizer):
                kept.append(place)
                tokens.append(token)
        if kept and len(kept) < len(batch.rows):
            index = torch.tensor(kept, device=mask.device)
            cache.batch_select_indices(index)
            mask = mask[index]
        return _Batch([batch.rows[place] for place in kept], tokens, mask, cache, batch.ragged)

    def begin(feed: dict[str, Tensor], rows: Sequence[Row]) -> _Batch:
        mask = feed.pop("attention_mask", torch.ones_like(feed["input_ids"]))
        for row, length in zip(rows, mask.sum(-1).tolist(), strict=True):
            row.begin(max(1, limit - length))
        ragged = bool((mask == 0).any())
        if ragged:
            feed["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        return step(feed, _Batch(list(rows), [], mask, None, ragged))

    batch = begin(feed, rows)
    while batch.rows:
        if fresh := join(len(batch.rows)):
            prompts = padded([prompt for prompt, _ in fresh], tokenizer.pad_token_id or 0, device)
            batch = _together(_trimmed(batch), begin(prompts, [row for _, row in fresh]))
        mask = torch.cat([batch.mask, torch.ones_like(batch.mask[:, :1])], dim=1)
        feed = {"input_ids": torch.tensor(batch.tokens, device=device)[:, None]}
        if batch.ragged:
            feed["position_ids"] = (mask.sum(-1) - 1)[:, None]
        batch = step(feed, batch._replace(mask=mask))


def _trimmed(batch: _Batch) -> _Batch:
    """Without the columns of rows that left: a batch that others keep joining would become wider without end."""
    empty = int(batch.mask.any(0).int().argmax())
    for layer in batch.cache.layers if empty else ():
        layer.keys, layer.values = layer.keys[..., empty:, :], layer.values[..., empty:, :]
    return batch._replace(mask=batch.mask[:, empty:])


def _together(one: _Batch, other: _Batch) -> _Batch:
    """Two batches as one, the shorter padded on the left; the first one's cache is used."""
    import torch
    from torch.nn.functional import pad

    if not other.rows:
        return one
    longest = max(one.mask.shape[1], other.mask.shape[1])

    def both(first: Tensor, second: Tensor) -> Tensor:
        wide = [pad(part, (0, 0, longest - part.shape[-2], 0)) for part in (first, second)]
        return torch.cat(wide)

    for mine, theirs in zip(one.cache.layers, other.cache.layers, strict=True):
        mine.keys, mine.values = both(mine.keys, theirs.keys), both(mine.values, theirs.values)
    mask = torch.cat([pad(batch.mask, (longest - batch.mask.shape[1], 0)) for batch in (one, other)])
    ragged = one.ragged or other.ragged or bool((mask == 0).any())
    return _Batch([*one.rows, *other.rows], [*one.tokens, *other.tokens], mask, one.cache, ragged)
