"""Load the weights and generate: an answer to a conversation, given out as it comes."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from transformers import AutoConfig, AutoTokenizer, StoppingCriteria, StoppingCriteriaList, TextStreamer
from transformers.utils import logging as transformers_logging

from steps.answer.weights import Weights, free_memory, require_memory
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.libraries.lean import lean
from steps.shared.model_class import CODE_ERRORS, auto_class
from steps.shared.model_folder import NO_TEMPLATE
from steps.shared.records import Messages, Tools
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import prompt_ids
from steps.shared.templates.refused import RowRefused

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

Heard = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """What was said.

    Attributes:
        text: with the special tokens that stand in it, such as those of tool calls, without the one that ends it.
        tokens: of the answer.
        cut: it reached max_new_tokens, or was told to stop, before its end.
        seconds: of the generation, without loading.
    """

    text: str
    prompt_tokens: int
    tokens: int
    cut: bool
    seconds: float


class _Model(Protocol):
    """What is asked of a loaded model, with an adapter on it or without."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    @property
    def generation_config(self) -> GenerationConfig:
        """How it generates where nothing else is asked for."""

    def generate(self, **settings: Any) -> torch.Tensor:
        """Token ids of prompt and answer: int64, shape (prompts, tokens)."""


class _Stream(TextStreamer):
    """Gives out tokens as they come, the special ones too, but for those that end the answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int], heard: Heard):
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=False)
        self._ends, self._heard = ends, heard

    def put(self, value: torch.Tensor) -> None:
        if self.next_tokens_are_prompt or int(value.flatten()[-1]) not in self._ends:
            super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self._heard(text + ("\n" if stream_end else ""))


class _Told(StoppingCriteria):
    """Ends an answer before its next token, once it is told to."""

    def __init__(self, stopped: Callable[[], bool]):
        self._stopped = stopped

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._stopped(), dtype=torch.bool, device=input_ids.device)


class Voice:
    """A model that answers one conversation after another; its weights are loaded once, when it first answers."""

    def __init__(self, weights: Weights, tokenizer_folder: Path, chat_template_kwargs: Mapping[str, Any]):
        """
        Args:
            chat_template_kwargs: what the chat template may ask for besides; the same as in training.

        Raises:
            StepError: the tokenizer cannot be loaded, or has no chat template.
        """
        quiet()
        self._weights = weights
        self._tokenizer = load_tokenizer(tokenizer_folder)
        self._template = ChatTemplate(self._tokenizer, chat_template_kwargs)

    def prompt(self, messages: Messages, tools: Tools, max_new_tokens: int) -> list[int]:
        """Token ids of a conversation, up to where the answer begins.

        Raises:
            StepError: the template refuses it, or it is too long for the model with the answer.
        """
        prompt = _prompt(self._template, messages, tools)
        _require_room(self._weights, len(prompt), max_new_tokens)
        return prompt

    @cached_property
    def model(self) -> _Model:
        """The loaded model.

        Raises:
            StepError: it is too large, or cannot be loaded.
        """
        return load_model(self._weights)

    def answer(
        self,
        prompt: list[int],
        *,
        max_new_tokens: int,
        temperature: float,
        heard: Heard | None = None,
        stopped: Callable[[], bool] | None = None,
        as_base: bool = False,
    ) -> Answer:
        """
        Args:
            temperature: 0 takes the likeliest token each time; above, tokens are drawn at it.
            heard: is given the answer's text while it comes, and a line end after it.
            stopped: asked before each token whether to end there.
            as_base: without the adapter, where there is one.
        """
        model = self.model
        ends = _ends(model, self._tokenizer)
        streamer: Any = _Stream(self._tokenizer, ends, heard) if heard else None
        told = StoppingCriteriaList([_Told(stopped)] if stopped else [])
        ids = torch.tensor([prompt], device=model.device)
        sampling = {"do_sample": True, "temperature": temperature} if temperature else {
            "do_sample": False, "temperature": None, "top_p": None, "top_k": None}  # fmt: skip
        adapter = cast("Any", model).disable_adapter() if as_base and self._weights.adapter else nullcontext()
        begin = time.monotonic()
        with torch.inference_mode(), adapter:
            output = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, streamer=streamer,
                eos_token_id=sorted(ends), pad_token_id=min(ends), stopping_criteria=told, **sampling,
            )  # fmt: skip
        seconds = time.monotonic() - begin
        new = output[0, len(prompt) :].tolist()
        cut = new[-1] not in ends
        text = self._tokenizer.decode(new if cut else new[:-1], skip_special_tokens=False)
        text = cast("str", text)  # it is a list only where several texts are decoded
        return Answer(text, len(prompt), len(new), cut, round(seconds, 3))


def quiet() -> None:
    """Leave stderr to what a person asked for: the libraries' hints are for those who write programs."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """
    Raises:
        StepError: it cannot be loaded, or has no chat template.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except CODE_ERRORS as error:
        raise StepError(f"{folder}: the tokenizer cannot be loaded: {contract.in_one_line(error)}") from None
    if not tokenizer.chat_template:
        raise StepError(f"{folder}: {NO_TEMPLATE}")
    return tokenizer


def _prompt(template: ChatTemplate, messages: Messages, tools: Tools) -> list[int]:
    try:
        prompt = prompt_ids(template, messages, tools)
    except RowRefused as error:
        raise StepError(f"the chat template refuses this conversation: {error}; change --system or --tools") from None
    if not prompt:
        raise StepError("the chat template and the tokenizer make no token of this conversation; say something else")
    return prompt


def _require_room(weights: Weights, prompt: int, new: int) -> None:
    """
    Raises:
        StepError: prompt and answer are longer than the positions that the model knows.
    """
    config = contract.read_json(weights.model.folder / "config.json", "the model's configuration")
    positions = config.get("max_position_embeddings")
    if positions is not None and prompt + new > positions:
        raise StepError(
            f"the prompt is too long: {prompt} tokens, and --max-new-tokens {new}, and the model has {positions} "
            "positions; shorten the prompt or the tools, or lower --max-new-tokens"
        )


def load_model(weights: Weights) -> _Model:
    """The model with its adapter, as the weights are stored; on the GPU where there is one.

    Raises:
        StepError: the memory does not suffice, or it cannot be loaded.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    free, where = (
        (torch.cuda.mem_get_info()[0], "on the GPU") if device == "cuda" else (free_memory(), "on this machine")
    )
    require_memory(weights, free, where)
    try:
        folder = weights.model.folder
        made_by = auto_class(AutoConfig.from_pretrained(folder, trust_remote_code=False))
        plain = made_by.from_pretrained(folder, dtype="auto", use_safetensors=True, trust_remote_code=False)
        model: torch.nn.Module = plain
        if weights.adapter:
            with lean():
                from peft import PeftModel

            model = PeftModel.from_pretrained(plain, weights.adapter)
    except CODE_ERRORS as error:
        raise StepError(f"{weights.model.folder}: the model cannot be loaded: {contract.in_one_line(error)}") from None
    return cast("_Model", model.to(device).eval())  # whose type does not show `generate`


def _ends(model: _Model, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end an answer: the model's and the tokenizer's, both of which vLLM stops at too.

    Raises:
        StepError: there is none.
    """
    named = model.generation_config.eos_token_id
    ends = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id} - {None}
    if not ends:
        raise StepError("neither the model nor its tokenizer names a token that ends an answer (eos_token)")
    return frozenset(ends)
