"""A recipe in one sentence: what is trained, on what, and how the base is held. Leaves out what seldom matters."""

from __future__ import annotations

from recipes.recipe.schema import Recipe


def in_words(recipe: Recipe) -> str:
    """Method, base, rows, adapter, quantisation and the objective's own weights."""
    lora, quant, optim = recipe.lora, recipe.quant, recipe.optim
    double = ", double quantisation" if quant.bnb_4bit_use_double_quant else ""
    held = f"in 4 bits ({quant.bnb_4bit_quant_type}{double})" if quant.load_in_4bit else "not quantised"
    length = f"{optim.max_steps} steps" if optim.max_steps > 0 else f"{optim.num_train_epochs} epochs"
    parts = [
        f"{recipe.method} of {recipe.base_model}, {held}",
        f"rows of {recipe.data.dataset}",
        f"LoRA r {lora.r}, alpha {lora.lora_alpha:g}",
        f"learning rate {optim.learning_rate:g}",
        length,
    ]
    if recipe.objective == "dpo":
        weight = f", {recipe.dpo.sft_weight:g} of the SFT loss" if recipe.dpo.sft_weight else ""
        smooth = f", label smoothing {recipe.dpo.label_smoothing:g}" if recipe.dpo.label_smoothing else ""
        parts.append(f"beta {recipe.dpo.beta:g} ({recipe.dpo.loss_type}{smooth}{weight})")
    elif recipe.objective == "kto":
        weights = f"{recipe.kto.desirable_weight:g} and {recipe.kto.undesirable_weight:g}"
        parts.append(f"beta {recipe.kto.beta:g} (weights of good and bad answers {weights})")
    else:
        parts.append(f"{recipe.data.loss_turns} assistant turns are learned")
    return "; ".join(parts)
