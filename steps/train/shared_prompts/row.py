"""A batch of pairs as one row of tokens without padding, in which a prompt stands once (`share_prompts`).

For each prompt its tokens but the last (the trunk), then for each different answer to it the prompt's last token and
the answer's but its last (a branch): what predicts the answer's tokens. Positions go on from the trunk, so that a
branch sees what it would see behind a prompt of its own. Pairs of one prompt share the trunk, and equal answers their
branch. After Wang and Hegde 2024 (arXiv 2410.20305), with several pairs to a prompt. Which token sees which is for
`shared_prompts.attention`; a token's log-probability changes by rounding only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from steps.train.shared_prompts.states import Groups, Stacks

Ids = Sequence[int]


@dataclass(frozen=True)
class Packed:
    """The row, and the way back to the batch of whole sequences that TRL's loss reads.

    Attributes:
        input_ids, position_ids: [1, tokens].
        seen: of every segment in turn, where in the row the keys stand that it sees: its trunk's, then its own; int64
            [keys of all segments]. Every layer orders its keys and values by it.
        scored: where in the row a token is predicted that counts in the loss, [scored].
        targets: those tokens, [1, scored].
        source, row, column: the value of `scored[source[i]]` goes to [row[i], column[i]] of the batch's
            [sequences, longest - 1]; each [values], as many as all sequences have tokens in the loss.
        sequences, longest: of the batch of whole sequences.
        query_ends, key_ends: cumulative sizes of the segments' queries and of the keys that they see, from 0: int32
            [segments + 1].
        most_queries, most_keys: of the segment that has most of them. Numbers of Python, as the kernels ask for: read
            off a tensor on a GPU they would make every layer wait for it.
        groups: of each prompt the tokens of its trunk, and of each of its branches.
        stacks: how layers that carry a state take the row, where the model has some.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    scored: torch.Tensor
    targets: torch.Tensor
    source: torch.Tensor
    row: torch.Tensor
    column: torch.Tensor
    seen: torch.Tensor
    query_ends: torch.Tensor
    key_ends: torch.Tensor
    sequences: int
    longest: int
    most_queries: int
    most_keys: int
    groups: Groups
    stacks: Stacks | None = None

    def to(self, device: Any, **_: Any) -> Packed:
        """The same on another device; accelerate and the model's forward ask for it."""
        moved = {name: value.to(device) for name, value in vars(self).items() if hasattr(value, "device")}
        return replace(self, **moved)

    @property
    def tokens(self) -> int:
        return sum(trunk + sum(branches) for trunk, branches in self.groups)

    @property
    def squares(self) -> int:
        """Query-key pairs, counted like a causal sequence's squared length: twice as many as attention computes."""
        return sum(
            trunk**2 + sum((trunk + branch) ** 2 - trunk**2 for branch in branches) for trunk, branches in self.groups
        )

    def unpack(self, values: torch.Tensor) -> torch.Tensor:
        """The scored tokens' values, [1, scored], where they belong in [sequences, longest - 1], zeros elsewhere."""
        whole = values.new_zeros(self.sequences, self.longest - 1)
        # Not through a view of a flat tensor: FSDP2 registers a hook on what a model returns, and warns about views.
        return whole.index_put((self.row, self.column), values[0, self.source])


def pack(sequences: Sequence[tuple[Ids, Ids, Ids]]) -> Packed:
    """One row of the sequences, each the token ids of a prompt and of an answer, and the answer's loss mask."""
    import torch

    prompts: dict[tuple[int, ...], dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]]] = {}
    for number, (prompt, answer, mask) in enumerate(sequences):
        prompts.setdefault(tuple(prompt), {}).setdefault((tuple(answer), tuple(mask)), []).append(number)
    longest = max(len(prompt) + len(answer) for prompt, answer, _ in sequences)
    ids: list[int] = []
    positions: list[int] = []
    scored: list[int] = []
    targets: list[int] = []
    source: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    seen: list[int] = []
    groups: list[tuple[int, tuple[int, ...]]] = []
    for prompt, answers in prompts.items():
        trunk = max(len(prompt) - 1, 0)
        shared = range(len(ids), len(ids) + trunk)
        seen += shared
        ids += prompt[:trunk]
        positions += range(trunk)
        branches = []
        for (answer, mask), places in answers.items():
            rest, counted = (*prompt[trunk:], *answer), (*[0] * len(prompt[trunk:]), *mask)
            for offset, counts in enumerate(counted[1:]):
                if counts:
                    source += [len(scored)] * len(places)
                    rows += places
                    columns += [trunk + offset] * len(places)
                    scored.append(len(ids) + offset)
                    targets.append(rest[offset + 1])
            seen += shared
            seen += range(len(ids), len(ids) + len(rest) - 1)
            ids += rest[:-1]
            positions += range(trunk, trunk + len(rest) - 1)
            branches.append(len(rest) - 1)
        groups.append((trunk, tuple(branches)))
    queries = [size for trunk, branches in groups for size in (trunk, *branches)]
    keys = [size for trunk, branches in groups for size in (trunk, *(trunk + branch for branch in branches))]

    def numbers(values: list[Any]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64)

    return Packed(
        input_ids=numbers([ids]), position_ids=numbers([positions]), scored=numbers(scored), targets=numbers([targets]),
        source=numbers(source), row=numbers(rows), column=numbers(columns), seen=numbers(seen),
        query_ends=_ends(queries), key_ends=_ends(keys), sequences=len(sequences), longest=longest,
        most_queries=max(queries), most_keys=max(keys), groups=tuple(groups),
    )  # fmt: skip


def _ends(sizes: Sequence[int]) -> torch.Tensor:
    import torch

    return torch.tensor([0, *sizes]).cumsum(0).to(torch.int32)


class Sizes:
    """How many tokens pairs take in one row, without packing them."""

    def __init__(self, pairs: Iterable[Any]):
        """
        Args:
            pairs: `Pair`s; one is known by its place among them.
        """
        numbers: dict[Hashable, int] = {}  # of the prompts, and of the answers to each

        def number(*what: Hashable) -> int:
            return numbers.setdefault(what, len(numbers))

        self._parts: list[tuple[tuple[int, int], ...]] = []
        self.prompts: list[int] = []
        self.groups: list[tuple[int, int]] = []  # of pairs that may stand together: the prompt, and which copy it is
        copies: Counter[str] = Counter()
        for pair in pairs:
            prompt = number(tuple(pair.prompt_ids))
            sides = ((pair.chosen_ids, pair.chosen_mask), (pair.rejected_ids, pair.rejected_mask))
            trunk = max(len(pair.prompt_ids) - 1, 0)
            last = len(pair.prompt_ids) - trunk
            branches = [(number(prompt, tuple(ids), tuple(mask)), last + len(ids) - 1) for ids, mask in sides]
            self.prompts.append(prompt)
            self.groups.append((prompt, copies[pair.id]))
            copies[pair.id] += 1
            self._parts.append(((prompt, trunk), *branches))

    def __len__(self) -> int:
        return len(self._parts)

    def of(self, rows: Iterable[int]) -> int:
        """Tokens of the row that these pairs make."""
        return sum({number: size for row in rows for number, size in self._parts[row]}.values())

    def fitting(self, rows: Iterable[int], budget: int) -> int:
        """How many of the pairs, from the first on, make a row of at most `budget` tokens."""
        seen: set[int] = set()
        tokens = count = 0
        for row in rows:
            new = {number: size for number, size in self._parts[row] if number not in seen}
            tokens += sum(new.values())
            if tokens > budget:
                break
            seen |= new.keys()
            count += 1
        return count
