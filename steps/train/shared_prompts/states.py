"""Layers that carry a state along a sequence (gated delta nets, Mamba, short convolutions), over a packed row.

Such a layer would hand the state of one answer on to the next. So it takes the row as sequences of its own, stacked:

- handed on: each trunk once, and then its branches, each from a copy of the state at the trunk's end. The layer's class
  does both, as it continues a text when generating: what it asks of transformers' cache, `State` answers, with
  gradients.
- whole: each branch behind its trunk, for classes that continue a state by one token at a time alone (Mamba 1). Then
  this layer computes a prompt once for each answer, and all other parts of the model once.

Sequences are stacked by length. A causal layer's output is the same whatever follows, so those whose final state nobody
asks for are padded on the right to about the same length; trunks are stacked where they are equally long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import embedding, pad

Groups = tuple[tuple[int, tuple[int, ...]], ...]  # of each prompt: tokens of its trunk, and of each of its branches
PADDING = 8  # a stack's sequences differ by less than an eighth of the longest, or by this many tokens
LEAST = 2  # tokens: behind a state a class takes a single one as the next of a text, in place and without gradients


class State:
    """What a layer keeps of the tokens that it has seen: transformers' `Cache` of one layer, with gradients.

    Attributes:
        conv, recurrent: by the class's number of each, [sequences, …].
    """

    def __init__(self) -> None:
        self.conv: dict[int, torch.Tensor] = {}
        self.recurrent: dict[int, torch.Tensor] = {}

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor | None:
        return self.conv.get(state_idx)

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor | None:
        return self.recurrent.get(state_idx)

    def update_conv_state(
        self, conv_states: torch.Tensor, layer_idx: int, state_idx: int = 0, *, conv_kernel_size: int
    ) -> torch.Tensor:
        """The inputs of the convolution, [sequences, channels, tokens], behind those that were kept."""
        before = self.conv.get(state_idx)
        if before is not None:
            conv_states = torch.cat([before, conv_states], dim=-1)
        missing = max(conv_kernel_size - conv_states.shape[-1], 0)
        self.conv[state_idx] = pad(conv_states, (missing, 0))[..., -conv_kernel_size:]
        return conv_states

    def update_recurrent_state(
        self, recurrent_states: torch.Tensor, layer_idx: int, state_idx: int = 0
    ) -> torch.Tensor:
        self.recurrent[state_idx] = recurrent_states
        return recurrent_states

    def is_recording_past(self, layer_idx: int) -> bool:
        return False

    @classmethod
    def copies(cls, states: Sequence[State], of: torch.Tensor) -> State:
        """Of the sequences of all these states in turn, the ones numbered `of`, [sequences]; a sequence may come more
        than once. Its gradient is then added up in a fixed order (see `attention._seen`)."""
        copied = cls()
        for name in ("conv", "recurrent"):
            for number in getattr(states[0], name):
                all_states = torch.cat([getattr(state, name)[number] for state in states])
                taken = embedding(of, all_states.flatten(1)).unflatten(1, all_states.shape[1:])
                getattr(copied, name)[number] = taken
        return copied


@dataclass(frozen=True)
class Stacks:
    """A packed row as stacks of sequences. A stack's `places` are where in the row its tokens stand, int64
    [sequences, longest]; what pads a sequence repeats its last.

    Attributes:
        first: stacks that begin from nothing.
        then: stacks that begin from a state, and of each sequence the number, among those of `first`, of the one at
            whose end that is, int64 [sequences].
        back: where the row's tokens stand among those of all stacks, int64 [tokens].
    """

    first: tuple[torch.Tensor, ...]
    then: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    back: torch.Tensor

    @property
    def tokens(self) -> int:
        """What a layer computes, padding included."""
        return sum(places.numel() for places in (*self.first, *(places for places, _ in self.then)))

    def run(self, layer: Callable[[torch.Tensor, State | None], torch.Tensor], hidden: torch.Tensor) -> torch.Tensor:
        """A layer's output for the row, [1, tokens, size], from its input, the same shape."""
        outputs, states = [], []
        for places in self.first:
            state = State() if self.then else None
            outputs.append(layer(embedding(places, hidden[0]), state))
            states.append(state)
        for places, of in self.then:
            outputs.append(layer(embedding(places, hidden[0]), State.copies([s for s in states if s], of)))
        return torch.cat([output.flatten(0, 1) for output in outputs]).index_select(0, self.back)[None]


def stacked(groups: Groups, hands_on: bool, device: torch.device) -> Stacks:
    """The stacks of a row whose prompts' trunks and branches have these sizes."""
    trunks: list[range] = []
    branches: list[tuple[range, range]] = []  # of each its trunk's places and its own
    end = 0
    for trunk, sizes in groups:
        shared = range(end, end := end + trunk)
        trunks.append(shared)
        for size in sizes:
            branches.append((shared, range(end, end := end + size)))
    if not hands_on:
        return _stacks([[*trunk, *own] for trunk, own in branches], PADDING, [], end, device)
    alone = [list(own) for trunk, own in branches if not trunk]
    behind = [pair for pair in branches if all(pair)]
    return _stacks([*map(list, trunks), *alone], 0, behind, end, device)


def _stacks(
    begin: list[list[int]], slack: int, behind: list[tuple[range, range]], tokens: int, device: torch.device
) -> Stacks:
    """
    Args:
        begin: the places of each sequence that begins from nothing.
        slack: tokens by which such a sequence may be padded at least.
        behind: those that begin at the end of one of them: its places, and their own.
        tokens: of the row.
    """
    begin = [sequence for sequence in begin if sequence]
    where = [-1] * tokens
    count = 0

    def place(sequences: Iterable[Sequence[int]], least: int) -> torch.Tensor:
        nonlocal count
        rows = list(sequences)
        longest = max(least, *map(len, rows))
        for row in rows:
            for offset, token in enumerate(row):
                where[token] = count + offset if where[token] < 0 else where[token]
            count += longest
        return torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows], device=device)

    first = []
    number: dict[int, int] = {}  # of a sequence, by its first token's place
    for members in _alike(begin, slack):
        for sequence in members:
            number[begin[sequence][0]] = len(number)
        first.append(place((begin[sequence] for sequence in members), 1))
    then = []
    for members in _alike([own for _, own in behind], PADDING):
        of = torch.tensor([number[behind[sequence][0][0]] for sequence in members], device=device)
        then.append((place((behind[sequence][1] for sequence in members), LEAST), of))
    return Stacks(tuple(first), tuple(then), torch.tensor(where, device=device))


def _alike(sequences: Sequence[Sequence[int]], slack: int) -> Iterator[list[int]]:
    """The numbers of sequences that make a stack: none shorter than the longest by more than `slack`, or with a slack
    by more than an eighth."""
    stack: list[int] = []
    for number in sorted(range(len(sequences)), key=lambda number: -len(sequences[number])):
        longest = len(sequences[stack[0]]) if stack else 0
        if stack and longest - len(sequences[number]) > (max(slack, longest // 8) if slack else 0):
            yield stack
            stack = []
        stack.append(number)
    if stack:
        yield stack
