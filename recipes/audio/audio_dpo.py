"""Preference tuning of a speech model, as QLoRA with our own DPO loss: TRL has none for encoder-decoder models.

Chosen is the true transcript, rejected the model's own wrong hypothesis; both are one line, so nothing is cut as in
`recipes.train.pairs`. The reference is the adapter that training
starts from (or the bare base): its log-probabilities of all pairs are computed once, before the first step. Where the
dataset has no `rejected` transcripts, pairs are mined (`recipes.train.preference`) and kept in `pairs/` of the run. See
`recipes.train` for what all train modules share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.audio import audio_answers, audio_rows, audio_sft
from recipes.audio.backend import AudioBackend, Sound
from recipes.audio.backends import CLASSES, audio_backend, save_window, saved_window
from recipes.decode import sampling
from recipes.models.attention import short_attention
from recipes.models.files import find_adapter, resolve
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from recipes.models.soundness import read_object
from recipes.recipe.options import Dpo
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run, TrainResult
from recipes.train import dpo_eval, preference, preflight, training
from recipes.train.pairs import WHOLE
from recipes.train.ranks import ranks
from recipes.train.rows import IGNORED, TokenRow
from recipes.train.trainer import RunTrainer, training_args
from recipes.train.work import Work, prepare
from synth.dataset import DatasetDir
from synth.errors import ModelError
from synth.example import Example

if TYPE_CHECKING:
    from torch import Tensor


class PairRow(NamedTuple):
    """A recording with both transcripts as tokens."""

    sound: Sound
    chosen: TokenRow
    rejected: TokenRow


class Logps(NamedTuple):
    """Log-probabilities of whole transcripts in nats, (pairs,) each."""

    chosen: Tensor
    rejected: Tensor


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    refuse_without_preferences(recipe)
    pairs = preference.pair_dataset(run, recipe, lambda prompts: generator(run, recipe, prompts))
    work = prepare(run, recipe)
    run.emit("phase", name="encoding")
    backend = audio_backend(work.loaded)
    train_rows, eval_rows = preference.select(pairs, recipe)
    seconds = fit_window(backend, run, recipe, [*train_rows, *eval_rows], pairs)
    encoded, eval_encoded = encode(train_rows, backend, pairs), encode(eval_rows, backend, pairs)
    trainer = build_trainer(work, encoded, eval_encoded)
    picture = audio_rows.show([pair.sound for pair in encoded[:1]], run.path)
    preflight.check(trainer, [row for pair in encoded for row in (pair.chosen, pair.rejected)], picture=picture)

    def answering(loaded: Loaded, asked: Sequence[Example]) -> sampling.Generate:
        return audio_sft.generator(loaded, asked, work)

    with dpo_eval.measured(work, answering):
        result = training.fit(trainer, answering)
    if ranks().leads:
        save_window(run.adapter, seconds)
    return result


def refuse_without_preferences(recipe: Recipe) -> None:
    """Raise ModelError for a base that no preference can be taught, before it is loaded or asked for wrong answers."""
    ref = resolve(recipe.base_model, recipe.revision)
    backend = CLASSES.get(read_object(ref.path / "config.json")["model_type"])
    if backend and (why := backend.no_preferences):
        raise ModelError(
            f"{recipe.base_model} cannot be tuned on preferences: {why}.",
            "Train it longer or on more rows with audio_sft, or choose a Whisper, a Moonshine or a Qwen3-ASR.",
            "model.no_preferences",
        )


def generator(run: Run, recipe: Recipe, prompts: Sequence[Example]) -> sampling.Generate:
    """The model to be tuned, ready to transcribe `prompts` as `recipe.dpo` says."""
    base = resolve(recipe.base_model, recipe.revision)
    loaded = load_for_inference(base, recipe.adapter, runs=run.workspace.runs)
    fit_window(audio_backend(loaded), run, recipe, prompts, run.dataset())
    room = sampling.longest_target_tokens(loaded, prompts)
    return audio_answers.audio_generator(loaded, run.dataset(), recipe.dpo.temperature, recipe.seed, room)


def fit_window(backend: AudioBackend, run: Run, recipe: Recipe, rows: Sequence[Example], dataset: DatasetDir) -> float:
    """Fit the window to the adapter that training starts from, else to the recordings; returns its seconds.

    Raises DataError when a recording is longer.
    """
    noted = saved_window(find_adapter(recipe.adapter, run.workspace.runs)) if recipe.adapter else None
    if noted is not None:
        backend.fit(noted)
    needed = backend.window_seconds([audio_rows.recording(row, dataset) for row in rows])
    seconds = needed if noted is None else noted
    backend.fit(seconds)
    return seconds


def encode(examples: Sequence[Example], backend: AudioBackend, pairs: DatasetDir) -> list[PairRow]:
    """Sounds and both transcripts of the pairs, in order; chosen is the true transcript, whatever data.target says."""
    if not examples:
        return []
    true = [e if e.answer is None else e.model_copy(update={"target": e.answer}) for e in examples]
    wrong = [e.model_copy(update={"target": e.rejected}) for e in examples]
    recordings = [audio_rows.recording(example, pairs) for example in examples]
    sounds = backend.prepare(recordings, audio_rows.languages(true, backend))
    chosen, rejected = (audio_rows.encode(side, sounds, backend, WHOLE) for side in (true, wrong))
    return [PairRow(*row) for row in zip(sounds, chosen, rejected, strict=True)]


def build_trainer(work: Work, train_rows: list[PairRow], eval_encoded: list[PairRow]) -> Any:
    """transformers' Trainer with the preference loss; `eval_encoded` are the pairs of the validation loss."""
    from transformers import Trainer as Plain
    from transformers import TrainingArguments

    sounds, tokens = (
        [row.sound for row in train_rows],
        [side for row in train_rows for side in (row.chosen, row.rejected)],
    )
    short_attention(work.loaded.model, audio_rows.longest_attention(sounds, tokens))

    class Trainer(_Preference, RunTrainer, Plain):  # type: ignore[misc]
        pass

    trainer = Trainer(
        model=work.loaded.model,
        args=training_args(TrainingArguments, work, label_names=["labels"]),
        # Never masked: the reference heard whole recordings, and a mask would count as a difference of the policies.
        train_dataset=audio_rows.Rows(train_rows, eval_rows=True),
        eval_dataset=audio_rows.Rows(eval_encoded, eval_rows=True) if eval_encoded else None,
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=[r.sound.positions + max(len(r.chosen.input_ids), len(r.rejected.input_ids)) for r in train_rows],
    )
    trainer.data_collator = PairCollator(audio_backend(work.loaded), work.recipe.seed, lambda: trainer.batches.epoch)
    trainer.model_accepts_loss_kwargs = False  # the loss is a mean over pairs, whatever their tokens
    trainer.note_reference([*train_rows, *eval_encoded])
    return trainer


class PairCollator(audio_rows.Batcher):
    """Each recording once, and for the decoder the chosen transcripts of all pairs, then the rejected ones.

    `reference` holds the two log-probabilities of each row, by the row's identity.
    """

    reference: dict[int, tuple[float, float]]

    def __call__(self, items: Sequence[tuple[int | None, PairRow]]) -> dict[str, Any]:
        import torch

        both = self.tokens([row.chosen for _, row in items] + [row.rejected for _, row in items])
        sounds = self.sounds([(number, row.sound) for number, row in items])
        known = torch.tensor([self.reference.get(id(row), (0.0, 0.0)) for _, row in items])
        return {**sounds, **both, "reference": known}


class _Preference:
    """Mix in before RunTrainer: the loss of a batch of pairs, and what it means in rewards."""

    def note_reference(self, pairs: Sequence[PairRow]) -> None:
        """Compute the reference's log-probabilities, without masks, by the model as it stands now."""
        import torch

        collate, model = self.data_collator, self.model  # type: ignore[attr-defined]
        size = self.args.per_device_train_batch_size  # type: ignore[attr-defined]
        self._metrics: dict[str, dict[str, list[float]]] = {"train": {}, "eval": {}}
        collate.reference = {}
        with torch.no_grad(), _without_dropout(model):
            for start in range(0, len(pairs), size):
                part = pairs[start : start + size]
                found = self._logps(model, collate([(None, row) for row in part]))
                values = zip(found.chosen.tolist(), found.rejected.tolist(), strict=True)
                collate.reference |= {id(row): both for row, both in zip(part, values, strict=True)}

    def _logps(self, model: Any, inputs: dict[str, Tensor]) -> Logps:
        import torch

        device, backend = next(model.parameters()).device, self.data_collator.backend  # type: ignore[attr-defined]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.args.bf16):  # type: ignore[attr-defined]
            return pair_logps(backend, {name: value.to(device) for name, value in inputs.items()})

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        policy = self._logps(model, inputs)
        reference = Logps(*inputs["reference"].to(policy.chosen).unbind(1))
        lengths = Logps(*(inputs["labels"] != IGNORED).sum(1).chunk(2))
        dpo: Dpo = self.work.recipe.dpo  # type: ignore[attr-defined]
        loss = preference_loss(policy, reference, lengths, dpo).mean()
        if dpo.sft_weight:
            loss = loss - dpo.sft_weight * policy.chosen.sum() / lengths.chosen.sum()
        self._note(policy, reference, dpo.beta, "train" if model.training else "eval")
        return (loss, {"loss": loss.detach()}) if return_outputs else loss

    def _note(self, policy: Logps, reference: Logps, beta: float, kind: str) -> None:
        chosen = beta * (policy.chosen - reference.chosen).detach()
        rejected = beta * (policy.rejected - reference.rejected).detach()
        for name, values in (
            ("rewards/chosen", chosen),
            ("rewards/rejected", rejected),
            ("rewards/margins", chosen - rejected),
            ("rewards/accuracies", (chosen > rejected).float()),
        ):
            self._metrics[kind].setdefault(name, []).append(float(values.mean()))

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean rewards since the last log of the same kind, training or validation."""
        kind = "eval" if any(name.startswith("eval_") for name in logs) else "train"
        for name, values in self._metrics[kind].items():
            logs[name if kind == "train" else f"eval_{name}"] = sum(values) / len(values)
        self._metrics[kind].clear()
        super().log(logs, *args, **kwargs)  # type: ignore[misc]


@contextlib.contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    """Eval-mode arithmetic without eval mode, which 4-bit layers would take as leave to repack themselves."""
    import torch

    active = [m for m in model.modules() if isinstance(m, torch.nn.Dropout) and m.training]
    for layer in active:
        layer.eval()
    try:
        yield
    finally:
        for layer in active:
            layer.train()


def pair_logps(backend: AudioBackend, inputs: dict[str, Tensor]) -> Logps:
    """Log-probability of each transcript given its recording. `labels` are (2 × pairs, tokens), chosen ones first."""
    hidden = backend.pair_states(inputs)  # (2 * pairs, T, D)
    sums = transcript_logps(backend.network.get_output_embeddings()(hidden), inputs["labels"])
    return Logps(*sums.chunk(2))


def transcript_logps(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of log-probabilities over the learned tokens, (B,) in nats, of logits (B, T, V) and labels (B, T).

    Position t predicts label t + 1.
    """
    targets = labels[:, 1:]  # (B, T - 1)
    scores = logits[:, :-1].float().log_softmax(-1)  # (B, T - 1, V)
    picked: Tensor = scores.gather(2, targets.clamp(min=0)[..., None])[..., 0]  # (B, T - 1)
    return (picked * (targets != IGNORED)).sum(1)


def preference_loss(policy: Logps, reference: Logps, lengths: Logps, dpo: Dpo) -> Tensor:
    """The loss of each pair, (pairs,): arXiv 2305.18290 eq. 7 (sigmoid), with label smoothing 2403.00409, SLiC
    hinge, or IPO per token (2310.12036 eq. 17).

    `lengths` are the learned tokens of each transcript, which only IPO uses. The numbers are those of
    `pairs.trl_options`.
    """
    import torch
    from torch.nn.functional import logsigmoid

    chosen, rejected = policy.chosen - reference.chosen, policy.rejected - reference.rejected
    margin = dpo.beta * (chosen - rejected)
    if dpo.loss_type == "hinge":
        return torch.relu(1 - margin)
    if dpo.loss_type == "ipo":
        return (chosen / lengths.chosen - rejected / lengths.rejected - 1 / (2 * dpo.beta)) ** 2
    flipped = dpo.label_smoothing
    return (flipped * logsigmoid(-margin) - (1 - flipped) * logsigmoid(margin)) / (1 - 2 * flipped)
