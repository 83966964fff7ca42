"""Recipes of LLaMA-Factory and Axolotl in our words, before `recipes.recipe.schema` reads them.

Plain names that differ are aliases in the schema. Here is what a name alone does not say: what `stage: dpo`,
`adapter: qlora`, `quantization_bit: 8` or `lora_rank` without an alpha mean there; which keys change nothing here
(listed, and left out); and which change what is learned and have no counterpart (refused, with the nearest of ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from recipes.recipe import foreign_keys as keys

Values = dict[str, Any]


class Translation(NamedTuple):
    """Keys in our words; sentences about keys that are left out or mean something else here; reasons to refuse."""

    values: Values
    notices: list[str]
    faults: list[str]


LLAMA_FACTORY = frozenset(
    ("stage", "finetuning_type", "do_train", "template", "quantization_bit", "pref_beta", "pref_loss", "cutoff_len")
)
AXOLOTL = frozenset(
    (
        "datasets",
        "sequence_len",
        "micro_batch_size",
        "num_epochs",
        "lora_target_linear",
        "load_in_8bit",
        "rl",
        "rl_beta",
    )
)


def translate(raw: Mapping[str, Any]) -> Translation:
    """A recipe of theirs, at whatever nesting it has, in our words; a recipe of ours comes back as it is."""
    made = Translation({}, [], [])
    left = dict(raw)
    from_lf, from_axolotl = bool(LLAMA_FACTORY & left.keys()), bool(AXOLOTL & left.keys())
    if from_lf or from_axolotl:  # an empty key of theirs leaves the default
        left = {key: value for key, value in left.items() if value is not None}
    if {"stage", "finetuning_type"} & left.keys():
        _unsaid(left, made, keys.THEIR_DEFAULTS)
    elif "datasets" in left:
        _unsaid(left, made, keys.AXOLOTL_DEFAULTS)
    if left.get("early_stopping_patience") and not left.get("eval_steps"):
        made.values["eval_steps"] = "auto"
        made.notices.append("early_stopping_patience without eval_steps: validated ten times in a training")
    _method(left, made)
    _quantisation(left, made, from_lf, from_axolotl)
    _lora(left, made, from_lf)
    _data(left, made)
    _optimizer(left, made)
    for key, value in left.items():
        _other(str(key), value, made)
    return made


def _off(value: Any) -> bool:
    return value in (None, False, 0, "", "none", "false", [], {})


def _method(left: Values, made: Translation) -> None:
    """stage, rl and finetuning_type; without them, what a pref_ key says."""
    stage = left.pop("stage", None)
    rl = left.pop("rl", None)
    said = stage or rl
    names = {"sft": "sft", "dpo": "dpo", "kto": "kto", "ipo": "dpo"}
    if isinstance(said, str) and said.lower() not in names:
        key = "stage" if stage else "rl"
        made.faults.append(f"{key}: {said} is not offered; the objectives are sft, dpo and kto (method)")
    objective = names.get(str(said).lower(), "") if said else ""
    if said == "ipo":
        made.values["dpo.loss_type"] = "ipo"
    if not said and {"pref_beta", "pref_loss", "pref_ftx", "rl_beta"} & left.keys() and "method" not in left:
        objective = "dpo"
        made.notices.append("pref_ keys without a stage: read as stage: dpo")
    tuning = left.pop("finetuning_type", None)
    if tuning not in (None, "lora"):
        made.faults.append(f"finetuning_type: {tuning} is not offered; adapters are trained (lora)")
    if objective and "method" not in left:
        modality = "vision" if keys.VISION & left.keys() else "text"
        made.values["method"] = f"{modality}_{objective}"
    if objective == "kto" or str(left.get("method", "")).endswith("_kto"):
        for theirs in ("pref_beta", "rl_beta", "kto_beta"):
            if theirs in left:
                made.values["kto.beta"] = left.pop(theirs)
        for ours, theirs in (("desirable_weight", "chosen_weight"), ("undesirable_weight", "rejected_weight")):
            for key in (f"kto_{ours}", f"kto_{theirs}"):
                if key in left:
                    made.values[f"kto.{ours}"] = left.pop(key)
    if (loss := left.get("pref_loss")) is not None and loss not in keys.LOSSES:
        del left["pref_loss"]
        made.faults.append(
            f"pref_loss: {loss} is not offered; the nearest of ours is dpo.loss_type ({', '.join(keys.LOSSES)})"
        )


def _quantisation(left: Values, made: Translation, from_lf: bool, from_axolotl: bool) -> None:
    """quantization_bit and adapter: lora | qlora; without them a recipe of theirs has an unquantised base."""
    extra = left.get("bnb_config_kwargs")
    if isinstance(extra, Mapping) and set(extra) == {"bnb_4bit_use_double_quant"}:
        made.values["quant.bnb_4bit_use_double_quant"] = left.pop("bnb_config_kwargs")["bnb_4bit_use_double_quant"]
    bits = left.pop("quantization_bit", None)
    how = left.pop("quantization_method", None)
    if how not in (None, "bnb", "bitsandbytes"):
        made.faults.append(
            f"quantization_method: {how} is not offered; the nearest of ours is quant.load_in_4bit (NF4)"
        )
    kind = left.pop("adapter") if left.get("adapter") in ("lora", "qlora") else None
    if kind == "qlora" and left.get("load_in_4bit") is False:
        made.faults.append("adapter: qlora with load_in_4bit: false contradict each other; write adapter: lora")
    if bits not in (None, 4):
        made.faults.append(
            f"quantization_bit: {bits} is not offered; the nearest of ours is quant.load_in_4bit (4 bits)"
        )
    elif bits == 4 or kind == "qlora":
        made.values["quant.load_in_4bit"] = True
        left.pop("load_in_4bit", None)
    elif ours := {"load_in_4bit", "quant", "quant.load_in_4bit"} & left.keys():
        if from_axolotl and kind == "lora" and left.get("load_in_4bit") is True and "load_in_4bit" in ours:
            made.notices.append("adapter: lora with load_in_4bit is QLoRA here as there")
    elif from_lf or kind == "lora":
        made.values["quant.load_in_4bit"] = False
        made.notices.append("no quantisation is named: LoRA on the unquantised base, as there (ours would be QLoRA)")
    if from_axolotl and kind is None and "datasets" in left and "adapter" not in left:
        made.faults.append("without an adapter the whole model would be trained; write adapter: lora or qlora")


def _lora(left: Values, made: Translation, from_lf: bool) -> None:
    """Ranks without an alpha, targets as one text, towers that are frozen."""
    alphas = {"lora_alpha", "alpha", "lora"} & left.keys()
    if "lora_rank" in left and not alphas and isinstance(left["lora_rank"], int | float):
        alpha = 2 * left["lora_rank"]
        made.values["lora.lora_alpha"] = alpha
        made.notices.append(f"lora_rank without lora_alpha: alpha is {alpha:g}, twice the rank, as there")
    if left.get("lora_target_linear") is False:
        del left["lora_target_linear"]
    if left.get("lora_target_linear") is True and "lora_target_modules" in left:
        del left["lora_target_modules"]  # linear layers are among all of them
    for key in ("lora_target", "lora_target_modules"):
        value = left.get(key)
        if isinstance(value, str) and "," in value:
            left[key] = [name.strip() for name in value.split(",")]
    frozen = [left.pop(key, True) for key in ("freeze_vision_tower", "freeze_multi_modal_projector")]
    if from_lf and made.values.get("method", "").startswith("vision") and any(frozen):
        parts: tuple[str, ...] = ("vision", "visual") if frozen[0] else ()
        parts += ("connector", "projector", "merger") if frozen[1] else ()
        made.values["lora.exclude_modules"] = rf".*({'|'.join(parts)}).*"


def _data(left: Values, made: Translation) -> None:
    """The dataset of a list, and which turns are learned."""
    listed = left.pop("datasets", None)
    if listed is not None and not isinstance(listed, list):
        made.faults.append(f"datasets: {_short(listed)} is no list of sets of rows")
        listed = None
    for item in listed or []:
        if isinstance(item, Mapping):
            _rows_of(item, made)
    paths = [str(item.get("path")) for item in listed or [] if isinstance(item, Mapping)]
    named = left.get("dataset")
    if isinstance(named, str) and "," in named:
        paths = [name.strip() for name in named.split(",")]
    if len(paths) == 1 and "dataset" not in left:
        left["dataset"] = paths[0]
    if len(paths) > 1:
        left["dataset"] = ", ".join(paths)
        made.notices.append(
            f"{len(paths)} datasets: import them as one (smolstudio data import), and name it in data.dataset"
        )
    elif listed:
        made.notices.append(
            "datasets: import the rows first (smolstudio data import), and name the result in data.dataset"
        )
    if "mask_history" in left:
        made.values["data.loss_turns"] = "last" if left.pop("mask_history") else "all"


def _rows_of(item: Mapping[str, Any], made: Translation) -> None:
    """What a dataset's own keys change: its rows are read by `smolstudio data import`, which knows none of them."""
    for key, value in item.items():
        if key in keys.AS_HERE:
            if value is not None and value not in keys.AS_HERE[key]:
                made.faults.append(
                    f"datasets.{key}: {_short(value)} is not offered; assistant turns are learned with their end "
                    "(data.loss_turns), or as the rows' own weight or train says"
                )
        elif key == "split" and "[" in str(value):
            made.notices.append(f"datasets.split: {_short(value)} is not read; import the rows that are meant")
        elif key not in keys.WHERE and not _off(value):
            made.notices.append(
                f"datasets.{key}: {_short(value)} is not read; the columns are found on import, or --map"
            )
    kind = item.get("type")
    if isinstance(kind, Mapping) and not all(
        _off(kind.get(key)) for key in ("format", "system_prompt", "system_format")
    ):
        made.faults.append("datasets.type: a prompt of its own is not offered; put its text into the rows")
    if kind in ("completion", "pretrain", "input_output"):
        made.faults.append(
            f"datasets.type: {kind} learns all of the text, which is not offered; give question and answer"
        )


def _unsaid(left: Values, made: Translation, defaults: Mapping[str, Any]) -> None:
    """What a recipe leaves to the defaults of its program, which are not ours."""
    unsaid = [key for key in defaults if not ({key} | keys.STANDS_FOR[key]) & left.keys()]
    if unsaid:
        theirs = ", ".join(f"{key} {defaults[key]}" for key in unsaid)
        made.notices.append(f"not named, so our defaults are used and not theirs ({theirs})")


def _optimizer(left: Values, made: Translation) -> None:
    for key in ("optimizer", "optim"):
        name = left.get(key)
        if not isinstance(name, str):
            continue
        del left[key]
        if name in keys.OPTIMIZERS_8BIT:
            made.notices.append(f"{key}: {name}: AdamW with its state in 32 bits is used")
        elif name not in keys.OPTIMIZERS:
            made.faults.append(f"{key}: {name} is not offered; the optimiser is AdamW (adamw_torch)")
    for key in ("bf16", "gradient_checkpointing"):
        if left.get(key) in ("auto", "unsloth", "offload", "offload_disk", "full"):
            left[key] = True
    if left.get("revision_of_model"):
        left["revision"] = left.pop("revision_of_model")


# Apart, because every key of every recipe is looked up: a list of 1,000 runs took twice as long to read.
_NAMES = frozenset(name for name in keys.NO_EFFECT if not name.endswith("*"))
_BEGINNINGS = tuple(name[:-1] for name in keys.NO_EFFECT if name.endswith("*"))


def _other(key: str, value: Any, made: Translation) -> None:
    if key in keys.NEAREST:
        if not _off(value):
            made.faults.append(f"{key}: {_short(value)} is not offered; the nearest of ours is {keys.NEAREST[key]}")
    elif key in keys.INSTEAD:
        if not _off(value):
            made.notices.append(f"{key}: {keys.INSTEAD[key]}")
    elif key in ("resume_from_checkpoint", "lora_model_dir", "adapter_name_or_path", "deepspeed") and _off(value):
        return
    elif key == "resume_from_checkpoint":
        made.notices.append("resume_from_checkpoint: a run continues by itself (smolstudio runs resume)")
    elif key in _NAMES or key.startswith(_BEGINNINGS) or _kernel(key):
        made.notices.append(f"{key}: changes nothing here")
    else:
        made.values[key] = value


def _kernel(key: str) -> bool:
    return (key.startswith("lora_") and key.endswith("_kernel")) or (key.startswith("is_") and key.endswith("_model"))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
