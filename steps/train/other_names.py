"""What other tools call the arguments of a recipe, for the error about a key that is unknown here."""

from __future__ import annotations

OTHER_NAMES = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",  # axolotl
    "n_epochs": "num_train_epochs",  # OpenAI
    "batch_size": "per_device_train_batch_size",
    "micro_batch_size": "per_device_train_batch_size",  # axolotl
    "grad_accum": "gradient_accumulation_steps",
    "base_model": "model_id",  # axolotl
    "model": "model_id",
    "model_name": "model_id",
    "model_name_or_path": "model_id",  # TRL, LLaMA-Factory
    "revision": "model_revision",
    "lora_rank": "lora_r",  # LLaMA-Factory
    "rank": "lora_r",
    "lora_target": "target_modules",  # LLaMA-Factory
    "lora_target_modules": "target_modules",  # TRL, axolotl
    "lora_linear_target": "target_modules",
    "pref_beta": "beta",  # LLaMA-Factory
    "dpo_beta": "beta",
    "rl_beta": "beta",  # axolotl
    "pref_loss": "loss_type",  # LLaMA-Factory
    "cutoff_len": "max_length",  # LLaMA-Factory
    "sequence_len": "max_length",  # axolotl
    "max_seq_length": "max_length",
    "lr_scheduler": "lr_scheduler_type",  # axolotl
    "optimizer": "optim",  # axolotl
    "flash_attention": "attn_implementation",  # axolotl
    "flash_attn": "attn_implementation",  # LLaMA-Factory
    "load_4bit": "load_in_4bit",
    "quantization_bit": "load_in_4bit",  # LLaMA-Factory
    "adapter_name_or_path": "initial_adapter",  # LLaMA-Factory
    "wandb_run_name": "run_name",
    "random_seed": "seed",
}
