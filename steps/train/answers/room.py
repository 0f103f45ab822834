"""Keys and values of a batch in buffers made once: growing them token by token would copy them for every token.

Layers with a sliding window keep what is outside of it, too: the window is in the mask, as for a prompt's own pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class Room(DynamicLayer):
    """One layer's, with place for a number of tokens; `keys` and `values` are views of what is filled,
    [rows, heads, tokens, head_dim]."""

    def __init__(self, slots: int, **_: Any):
        super().__init__()
        self.slots = slots
        self.filled = 0
        self._room: tuple[torch.Tensor, ...] = ()

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        # Zeros: what a row does not see is multiplied by a weight of 0, and must be a number.
        self._room = tuple(
            states.new_zeros(*states.shape[:2], self.slots, states.shape[3]) for states in (key_states, value_states)
        )

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.filled + key_states.shape[2]
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, self.filled : end] = states
        return self._show(end)

    def _show(self, filled: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.filled = filled
        self.keys, self.values = (room[:, :, :filled] for room in self._room)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self.filled

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep these rows alone, in this order."""
        self._room = tuple(room[beam_idx] for room in self._room)
        self._show(self.filled)

    def spread(self, counts: Sequence[int], slots: int) -> Room:
        """A row for each of the counts: so many of this one row's first tokens, at the end of as many slots as this
        row fills, with place for `slots` tokens."""
        wide = Room(slots)
        if not self.is_initialized:  # a layer that reads another one's
            return wide
        wide.lazy_initialization(*(room.expand(len(counts), -1, -1, -1) for room in self._room))
        for narrow, room in zip(self._room, wide._room, strict=True):
            for row, count in enumerate(counts):
                room[row, :, self.filled - count : self.filled] = narrow[0, :, :count]
        wide._show(self.filled)
        return wide


def room_for(slots: int) -> Cache:
    """A model's, empty; its layers appear as the model fills them."""
    return Cache(layer_class_to_replicate=partial(Room, slots))  # type: ignore[arg-type]  # it is only called


def spread(one: Cache, counts: Sequence[int], slots: int) -> Cache:
    """The cache of a batch from that of one row; see Room."""
    return Cache(layers=[layer.spread(counts, slots) for layer in one.layers if isinstance(layer, Room)])
