"""The base model and its tokenizer.

The tokenizer comes first: what is wrong with a model folder is said before any weight is read. The base is loaded in
NF4 with its 4-bit blocks stored in the compute dtype, because FSDP2 shards only floating-point storage (with the
default uint8 every rank silently keeps the whole base).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import hub
from steps.shared.contract import StepError
from steps.shared.hub import is_hub_name
from steps.shared.model_class import auto_class
from steps.shared.model_folder import AGAIN, NO_TEMPLATE, check_folder, read_by_library
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.weights.whole_names import require_whole
from steps.train.arguments import Attention, TrainArguments
from steps.train.model.base_config import read_config, without_randomness
from steps.train.model.processors_template import refuse_with_settings
from steps.train.model.router import router_loss_weight

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def load_tokenizer(arguments: TrainArguments) -> PreTrainedTokenizerBase:
    """The tokenizer with its chat template and a pad token.

    Raises:
        StepError: the folder is not a model, has no tokenizer or chat template, or one of its processor that the
            recipe's settings for the template do not go with.
    """
    if not is_hub_name(arguments.model_id):
        if not Path(arguments.model_id).is_dir():
            raise StepError(f"model_id: {arguments.model_id}: there is no such folder; name one, or a hub model")
        check_folder(Path(arguments.model_id))
    else:
        hub.require(arguments.model_id, arguments.model_revision)
    from transformers import AutoTokenizer

    with read_by_library(f"{arguments.model_id}: the tokenizer cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(
            arguments.model_id, revision=arguments.model_revision, trust_remote_code=arguments.trust_remote_code
        )
    if not isinstance(tokenizer.model_max_length, int | float):
        raise StepError(
            f"{arguments.model_id}: tokenizer_config.json: model_max_length {tokenizer.model_max_length!r}: must be a "
            f"number; {AGAIN}"
        )
    if not tokenizer.chat_template:
        raise StepError(f"{arguments.model_id}: {NO_TEMPLATE}")
    refuse_with_settings(arguments)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_template(arguments: TrainArguments) -> ChatTemplate:
    """The tokenizer with its chat template, and what the recipe and the model say about it.

    Raises:
        StepError: the folder is not a model, or has no tokenizer or chat template.
    """
    return ChatTemplate(load_tokenizer(arguments), arguments.chat_template_kwargs, ends=load_ends(arguments))


def load_ends(arguments: TrainArguments) -> list[int]:
    """The tokens at which the run's base stops; raises as `ends_of` does."""
    return ends_of(arguments.model_id, arguments.model_revision or "main")


def ends_of(model: str, revision: str = "main") -> list[int]:
    """The tokens at which generation stops by the model's generation_config.json; none where it has no such file.

    Args:
        model: a folder, or a hub name.

    Raises:
        StepError: it names something else than tokens.
    """
    from transformers import GenerationConfig

    try:
        config = GenerationConfig.from_pretrained(model, revision=revision)
    except OSError:
        return []
    named = config.eos_token_id
    ends = [] if named is None else list(named) if isinstance(named, (list, tuple)) else [named]
    if not all(isinstance(end, int) and not isinstance(end, bool) for end in ends):
        raise StepError(
            f"{model}: generation_config.json: eos_token_id {named!r}: must be the number of a token, or "
            f"a list of them; {AGAIN}"
        )
    return ends


def attention_implementation(arguments: TrainArguments) -> Attention:
    """The attention to use: what was asked for, or under `auto` the fastest that this hardware has.

    Raises:
        StepError: Flash Attention 2 was asked for and cannot run here.
    """
    capable = _flash_capable(arguments)
    installed = importlib.util.find_spec("flash_attn") is not None
    if arguments.attn_implementation == "flash_attention_2" and not (capable and installed):
        missing = "the flash-attn package" if capable else "an Ampere or newer GPU and bf16: true"
        raise StepError(f"attn_implementation: flash_attention_2 needs {missing}; write auto or sdpa")
    if arguments.attn_implementation == "auto":
        return "flash_attention_2" if capable and installed else "sdpa"
    return arguments.attn_implementation


def packed_attention_implementation(arguments: TrainArguments) -> str:
    """The same for packed rows, by its name in `shared_prompts.attention`: torch has its own Flash Attention for them.

    Raises:
        StepError: Flash Attention 2 was asked for and cannot run here.
    """
    asked = attention_implementation(arguments)
    if arguments.attn_implementation == "auto" and _flash_capable(arguments):
        return "packed_varlen"
    return "packed_flash" if asked == "flash_attention_2" else "packed_sdpa"


def _flash_capable(arguments: TrainArguments) -> bool:
    """Flash Attention 2 needs compute capability 8.0 (Ampere) and half precision: the flash-attn package's README."""
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0) and arguments.bf16


def load_base(arguments: TrainArguments, attention: Attention, unquantised: Sequence[str] = ()) -> PreTrainedModel:
    """The frozen base, in NF4 with `load_in_4bit`, without dropout (the adapter's own stays).

    Args:
        attention: the implementation, one that the model's class has.
        unquantised: names of modules that NF4 leaves out, the LM head's among them; none: the LM head alone.

    Raises:
        StepError: the weights cannot be read.
    """
    import torch
    from transformers import BitsAndBytesConfig
    from trl.trainer.utils import disable_dropout_in_model

    dtype = compute_dtype(arguments)
    quantization = None
    if arguments.load_in_4bit:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_quant_storage=dtype,
            bnb_4bit_use_double_quant=arguments.bnb_4bit_use_double_quant,
            llm_int8_skip_modules=list(unquantised) or None,
        )
    config = _trained_config(arguments)
    log.info("attention: %s; base: %s", attention, arguments.model_id)
    device = {"": torch.cuda.current_device()} if torch.cuda.is_available() else {"": "cpu"}
    with read_by_library(f"{arguments.model_id}: the model cannot be loaded"):
        loaded: Any = auto_class(config).from_pretrained(
            arguments.model_id,
            revision=arguments.model_revision,
            trust_remote_code=arguments.trust_remote_code,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            quantization_config=quantization,
            device_map=device if quantization else None,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, which says what does not fit
        )
    model, info = loaded
    require_whole(arguments.model_id, model, info)
    model.config.use_cache = False
    disable_dropout_in_model(model)
    return model


def _trained_config(arguments: TrainArguments) -> PreTrainedConfig:
    """The base's configuration, with nothing random in it.

    Raises:
        StepError: it cannot be read, or its router's loss cannot be computed.
    """
    config = read_config(arguments)
    router_loss_weight(arguments, config)
    if changed := without_randomness(config):
        log.info("the base's %s set to 0: its answers must be the same each time", ", ".join(sorted(set(changed))))
    return config


def compute_dtype(arguments: TrainArguments) -> torch.dtype:
    """The dtype of the computation and of the 4-bit blocks' storage."""
    import torch

    return torch.bfloat16 if arguments.bf16 else torch.float32
