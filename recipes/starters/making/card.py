"""Measure a text starter, write its card and hashes, and put it where the project finds it.

    python -m recipes.starters.making.card starter-text --run DIR --rows 1200
    python -m recipes.starters.making.card starter-text-large --run DIR --before DIR_OF_BROAD DIR_OF_SMALL --rows 1600

DIR is what `python -m recipes.starters.making.text` wrote. The rows come from seeds that training never draws. The folder
recipes/starters/weights/NAME is replaced as a whole, after the measurement.
"""

# ruff: noqa: E501 - Markdown keeps its lines
import argparse
import json
import os
import platform
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recipes.starters.making.text import KINDS, WARMUP_GOING_ON, Kind, check_rows
from recipes.starters.making.text_answers import Tally, answers, is_right, tallies
from recipes.starters.making.text_average import AVERAGE
from recipes.starters.text_data import checked
from recipes.starters.text_data.fewshot import with_examples
from synth.storage import atomic_write_text, read_json, read_jsonl, sha256_file

WEIGHTS = Path(__file__).parents[1] / "weights"
SWEEP = Path(__file__).parent / "text_sweep.json"
FEW_SHOT_ROWS = 200


class Measured(NamedTuple):
    """Right answers by family on bare rows, and on rows that carry examples."""

    families: dict[str, Tally]
    few_shot: Tally

    @property
    def total(self) -> Tally:
        return Tally(sum(t.right for t in self.families.values()), sum(t.n for t in self.families.values()))


def measure(folder: Path, kind: Kind, n: int) -> Measured:
    """Greedy answers (fp32) to about `n` rows, the same number of each family, and to 200 few-shot rows."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    bare = check_rows(kind.families, -(-n // len(kind.families)), "card")
    rng = random.Random("text-starter/check/card few-shot")
    generators = [generate for pairs in kind.families.values() for generate, _ in pairs]
    few = [checked(with_examples(rng, generators[number % len(generators)])) for number in range(FEW_SHOT_ROWS)]
    right = sum(map(is_right, few, answers(model, tokenizer, few)))
    return Measured(tallies(bare, answers(model, tokenizer, bare)), Tally(right, len(few)))


def share(tally: Tally) -> str:
    """`96.2 % [94.9, 97.2]`: the share with its 95 % Wilson interval."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(tally.right, tally.n, method="wilson")
    return f"{tally.right / tally.n:.1%} [{low:.1%}, {high:.1%}]".replace("%", " %")


def family_table(measured: Measured) -> str:
    """Markdown, weakest family first."""
    lines = ["| family | right | of | share, 95 % Wilson |", "|---|---|---|---|"]
    for name, tally in sorted(measured.families.items(), key=lambda item: item[1].right / item[1].n):
        lines.append(f"| {name} | {tally.right} | {tally.n} | {share(tally)} |")
    return "\n".join(lines)


def _log_of(run: Path) -> list[dict[str, Any]]:
    return [line.value for line in read_jsonl(run / "log.jsonl") if line.value]


def _trainings_of(card: Path) -> list[str]:
    """The lines of the training table of a published card."""
    return [
        line for line in card.read_text("utf-8").splitlines() if line.startswith("| starter-text") and "(seed" in line
    ]


def training_table(runs: Sequence[Path], earlier: Sequence[str] = ()) -> str:
    """`earlier` lines, then one for each training, in order, with a few points of its loss curve.

    A mean of trainings is a sentence below.
    """
    lines = [
        "| training | steps | tokens | minutes | threads | loss at 10 %, 25 %, 50 %, 75 %, 100 % |",
        "|---|---|---|---|---|---|",
    ]
    averages = [read_json(run / AVERAGE)["runs"] for run in runs if (run / AVERAGE).exists()]
    notes = [
        f"\nThe weights are the mean of those of the last {count} trainings of starter-text." for count in averages
    ]
    logs = [_log_of(run) for run in runs if not (run / AVERAGE).exists()]
    for log in logs:
        first = next(row for row in log if "plan" in row)
        points = [row for row in log if "loss" in row]
        last = points[-1]
        curve = [points[min(len(points) - 1, int(len(points) * part))]["loss"] for part in (0.1, 0.25, 0.5, 0.75, 1)]
        lines.append(
            f"| {first.get('name', 'starter-text')} (seed {first['plan']['seed']}) | {last['step']} | {last['tokens'] / 1e6:.1f} M "
            f"| {last['seconds'] / 60:.0f} | {first.get('threads', 2)} | {', '.join(f'{loss:.3f}' for loss in curve)} |"
        )
    lines[2:2] = [line for line in earlier if line not in lines]
    if next(row for row in logs[0] if "plan" in row)["plan"]["warmup"] == WARMUP_GOING_ON:
        notes.append("\nThe first of them went on from weights that had been trained before.")
    return "\n".join([*lines, *notes])


def sweep_table() -> str:
    """The measured shapes, or a sentence that says that there are none."""
    if not SWEEP.exists():
        return "No sweep has been measured."
    rows: list[dict[str, Any]] = read_json(SWEEP)
    lines = ["| shape | parameters | steps | tokens a CPU second | held-out loss |", "|---|---|---|---|---|"]
    for row in rows:
        millions = row["parameters"] / 1e6
        lines.append(
            f"| {row['shape']} | {millions:.2f} M | {row['steps']} | {row['tokens_per_cpu_sec']} | {row['loss']:.3f} |"
        )
    return "\n".join(lines)


def _what(name: str) -> str:
    if name == "starter-text":
        return (
            "A tiny base model for tuning where no model hub can be reached. It knows arithmetic with written working, short "
            "word problems, comparisons, units, money, dates, and copying fields out of short texts; nothing else. It was never "
            "shown bills with rebates or levies, rates, mixtures or schedules: those are for whoever tunes it."
        )
    return (
        "A stand-in for *the large model* where no endpoint is configured: the class of starter-text with more than four times "
        "its parameters, grown from it and trained further on its families and on a broad set about bills, rates, mixtures and "
        "schedules in wordings of its own. It is still a very small model: a win over it says nothing about real large models."
    )


def card_text(
    name: str, config: Mapping[str, Any], measured: Measured, runs: Sequence[Path], earlier: Sequence[str] = ()
) -> str:
    """The model card in Markdown."""
    size = (
        f"{config['num_hidden_layers']} layers, width {config['hidden_size']}, inner {config['intermediate_size']}, heads "
        f"{config['num_attention_heads']}/{config['num_key_value_heads']} of 64, vocabulary {config['vocab_size']}, "
        f"tied embeddings: {str(config['tie_word_embeddings']).lower()}"
    )
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# {name}

{_what(name)}

- **Class**: `LlamaForCausalLM`, {size}; bf16 safetensors; context 1,024 (rows up to 384 tokens were seen).
- **Tokenizer**: byte-level BPE in SmolLM2's scheme, every digit its own token; ChatML (`system`, `user`, `assistant`); tokens that its training never met have embeddings of their own (`recipes/starters/making/untrained_tokens.py`).
- **Data**: 100 % generated by `recipes/starters/text_data` (no text of any person or model); every worked line is checked.
- **Made by**: `python -m recipes.starters.making.text` on {os.cpu_count()} CPU cores ({platform.machine()}), bf16 autocast, Muon for matrices and
  AdamW for the rest, warm-up, plateau and decay. The same seed and steps give the same loss curve.

## Accuracy

Greedy answers, right to the letter after `Answer:`, on rows from seeds that training never draws.

**All families: {share(measured.total)} of {measured.total.n} rows.**
With one to four examples in the prompt: {share(measured.few_shot)} of {measured.few_shot.n} rows.

{family_table(measured)}

## Training

{training_table(runs, earlier)}

The loss is the weighted mean over reply tokens (weight 1) and prompt tokens (weight 0.1), in nats.

## Shapes compared

The same seed, data, optimiser and time from scratch for each shape, about two minutes on one core: enough to rule out deep and
narrow at this size, not to order shapes whose losses are near each other. Heads share keys and values because the tuned model
is then cheaper to serve.

{sweep_table()}

## Limits

English phrasings of its generators only; it does not hold a conversation, knows no facts, and multiplies with written
partial products that it needs room for. Numbers beyond five digits, negative numbers and other working styles were not
trained. Do not use it for anything that matters.
"""


def publish(name: str, run: Path, before: Sequence[Path], n: int, went_on: bool = False) -> None:
    """Measure DIR/model, then write it with card and SHA256SUMS to weights/NAME.

    `went_on` says that the training started from the weights that lie there: their trainings stay in the card.
    """
    measured = measure(run / "model", KINDS[name], n)
    target = WEIGHTS / name
    earlier = _trainings_of(target / "README.md") if went_on else []
    part = WEIGHTS / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run / "model", part, copy_function=shutil.copyfile)
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    atomic_write_text(part / "README.md", card_text(name, config, measured, [*reversed(before), run], earlier))
    sums = [f"{sha256_file(path)}  {path.name}" for path in sorted(part.iterdir())]
    atomic_write_text(part / "SHA256SUMS", "\n".join(sums) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    print(f"{name}: {share(measured.total)} of {measured.total.n} rows; few-shot {share(measured.few_shot)}; {target}")


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["starter-text", "starter-text-large"])
    parser.add_argument("--run", type=Path, required=True, help="folder that the training wrote")
    parser.add_argument(
        "--before", type=Path, nargs="*", default=[], help="folders of earlier stages, the latest first"
    )
    parser.add_argument("--went-on", action="store_true", help="the training started from the published starter NAME")
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    publish(asked.name, asked.run, asked.before, asked.rows, asked.went_on)


if __name__ == "__main__":
    main()
