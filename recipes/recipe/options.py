"""The options of a recipe by section, each with title, description and limits.

Names are TRL's, transformers' and PEFT's. One description feeds the YAML comments, the command line's help
and the studio's widgets. Reading and writing recipes is in `recipes.recipe.schema`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

Switch = Literal["auto", "on", "off"]


def option(default: Any, title: str, description: str, *, advanced: bool = False, **constraints: Any) -> Any:
    """A recipe field: `title` and `description` are shown to users, `advanced` hides it behind a fold in the studio."""
    extra: dict[str, JsonValue] = {"advanced": advanced}
    return Field(default, title=title, description=description, json_schema_extra=extra, **constraints)


class Section(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Data(Section):
    dataset: str = option("", "Dataset", "Name of a dataset in the workspace, or the path of a dataset folder.")
    train_split: Literal["train", "val"] = option(
        "train",
        "Training split",
        "Split whose rows are learned. The test splits are never offered.",
        advanced=True,
    )
    val_split: Literal["val", "train", ""] = option(
        "val",
        "Validation split",
        "Split on which the loss is watched during training; empty for none.",
        advanced=True,
    )
    max_examples: int | None = option(
        None,
        "Rows at most",
        "Learn only from so many rows of the split, drawn at random by the seed; empty takes all.",
        ge=1,
    )
    max_val_examples: int = option(
        200,
        "Validation rows at most",
        "Rows on which the validation loss is measured, drawn at random by the seed.",
        ge=1,
        advanced=True,
    )
    folds: int = option(
        0,
        "Folds",
        "Cross-validation: the rows of train, val and test in so many folds; 0 keeps the dataset's own splits. "
        "`smolstudio crossval` trains them all.",
        ge=0,
        le=20,
        advanced=True,
    )
    fold: int = option(
        0,
        "Fold",
        "The fold of a cross-validation that this run does not learn; 0 learns every row.",
        ge=0,
        le=20,
        advanced=True,
    )
    replay_fraction: float = option(
        0.0,
        "Replay",
        "Share of rows mixed in from the base model's own training families, against forgetting.",
        ge=0.0,
        le=0.9,
    )
    task: bool = option(
        False,
        "Task in the prompt",
        "Put the dataset's task card before each row as an instruction, as models that were not tuned are asked. Off "
        "for the embedded starters, which read bare prompts.",
    )
    loss_turns: Literal["all", "last"] = option(
        "all",
        "Turns that are learned",
        "all: every answer of a chat, except those that the data mark as not to be learned; last: the last one only.",
        advanced=True,
    )
    target: Literal["target", "answer", "rationale"] = option(
        "target",
        "What the model learns to say",
        "target: the row's worked text; answer: only the short answer; rationale: the row's own rationale, then the "
        "answer.",
        advanced=True,
    )

    @field_validator("val_split", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "" if value is None else value  # what YAML reads where nothing stands, also in `data.val_split=`

    def fold_faults(self, objective: str, eval_steps: str | int) -> list[str]:
        """What cannot be in a recipe of a cross-validation."""
        if not self.folds:
            return ["data.fold has no meaning without data.folds"] if self.fold else []
        faults = []
        if self.folds == 1 or self.fold > self.folds:
            faults.append(
                f"data.folds is {self.folds} and data.fold {self.fold}: give two folds or more, and one of them"
            )
        if objective != "sft":
            faults.append(f"data.folds is for methods *_sft; {objective} needs a dataset's own splits")
        if self.train_split != "train":
            faults.append("data.folds needs data.train_split to be train")
        if not self.fold and eval_steps:
            faults.append("with data.fold 0 every row is learned and none is left to validate on: set eval_steps to 0")
        return faults


class Lora(Section):
    r: int = option(32, "LoRA rank", "Width of the adapter: higher learns more and costs more memory.", ge=1, le=1024)
    lora_alpha: float = option(
        64,
        "LoRA alpha",
        "The adapter's output is scaled by alpha / rank; twice the rank is a common choice.",
        gt=0,
    )
    lora_dropout: float = option(
        0.0,
        "LoRA dropout",
        "Share of adapter inputs dropped at each step; 0 is fastest.",
        ge=0,
        lt=1,
        advanced=True,
    )
    target_modules: str | tuple[str, ...] = option(
        "all-linear",
        "Adapted modules",
        "all-linear, or a list of module names such as [q_proj, v_proj].",
        advanced=True,
    )
    exclude_modules: str | None = option(
        None, "Modules left alone", "Regular expression of module names that get no adapter.", advanced=True
    )


class Quant(Section):
    load_in_4bit: bool = option(
        True, "4-bit base", "Keep the frozen base in 4 bits (QLoRA). Off trains LoRA on the unquantised base."
    )
    bnb_4bit_quant_type: Literal["nf4"] = option(
        "nf4",
        "4-bit type",
        "Quantisation grid of the frozen weights; NF4 fits normally distributed weights.",
        advanced=True,
    )
    bnb_4bit_use_double_quant: bool = option(
        True, "Double quantisation", "Quantise the 4-bit scales too: saves 0.4 bit per weight.", advanced=True
    )
    weights: Literal["auto", "packed", "rounded"] = option(
        "auto",
        "How 4-bit weights are held",
        "packed: 4 bits in memory, decoded at each step. rounded: the same values decoded once and kept, up to "
        "1.6 times faster on a processor. auto: rounded on a processor when memory allows, else packed.",
        advanced=True,
    )


class Optim(Section):
    learning_rate: float = option(2e-4, "Learning rate", "Peak step size of AdamW.", gt=0, le=1)
    num_train_epochs: Literal["auto"] | Annotated[float, Field(gt=0, le=1000)] = option(
        1.0,
        "Epochs",
        "Passes over the training rows. auto: as many as give 300 optimiser steps, 1 at least and 30 at most, because "
        "an adapter needs a number of steps, whatever the rows: few rows are read often, many rows once.",
    )
    max_steps: int = option(
        -1, "Steps at most", "Optimiser steps; overrides the epochs when positive, -1 leaves them.", ge=-1
    )
    per_device_train_batch_size: int = option(16, "Batch size", "Rows in one forward pass.", ge=1, le=4096)
    gradient_accumulation_steps: int = option(
        1, "Gradient accumulation", "Forward passes per optimiser step.", ge=1, le=4096, advanced=True
    )
    warmup_ratio: float = option(
        0.03,
        "Warm-up",
        "Share of the steps over which the learning rate rises from zero.",
        ge=0,
        lt=1,
        advanced=True,
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = option(
        "cosine", "Schedule", "How the learning rate falls after warm-up.", advanced=True
    )
    weight_decay: float = option(0.0, "Weight decay", "AdamW weight decay on the adapter.", ge=0, lt=1, advanced=True)
    max_grad_norm: float = option(1.0, "Gradient clip", "Gradients are scaled down to this norm.", gt=0, advanced=True)
    max_length: int | None = option(
        512, "Length in tokens", "Longest row, prompt and answer together; empty for no limit.", ge=8
    )
    group_by_length: bool = option(
        True, "Group by length", "Batch rows of similar length, which saves padding.", advanced=True
    )
    bf16: bool = option(
        True,
        "bf16 arithmetic",
        "Run matrix products in bfloat16. Off is slower and exact to the bit on resume.",
        advanced=True,
    )
    torch_compile: Switch = option(
        "auto",
        "Compile",
        "auto compiles when the run is long enough to pay for it and a C++ compiler exists.",
        advanced=True,
    )
    gradient_checkpointing: bool = option(
        False,
        "Gradient checkpointing",
        "Recompute activations to save memory, for about a third more time.",
        advanced=True,
    )

    @field_validator("torch_compile", mode="before")
    @classmethod
    def _yaml_switch(cls, value: Any) -> Any:
        # YAML 1.1 reads a bare on/off as a boolean.
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class Kto(Section):
    beta: float = option(
        0.1, "KTO beta", "How strongly the tuned model is held to its reference: lower lets it move further.", gt=0
    )
    desirable_weight: float = option(
        1.0, "Weight of good answers", "Weight of the loss on answers labelled as good.", gt=0, advanced=True
    )
    undesirable_weight: float = option(
        1.0, "Weight of bad answers", "Weight of the loss on answers labelled as bad.", gt=0, advanced=True
    )


class Dpo(Section):
    beta: float = option(
        0.1,
        "DPO beta",
        "How strongly the tuned model is held to its reference: lower lets it move further.",
        gt=0,
    )
    loss_type: Literal["sigmoid", "ipo", "hinge"] = option(
        "sigmoid", "DPO loss", "sigmoid is DPO as published; ipo and hinge are variants.", advanced=True
    )
    label_smoothing: float = option(
        0.0, "Label smoothing", "Assumed share of pairs in the wrong order.", ge=0, lt=0.5, advanced=True
    )
    sft_weight: float = option(
        0.0,
        "SFT weight",
        "Weight of the plain loss on the chosen answer, added to the preference loss.",
        ge=0,
        advanced=True,
    )
    compare: Literal["auto", "whole", "first_difference"] = option(
        "auto",
        "What of two answers is compared",
        "whole: all of both; first_difference: both up to the end of the first line that differs, for worked answers "
        "whose later lines follow from it. auto: the whole answers of your own pairs, and up to the first difference "
        "where pairs were mined.",
        advanced=True,
    )
    max_pairs: int | None = option(None, "Pairs at most", "Preference pairs to train on; empty takes all.", ge=1)
    num_generations: int = option(
        4, "Samples per prompt", "Answers drawn per prompt when pairs are mined.", ge=1, le=64, advanced=True
    )
    temperature: float = option(
        0.8,
        "Sampling temperature",
        "Temperature at which wrong answers are mined.",
        gt=0,
        le=3,
        advanced=True,
    )
