"""A comparison as it could have come out, for tests of the report and for looking at it while no real one exists.

python tests/plausible.py FOLDER     # writes report.json, report.md and report.html
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from evaluate.plan import Machine, Plan, SystemPlan
from evaluate.report.results import (
    DatasetFacts,
    Forgetting,
    LedgerItem,
    Provenance,
    Remembered,
    Results,
    Row,
    Speed,
    SystemResult,
)
from synth.usage import Usage

FAMILIES = {
    "test": ["discount", "late fee", "line total", "sales tax", "split bill", "tip"],
    "test_ood": ["currency", "instalments"],
}
RIGHT = {  # chance of a right answer: test, test_ood
    "base": (0.02, 0.01),
    "base-few": (0.04, 0.03),
    "sft": (0.93, 0.62),
    "dpo": (0.94, 0.66),
    "large": (0.48, 0.41),
    "large-few": (0.61, 0.55),
    "mini": (0.90, 0.91),
}
LABELS = {
    "base": "starter-text",
    "base-few": "starter-text, 4 examples",
    "sft": "starter-text + invoices (SFT)",
    "dpo": "starter-text + invoices (SFT, then DPO)",
    "large": "starter-text-large",
    "large-few": "starter-text-large, 4 examples",
    "mini": "gpt-4o-mini",
}


def rows(system: str, per_split: int, rng: np.random.Generator, hostile: str = "") -> list[Row]:
    """Rows whose outcome depends on system, split, family and template."""
    made = []
    for index, (split, families) in enumerate(FAMILIES.items()):
        for i in range(per_split if split == "val" or split == "test" else per_split // 2):
            family = families[i % len(families)]
            template = f"{family} {i // len(families) % 8}"
            wobble = (hashlib.sha256(template.encode()).digest()[0] / 255 - 0.5) * 0.12
            right = rng.random() < np.clip(RIGHT[system][index] + wobble, 0, 1)
            price, units = 3 + i % 17, 2 + i % 9
            gold = str(price * units)
            answer = gold if right else str(price * units + 1 + i % 5)
            fault = not right and system in ("mini", "large-few") and i % 19 == 0
            local = system != "mini"
            text = f"{price} * {units} = {answer}\nAnswer: {answer}{hostile}"
            made.append(
                Row(
                    example_id=hashlib.sha256(f"{split}{i}".encode()).hexdigest()[:32],
                    split=split,
                    family=family,
                    template=template,
                    scorer="math",
                    score=None if system == "mini" and i % 97 == 0 else float(right),
                    why="equal" if right else f"{answer} is not {gold}",
                    answer=answer,
                    answer_text=f"The total comes to {gold} dollars, I think." if fault else text,
                    gold=gold,
                    prompt_text=f"Invoice {i}: {units} boxes at ${price} each. What is the line total?{hostile}",
                    format_fault=fault,
                    confidence=float(np.clip(rng.beta(9, 1) if right else rng.beta(4, 2), 0, 1)) if local else None,
                    seconds=0.4,
                    usage=Usage(input_tokens=60 + i % 30, output_tokens=20 + i % 7),
                    error="timed out" if system == "mini" and i % 97 == 0 else "",
                )
            )
    return made


def system(name: str, per_split: int, hostile: str = "") -> SystemResult:
    """One system with measured speed."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    made = rows(name, per_split, np.random.default_rng(seed), hostile)
    large, endpoint = name.startswith("large"), name == "mini"
    speed = 9.0 if large else 55.0
    return SystemResult(
        id=name,
        label=LABELS[name] + hostile,
        kind="endpoint" if endpoint else "local",
        base_model="gpt-4o-mini" if endpoint else "starter-text-large" if large else "starter-text",
        adapter=f"2026-11-25-{name}" if name in ("sft", "dpo") else None,
        method={"sft": "text_sft", "dpo": "text_dpo"}.get(name),
        prompting="few_shot" if name.endswith("few") else "zero_shot",
        shots=4 if name.endswith("few") else 0,
        max_new_tokens=96,
        params=None if endpoint else 27_300_000 if large else 5_300_000,
        stand_in=large,
        hardware="endpoint" if endpoint else "2 CPU cores, x86_64, bfloat16",
        metric="accuracy",
        rows=tuple(made),
        speed=Speed(
            requests_per_s=None if endpoint else speed,
            wall_seconds=len(made) / speed,
            batch_size=8 if endpoint else 64,
            latency_p50=0.62 if endpoint else 1.1,
            latency_p95=1.9 if endpoint else 1.4,
            latency_basis="one request, 8 open at once" if endpoint else "the batch of 64 rows that the row was in",
        ),
    )


def results(
    names: tuple[str, ...] = ("base", "base-few", "sft", "dpo", "large", "large-few"),
    small: str = "dpo",
    large: str = "large-few",
    per_split: int = 600,
    hostile: str = "",
    **plan: Any,
) -> Results:
    """The whole comparison."""
    plans = tuple(
        SystemPlan(id=n, label=LABELS[n], model="m", adapter="a" if n in ("sft", "dpo") else None) for n in names
    )
    return Results(
        plan=Plan(
            name="invoices", dataset="invoices", systems=plans, small=small, large=large, machine=Machine(), **plan
        ),
        dataset=DatasetFacts(
            name="invoices",
            path="datasets/invoices",
            splits={"test": per_split, "test_ood": per_split // 2},
            available={"train": 4000, "val": 400, "test": per_split, "test_ood": per_split // 2},
            generator="math, domain invoices",
            sha256={"test": "ab" * 32},
        ),
        systems=tuple(system(name, per_split, hostile) for name in names),
        ledger=(
            LedgerItem(kind="generation", label="4,000 training rows", seconds=2.1),
            LedgerItem(kind="training", label="SFT, 3 epochs", seconds=95, run_id="r1", system_id="sft"),
            LedgerItem(kind="training", label="SFT, stopped at step 40", seconds=12, run_id="r0", status="stopped"),
            LedgerItem(kind="training", label="DPO", seconds=48, run_id="r2", system_id="dpo"),
            LedgerItem(kind="evaluation", label="answering all test rows", seconds=70),
        ),
        forgetting=(
            Forgetting(
                system_id="dpo",
                rows=tuple(
                    Remembered(family="money", template=f"money {i % 30}", base=i % 25 > 0, tuned=i % 6 > 0)
                    for i in range(300)
                ),
            ),
        )
        if "dpo" in names
        else (),
        provenance=Provenance(
            created="2026-11-25T23:00:00Z",
            comparison_id="20261125-2300-invoices",
            versions={"python": "3.11.2", "torch": "2.11.0", "transformers": "5.23.0", "smolstudio": "0.1.0"},
            machine={"cpu": "x86_64, AVX512-BF16", "cores": "2", "memory_gb": "23", "gpu": "none"},
            recipes={"sft": {"method": "text_sft", "lora": {"r": 32}, "seed": 0}},
            hashes={"dataset test": "ab" * 32, "plan": "cd" * 32},
        ),
    )


def main() -> None:
    from evaluate.report import render_html, render_md, report_json

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    made = report_json.build(results())
    (folder / "report.json").write_text(report_json.dumps(made), "utf-8")
    (folder / "report.md").write_text(render_md.render(made), "utf-8")
    (folder / "report.html").write_text(render_html.render(made), "utf-8")
    print(made.headline)


if __name__ == "__main__":
    main()
