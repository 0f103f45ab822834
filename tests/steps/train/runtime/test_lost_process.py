"""A lost connection to another process says that the reason is elsewhere; other errors stay as they are."""

from __future__ import annotations

import pytest

from steps.shared.contract import StepError
from steps.train.runtime import lost_process


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        (
            "[tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:9",
            "Connection closed by peer",
        ),
        (
            "NCCL error: remote process exited or there was a network error, NCCL version 2.27\nmore",
            "remote process exited",
        ),
    ],
)
def test_a_lost_connection_is_one_line_that_points_to_the_other_process(said: str, lost: str) -> None:
    with pytest.raises(StepError) as caught, lost_process.explained():
        raise RuntimeError(said)
    assert str(caught.value) == (
        f"this process lost another one of the training ({lost}: {said.splitlines()[0]}): the log of the process that "
        "failed first, maybe on another node, has the reason"
    )


def test_another_error_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), lost_process.explained():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
