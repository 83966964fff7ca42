"""What is added to the trainers of TRL and transformers, for every method alike.

`RunTrainer` is mixed in before a Trainer class. It gives it
- checkpoints that are atomic, verified and free of pickle, holding all that a bit-identical resume needs: trainable
  tensors, optimiser, schedule, every random generator, the place in the data, half-summed losses;
- batches of similar length in an order that depends on seed and epoch only;
- evaluation that leaves no trace: random generators are put back, and no 4-bit layer is repacked;
- a halt at a loss that is not a number, before anything is saved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from recipes.models.device import on_gpu
from recipes.recipe.plan import Plan, plan
from recipes.run import checkpoints
from recipes.run.checkpoints import Checkpoint
from recipes.train.callbacks import RunCallback
from recipes.train.ranks import Repeated, ranks, sum_gradients
from recipes.train.repeatable import Batches, random_state, restore_random_state, untouched_randomness
from recipes.train.validation import Validation
from recipes.train.work import Work
from synth.errors import RunError
from synth.storage import JsonDict, read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor


BEST = "best.safetensors"
REPEATED = "repeated"  # in a batch: whether another process counts its rows
UNWATCHED = (
    "The recipe validates, but there are no validation rows: no step is known to be the best, and the last one is "
    "kept. Give the dataset a validation split."
)


def training_args(config: Any, work: Work, **more: Any) -> Any:
    """An instance of `config` (SFTConfig, DPOConfig, TrainingArguments …) that follows the recipe.

    Epochs and the steps between validations follow from the rows: `RunTrainer` sets them.
    """
    recipe, optim = work.recipe, work.recipe.optim
    options: dict[str, Any] = {
        "output_dir": str(work.run.path / "checkpoints"),
        "learning_rate": optim.learning_rate,
        "max_steps": optim.max_steps,
        "per_device_train_batch_size": optim.per_device_train_batch_size,
        "per_device_eval_batch_size": optim.per_device_train_batch_size,
        "gradient_accumulation_steps": optim.gradient_accumulation_steps,
        "warmup_steps": optim.warmup_ratio,  # below 1 it is a share of the steps
        "lr_scheduler_type": optim.lr_scheduler_type,
        "weight_decay": optim.weight_decay,
        "max_grad_norm": optim.max_grad_norm,
        "gradient_checkpointing": optim.gradient_checkpointing,
        "bf16": optim.bf16,
        "use_cpu": not on_gpu(),
        "seed": recipe.seed,
        "logging_steps": recipe.logging_steps,
        "logging_nan_inf_filter": False,  # its default hides a loss that is not a number
        "save_strategy": "steps",
        "save_steps": recipe.save_steps,
        "eval_strategy": "steps" if recipe.eval_steps else "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu(),
    }
    return config(**{**options, **more})


class RunTrainer:
    """Mix in before a Trainer class; takes `work` and `lengths` (tokens of each training row) besides its arguments."""

    # Set by transformers' Trainer.
    state: Any
    _tr_loss: Any
    _total_loss_scalar: float
    _globalstep_last_logged: int
    current_gradient_accumulation_steps: Any
    repeats = False  # whether the batch at work counts for nothing, as another process has its rows

    def __init__(self, *args: Any, work: Work, lengths: Sequence[int], **kwargs: Any) -> None:
        from transformers.trainer_callback import PrinterCallback

        self.work = work
        self.tokens = 0
        self._seconds_before = 0.0
        self._begun = time.monotonic()
        self._restored: JsonDict = {}
        recipe, optim = work.recipe, work.recipe.optim
        self.plan = _plan(work, len(lengths))
        self.validation = Validation(recipe.early_stopping_patience, recipe.load_best_model_at_end)
        self._follow_plan(kwargs)
        self.team = ranks()
        together = optim.per_device_train_batch_size * self.team.world
        self.batches = Batches(lengths, together, work.recipe.seed, optim.group_by_length, self.team)
        # TRL casts the adapters of a 4-bit base to bf16, too coarse for AdamW's second moment: they are put back.
        exact = {name: p.data for name, p in work.loaded.model.named_parameters() if p.requires_grad}
        super().__init__(*args, **kwargs)
        for name, parameter in self.trainable().items():
            parameter.data = exact[name]
        if optim.gradient_checkpointing:  # transformers does so when it begins to train, after the preflight
            self.model.activation_checkpointing_enable()  # type: ignore[attr-defined]
        self.reporter = RunCallback(work.run, self)
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]
        self.add_callback(_Restore(self))  # type: ignore[attr-defined]
        self.add_callback(self.reporter)  # type: ignore[attr-defined]

    def _follow_plan(self, arguments: dict[str, Any]) -> None:
        """Put the plan into the trainer's arguments, and tell it at the first start."""
        from transformers.trainer_utils import IntervalStrategy

        args, run = arguments["args"], self.work.run
        args.num_train_epochs, args.eval_steps = self.plan.epochs, self.plan.eval_steps
        blind = bool(self.plan.eval_steps) and not arguments.get("eval_dataset")
        if blind:
            args.eval_strategy = IntervalStrategy.NO
        if self.work.checkpoint is None:
            run.emit("plan", **self.plan._asdict())
            if blind:
                run.emit("warning", sentence=UNWATCHED)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, all sessions together."""
        return self._seconds_before + time.monotonic() - self._begun

    def trainable(self) -> dict[str, Any]:
        """The trained tensors by name."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}  # type: ignore[attr-defined]

    # -- data: order and padding are ours, and reading draws nothing from the global generators

    def get_train_dataloader(self) -> Any:
        return self._train_loader(self.train_dataset, self.batches)  # type: ignore[attr-defined]

    def _train_loader(self, rows: Any, batches: Any) -> Any:
        """Batches of rows; of several processes each is marked with whether it is of another one."""
        if self.team.world == 1:
            return self._loader(rows, batch_sampler=batches)
        plain = self.data_collator  # type: ignore[attr-defined]

        def collate(marked: tuple[list[Any], bool]) -> Any:
            return {**plain(marked[0]), REPEATED: marked[1]}

        return self._loader(_Marked(rows), collate, batch_sampler=batches)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        rows = self.eval_dataset if eval_dataset is None else eval_dataset  # type: ignore[attr-defined]
        return self._loader(rows, batch_size=self.args.per_device_eval_batch_size)  # type: ignore[attr-defined]

    def _loader(self, rows: Any, collate: Any = None, **how: Any) -> Any:
        import torch

        collate = collate or self.data_collator  # type: ignore[attr-defined]
        return torch.utils.data.DataLoader(rows, collate_fn=collate, generator=torch.Generator(), **how)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        self.batches.epoch = kwargs["epoch"]
        super()._run_epoch(*args, **kwargs)  # type: ignore[misc]

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """One pass; the loss and the tokens are those of all processes. Gradients are added up before the step."""
        import torch

        passes = self.current_gradient_accumulation_steps
        self.repeats = inputs.pop(REPEATED, False)
        mask = inputs.get("attention_mask") if "input_ids" in inputs else None  # of sound, it is no count of tokens
        tokens = int(mask.sum()) if mask is not None else int((inputs["labels"] != -100).sum())
        if self.team.world > 1:
            if self.repeats:
                tokens = 0
            if num_items_in_batch is not None:
                num_items_in_batch = self.team.sum(torch.as_tensor(num_items_in_batch).clone())
                if self.repeats:  # a sum of losses, divided by it
                    num_items_in_batch = torch.full_like(num_items_in_batch, math.inf, dtype=torch.float32)
            if num_items_in_batch is None or not self.model_accepts_loss_kwargs:  # type: ignore[attr-defined]
                # A mean over rows, which transformers divides by this number: each process has its share of them.
                rows = 0 if self.repeats else len(inputs["labels"] if "labels" in inputs else inputs["input_ids"])
                share = rows / int(self.team.sum(torch.tensor(rows)))
                self.current_gradient_accumulation_steps = passes / share if share else math.inf
        loss = super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]
        self.current_gradient_accumulation_steps = passes
        self.tokens += int(self.team.sum(torch.tensor(tokens)))
        return self.team.sum(loss)

    def _get_num_items_in_batch(self, batches: list[Any], device: Any) -> Any:
        found = super()._get_num_items_in_batch(batches, device)  # type: ignore[misc]
        if found is None or not any(batch.get(REPEATED) for batch in batches):
            return found
        counted = [batch for batch in batches if not batch[REPEATED]]
        return super()._get_num_items_in_batch(counted, device) if counted else 0 * found  # type: ignore[misc]

    def _clip_grad_norm(self, model: Any) -> Any:
        sum_gradients([*self.trainable().values()])
        return super()._clip_grad_norm(model)  # type: ignore[misc]

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with untouched_randomness():
            return super().evaluate(*args, **kwargs)  # type: ignore[misc]

    def _evaluate(self, *args: Any, **kwargs: Any) -> Any:
        metrics = super()._evaluate(*args, **kwargs)  # type: ignore[misc]
        score = self._score() if self.validation.metric else None
        loss = self.team.told(float(metrics["eval_loss"]))  # another machine's last digit may end its training earlier
        self.validation.add(self.state.global_step, loss, self.trainable(), score)
        if self.validation.exhausted:
            self.control.should_training_stop = self.control.should_save = True  # type: ignore[attr-defined]
        return metrics

    def _score(self) -> float:
        """The task's score at this validation, higher is better; rank 0 has answered, and the others are told."""
        scored = self.reporter.scores.last if self.reporter.scores else None
        own = 0.0 if scored is None else 1.0 - scored.value if scored.lower_is_better else scored.value
        return self.team.told(own)

    def total_steps(self) -> int:
        """Optimiser steps of the whole training."""
        return int(self.set_initial_training_values(self.args, self.get_train_dataloader())[-1])  # type: ignore[attr-defined]

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # transformers walks every parameter at every step to estimate them

    # -- halting and saving

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any) -> None:
        import torch

        if not bool(torch.isfinite(tr_loss)):
            self._halt("The loss")
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)  # type: ignore[misc]

    def _halt(self, what: str) -> None:
        step = self.state.global_step  # type: ignore[attr-defined]
        raise RunError(
            f"{what} stopped being a number at step {step}, and training was halted before saving it.",
            "Earlier checkpoints are kept. Lower optim.learning_rate, or check for outlier rows, and start a new run.",
            "run.nan",
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        import torch

        if not all(bool(torch.isfinite(p).all()) for p in self.trainable().values()):
            self._halt("The adapter")
        generators, self._plain_random = random_state()
        if self.team.world > 1:
            own = self.team.all_of(generators["cpu"])
            generators |= {f"cpu.rank{rank}": state for rank, state in enumerate(own) if rank}
        self._generators = generators
        if not self.team.leads:
            return
        run, step = self.work.run, self.state.global_step  # type: ignore[attr-defined]
        keep = self.work.recipe.save_total_limit
        saved = checkpoints.write(run.path / "checkpoints", step, self._fill, self.work.fingerprint, keep)
        run.emit("checkpoint", step=step, path=str(saved.path.relative_to(run.path)))

    def _fill(self, folder: Path) -> None:
        from safetensors.torch import save_file

        optimizer = self.optimizer.state_dict()  # type: ignore[attr-defined]
        moments = {f"{i}.{key}": value for i, part in optimizer["state"].items() for key, value in part.items()}
        save_file(_whole(self.trainable()), folder / "trainable.safetensors")
        save_file(_whole(moments), folder / "optimizer.safetensors")
        if self.validation.best:
            save_file(_whole(self.validation.best), folder / BEST)
        save_file(self._generators, folder / "random.safetensors")
        self.state.save_to_json(str(folder / "trainer_state.json"))  # type: ignore[attr-defined]
        write_json(
            folder / "state.json",
            {
                "param_groups": optimizer["param_groups"],
                "schedule": self.lr_scheduler.state_dict(),  # type: ignore[attr-defined]
                "random": self._plain_random,
                "processes": self.team.world,
                "half_summed": [float(self._tr_loss), self._total_loss_scalar, self._globalstep_last_logged],
                "tokens": self.tokens,
                "seconds": self.seconds,
                "plan": self.plan._asdict(),
                "validation": self.validation.state(),
            },
        )

    # -- resuming: transformers calls these where it would read its own, pickled files

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        import torch
        from safetensors.torch import load_file

        saved = load_file(Path(resume_from_checkpoint) / "trainable.safetensors")
        with torch.no_grad():
            for name, parameter in self.trainable().items():
                parameter.copy_(saved[name])
        self._restored = read_json(Path(resume_from_checkpoint) / "state.json")
        self._refuse_another_number()
        if "validation" in self._restored:
            best = Path(resume_from_checkpoint) / BEST
            self.validation.restore(self._restored["validation"], load_file(best) if best.is_file() else {})

    def _refuse_another_number(self) -> None:
        """Raise RunError unless as many processes go on as began: they share out the rows of each batch."""
        then, now = self._restored.get("processes", 1), self.team.world
        if then != now:
            raise RunError(
                f"{self.work.run.id} was trained by {then} processes and cannot be resumed by {now}: rows would be "
                "read in another order.",
                f"Resume it with {then}, or start a new run. Its checkpoints are kept.",
                "run.changed",
            )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        from safetensors.torch import load_file

        state: dict[int, dict[str, Any]] = {}
        for name, tensor in load_file(Path(checkpoint) / "optimizer.safetensors").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor
        groups = self._restored["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})  # type: ignore[attr-defined]
        self.lr_scheduler.load_state_dict(self._restored["schedule"])  # type: ignore[attr-defined]

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            from safetensors.torch import load_file

            found = load_file(Path(checkpoint) / "random.safetensors")
            own = found.get(f"cpu.rank{self.team.rank}", found["cpu"])
            kept = {name: state for name, state in found.items() if ".rank" not in name}
            restore_random_state({**kept, "cpu": own}, self._restored["random"])

    def _load_scaler(self, checkpoint: str | None) -> None:
        """bf16 and fp32 need no loss scaler."""

    def ended(self, checkpoint: Checkpoint) -> bool:
        """Whether nothing is left to be trained after a checkpoint."""
        early = read_json(checkpoint.path / "state.json").get("validation", {}).get("ended", False)
        return checkpoint.step >= self.total_steps() or bool(early)

    def reopen(self, checkpoint: Path) -> None:
        """Take over the end state of a training that was killed after its last step."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = self.state.load_from_json(str(checkpoint / "trainer_state.json"))
        self._begun = time.monotonic()
        self.tokens, self._seconds_before = self._restored["tokens"], self._restored["seconds"]

    def restore_counters(self) -> None:
        """Called when the loop is about to begin, after transformers has zeroed its own sums."""
        self._begun = time.monotonic()
        if self._restored:
            loss, total, logged = self._restored["half_summed"]
            self._tr_loss += loss
            self._total_loss_scalar, self._globalstep_last_logged = total, logged
            self.tokens, self._seconds_before = self._restored["tokens"], self._restored["seconds"]


def _plan(work: Work, rows: int) -> Plan:
    """The plan of a training: that of its checkpoint, if it has one, whatever a later version would choose."""
    kept = read_json(work.checkpoint.path / "state.json").get("plan") if work.checkpoint else None
    return Plan(**kept) if kept else plan(work.recipe, rows, ranks().world)


class _Marked:
    """Rows by their places in a batch, with whether it is one that another process counts."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, places: list[Any]) -> tuple[list[Any], bool]:
        return [self._rows[place] for place in places], isinstance(places, Repeated)


class _Restore(TrainerCallback):  # type: ignore[misc]
    def __init__(self, trainer: RunTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.trainer.restore_counters()


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
