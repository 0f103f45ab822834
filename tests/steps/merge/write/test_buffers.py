"""Memory for blocks is used again once it is given back, and never while it is out."""

from __future__ import annotations

from steps.merge.write import buffers
from steps.merge.write.buffers import Buffers


def test_memory_that_is_out_is_nobody_elses() -> None:
    kept = Buffers()
    first, second = kept.take(100), kept.take(100)
    first.bytes.fill_(1)
    second.bytes.fill_(2)
    assert first.bytes.eq(1).all() and second.bytes.eq(2).all()
    kept.give(first)
    third = kept.take(60)
    assert third.memory is first.memory and third.bytes.shape == (60,)
    assert kept.take(60).memory is not second.memory


def test_memory_that_is_too_small_is_replaced_and_very_large_memory_is_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(buffers, "KEPT", 1000)
    kept = Buffers()
    small = kept.take(10)
    kept.give(small)
    large = kept.take(1001)
    assert large.bytes.shape == (1001,) and large.memory is not small.memory
    kept.give(large)
    assert kept.take(10).memory is not large.memory
