"""The class of transformers that a checkpoint is loaded with: a language model's, or a multimodal one's with all parts.

transformers would give some multimodal checkpoints a class of their text alone (Qwen3.5). Its modules have other names
than those of the model that is served, so an adapter for it would be for another model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# What a model's code, or the reading of its files, raises where a class and a configuration do not go together: with a
# wrong value in a configuration that can be anything (ZeroDivisionError, SafetensorError, a library's own errors).
CODE_ERRORS = (Exception,)

if TYPE_CHECKING:
    from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM, PreTrainedConfig


def auto_class(config: PreTrainedConfig) -> type[AutoModelForCausalLM] | type[AutoModelForMultimodalLM]:
    """The auto class for a checkpoint's configuration, by the class that its `architectures` name; where that is
    neither a language model's nor a multimodal one's, by what transformers has for its `model_type`."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, AutoModelForMultimodalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING

    kind = type(config)
    if kind not in MODEL_FOR_MULTIMODAL_LM_MAPPING:
        return AutoModelForCausalLM
    multimodal: Any = MODEL_FOR_MULTIMODAL_LM_MAPPING[kind]
    named = multimodal.__name__ in (config.architectures or ())
    return AutoModelForMultimodalLM if named or kind not in MODEL_FOR_CAUSAL_LM_MAPPING else AutoModelForCausalLM
