"""What other tools call the arguments of a recipe, for the error about a key that is unknown here."""

from __future__ import annotations

OTHER_NAMES = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",  # axolotl
    "n_epochs": "num_train_epochs",  # OpenAI
    "eval_batch_size": "per_device_eval_batch_size",  # axolotl
    "batch_size": "per_device_train_batch_size",
    "micro_batch_size": "per_device_train_batch_size",  # axolotl
    "grad_accum": "gradient_accumulation_steps",
    "base_model": "model_id",  # axolotl
    "model": "model_id",
    "model_name": "model_id",
    "model_name_or_path": "model_id",  # TRL, LLaMA-Factory
    "revision": "model_revision",
    "revision_of_model": "model_revision",  # axolotl
    "lora_rank": "lora_r",  # LLaMA-Factory
    "rank": "lora_r",
    "peft_use_rslora": "use_rslora",  # axolotl
    "lora_target": "target_modules",  # LLaMA-Factory
    "lora_target_modules": "target_modules",  # TRL, axolotl
    "lora_linear_target": "target_modules",
    "pref_beta": "beta",  # LLaMA-Factory
    "dpo_beta": "beta",
    "rl_beta": "beta",  # axolotl
    "pref_loss": "loss_type",  # LLaMA-Factory
    "dpo_loss_type": "loss_type",  # axolotl
    "dpo_loss_weights": "loss_weights",  # axolotl
    "dpo_label_smoothing": "label_smoothing",  # axolotl, LLaMA-Factory
    "cutoff_len": "max_length",  # LLaMA-Factory
    "sequence_len": "max_length",  # axolotl
    "max_seq_length": "max_length",
    "lr_scheduler": "lr_scheduler_type",  # axolotl
    "optimizer": "optim",  # axolotl
    "flash_attention": "attn_implementation",  # axolotl
    "flash_attn": "attn_implementation",  # LLaMA-Factory
    "load_4bit": "load_in_4bit",
    "quantization_bit": "load_in_4bit",  # LLaMA-Factory
    "double_quantization": "bnb_4bit_use_double_quant",  # LLaMA-Factory
    "use_bnb_nested_quant": "bnb_4bit_use_double_quant",  # TRL
    "moe_aux_loss_coef": "router_aux_loss_coef",  # LLaMA-Factory
    "adapter_name_or_path": "initial_adapter",  # LLaMA-Factory
    "lora_model_dir": "initial_adapter",  # axolotl
    "mlflow_tracking_uri": "mlflow_uri",  # axolotl
    "mlflow_run_name": "run_name",  # axolotl
    "wandb_name": "run_name",  # axolotl
    "wandb_run_name": "run_name",
    "random_seed": "seed",
}
