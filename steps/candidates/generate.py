"""Several drawn answers to each prompt, in batches, within a time.

A prompt is computed once for all of its answers, and what several prompts begin with once for them. Limits: one device,
whose memory holds the model whole; on a GPU a batch that does not fit is tried again in halves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from steps.answer.weights import free_memory
from steps.candidates.draw import Draws, numbers_of
from steps.candidates.model import Model
from steps.candidates.options import Options
from steps.candidates.prompts import Prompt
from steps.shared.contract import StepError
from steps.train.answers import memory
from steps.train.answers.generate import Writer, shares_beginnings
from steps.train.answers.prefix import Batch, batches
from steps.train.answers.said import Said

SHARE = 0.5  # of the free memory that keys and values may take; a batch spread from one row has them twice for a moment
MOST = {"cuda": 2**18, "cpu": 2**14}  # tokens of a batch: more make no token cheaper
REPORTED = 60.0  # seconds between two lines of progress


class OutOfTime(Exception):
    """The time for all answers is over."""


def answers(model: Model, prompts: Sequence[Prompt], ids: Sequence[tuple[int, ...]], options: Options, end: float) -> (
    dict[int, list[Said]]
):  # fmt: skip
    """The answers to each prompt, by its place in `prompts`; those to which all were there in time.

    Args:
        ids: each prompt's tokens.
        end: by time.monotonic().

    Raises:
        StepError: the memory does not suffice for the answers to one prompt.
    """
    asked = _Asked(model, prompts, ids, options, end)
    try:
        asked.answer()
    except OutOfTime:
        print("max_minutes is over; prompts that have no answers yet are left out", flush=True)
    return asked.said


class _Asked:
    """Prompts on their way through the model, all answers to one in the same batch.

    Attributes:
        said: place of a prompt -> its answers.
    """

    def __init__(
        self, model: Model, prompts: Sequence[Prompt], ids: Sequence[tuple[int, ...]], options: Options, end: float
    ):
        self._model, self._options, self._end = model, options, end
        self._keys = [prompt.key for prompt in prompts]
        self._ids = ids
        self.said: dict[int, list[Said]] = {}
        self._most = _room(model)
        self._writer = Writer(
            model.network, model.network, model.device, model.ends, options.max_new_tokens, self._goes_on
        )
        self._reported = time.monotonic()

    def answer(self) -> None:
        """
        Raises:
            OutOfTime: not all are answered.
        """
        shares = shares_beginnings(self._model.network)
        while left := [place for place in range(len(self._ids)) if place not in self.said]:
            prompts = [self._ids[place] for place in left]
            new, most = self._options.max_new_tokens, self._most // self._options.answers
            try:
                for batch in batches(prompts, ranks=1, new=new, most=most, shares=shares):
                    self._goes_on(True)
                    self._answer(batch, left)
                    self._report()
            except torch.OutOfMemoryError:
                self._halve(max(map(len, prompts)))

    def _answer(self, batch: Batch, left: Sequence[int]) -> None:
        places = [left[number] for number in batch.of_rank[0]]
        options, count = self._options, self._options.answers
        rows = [(place, number) for place in places for number in range(count)]
        uniform = [
            numbers_of(options.seed, self._keys[place], number, options.max_new_tokens) for place, number in rows
        ]
        draws = Draws.of(uniform, options.temperature, options.top_p, self._model.device)
        prompts = [self._ids[place] for place in places]
        said = map(self._model.said, self._writer.answer(prompts, batch.shared, batch.own, draws, count))
        for place in places:
            self.said[place] = [next(said) for _ in range(count)]

    def _halve(self, longest: int) -> None:
        """
        Raises:
            StepError: a batch of one prompt was too large.
        """
        if self._most <= self._options.answers * (longest + self._options.max_new_tokens):
            raise StepError(
                "the GPU's memory does not suffice for the answers to one prompt; lower candidates.answers or "
                "candidates.max_new_tokens, or take a candidates.instance_type with more of it"
            ) from None
        self._most //= 2
        torch.cuda.empty_cache()
        print(f"a batch did not fit the GPU; going on with at most {self._most} tokens in one", flush=True)

    def _report(self) -> None:
        if time.monotonic() > self._reported + REPORTED:
            self._reported = time.monotonic()
            print(f"{len(self.said)} of {len(self._ids)} prompts are answered", flush=True)

    def _goes_on(self, unfinished: bool) -> bool:
        if time.monotonic() > self._end:
            raise OutOfTime
        return unfinished


def _room(model: Model) -> int:
    """Tokens that a batch may hold, answers included: a power of two, so that a little more or less free memory makes
    the same batches, and so the same answers."""
    on_gpu = model.device.type == "cuda"
    free = torch.cuda.mem_get_info(model.device)[0] if on_gpu else free_memory()
    element = next(model.network.parameters()).element_size()
    each = memory.cache_bytes(model.network.config, 1, element)
    fitting = max(1, int(SHARE * free / each))
    return min(MOST[model.device.type], 1 << (fitting.bit_length() - 1))
