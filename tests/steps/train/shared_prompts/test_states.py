"""Stacks of a packed row: what a layer with a state computes over them is what it computes over whole sequences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.train.shared_prompts.states import PADDING, Stacks, State, stacked

HERE = torch.device("cpu")
GROUPS = st.lists(
    st.tuples(st.integers(0, 40), st.lists(st.integers(0, 30), min_size=1, max_size=5).map(tuple)),
    min_size=1, max_size=5,
).map(tuple).filter(lambda groups: any(trunk + sum(branches) for trunk, branches in groups))  # fmt: skip


def layer(rows: torch.Tensor, state: State | None) -> torch.Tensor:
    """A convolution of two tokens, then a sum that decays; [sequences, tokens, size]. Continues several tokens only."""
    tokens = rows.shape[1]
    inputs = rows.transpose(1, 2)
    before = None if state is None else state.get_recurrent_state(0)
    assert before is None or tokens > 1
    if state is not None:
        inputs = state.update_conv_state(inputs, 0, conv_kernel_size=2)
    inputs = torch.nn.functional.pad(inputs, (1, 0))
    inputs = (inputs[..., 1:] + 0.5 * inputs[..., :-1])[..., -tokens:]
    kept = inputs.new_zeros(inputs.shape[:2]) if before is None else before
    outputs = []
    for token in inputs.unbind(-1):
        kept = 0.9 * kept + token
        outputs.append(kept)
    if state is not None:
        state.update_recurrent_state(kept, 0)
    return torch.stack(outputs, dim=1)


def places(groups) -> list[tuple[list[int], list[int]]]:
    """Of each branch where its trunk stands in the row, and where it stands itself."""
    found, end = [], 0
    for trunk, sizes in groups:
        shared = list(range(end, end + trunk))
        end += trunk
        for size in sizes:
            found.append((shared, list(range(end, end + size))))
            end += size
    return found


@settings(deadline=None)
@given(GROUPS, st.booleans())
def test_a_row_has_the_outputs_and_gradients_of_its_whole_sequences(groups, hands_on: bool) -> None:
    torch.manual_seed(0)
    tokens = sum(trunk + sum(branches) for trunk, branches in groups)
    hidden = torch.randn(1, tokens, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(tokens, 3, dtype=torch.float64)
    found = stacked(groups, hands_on, HERE).run(layer, hidden)
    assert found.shape == hidden.shape
    (gradient,) = torch.autograd.grad((found[0] * weights).sum(), hidden)

    expected = torch.zeros_like(hidden[0])
    for trunk, own in places(groups):
        if trunk or own:
            whole = layer(hidden[:, trunk + own], None)[0]
            expected = expected.index_put((torch.tensor(trunk + own, dtype=torch.int64),), whole)
    torch.testing.assert_close(found[0], expected)
    (same,) = torch.autograd.grad((expected * weights).sum(), hidden)
    torch.testing.assert_close(gradient, same)


@given(GROUPS)
def test_what_is_handed_on_is_computed_once_with_little_padding(groups) -> None:
    handed, whole = (stacked(groups, hands_on, HERE) for hands_on in (True, False))
    row = sum(trunk + sum(branches) for trunk, branches in groups)
    sequences = [trunk + branch for trunk, branches in groups for branch in branches]
    branches = [branch for _, branches in groups for branch in branches]
    assert row <= handed.tokens <= row + sum(max(PADDING, branch // 7 + 1) for branch in branches)
    assert whole.tokens <= sum(sequences) + sum(max(PADDING, size // 7 + 1) for size in sequences)
    assert not whole.then


def test_stacks_do_not_grow_with_the_number_of_answers() -> None:
    def number(stacks: Stacks) -> int:
        return len(stacks.first) + len(stacks.then)

    few, many = (stacked(((40, (20,) * answers),), True, HERE) for answers in (2, 50))
    assert number(few) == number(many) == 2
    assert stacked(((40, (20, 20)), (40, (22,))), True, HERE).first[0].shape == (2, 40)  # trunks of one length together


def test_a_state_is_what_transformers_keeps() -> None:
    from transformers.cache_utils import LinearAttentionLayer

    torch.manual_seed(0)
    mine, theirs = State(), LinearAttentionLayer()
    for tokens in (2, 7, 1, 3):
        inputs = torch.randn(2, 5, tokens)
        one = mine.update_conv_state(inputs, 0, conv_kernel_size=4)
        other = theirs.update_conv_state(inputs, conv_kernel_size=4)
        assert one[..., -tokens:].equal(other[..., -tokens:])
        kept = mine.get_conv_state(0)
        assert kept is not None and kept.equal(theirs.conv_states[0])


@pytest.mark.parametrize("hands_on", [True, False])
def test_the_same_row_has_the_same_gradient_again(hands_on: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(1, 9 + 5 * 4, 3, requires_grad=True)
    stacks = stacked(((9, (4,) * 5),), hands_on, HERE)
    one, two = (torch.autograd.grad(stacks.run(layer, hidden).square().sum(), hidden)[0] for _ in range(2))
    assert one.equal(two)
