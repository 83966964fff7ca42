"""The training loop of the text starters: packed rows, Muon and AdamW, warm-up, plateau and decay, exact resume.

Batch i depends on (seed, i) alone, so a run resumed from its state file goes on as if it had never stopped.
It knows nothing of families or shapes: those come in as arguments.
"""

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.starters.making.team import Team
from recipes.starters.making.text_tokenizer import END, chat_text
from recipes.starters.text_data.row import Row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RowStream = Callable[[random.Random], Iterator[Row]]
DECAY_FRACTION = 0.6
PROMPT_WEIGHT = 0.1


class Plan(NamedTuple):
    """What one training is told: either `steps` or `minutes` ends it."""

    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    batch: int = 14
    length: int = 384
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    warmup: int = 100
    log_every: int = 25
    save_sec: float = 180.0
    compile: bool = True


class Packed(NamedTuple):
    """Ids, labels, positions in the document, document numbers (0 = padding), loss weights; all [batch, length]."""

    ids: "torch.Tensor"
    labels: "torch.Tensor"
    positions: "torch.Tensor"
    documents: "torch.Tensor"
    weights: "torch.Tensor"


def encode(tokenizer: "PreTrainedTokenizerFast", rows: list[Row]) -> list[tuple[list[int], int]]:
    """For each row its ids (prompt, target, end) and the length of the prompt."""
    prompts = [chat_text(row.prompt) for row in rows]
    replies = [f"{row.target}{END}" for row in rows]
    ids = tokenizer([*prompts, *replies], add_special_tokens=False)["input_ids"]
    return [(head + tail, len(head)) for head, tail in zip(ids[: len(rows)], ids[len(rows) :], strict=True)]


def pack(tokenizer: "PreTrainedTokenizerFast", stream: Iterator[Row], batch: int, length: int) -> Packed:
    """Fill `batch` sequences of `length` with whole documents, first fit; documents never see each other."""
    import torch

    filled: list[list[tuple[list[int], int]]] = [[] for _ in range(batch)]
    room = [length] * batch
    misses = 0
    while misses < 12:
        for ids, head in encode(tokenizer, [next(stream) for _ in range(64)]):
            place = next((number for number in range(batch) if room[number] >= len(ids)), None)
            if place is None:
                misses += 1
            else:
                filled[place].append((ids, head))
                room[place] -= len(ids)
    shape = (5, batch, length)
    out = torch.zeros(shape, dtype=torch.long)
    weights = torch.zeros(batch, length)
    for line, documents in enumerate(filled):
        at = 0
        for number, (ids, head) in enumerate(documents, 1):
            end = at + len(ids)
            out[0, line, at:end] = torch.tensor(ids)
            out[1, line, at : end - 1] = torch.tensor(ids[1:])
            out[2, line, at:end] = torch.arange(len(ids))
            out[3, line, at:end] = number
            weights[line, at : at + head - 1] = PROMPT_WEIGHT
            weights[line, at + head - 1 : end - 1] = 1.0
            at = end
    return Packed(out[0], out[1], out[2], out[3], weights)


def document_mask(documents: "torch.Tensor") -> "torch.Tensor":
    """[batch, 1, length, length] to add to attention scores: 0 for earlier tokens of the same document, else -1e9."""
    import torch

    length = documents.shape[1]
    same = documents[:, :, None] == documents[:, None, :]
    allowed = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    return torch.zeros_like(allowed, dtype=torch.float32).masked_fill(~allowed, -1e9)


def packed_loss(model: "PreTrainedModel", batch: Packed) -> "torch.Tensor":
    """Weighted mean cross-entropy (nats a token); attention stays within a document."""
    import torch

    mask = document_mask(batch.documents)
    logits = model(input_ids=batch.ids, position_ids=batch.positions, attention_mask=mask, use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten(), reduction="none")
    return (losses * batch.weights.flatten()).sum() / batch.weights.sum()


def make_optimizers(model: "PreTrainedModel", plan: Plan) -> list["torch.optim.Optimizer"]:
    """Muon for hidden matrices, AdamW for embeddings and norms; moments in fp32."""
    import torch

    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    rest = [p for name, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in name)]
    return [
        torch.optim.Muon(hidden, lr=plan.muon_lr, weight_decay=0.05, momentum=0.95, nesterov=True),
        torch.optim.AdamW(rest, lr=plan.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def lr_scale(step: int, warmup: int, total: int | None) -> float:
    """Warm up, stay at 1, fall to 0.02 over the last DECAY_FRACTION of `total`; no fall while `total` is unknown."""
    scale = min(1.0, (step + 1) / warmup)
    if total is not None:
        left = (total - step) / max(1.0, total * DECAY_FRACTION)
        scale *= max(0.02, min(1.0, left))
    return scale


class Trainer:
    """One training with its state in a folder: `state.safetensors`, `log.jsonl`."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerFast",
        stream: RowStream,
        plan: Plan,
        out: Path,
        team: Team | None = None,
    ) -> None:
        self.model, self.tokenizer, self.stream, self.plan, self.out = model, tokenizer, stream, plan, out
        self.team = team or Team()
        self.step, self.total, self.seconds, self.tokens, self.saves = 0, plan.steps, 0.0, 0, 0
        self.optimizers = make_optimizers(model, plan)
        out.mkdir(parents=True, exist_ok=True)

    def log(self, **fields: Any) -> None:
        """Append one line to log.jsonl and print it, in the leading process."""
        if not self.team.leads:
            return
        line = json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **fields})
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def _tensors(self) -> dict[str, "torch.Tensor"]:
        tensors = {f"model.{name}": p.detach() for name, p in self.model.named_parameters()}
        for number, optimizer in enumerate(self.optimizers):
            for index, parameter in enumerate(optimizer.param_groups[0]["params"]):
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{number}.{index}.{key}"] = value
        return tensors

    def save(self) -> None:
        """Write the whole state to a new file and rename it, so that a kill loses only the steps since."""
        from safetensors.torch import save_file

        counters = {"step": self.step, "seconds": self.seconds, "tokens": self.tokens}
        part = self.out / "state.part"
        save_file({k: v.contiguous() for k, v in self._tensors().items()}, part, {"counters": json.dumps(counters)})
        part.replace(self.out / "state.safetensors")

    def resume(self) -> bool:
        """Take up the state file when there is one; the limit may be another than before."""
        import torch
        from safetensors import safe_open

        path = self.out / "state.safetensors"
        if not path.exists():
            return False
        parameters = dict(self.model.named_parameters())
        with safe_open(path, framework="pt") as file, torch.no_grad():
            counters = json.loads(file.metadata()["counters"])
            for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
                kind, rest = name.split(".", 1)
                if kind == "model":
                    parameters[rest].copy_(file.get_tensor(name))
                else:
                    number, index, key = rest.split(".", 2)
                    optimizer = self.optimizers[int(number)]
                    parameter = optimizer.param_groups[0]["params"][int(index)]
                    optimizer.state[parameter][key] = file.get_tensor(name)
        self.step, self.seconds, self.tokens = counters["step"], counters["seconds"], counters["tokens"]
        self._plan_end()
        return True

    def loss(self, model: "PreTrainedModel", batch: Any) -> "torch.Tensor":
        """The loss of a batch; other starters have their own."""
        return packed_loss(model, batch)

    def size(self, batch: Any) -> int:
        """Tokens in a batch, padding left out."""
        return int((batch.documents > 0).sum())

    @property
    def place(self) -> str:
        """What the random numbers of this process's next batch depend on."""
        alone = f"{self.plan.seed}/{self.step}"
        return alone if self.team.size == 1 else f"{alone}/{self.team.rank}"

    def batch(self) -> Any:
        """Batch number `step`."""
        return pack(self.tokenizer, self.stream(random.Random(self.place)), self.plan.batch, self.plan.length)

    def _plan_end(self) -> None:
        """With a time limit the rate falls with the time that is left, however fast the machine happens to be."""
        if self.plan.steps is None and self.plan.minutes is not None:
            limit = self.plan.minutes * 60
            if self.seconds >= limit:
                self.total = self.step
            elif self.seconds >= (1 - DECAY_FRACTION) * limit:
                self.total = math.ceil(self.step * limit / self.seconds)

    def _update(self, scale: float) -> float:
        import torch

        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        for optimizer, base in zip(self.optimizers, (self.plan.muon_lr, self.plan.adam_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm

    def run(self, on_save: Callable[["Trainer"], None]) -> None:
        """Train to the end; `on_save` is called after each save (to export and measure) and its time is not counted."""
        import torch

        loss_of = torch.compile(self.loss, dynamic=False) if self.plan.compile else self.loss
        self.model.train()
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        losses: list[float] = []
        while self.total is None or self.step < self.total:
            batch = self.batch()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_of(self.model, batch)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"The loss of step {self.step} is {losses[-1]}; the saved state is whole.")
            loss.backward()
            self.team.average(self.model.parameters())
            scale = lr_scale(self.step, self.plan.warmup, self.total)
            norm = self._update(scale)
            self.step += 1
            self.tokens += self.size(batch) * self.team.size
            self.seconds = time.monotonic() - started
            self._plan_end()
            self.total = self.team.agree(self.total)
            if self.step % self.plan.log_every == 0:
                mean = sum(losses) / len(losses)
                self.log(loss=round(mean, 4), lr=round(scale, 3), norm=round(norm, 2), tokens=self.tokens)
                losses = []
            if self.team.leads and (time.monotonic() - saved > self.plan.save_sec or self.step == self.total):
                self.save()
                on_save(self)
                self.model.train()
                saved = time.monotonic()
                started = saved - self.seconds
