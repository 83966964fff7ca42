"""Which base models can be chosen, and what is known of each without loading it."""

from __future__ import annotations

from recipes.methods import methods_of
from recipes.models.files import STARTERS, starters
from recipes.recipe.schema import load_recipe, ready_recipes

# Parameters (millions) and licence as stated on the models' pages; starters are read from their files.
HUB_FACTS: dict[str, tuple[float, str]] = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": (135, "Apache-2.0"),
    "HuggingFaceTB/SmolLM2-360M-Instruct": (362, "Apache-2.0"),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": (1711, "Apache-2.0"),
    "meta-llama/Llama-3.2-1B-Instruct": (1236, "Llama 3.2 Community Licence"),
    "HuggingFaceTB/SmolVLM-256M-Instruct": (256, "Apache-2.0"),
    "HuggingFaceTB/SmolVLM-500M-Instruct": (507, "Apache-2.0"),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": (2246, "Apache-2.0"),
    "openai/whisper-tiny": (38, "Apache-2.0"),
    "openai/whisper-tiny.en": (38, "Apache-2.0"),
    "openai/whisper-base": (73, "Apache-2.0"),
    "openai/whisper-small": (242, "Apache-2.0"),
    "distil-whisper/distil-small.en": (166, "MIT"),
    "UsefulSensors/moonshine-tiny": (27, "MIT"),
    "Qwen/Qwen3-ASR-0.6B-hf": (900, "Apache-2.0"),
}
# A frozen NF4 base takes about 0.55 byte a weight packed; adapter, optimiser and activations come on top.
BYTES_ROUNDED, OVERHEAD_GB = 2.0, 1.0


def model_choices(modality: str) -> list[str]:
    """Starters first, then the models of the ready recipes, of one modality."""
    recipes = [load_recipe(name) for name in ready_recipes()]
    bases = [r.base_model for r in recipes if r.method in methods_of(modality)]
    return list(dict.fromkeys([b for b in bases if b in starters()] + [b for b in bases if b not in starters()]))


def _millions(model: str) -> float | None:
    folder = STARTERS / model
    if (folder / "config.json").is_file():
        stored = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        width = 2 if "bfloat16" in (folder / "config.json").read_text("utf-8") else 4
        return stored / width / 1e6
    return HUB_FACTS.get(model, (None, ""))[0]


def model_facts(model: str) -> str:
    """Size, licence and whether it fits this machine's memory, in one line."""
    import psutil

    millions = _millions(model)
    if millions is None:
        return "A model from a folder or the hub: size and licence are known when it is loaded."
    licence = "Apache-2.0, ships with smolstudio" if (STARTERS / model).exists() else HUB_FACTS[model][1]
    need = millions * 1e6 * BYTES_ROUNDED / 2**30 + OVERHEAD_GB
    fits = "fits in memory" if need < psutil.virtual_memory().available / 2**30 else "may not fit in memory"
    return f"{millions:,.1f} M parameters · {licence} · about {need:.1f} GiB to tune: {fits}"
