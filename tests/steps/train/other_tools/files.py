"""Files of the three trainers as people write them, and their translation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.train import arguments
from steps.train.arguments import TrainArguments
from steps.train.other_tools import text
from steps.train.other_tools.read import read
from steps.train.other_tools.translate import Translation, translate

TRL_YAML = """\
# trl dpo --config dpo.yaml
model_name_or_path: Qwen/Qwen3-8B
model_revision: main
dtype: bfloat16
attn_implementation: flash_attention_2
dataset_name: trl-lib/ultrafeedback_binarized
use_peft: true
load_in_4bit: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_modules: [q_proj, v_proj]
beta: 0.2
loss_type: [sigmoid, sft]
loss_weights: [1.0, 0.5]
max_length: 2048
truncation_mode: keep_end
learning_rate: 5e-6
warmup_ratio: 0.05
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
eval_strategy: steps
eval_steps: 50
save_total_limit:
report_to: [wandb]
max_prompt_length: 512
push_to_hub: true
output_dir: out
"""
AXOLOTL_YAML = """\
base_model: mistralai/Mistral-7B-Instruct-v0.2
model_type: MistralForCausalLM
load_in_8bit: true
load_in_4bit: false
chat_template: chatml
rl: dpo
rl_beta: 0.3
datasets:
  - path: pairs.jsonl
    type: chat_template.default
val_set_size: 0.05
sequence_len: 4096
sample_packing: false
adapter: lora
lora_r: 8
lora_alpha: 16
lora_dropout: 0.2
lora_target_linear: true
lora_modules_to_save: [embed_tokens]
added_tokens_overrides:
  128041: "<tool>"
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 3
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0001
bf16: auto
tf32: false
gradient_checkpointing: offload
flash_attention: true
evals_per_epoch: 4
saves_per_epoch: 1
wandb_project:
wandb_name: first
fsdp_config:
  fsdp_version: 2
  fsdp_transformer_layer_cls_to_wrap: MistralDecoderLayer
  fsdp_offload_params: false
special_tokens:
  pad_token: "</s>"
"""
LLAMA_FACTORY_YAML = """\
### model
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
quantization_bit: 4
### method
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 12
lora_target: q_proj, v_proj
pref_beta: 0.1
pref_loss: sigmoid
pref_ftx: 0.5
### dataset
dataset: dpo_en_demo
template: qwen3_nothink
cutoff_len: 2048
enable_thinking: false
max_samples: 1000
### output
output_dir: saves/dpo
logging_steps: 10
save_steps: 500
plot_loss: true
report_to: none
### train
learning_rate: 5.0e-6
warmup_ratio: 0.1
bf16: true
flash_attn: fa2
disable_gradient_checkpointing: true
neftune_noise_alpha: 5
eval_steps: 100
"""


def translated(folder: Path, words: str) -> Translation:
    """What the text of a file comes to."""
    path = folder / "theirs.yaml"
    path.write_text(words, encoding="utf-8")
    return translate(read(path), path)


def loaded(folder: Path, translation: Translation) -> TrainArguments:
    """The recipe as the training reads it."""
    path = folder / "recipe.yaml"
    path.write_text(text.recipe(translation, Path("theirs.yaml")), encoding="utf-8")
    return arguments.load(path)


def values(translation: Translation) -> dict[str, Any]:
    return {line.argument: line.value for line in translation.lines}


def sources(translation: Translation) -> dict[str, str]:
    return {line.argument: line.source for line in translation.lines}


def left(translation: Translation, matters: bool) -> set[str | None]:
    return {one.key for one in translation.left if one.left.matters is matters}


def why(translation: Translation, key: str | None) -> str:
    return "; ".join(one.left.why for one in translation.left if one.key == key)
