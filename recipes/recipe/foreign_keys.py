"""Keys of LLaMA-Factory's and Axolotl's recipes by what becomes of them: left out, told, or refused with the nearest.

Only tables; `recipes.recipe.foreign` reads them.
"""

from __future__ import annotations

from typing import Any

VISION = frozenset(("image_max_pixels", "freeze_vision_tower", "video_max_pixels", "processor_type", "image_size"))
LOSSES = ("sigmoid", "ipo", "hinge")

# Keys that say how to run, log, save or store, not what is learned. A name that ends in * stands for all that begin so.
NO_EFFECT = (
    *(
        "output_dir",
        "overwrite_output_dir",
        "overwrite_cache",
        "plot_loss",
        "report_to",
        "do_train",
        "do_eval",
        "strict",
    ),
    *("preprocessing_num_workers", "dataloader_*", "ddp_timeout", "ddp_find_unused_parameters", "save_only_model"),
    *(
        "save_strategy",
        "eval_strategy",
        "evaluation_strategy",
        "saves_per_epoch",
        "evals_per_epoch",
        "save_safetensors",
    ),
    *(
        "per_device_eval_batch_size",
        "eval_batch_size",
        "push_to_hub",
        "push_dataset_to_hub",
        "hub_*",
        "hf_use_auth_token",
    ),
    *("wandb_*", "use_wandb", "mlflow_*", "comet_*", "use_tensorboard", "use_otel_metrics", "otel_*", "swanlab_*"),
    *("tf32", "attn_implementation", "flash_attention", "flash_attn", "xformers_attention", "sdp_attention"),
    *("gradient_checkpointing_kwargs", "activation_offloading", "low_cpu_mem_usage", "liger_*"),
    *(
        "enable_liger_kernel",
        "use_unsloth*",
        "use_kernels",
        "cut_cross_entropy",
        "fused_attn_kernel",
        "torchdistx_path",
    ),
    *("flex_attn_compile_kwargs", "use_scattermoe", "experts_implementation", "gemma4_hybrid_attn_impl", "plugins"),
    *("deepspeed", "fsdp", "fsdp_config", "fsdp_version", "context_parallel_size", "context_parapllel_size", "ray_*"),
    *(
        "placement_strategy",
        "resources_per_worker",
        "dataset_prepared_path",
        "dataset_dir",
        "dataset_processes",
        "debug",
    ),
    *("tokenized_path", "cache_dir", "model_type", "tokenizer_type", "processor_type", "local_rank"),
    *("skip_prepare_dataset", "remove_unused_columns", "pad_to_sequence_len", "resize_token_embeddings_to_32x"),
    *("tokenizer_use_mistral_common", "include_tokens_per_second", "loss_watchdog_*", "auto_resume_from_checkpoints"),
    *(
        "max_packed_sequence_len",
        "eval_sample_packing",
        "sample_packing_*",
        "eval_table_size",
    ),
    *("quantize_moe_experts", "llama4_linearized_experts", "eval_dataset_dir", "media_dir"),
)
# Keys that mean something here too, only not by their own choice.
INSTEAD = {
    "template": "the model's own chat template is used",
    "chat_template": "the model's own chat template is used",
    "special_tokens": "the model's own special tokens are used",
    "eot_tokens": "the end of a turn is taken from the model's own chat template",
    "trust_remote_code": "code that comes with a model is never run",
    "val_set_size": "the dataset's own val split is watched, see data.val_split",
    "val_size": "the dataset's own val split is watched, see data.val_split",
    "image_max_pixels": "the model's own processor sizes pictures",
    "image_min_pixels": "the model's own processor sizes pictures",
    "video_max_pixels": "videos are not read",
    "video_fps": "videos are not read",
    "video_maxlen": "videos are not read",
    "sample_packing": "rows are not packed: a batch is per_device_train_batch_size rows, and a step has fewer tokens",
    "packing": "rows are not packed: a batch is per_device_train_batch_size rows, and a step has fewer tokens",
    "neat_packing": "rows are not packed: a batch is per_device_train_batch_size rows, and a step has fewer tokens",
}
# Keys that change what is learned, and have no counterpart: the nearest of ours. Refused unless they are off.
NEAREST = {
    "load_in_8bit": "quant.load_in_4bit",
    "gptq": "quant.load_in_4bit",
    "use_dora": "lora.r",
    "use_rslora": "lora.lora_alpha",
    "peft_use_dora": "lora.r",
    "peft_use_rslora": "lora.lora_alpha",
    "pissa_init": "lora.r",
    "loraplus_lr_ratio": "optim.learning_rate",
    "lora_modules_to_save": "lora.target_modules",
    "additional_target": "lora.target_modules",
    "lora_target_parameters": "lora.target_modules",
    "unfrozen_parameters": "lora.target_modules",
    "freeze_language_model": "lora.target_modules",
    "use_galore": "optim.learning_rate",
    "use_badam": "optim.learning_rate",
    "neftune_noise_alpha": "lora.lora_dropout",
    "noisy_embedding_alpha": "lora.lora_dropout",
    "fp16": "optim.bf16",
    "float16": "optim.bf16",
    "warmup_steps": "optim.warmup_ratio",
    "adam_beta1": "optim.learning_rate",
    "adam_beta2": "optim.learning_rate",
    "adam_epsilon": "optim.learning_rate",
    "early_stopping_steps": "early_stopping_patience",
    "train_on_inputs": "data.loss_turns",
    "train_on_prompt": "data.loss_turns",
    "rope_scaling": "optim.max_length",
    "rope_scaling_type": "optim.max_length",
    "overrides_of_model_config": "base_model",
    "model_config": "base_model",
    "bnb_config_kwargs": "quant.bnb_4bit_use_double_quant",
    "gptq_groupsize": "quant.load_in_4bit",
    "gptq_model_v1": "quant.load_in_4bit",
    "chat_template_jinja": "base_model",
    "reward_model": "method",
    "trl": "method",
    "orpo_alpha": "dpo.sft_weight",
}
OPTIMIZERS = ("adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused")
OPTIMIZERS_8BIT = (
    "adamw_8bit",
    "adamw_bnb_8bit",
    "paged_adamw_8bit",
    "paged_adamw_32bit",
    "adamw_torch_8bit",
    "adamw_torch_4bit",
)


# Keys of one of Axolotl's datasets that change what is learned, with their values that change nothing here.
AS_HERE: dict[str, tuple[Any, ...]] = {
    "roles_to_train": (["assistant"], ["gpt"], ["assistant", "gpt"], ["gpt", "assistant"]),
    "train_on_eos": ("turn", "all"),
    "train_on_eot": ("turn", "all"),
    "train_on_inputs": (False,),
    "drop_system_message": (False,),
    "message_field_training": ("train", "training", "weight", "loss"),
}
WHERE = ("path", "type", "name", "split", "ds_type", "data_files", "conversation", "chat_template", "revision")


THEIR_DEFAULTS = {
    **{"learning_rate": 5e-05, "num_train_epochs": 3, "per_device_train_batch_size": 8, "lora_rank": 8},
    **{"lr_scheduler_type": "linear", "warmup_ratio": 0, "cutoff_len": 2048},
}
AXOLOTL_DEFAULTS = {"micro_batch_size": 1, "sequence_len": 512, "lora_alpha": "none"}
STANDS_FOR = {
    "num_train_epochs": {"max_steps", "num_epochs", "optim"},
    "lora_rank": {"lora_r", "r", "lora"},
    "lora_alpha": {"alpha", "lora"},
    "learning_rate": {"lr", "optim"},
    "per_device_train_batch_size": {"micro_batch_size", "optim"},
    "micro_batch_size": {"per_device_train_batch_size", "optim"},
    "lr_scheduler_type": {"lr_scheduler", "optim"},
    "warmup_ratio": {"warmup_steps", "optim"},
    "cutoff_len": {"sequence_len", "max_length", "max_seq_length", "optim"},
    "sequence_len": {"cutoff_len", "max_length", "max_seq_length", "optim"},
}
