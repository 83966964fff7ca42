"""The mean of the weights of trainings that started from one another; it is often better than any of them.

    python -m recipes.starters.making.text_average DIR DIR2 --out DIR3

Each DIR is what `recipes.starters.making.text` wrote. DIR3 gets model/ and average.json, which the card reads. The
mean is taken in fp32. Averaging trainings that do not share a start gives nonsense (Wortsman et al. 2022, model
soups).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recipes.starters.making.text_model import export
from recipes.starters.making.text_tokenizer import starter_tokenizer
from synth.storage import write_json

AVERAGE = "average.json"


def average(runs: Sequence[Path], out: Path) -> None:
    """Write the mean of the last saved weights of `runs` to out/model."""
    import torch
    from safetensors import safe_open
    from transformers import LlamaForCausalLM

    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(runs[0] / "model", dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for run in runs:
            with safe_open(run / "state.safetensors", framework="pt") as file:
                for name, parameter in model.named_parameters():
                    parameter += file.get_tensor(f"model.{name}") / len(runs)
    out.mkdir(parents=True, exist_ok=True)
    export(model, starter_tokenizer(), out / "model")
    write_json(out / AVERAGE, {"runs": len(runs)})


def main() -> None:
    """Read the command line and average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    average(asked.runs, asked.out)


if __name__ == "__main__":
    main()
