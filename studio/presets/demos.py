"""The demos as data: which generator, which recipes, which systems. `studio.presets.demo` runs them."""

from __future__ import annotations

from typing import Any, NamedTuple


class DemoSpec(NamedTuple):
    """What a demo generates, how it tunes, and whom it compares: the base, tuned and not, and a larger model.

    base, large: starters, or ids of the catalogue; without a `large` that can be had, the base itself is the rival.
    titles: of base and large in tables.
    dpo: its recipe; "" where preference tuning is left out.
    prompting: how the untuned models are asked; `tuned`: how the tuned ones are.
    real: module with `real_rows(add_media)` and SAID, the test rows that its generator did not make; "" for none.
    more: keys of the plan that are not the default.
    """

    modality: str
    task: str
    generator: str
    settings: dict[str, Any]
    sft: str
    dpo: str
    base: str
    large: str
    titles: tuple[str, str]
    max_new_tokens: int
    prompting: tuple[str, ...] = ("zero_shot",)
    shots: int = 3
    sft_overrides: tuple[str, ...] = ()
    dpo_overrides: tuple[str, ...] = ()
    tuned: str = "zero_shot"
    real: str = ""
    more: dict[str, Any] = {}

    def plan(
        self, name: str, dataset: str, seeds: list[int], adapters: list[tuple[str, str]], large: str
    ) -> dict[str, Any]:
        """The comparison plan: base and large prompted, each seed's SFT and DPO adapters; "" for none."""
        systems = []
        for key, model, title in (("base", self.base, self.titles[0]), ("large", large, self.titles[1])):
            systems += [self._prompted(key, model, title, way) for way in self.prompting if model]
        rival = systems[-1]["id"]
        for seed, (sft, dpo) in zip(seeds, adapters, strict=True):
            tag = "" if len(seeds) == 1 else f", seed {seed}"
            for kind, title, run in (("sft", "Tuned (SFT)", sft), ("dpo", "Tuned (SFT+DPO)", dpo)):
                if not run:
                    continue
                more = {"adapter": run, "prompting": self.tuned, "train_seed": seed, "seed_group": kind}
                key = f"tuned-{kind}" if len(seeds) == 1 else f"tuned-{kind}-s{seed}"
                systems.append(self._system(key, title + tag, self.base, **more))
        return {
            "name": name,
            "dataset": dataset,
            "splits": ["test", "test_ood", *(["test_real"] if self.real else [])],
            "systems": systems,
            "small": systems[-1]["id"],
            "large": rival,
            **self.more,
        }

    def _prompted(self, key: str, model: str, title: str, way: str) -> dict[str, Any]:
        suffix, said = WAYS[way]
        more = {"prompting": way, "shots": self.shots} if "few" in way else {"prompting": way}
        return self._system(f"{key}-{suffix}", f"{title}, {said.format(shots=self.shots)}", model, **more)

    def _system(self, key: str, label: str, model: str, **more: Any) -> dict[str, Any]:
        common = {"model": model, "max_new_tokens": self.max_new_tokens}
        return {"id": key, "label": label, **common, **more}


WAYS = {
    "zero_shot": ("zero", "zero-shot"),
    "few_shot": ("few", "{shots}-shot"),
    "few_shot_schema": ("few-schema", "{shots}-shot, held to the schema"),
    "few_shot_constrained": ("few-held", "{shots}-shot, held to the schema"),
}
STARTERS = ("Starter", "Larger starter")
FORGETTING = {"forgetting_rows": 100}
# Published models take minutes for what starters do in seconds.
SHORT = (
    "eval_steps=0",
    "early_stopping_patience=0",
    "load_best_model_at_end=false",
    "optim.gradient_accumulation_steps=1",
)
QUICK = {"choose_on_val": 40, "speed_rounds": 5}  # fewer carry no price
_UNSEEN_ISSUES = ["language", "domain", "form"]  # phrasings are measured apart: docs/measured.md

# By modality or task the embedded starters, by id of the catalogue the published models.
DEMOS: dict[str, DemoSpec] = {
    "text": DemoSpec(
        modality="text",
        task="math",
        generator="math",
        settings={"train": 10_000, "val": 200, "test": 200, "test_ood": 100},
        sft="starter-text-sft",
        dpo="starter-text-dpo",
        base="starter-text",
        large="starter-text-large",
        titles=STARTERS,
        max_new_tokens=160,
        prompting=("zero_shot", "few_shot"),
        sft_overrides=("optim.num_train_epochs=1",),  # rows are cheap: twice as many, once each
        real="synth.math.written",
        more=FORGETTING,
    ),
    "vision": DemoSpec(
        modality="vision",
        task="charts",
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
        base="starter-vision",
        large="starter-vision-large",
        titles=STARTERS,
        max_new_tokens=80,
        sft_overrides=("optim.num_train_epochs=4",),  # 95 instead of 83 % right after two
        real="synth.vision.stand_in",
        more=FORGETTING,
    ),
    "audio": DemoSpec(
        modality="audio",
        task="dictation",
        generator="audio",
        settings={"train": 2000, "val": 120, "test": 300, "test_ood": 150, "domains": ["medical"]},
        sft="starter-audio-sft",
        dpo="starter-audio-dpo",
        base="starter-audio",
        large="starter-audio-large",
        titles=STARTERS,
        max_new_tokens=90,
        real="synth.audio.stand_in",
        more=FORGETTING,
    ),
    "issues": DemoSpec(
        modality="text",
        task="issues",
        generator="extraction",
        settings={
            "train": 2000,
            "val": 60,
            "test": 48,
            "test_ood": 30,
            "languages": ["en"],
            "unseen": _UNSEEN_ISSUES,
        },
        sft="starter-text-issues",
        dpo="",
        base="starter-text",
        large="starter-text-large",
        titles=STARTERS,
        max_new_tokens=256,  # the longest record has 227; a model that repeats itself would fill more
        prompting=("few_shot_constrained",),
        shots=1,  # more take the larger starter longer than the training
        tuned="constrained",
        real="synth.extraction.written",
        more={"speed_rounds": 0},  # five rounds, which a price needs, take longer than all the rest
    ),
    "urgency": DemoSpec(
        modality="text",
        task="urgency",
        generator="urgency",
        settings={"train": 1200, "val": 60, "test": 300, "test_ood": 120},
        sft="starter-text-sft",
        dpo="",
        base="starter-text",
        large="starter-text-large",
        titles=STARTERS,
        max_new_tokens=8,
        prompting=("few_shot_constrained",),
        tuned="constrained",
        real="synth.urgency.written",
    ),
    "attributes": DemoSpec(
        modality="text",
        task="attributes",
        generator="attributes",
        settings={"train": 3000, "val": 60, "test": 120, "test_ood": 60},
        sft="starter-text-issues",
        dpo="",
        base="starter-text",
        large="starter-text-large",
        titles=STARTERS,
        max_new_tokens=160,
        prompting=("few_shot_constrained",),
        tuned="constrained",
        real="synth.attributes.written",
        more={"speed_rounds": 0},
    ),
    "smollm2-135m": DemoSpec(
        modality="text",
        task="issues",
        generator="extraction",
        settings={"train": 960, "val": 40, "test": 60, "test_ood": 30, "unseen": _UNSEEN_ISSUES},
        sft="smollm2-135m-instruct",
        dpo="",  # 24 pairs: a quarter of the time, 5 points more on unseen families and 2 fewer by hand
        base="smollm2-135m",
        large="",
        titles=("SmolLM2-135M", ""),
        max_new_tokens=320,
        prompting=("few_shot_schema",),
        shots=2,
        tuned="constrained",
        sft_overrides=(
            *SHORT,
            "data.task=false",  # what to do is learned; the instruction would be half of what is read
            "optim.num_train_epochs=1",
            "optim.learning_rate=1e-3",
            "optim.max_length=768",
        ),
        real="synth.extraction.written",
        more={"speed_rounds": 0},
    ),
    "whisper-tiny.en": DemoSpec(
        modality="audio",
        task="dictation",
        generator="audio",
        settings={"train": 480, "val": 60, "test": 150, "test_ood": 75, "domains": ["medical"]},
        sft="whisper-tiny-en",
        dpo="whisper-tiny-en-dpo",
        base="whisper-tiny.en",
        large="whisper-base",
        titles=("Whisper tiny.en", "Whisper base"),
        max_new_tokens=90,
        sft_overrides=(*SHORT, "optim.num_train_epochs=3"),
        dpo_overrides=("dpo.max_pairs=48",),
        real="synth.audio.stand_in",
        more=QUICK,
    ),
}
