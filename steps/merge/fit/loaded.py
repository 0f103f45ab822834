"""Whether the base's files hold every tensor of the model: transformers loads names and shapes, and no weight.

transformers renames, joins and splits tensors as it loads, and ties some; what it misses or does not know is told by
the loading itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steps.merge.fit.base import AGAIN, Base
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.libraries.lean import lean, uncollected
from steps.shared.model_class import CODE_ERRORS, auto_class
from steps.shared.weights.whole_names import require_whole

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def require_all_tensors(base: Base) -> None:
    """A model that transformers does not know is told, and not checked.

    Raises:
        StepError: tensors of the model are missing in the base's files, or the model would compute without some of
            those that are there, or its configuration describes no model.
    """
    with lean():
        import transformers.modeling_utils  # noqa: F401
    with uncollected():
        _load(base)


def _load(base: Base) -> None:
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    made = _class(base)
    if made is None:
        return
    config, kind = made
    tensors = {name: torch.empty(stored.shape, device="meta") for name, stored in base.tensors.items()}
    try:
        loaded: Any = kind.from_pretrained(
            None, config=config, state_dict=tensors, device_map="meta", output_loading_info=True,
            ignore_mismatched_sizes=True, trust_remote_code=False,
        )  # fmt: skip
    except CODE_ERRORS as error:
        reason = contract.in_one_line(error)
        raise StepError(
            f"{base.folder}: its tensors are not those that its config.json describes: {reason}; {AGAIN}"
        ) from None
    model, info = loaded
    require_whole(str(base.folder), model, info)


def _class(base: Base) -> tuple[PreTrainedConfig, type[PreTrainedModel]] | None:
    """The configuration and the class that loads the model; None where transformers does not know it."""
    import torch
    from transformers import CONFIG_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return config, type(auto_class(config).from_config(config, trust_remote_code=False))
    except CODE_ERRORS as error:
        reason = contract.in_one_line(error)
        if base.model_type in CONFIG_MAPPING and not isinstance(error, ImportError):
            raise StepError(
                f"{base.folder}: transformers cannot make the model of this config.json: {reason}; {AGAIN}, or merge "
                "with an environment that loads it"
            ) from None
    print(f"note: transformers cannot make this model, so its tensors' names are not checked: {reason}", flush=True)
    return None
