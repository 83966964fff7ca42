"""The demos as data: which generator, which recipes, which systems. `studio.presets.demo` runs them."""

from __future__ import annotations

from typing import Any, NamedTuple


class DemoSpec(NamedTuple):
    """What a demo generates, how it tunes, and whom it compares: the base, tuned and not, and a larger starter.

    real: module with `real_rows(add_media)` and SAID, the test rows that its generator did not make; "" for none.
    """

    generator: str
    settings: dict[str, Any]
    sft: str
    dpo: str
    starter: str
    large: str
    shots: int
    max_new_tokens: int
    sft_overrides: tuple[str, ...] = ()
    dpo_overrides: tuple[str, ...] = ()
    forgetting_rows: int = 100
    few_shot: bool = True
    real: str = ""

    def plan(self, name: str, dataset: str, seeds: list[int], adapters: list[tuple[str, str]]) -> dict[str, Any]:
        """The comparison plan: base and large prompted, each seed's SFT and DPO adapters."""
        systems = []
        for key, model, label in (("base", self.starter, "Starter"), ("large", self.large, "Larger starter")):
            systems.append(self._system(f"{key}-zero", f"{label}, zero-shot", model))
            if self.few_shot:
                few = {"prompting": "few_shot", "shots": self.shots}
                systems.append(self._system(f"{key}-few", f"{label}, {self.shots}-shot", model, **few))
        for seed, (sft, dpo) in zip(seeds, adapters, strict=True):
            tag = "" if len(seeds) == 1 else f", seed {seed}"
            for kind, title, run in (("sft", "Tuned (SFT)", sft), ("dpo", "Tuned (SFT+DPO)", dpo)):
                more = {"adapter": run, "train_seed": seed, "seed_group": kind}
                key = f"tuned-{kind}" if len(seeds) == 1 else f"tuned-{kind}-s{seed}"
                systems.append(self._system(key, title + tag, self.starter, **more))
        return {
            "name": name,
            "dataset": dataset,
            "splits": ["test", "test_ood", *(["test_real"] if self.real else [])],
            "systems": systems,
            "small": systems[-1]["id"],
            "large": "large-few" if self.few_shot else "large-zero",
            "forgetting_rows": self.forgetting_rows,
        }

    def _system(self, key: str, label: str, model: str, **more: Any) -> dict[str, Any]:
        return {"id": key, "label": label, "model": model, "max_new_tokens": self.max_new_tokens, **more}


DEMOS: dict[str, DemoSpec] = {
    "text": DemoSpec(
        generator="math",
        settings={"train": 10_000, "val": 200, "test": 200, "test_ood": 100},
        sft="starter-text-sft",
        dpo="starter-text-dpo",
        starter="starter-text",
        large="starter-text-large",
        shots=3,
        max_new_tokens=160,
        sft_overrides=("optim.num_train_epochs=1",),  # rows are cheap: twice as many, once each
        real="synth.math.written",
    ),
    "vision": DemoSpec(
        generator="vision",
        settings={
            "train": 4000,
            "val": 160,
            "test": 300,
            "test_ood": 100,
            "kinds": ["hbar"],
            "difficulty": 1,
            "size": 128,
            "model_size": 128,
        },
        sft="starter-vision-sft",
        dpo="starter-vision-dpo",
        starter="starter-vision",
        large="starter-vision-large",
        shots=0,
        max_new_tokens=80,
        sft_overrides=("optim.num_train_epochs=4",),  # 95 instead of 83 % right after two
        few_shot=False,
        real="synth.vision.stand_in",
    ),
    "audio": DemoSpec(
        generator="audio",
        settings={"train": 2000, "val": 120, "test": 300, "test_ood": 150, "domains": ["medical"]},
        sft="starter-audio-sft",
        dpo="starter-audio-dpo",
        starter="starter-audio",
        large="starter-audio-large",
        shots=0,
        max_new_tokens=90,
        few_shot=False,
        real="synth.audio.stand_in",
    ),
}
