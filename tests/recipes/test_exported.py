"""TRL's own trainers run on exported folders as they are: no mapping, no renaming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_llama

from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.example import Example, assistant, make_example, system, user
from synth.exporting.folder import export_dataset


def rows(kind: str) -> list[Example]:
    made = []
    for number in range(4):
        more: dict[str, Any] = {"dpo": {"rejected": "no"}, "kto": {"label": number % 2 == 0}}.get(kind, {})
        turns = [user(f"Row {number}?")]
        if number == 0:
            turns = [system("Be brief."), user("Before?"), assistant("Yes."), *turns]
        made.append(make_example(turns, f"say {number}", family="f", template="t", **more))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("form", ["trl", "messages"])
@pytest.mark.parametrize("kind", ["sft", "dpo", "kto"])
def test_trl_trains_on_an_exported_folder_without_mapping(kind: str, form: str, tmp_path: Path) -> None:
    import trl
    from datasets import load_dataset
    from peft import LoraConfig

    if form == "messages" and kind != "sft":
        pytest.skip("chats with a judgement are read here and by LLaMA-Factory; TRL wants prompt and completion")
    model, source = tiny_llama(tmp_path / "model"), tmp_path / "mine"
    source.mkdir()
    writer = DatasetWriter(source)
    for example in rows(kind):
        writer.keep(example)
    writer.finish(Card(name="mine"))
    export_dataset(DatasetDir(source), form, tmp_path / "out")
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    config, trainer = getattr(trl, f"{kind.upper()}Config"), getattr(trl, f"{kind.upper()}Trainer")
    options = {"output_dir": str(tmp_path / "run"), "max_steps": 1, "per_device_train_batch_size": 2}
    made = trainer(
        model=str(model),
        args=config(**options, report_to="none", use_cpu=True, bf16=False, disable_tqdm=True),
        train_dataset=loaded["train"],
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
    assert made.train().global_step == 1
