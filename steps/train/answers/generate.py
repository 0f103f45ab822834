"""Answers of one batch: one pass over what the prompts share, one over the rest, then a token a row at a time.

Where nothing else is asked for, the likeliest token each time: the same tokens as the model's own
`generate(do_sample=False)` of each prompt by itself. As an endpoint does, it stops at the tokens of generation_config
and the tokenizer, and applies generation_config's repetition_penalty to prompt and answer; what else stands there is
about sampling, or vLLM does not read it.

Limits: a model with attention layers alone takes what prompts share from one row. Of others, with states along the row
or with parts for images, every row computes its prompt, with the cache that transformers makes for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from steps.train.answers.prefix import Prompt
from steps.train.answers.room import room_for, spread
from steps.train.shared_prompts.stateful_layers import ATTENTION

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The next token of each row, int64 [rows], from logits, float32 [rows, vocabulary], the rows' numbers in their batch,
# int64 [rows], and the number of the token in its answer.
Choose = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]

EVERY = 8  # tokens between two looks at which rows have ended: a look waits for the GPU, and for the other ranks
FEW = 0.75  # of a batch's rows that are unfinished: the others are then left out


def likeliest(logits: torch.Tensor, numbers: torch.Tensor, step: int) -> torch.Tensor:
    return logits.argmax(dim=-1)


def shares_beginnings(model: PreTrainedModel) -> bool:
    """Whether a prompt's beginning can be computed once for several rows, as far as the model's configuration tells."""
    config = model.config
    others = set(getattr(config, "layer_types", None) or ()) - ATTENTION
    return not others and not model._is_stateful and _takes_cache(model) and config.get_text_config() is config


def _takes_cache(model: PreTrainedModel) -> bool:
    """Whether the model works with transformers' caches; one that does not makes its own in its first pass."""
    of_class: Any = model  # its type says that what it does not know is a weight
    return bool(of_class._supports_default_dynamic_cache())


@dataclass(frozen=True)
class Writer:
    """Answers prompts with one model.

    Attributes:
        forward: the model as it is called, sharded or not; under FSDP every call is collective.
        model: the base inside of it, which says what its forward pass takes.
        ends: tokens that end an answer.
        new: tokens of an answer at most.
        goes_on: asked every few tokens, by all ranks together, with whether this rank has an unfinished row: whether
            any has. It may raise, on every rank, to end all.
    """

    forward: Callable[..., Any]
    model: PreTrainedModel
    device: torch.device
    ends: frozenset[int]
    new: int
    goes_on: Callable[[bool], bool]

    @torch.no_grad()  # in inference mode FSDP2 could not change its parameters
    def answer(
        self, prompts: Sequence[Prompt], shared: Prompt = (), own: int = 0, choose: Choose = likeliest, times: int = 1
    ) -> list[list[int]]:
        """The answers' token ids, each up to the token that ends it, or as many as there may be.

        Args:
            shared, own: as a Batch has them.
            choose: picks each next token.
            times: answers to each prompt, which is computed once for them where the model's cache can be copied; they
                stand one after the other.
        """
        if times > 1 and not _takes_cache(self.model):
            prompts, times = [prompt for prompt in prompts for _ in range(times)], 1
        rows = self._begin(prompts, shared, own)
        seen = _Seen.of(self.model, prompts, self.device)
        ends = torch.tensor(sorted(self.ends), dtype=torch.long, device=self.device)
        said = torch.zeros(len(prompts) * times, self.new, dtype=torch.long, device=self.device)
        ended = torch.zeros(len(prompts) * times, dtype=torch.bool, device=self.device)
        for step in range(self.new):
            logits = rows.passed(self.forward(**rows.inputs()))
            if step == 0 and times > 1:
                each = rows.repeat(times)
                logits = logits[each]
                if seen:
                    seen.keep(each)
            token = choose(seen.penalised(logits) if seen else logits, rows.numbers, step)
            said[rows.numbers, step] = token
            ended[rows.numbers] |= torch.isin(token, ends)
            rows.take(token)
            if seen:
                seen.add(token)
            if (step + 1) % EVERY == 0 and step + 1 < self.new:
                unfinished = ~ended[rows.numbers]
                left = int(unfinished.sum())
                if not self.goes_on(left > 0):
                    break
                if 0 < left <= FEW * len(rows.numbers) and rows.can_shrink:
                    kept = unfinished.nonzero()[:, 0]
                    rows.keep(kept)
                    if seen:
                        seen.keep(kept)
        return [self._up_to_end(tokens) for tokens in said[:, : step + 1].tolist()]

    def _begin(self, prompts: Sequence[Prompt], shared: Prompt, own: int) -> _Rows:
        """The rows before their own tokens are computed; the shared ones are."""
        if not shared:
            own = max(map(len, prompts))
            return _Rows(prompts, own, self._cache(own + self.new), self)
        counts = [len(prompt) - own for prompt in prompts]
        before = max(1, *counts)  # one at least: all ranks make this pass
        room = room_for(before)
        alone = _Rows([shared[:before]], before, room, self)
        self.forward(**alone.inputs())
        cache = spread(room, counts, before + own + self.new)
        return _Rows(prompts, own, cache, self, before)

    def _cache(self, slots: int) -> Cache | None:
        if shares_beginnings(self.model):
            return room_for(slots)
        return DynamicCache(config=self.model.config) if _takes_cache(self.model) else None

    def _up_to_end(self, tokens: list[int]) -> list[int]:
        end = next((place for place, token in enumerate(tokens) if token in self.ends), len(tokens) - 1)
        return tokens[: end + 1]


class _Rows:
    """Rows on their way through the model: their next tokens, and the cache of those before.

    Attributes:
        numbers: which of the batch's rows these are.
        can_shrink: the cache can leave rows out.
    """

    def __init__(self, prompts: Sequence[Prompt], own: int, cache: Cache | None, writer: Writer, before: int = 0):
        """
        Args:
            own: how many tokens of every prompt are computed, its last ones; a shorter prompt is padded on the left.
            before: slots of the cache that are filled.
        """
        device = writer.device
        self._cache = cache
        self.can_shrink = cache is not None
        self.numbers = torch.arange(len(prompts), device=device)
        padded = [[0] * (own - len(prompt)) + list(prompt[-own:]) for prompt in prompts]
        self._ids = torch.tensor(padded, device=device)
        self._pads = torch.tensor([before + own - len(prompt) for prompt in prompts], device=device)
        self._slots = torch.arange(before + own + writer.new, device=device)
        self._mask = (self._slots >= self._pads[:, None]).long()
        self._at = before
        self._takes = inspect.signature(type(writer.model).forward).parameters

    def inputs(self) -> dict[str, Any]:
        """What the model's next pass is given."""
        end = self._at + self._ids.shape[1]
        given = {
            "input_ids": self._ids,
            self._cache_name: self._cache,
            "use_cache": True,
            "attention_mask": self._mask[:, :end],
            # Told to every model: Bamba (transformers 5.23) would count a later pass from 0.
            "position_ids": (self._slots[self._at : end] - self._pads[:, None]).clamp(min=0),
            "logits_to_keep": 1,
        }
        return {key: value for key, value in given.items() if key in self._takes}

    @property
    def _cache_name(self) -> str:
        return "cache_params" if "cache_params" in self._takes else "past_key_values"

    def passed(self, outputs: Any) -> torch.Tensor:
        """The last token's logits, float32 [rows, vocabulary], of what the model's pass returned."""
        if self._cache is None:
            self._cache = getattr(outputs, self._cache_name)
        return outputs.logits[:, -1].float()

    def take(self, token: torch.Tensor) -> None:
        """Each row's next token, int64 [rows], after the pass over those before."""
        self._at += self._ids.shape[1]
        self._ids = token[:, None]

    def repeat(self, times: int) -> torch.Tensor:
        """Let each row stand so many times, one after the other, each a row of its own from here on; returns which row
        each was, int64 [rows]."""
        each = self.numbers.repeat_interleave(times)
        self.keep(each)
        self.numbers = torch.arange(len(each), device=each.device)
        return each

    def keep(self, kept: torch.Tensor) -> None:
        """Leave out all rows but these."""
        self.numbers, self._ids = self.numbers[kept], self._ids[kept]
        self._pads, self._mask = self._pads[kept], self._mask[kept]
        assert self._cache is not None  # else it cannot shrink
        # States of linear layers have no other way to select rows.
        self._cache.reorder_cache(cast("torch.LongTensor", kept))


class _Seen:
    """Which tokens stand in each row, for the repetition penalty (Keskar et al. 2019, arXiv:1909.05858, section 4.1;
    as in transformers and vLLM a negative logit is multiplied)."""

    def __init__(self, prompts: Sequence[Prompt], penalty: float, vocabulary: int, device: torch.device):
        self._penalty = penalty
        self._seen = torch.zeros(len(prompts), vocabulary, dtype=torch.bool, device=device)
        for row, prompt in enumerate(prompts):
            self._seen[row, list(prompt)] = True

    @classmethod
    def of(cls, model: PreTrainedModel, prompts: Sequence[Prompt], device: torch.device) -> _Seen | None:
        """None where the model's generation_config has no such penalty."""
        penalty = getattr(model.generation_config, "repetition_penalty", None)
        if penalty in (None, 1.0):
            return None
        return cls(prompts, float(penalty), model.config.get_text_config().vocab_size, device)

    def penalised(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits, [rows, vocabulary], with those of seen tokens made smaller."""
        less = torch.where(logits < 0, logits * self._penalty, logits / self._penalty)
        return torch.where(self._seen, less, logits)

    def add(self, token: torch.Tensor) -> None:
        self._seen.scatter_(1, token[:, None], True)

    def keep(self, kept: torch.Tensor) -> None:
        self._seen = self._seen[kept]
