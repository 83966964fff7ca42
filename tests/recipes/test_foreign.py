"""Recipes written for LLaMA-Factory and Axolotl mean here what they mean there, or are refused with the nearest key."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from recipes.recipe.schema import Recipe, load_recipe
from recipes.recipe.words import in_words
from synth.errors import RecipeError

LF = "{model_name_or_path: m, finetuning_type: lora, lora_rank: 8, lora_target: all, dataset: d, cutoff_len: 512, "
AXO = "{base_model: m, lora_r: 8, lora_alpha: 16, datasets: [{path: d, type: alpaca}], sequence_len: 512, "


def read(text: str, **more: Any) -> tuple[Recipe, list[str]]:
    notices: list[str] = []
    return load_recipe({**yaml.safe_load(text), **more}, (), notices), notices


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (LF + "stage: sft}", "text_sft"),
        (LF + "stage: dpo, pref_beta: 0.2}", "text_dpo"),
        (LF + "stage: kto, pref_beta: 0.2}", "text_kto"),
        (LF + "pref_beta: 0.2, pref_loss: sigmoid}", "text_dpo"),
        (LF + "stage: dpo, image_max_pixels: 262144}", "vision_dpo"),
        (AXO + "adapter: qlora, rl: dpo, rl_beta: 0.2}", "text_dpo"),
        (AXO + "adapter: qlora, rl: kto, rl_beta: 0.2}", "text_kto"),
        (AXO + "adapter: lora}", "text_sft"),
    ],
)
def test_the_method_is_what_the_peers_recipe_trains(text: str, method: str) -> None:
    recipe, _ = read(text)
    assert recipe.method == method
    if "beta: 0.2" in text:
        assert (recipe.kto if method == "text_kto" else recipe.dpo).beta == 0.2


@pytest.mark.parametrize(
    ("text", "in_4bit"),
    [
        (LF + "stage: sft}", False),
        (LF + "stage: sft, quantization_bit: 4, quantization_method: bnb}", True),
        (AXO + "adapter: qlora}", True),
        (AXO + "adapter: lora, load_in_8bit: false}", False),
        (AXO + "adapter: qlora, load_in_4bit: true}", True),
    ],
)
def test_the_base_is_quantised_where_it_is_there(text: str, in_4bit: bool) -> None:
    recipe, _ = read(text)
    assert recipe.quant.load_in_4bit is in_4bit
    assert recipe.adapter is None


def test_a_rank_without_alpha_scales_as_there_and_ours_stays_ours() -> None:
    assert read(LF + "stage: sft}")[0].lora.lora_alpha == 16
    assert read(LF + "stage: sft, lora_alpha: 4}")[0].lora.lora_alpha == 4
    assert load_recipe({"base_model": "m", "lora": {"r": 8}}).lora.lora_alpha == 64


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LF + "stage: rm}", "stage: rm is not offered"),
        (LF + "stage: pt}", "stage: pt is not offered"),
        (LF + "stage: dpo, pref_loss: simpo}", "pref_loss: simpo is not offered; the nearest of ours is dpo.loss_type"),
        (LF + "stage: sft, quantization_bit: 8}", "quantization_bit: 8 is not offered.*quant.load_in_4bit"),
        (LF + "stage: sft, quantization_bit: 4, quantization_method: hqq}", "quantization_method: hqq"),
        (LF + "stage: sft, finetuning_type: full}", "finetuning_type: full"),
        (LF + "stage: sft, use_dora: true}", "use_dora: True is not offered; the nearest of ours is lora.r"),
        (AXO + "adapter: lora, load_in_8bit: true}", "load_in_8bit: True is not offered"),
        (AXO + "adapter: qlora, optimizer: lion_8bit}", "optimizer: lion_8bit is not offered"),
        (AXO + "adapter: qlora, train_on_inputs: true}", "train_on_inputs: True"),
        (AXO + "adapter: qlora, warmup_steps: 10}", "nearest of ours is optim.warmup_ratio"),
        (AXO + "num_epochs: 1}", "the whole model would be trained"),
        (AXO + "adapter: qlora, sampel_packing: true}", "unknown key 'sampel_packing'"),
    ],
)
def test_what_would_be_learned_otherwise_is_refused_with_the_nearest_of_ours(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        read(text)


def test_keys_that_change_nothing_are_listed_and_left_out() -> None:
    recipe, notices = read(
        AXO + "adapter: qlora, wandb_project: w, tf32: true, sample_packing: true, val_set_size: 0.1}"
    )
    said = "\n".join(notices)
    for key in ("wandb_project", "tf32", "sample_packing", "val_set_size", "datasets"):
        assert f"{key}: " in said
    assert recipe.data.dataset == "d"
    assert read("{base_model: m, lora: {r: 8}}")[1] == []


def test_targets_written_as_one_text_are_a_list() -> None:
    assert read(LF.replace("all", "'q_proj, v_proj'") + "stage: sft}")[0].lora.target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"method": "text_sft", "dpo": {"beta": 0.3}}, "dpo.beta is set to 0.3, but the method text_sft does not use"),
        ({"method": "text_dpo", "kto": {"beta": 0.3}}, "kto.beta is set"),
        ({"method": "text_kto", "dpo": {"max_pairs": 5}}, "dpo.max_pairs is set to 5"),
    ],
)
def test_choices_of_a_section_that_the_method_does_not_use_are_refused(values: Any, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load_recipe({"base_model": "m", **values})


@pytest.mark.parametrize(
    "own",
    [
        "roles_to_train: [user]",
        "train_on_eos: none",
        "train_on_eot: last",
        "train_on_inputs: true",
        "drop_system_message: true",
        "message_field_training: wanted",
        "type: completion",
        "type: {format: '[INST] {instruction} [/INST]', field_instruction: q}",
        "type: {system_prompt: Be brief}",
    ],
)
def test_what_one_of_axolotls_datasets_says_about_learning_is_refused(own: str) -> None:
    text = AXO.replace("{path: d, type: alpaca}", "{path: d, " + own + "}") + "adapter: lora}"
    with pytest.raises(RecipeError, match=f"datasets.{own.split(':')[0]}"):
        read(text)


@pytest.mark.parametrize(
    "own", ["roles_to_train: [assistant]", "train_on_eos: turn", "type: alpaca", "roles_to_train:"]
)
def test_what_one_of_axolotls_datasets_says_and_is_so_here_loads(own: str) -> None:
    read(AXO.replace("{path: d, type: alpaca}", "{path: d, " + own + "}") + "adapter: lora}")


def test_columns_that_one_of_axolotls_datasets_names_are_listed() -> None:
    _, notices = read(AXO.replace("type: alpaca", "type: chat_template, field_messages: talk") + "adapter: lora}")
    assert any("datasets.field_messages: talk" in notice and "--map" in notice for notice in notices)


def test_defaults_of_llama_factory_that_are_not_ours_are_said() -> None:
    _, notices = read(LF + "stage: sft, num_train_epochs: 2}")
    assert (
        "not named, so our defaults are used and not theirs (learning_rate 5e-05, per_device_train_batch_size 8, "
        "lr_scheduler_type linear, warmup_ratio 0)" in notices
    )
    named = "num_train_epochs: 2, learning_rate: 1.0e-4, per_device_train_batch_size: 1, lr_scheduler_type: cosine, "
    _, notices = read(LF + f"stage: sft, warmup_ratio: 0.1, {named}}}")
    assert not any("defaults" in notice for notice in notices)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AXO + "adapter: qlora, load_in_4bit: false}", "contradict each other"),
        (AXO + "adapter: qlora, load_in_8bit: true}", "load_in_8bit"),
        (LF + "stage: sft, quantization_bit: 2}", "quantization_bit: 2"),
    ],
)
def test_a_quantisation_that_cannot_be_meant_is_refused(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        read(text)


@pytest.mark.parametrize("text", [AXO + "adapter: qlora, ", LF + "stage: sft, "])
def test_patience_without_validations_gets_them(text: str) -> None:
    recipe, notices = read(text + "early_stopping_patience: 3}")
    assert recipe.eval_steps == "auto" and recipe.early_stopping_patience == 3
    assert any("validated ten times" in notice for notice in notices)
    assert read(text + "early_stopping_patience: 3, eval_steps: 50}")[0].eval_steps == 50


def test_defaults_that_a_file_leaves_out_and_ours_are_not_are_named() -> None:
    said = [notice for notice in read(LF + "stage: sft}")[1] if "our defaults" in notice]
    assert all(key in said[0] for key in ("learning_rate 5e-05", "lr_scheduler_type linear", "warmup_ratio 0"))
    said = [notice for notice in read(AXO + "adapter: qlora}")[1] if "our defaults" in notice]
    assert "micro_batch_size 1" in said[0] and "sequence_len" not in said[0]


def test_a_recipe_in_words_says_what_would_be_trained() -> None:
    said = in_words(read(LF + "stage: dpo, pref_beta: 0.2, pref_loss: ipo, quantization_bit: 4}")[0])
    assert said.startswith("text_dpo of m, in 4 bits (nf4, double quantisation); rows of d; LoRA r 8, alpha 16")
    assert said.endswith("beta 0.2 (ipo)")
    assert "not quantised" in in_words(read(LF + "stage: kto}")[0])


def test_a_slice_of_a_dataset_is_said_not_to_be_read() -> None:
    text = "{base_model: m, adapter: qlora, lora_r: 8, datasets: [{path: d, type: alpaca, split: 'train[:5%]'}]}"
    assert any("train[:5%]" in notice for notice in read(text)[1])
