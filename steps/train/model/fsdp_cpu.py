"""FSDP2 on machines without a GPU, so that the quickstart and the tests run the very code that GPUs run.

accelerate replaces FSDP by DDP on CPU without a word. This wraps its state so that a given FSDP plugin is kept. Applied
only when there is no GPU. Also keeps bitsandbytes from repacking NF4 weights for AVX512-BF16 in eval mode, which breaks
evaluation on such CPUs.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def apply(sharded: bool) -> None:
    """Call before the model is built; `sharded`: the run asks for FSDP."""
    import bitsandbytes.nn.modules

    bitsandbytes.nn.modules.has_avx512bf16 = lambda: False
    if not sharded:
        return
    from accelerate import state
    from accelerate.utils import DistributedType

    original = state.AcceleratorState.__init__
    if original.__module__ == __name__:  # applied already
        return

    def init(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        original(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            if self._mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(self._mixed_precision)
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = DistributedType.FSDP
            state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    state.AcceleratorState.__init__ = init
    log.info("no GPU: FSDP2 runs on CPU processes over gloo")
