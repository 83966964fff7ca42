"""Decoding of many prompts through a fixed number of slots, as fast as a transformers model allows.

Prompts are served longest first. A row that ends frees its slot, which the next prompt takes, so that no step is spent
on finished rows; a prefix that all prompts share (instructions, examples) is computed once. Keys and values are
written in place into buffers made once. Works for decoder-only models with full attention; see `fits`.
Greedy, or sampled with generators of its own. Mining, checks and comparisons all decode here.
It knows tokens only: no texts, no scores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.decode.slots import SlotPlan, bands, in_bands, make_cache
from recipes.models.output import logits_of
from recipes.text.chat import answer_end, control_tokens
from synth.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.decode.constrained import Grammar, State
    from recipes.models.loaded import Loaded

PREFILL_TOKENS = 8192  # tokens per prefill call, padding included: bounds activation memory
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")


class Sampling(NamedTuple):
    """Tokens drawn from the whole distribution at `temperature` (above 0); the same `seed` draws the same tokens."""

    temperature: float
    seed: int


class Generated(NamedTuple):
    """One finished row: place in the prompts, tokens without the end token, exp(mean log-probability), seconds.

    `ended`: by the model itself, not by a limit.
    """

    place: int
    tokens: list[int]
    confidence: float
    seconds: float
    ended: bool


def fits(model: Any) -> bool:
    """Whether this model's attention is what the slots assume: causal, full, one key/value cache per layer, and
    positions that count tokens (those of M-RoPE follow a picture's grid).
    """
    config = model.config.get_text_config()
    if "mrope_section" in (getattr(config, "rope_parameters", None) or {}):
        return False
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    sliding = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    plain = kinds == {"full_attention"} and not (sliding and not hasattr(config, "layer_types"))
    return plain and not model.config.is_encoder_decoder and model.get_output_embeddings() is not None


def shared_prefix(prompts: Sequence[list[int]]) -> list[int]:
    """Longest common beginning that leaves every prompt at least one token."""
    if len(prompts) < 2:
        return []
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), limit)
    return first[: min(length, limit)]


def slots_for(model: Any, capacity: int, memory_bytes: int, most: int) -> int:
    """Slots whose keys and values fit into `memory_bytes`, between 1 and `most`."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_slot: int = 2 * config.num_hidden_layers * heads * width * capacity * model.dtype.itemsize
    return max(1, min(most, memory_bytes // max(per_slot, 1)))


def rows_in_memory(model: Any, capacity: int, most: int) -> int:
    """Rows of `capacity` tokens whose keys and values take at most a quarter of the free memory; `most` at most."""
    import psutil
    import torch

    free = torch.cuda.mem_get_info()[0] if model.device.type == "cuda" else psutil.virtual_memory().available
    return slots_for(model, capacity, free // 4, most)


def end_ids(loaded: Loaded) -> set[int]:
    """Token ids that end an answer: the model's, the tokenizer's, the chat template's, and the usual ends of a turn."""
    tokenizer = loaded.tokenizer
    configured = getattr(loaded.model.generation_config, "eos_token_id", None)
    ids = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    known = tokenizer.get_added_vocab()
    words = set(TURN_ENDS)
    if loaded.processor is tokenizer and tokenizer.chat_template and tokenizer.eos_token:
        end = answer_end(tokenizer)
        words |= {token for token in control_tokens(tokenizer) if end.endswith(token)}
    return {i for i in ids if i is not None} | {known[word] for word in words if word in known}


def decode(
    loaded: Loaded,
    prompts: Sequence[list[int]],
    rows: int,
    max_new_tokens: int,
    limit: int = 1 << 30,
    sampling: Sampling | None = None,
    grammar: Grammar | None = None,
) -> Iterator[Generated]:
    """Finished rows in the order they finish, `rows` at a time, none beyond `limit` tokens; greedy by default.

    With a `grammar` every answer obeys it; raises ModelError where the model's class does not fit the slots.
    """
    ends = end_ids(loaded)
    if fits(loaded.model):
        return SlotDecoder(loaded.model, ends, rows, max_new_tokens, limit, sampling, grammar).run(prompts)
    refuse_grammar(loaded, grammar)
    return generate_batches(loaded.model, ends, rows, max_new_tokens, loaded.tokenizer.pad_token_id, prompts, sampling)


def refuse_grammar(loaded: Loaded, grammar: Grammar | None) -> None:
    """Raise ModelError when there is a grammar: `generate` does not ask it."""
    if grammar is not None:
        kind = type(loaded.model).__name__
        raise ModelError(f"Answers of {kind} cannot be held to a schema.", "Leave the schema out.", "model.schema")


class _Row:
    """A prompt in a slot."""

    __slots__ = ("began", "index", "length", "logprob", "state", "tokens")

    def __init__(self, index: int, length: int, state: State | None = None) -> None:
        self.index = index
        self.state = state
        self.length = length
        self.tokens: list[int] = []
        self.logprob = 0.0
        self.began = time.perf_counter()

    def done(self, ended: bool) -> Generated:
        mean = self.logprob / max(1, len(self.tokens) + ended)
        whole = ended and not (self.state and self.state.closed)
        return Generated(self.index, self.tokens, math.exp(mean), time.perf_counter() - self.began, whole)


class SlotDecoder:
    """One pass over prompts. `end_ids` end a row, `slots` rows are in flight at once, none outgrows `limit` tokens."""

    def __init__(
        self,
        model: Any,
        end_ids: set[int],
        slots: int,
        max_new_tokens: int,
        limit: int = 1 << 30,
        sampling: Sampling | None = None,
        grammar: Grammar | None = None,
    ) -> None:
        self._model = model
        self._grammar = grammar
        self._decoder = model.get_decoder()
        self._end_ids = end_ids
        self._slots = slots
        self._max_new = max_new_tokens
        self._limit = limit
        self._sampling = sampling

    def run(self, prompts: Sequence[list[int]]) -> Iterator[Generated]:
        """Finished rows in the order they finish; none of `prompts` may be empty."""
        import torch

        with torch.inference_mode(), in_bands(self._decoder):
            yield from self._run(prompts)

    def _run(self, prompts: Sequence[list[int]]) -> Iterator[Generated]:
        import torch

        self._prompts = prompts
        self._chance = torch.Generator(self._model.device)
        if self._sampling:
            self._chance.manual_seed(self._sampling.seed)
        prefix = self._prefix(prompts)
        queue = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # the longest is taken first, from the end
        slots = min(self._slots, len(prompts))
        capacity = len(prompts[queue[-1]]) + self._max_new if queue else 0
        self._plan = SlotPlan(slots, capacity)
        self._cache = make_cache(self._model, self._plan)
        self._mask = torch.full((slots, capacity), -math.inf, dtype=self._model.dtype, device=self._model.device)
        self._rows: list[_Row | None] = [None] * slots
        self._last = torch.zeros(slots, dtype=torch.long, device=self._model.device)
        self._start = len(prefix)
        if prefix:
            self._fill_prefix(prefix)
        while queue or any(row is not None for row in self._rows):
            free = [slot for slot, row in enumerate(self._rows) if row is None]
            if queue and len(free) >= max(1, len(self._rows) // 8):
                yield from self._admit(queue, free)
            elif not queue and len(free) > len(self._rows) // 5:
                self._shrink()
            else:
                yield from self._step()

    def _prefix(self, prompts: Sequence[list[int]]) -> list[int]:
        """What is computed once for all prompts."""
        return shared_prefix(prompts)

    def _forward(self, tokens: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states [rows, tokens, width]."""
        return self._decoder(
            input_ids=tokens, position_ids=positions, attention_mask=mask, past_key_values=self._cache, use_cache=True
        ).last_hidden_state

    def _fill_prefix(self, prefix: list[int]) -> None:
        import torch

        self._plan.filling, self._plan.start = torch.tensor([0], device=self._model.device), 0
        tokens = torch.tensor([prefix], device=self._model.device)
        self._forward(tokens, torch.arange(len(prefix), device=self._model.device)[None], None)
        for layer in self._cache.layers:
            layer.spread(len(prefix))

    def _admit(self, queue: list[int], free: list[int]) -> Iterator[Generated]:
        """Prefill the next prompts into free slots and take their first tokens."""
        import torch

        start = self._start
        longest = len(self._prompts[queue[-1]]) - start
        count = max(1, min(len(free), len(queue), PREFILL_TOKENS // longest))
        chosen = [queue.pop() for _ in range(count)]
        slots = free[:count]
        device = self._model.device
        tokens = torch.zeros(count, longest, dtype=torch.long)
        for line, index in enumerate(chosen):
            own = self._prompts[index][start:]
            tokens[line, : len(own)] = torch.tensor(own)
            length = len(self._prompts[index])
            state = self._grammar.start(min(self._max_new, self._limit - length)) if self._grammar else None
            self._rows[slots[line]] = _Row(index, length, state)
        positions = torch.arange(start, start + longest, device=device)
        seen = torch.arange(start + longest, device=device) <= positions[:, None]
        # Numbers to add, as plain attention wants them: it would add a mask of truth values as ones and zeros.
        mask = torch.where(seen, 0.0, -math.inf).to(self._mask.dtype)[None, None] if start else None
        self._plan.filling, self._plan.start = torch.tensor(slots, device=device), start
        hidden = self._forward(tokens.to(device), positions[None].expand(count, -1), mask)
        lengths = torch.tensor([len(self._prompts[index]) for index in chosen], device=device)
        last = hidden[torch.arange(count, device=device), lengths - start - 1]
        columns = torch.arange(self._plan.capacity, device=device)
        self._mask[self._plan.filling] = torch.where(columns < lengths[:, None], 0.0, -math.inf).to(self._mask.dtype)
        self._plan.filling = None
        yield from self._take(slots, last)

    def _step(self) -> Iterator[Generated]:
        """One token for every slot; empty slots are computed too, and ignored: they write behind the prefix."""
        import torch

        device = self._model.device
        at = [row.length + len(row.tokens) - 1 if row else self._start for row in self._rows]
        self._plan.every = torch.arange(len(self._rows), device=device)
        self._plan.position = torch.tensor(at, device=device)
        self._plan.visible = max(at) + 1
        self._mask[self._plan.every, self._plan.position] = 0.0
        mask = self._mask[:, None, None, : self._plan.visible]
        with bands(at):
            hidden = self._forward(self._last[:, None], self._plan.position[:, None], mask)
        yield from self._take(list(range(len(self._rows))), hidden[:, -1])

    def _take(self, slots: list[int], hidden: Tensor) -> Iterator[Generated]:
        """Choose the next token of `slots` from hidden states [len(slots), width]; yield the rows that end."""
        import torch

        logits = logits_of(self._model, hidden).float()
        offered = self._allowed(slots, logits)
        chosen, tokens = offered.max(-1)
        if self._sampling:
            chances = (offered / self._sampling.temperature).softmax(-1)
            tokens = torch.multinomial(chances, 1, generator=self._chance)[:, 0]
            chosen = logits.gather(1, tokens[:, None])[:, 0]
        logprobs = (chosen - torch.logsumexp(logits, -1)).tolist()
        self._last[torch.tensor(slots, device=self._last.device)] = tokens
        for slot, token, logprob in zip(slots, tokens.tolist(), logprobs, strict=True):
            row = self._rows[slot]
            if row is None:
                continue
            row.logprob += logprob
            ended = token in self._end_ids
            if not ended:
                row.tokens.append(token)
                if row.state is not None:
                    row.state.take(token)
            full = len(row.tokens) >= self._max_new or row.length + len(row.tokens) >= self._limit
            if ended or full:
                self._rows[slot] = None
                yield row.done(ended)

    def _allowed(self, slots: list[int], logits: Tensor) -> Tensor:
        """Logits (len(slots), V) with what the grammar forbids at minus infinity; the same tensor without a grammar."""
        if self._grammar is None:
            return logits
        import numpy as np
        import torch

        free = np.zeros(logits.shape[-1], dtype=bool)
        rows = [self._rows[slot] for slot in slots]
        forbidden = np.stack([row.state.forbidden() if row is not None and row.state else free for row in rows])
        return logits.masked_fill(torch.from_numpy(forbidden).to(logits.device), -math.inf)

    def _shrink(self) -> None:
        """Drop the empty slots; only when no prompt is left to take them."""
        import torch

        kept = [slot for slot, row in enumerate(self._rows) if row is not None]
        rows = torch.tensor(kept, dtype=torch.long, device=self._model.device)
        for layer in self._cache.layers:
            layer.keep(rows)
        self._mask, self._last = self._mask[rows], self._last[rows]
        self._rows = [self._rows[slot] for slot in kept]
        self._plan.slots = len(kept)


def generate_batches(
    model: Any,
    end_ids: set[int],
    rows: int,
    max_new_tokens: int,
    pad_id: int,
    prompts: Sequence[list[int]],
    sampling: Sampling | None = None,
) -> Iterator[Generated]:
    """The same through transformers' `generate`, batch by batch, for models that do not fit the slots."""
    import torch

    queue = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    for start in range(0, len(queue), rows):
        chosen = queue[start : start + rows]
        longest = len(prompts[chosen[0]])
        gaps = [longest - len(prompts[i]) for i in chosen]
        ids = torch.tensor([[pad_id] * gap + list(prompts[i]) for gap, i in zip(gaps, chosen, strict=True)])
        mask = (torch.arange(longest) >= torch.tensor(gaps)[:, None]).long()
        inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
        seeded = sampling and sampling._replace(seed=sampling.seed + start)
        for done in generate_batch(model, inputs, end_ids, max_new_tokens, pad_id, seeded):
            yield done._replace(place=chosen[done.place])


def generate_batch(
    model: Any,
    inputs: dict[str, Any],
    end_ids: set[int],
    max_new_tokens: int,
    pad_id: int,
    sampling: Sampling | None = None,
) -> Iterator[Generated]:
    """One batch of `generate`; `inputs` are its tensors, padded on the left. `seconds` are those of the whole batch.

    The caller's random state is left as it was.
    """
    import torch

    how: dict[str, Any] = {"do_sample": False}
    if sampling:
        how = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0, "top_p": 1.0}
    began = time.perf_counter()
    with torch.inference_mode(), torch.random.fork_rng(enabled=sampling is not None):
        if sampling:
            torch.manual_seed(sampling.seed)
        output = model.generate(
            **inputs,
            **how,
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(end_ids),
            pad_token_id=pad_id,
            output_logits=True,
            return_dict_in_generate=True,
        )
    seconds = time.perf_counter() - began
    answers = output.sequences[:, inputs["input_ids"].shape[1] :]
    picked = [step.float().log_softmax(-1).gather(1, answers[:, [i]]) for i, step in enumerate(output.logits)]
    logprobs = torch.cat(picked, 1)
    for line, tokens in enumerate(answers.tolist()):
        length = next((i for i, token in enumerate(tokens) if token in end_ids), len(tokens))
        ended = length < len(tokens)
        confidence = math.exp(logprobs[line, : length + ended].mean().item())
        yield Generated(line, tokens[:length], confidence, seconds, ended)
