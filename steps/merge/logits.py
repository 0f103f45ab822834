"""Check that the merged model computes what base and adapter compute: peft's own forward pass against the merged files.

Both run in float32, one after the other, so that they differ by the rounding of the merged weights to their dtype alone
(a bf16 weight keeps 8 bits). What is compared: the logits after every token of a few prompts, less their mean, which
no prediction depends on; the measure is the root of the mean square of the difference over that of the logits. It is
told beside what the adapter changes, by the same measure: an adapter that changes less than the tolerance is not seen.

The merged model is also held against the figures by which the adapter was judged (`judged`).

In a mixture of experts rounding sends some tokens to other experts, and their logits differ by much although the merge
is right. There the median of the tokens is told, and what decides is every single weight (`weights`).
"""

from __future__ import annotations

import gc
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steps.merge import judged, weights
from steps.merge.fit.adapter import EVALUATION, Adapter
from steps.merge.fit.base import Base
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.libraries.lean import lean
from steps.shared.model_class import CODE_ERRORS
from steps.shared.templates.trained_with import trained_kwargs

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

When = Literal["auto", "always", "never"]
PROMPTS = (
    "What is the capital of France?",
    "Write a function that adds two numbers.",
    "Book a table for four at seven tomorrow.",
)
# Chosen above what rounding the merged weights does in the tests' models (2 to 4 layers) and in one of 1.1B.
TOLERANCES = {"BF16": 0.04, "F16": 0.005, "F32": 1e-4}
BYTES_PER_PARAMETER = 6  # in float32, and the pages of the file that it is loaded from (measured: 6.9 GB for 1.1B)
SPARE = 1 << 30  # libraries, activations, the adapter


@dataclass(frozen=True)
class Check:
    """What is compared.

    Attributes:
        when: `auto`: where the model fits in memory; `always`: or the merge fails.
        figures: those by which the adapter was judged, or why there are none.
    """

    when: When
    figures: judged.Figures | str


class _CannotRun(Exception):
    """Why the check is skipped, or under `always` fails."""


def check(base: Base, adapter: Adapter, merged: Path, asked: Check) -> dict[str, Any]:
    """Compare, and return what the manifest records: the figures, or why there are none.

    Raises:
        StepError: the models differ by more than the dtype's tolerance, or cannot be compared although they must.
    """
    if asked.when == "never":
        return {"skipped": "--check-logits never"}
    try:
        _check_memory(base)
        found = _compare(base, adapter, merged, asked.figures)
        said = _compare_weights(base, adapter, merged, found) if found["experts"] else _said_of_logits(merged, found)
    except _CannotRun as reason:
        if asked.when == "always":
            raise StepError(f"--check-logits always: {reason}; or give --check-logits auto") from None
        print(f"logits not checked: {reason}", flush=True)
        return {"skipped": str(reason)}
    print(said, flush=True)
    if (adapter.folder / EVALUATION).is_file():  # otherwise it is another tool's, and nothing judged it here
        print(_said_of_judged(merged, found), flush=True)
    return found


def _said_of_logits(merged: Path, found: dict[str, Any]) -> str:
    """What the check of other models found.

    Raises:
        StepError: the logits differ by more than the tolerance.
    """
    said = (
        f"logits of the merged model differ from base + adapter by {found['difference']:.2g} "
        f"(tolerance {found['tolerance']:g}; the adapter changes them by {found['adapter_effect']:.2g})"
    )
    if not found["difference"] <= found["tolerance"]:  # NaN is no agreement
        raise _not_the_trained_model(merged, said)
    return said


def _compare_weights(base: Base, adapter: Adapter, merged: Path, found: dict[str, Any]) -> str:
    """What the check of a mixture of experts found; `found` gets the number of weights.

    Raises:
        StepError: a weight is not that of peft's merge.
        _CannotRun: peft's merge fails.
    """
    try:
        with _quietly():
            wrong, found["weights"] = weights.others(base.folder, adapter.folder, merged)
    except weights.OfPeft as reason:
        raise _CannotRun(str(reason)) from None
    if wrong:
        raise _not_the_trained_model(
            merged, f"{len(wrong)} of {found['weights']} weights are not those of peft's merge, first {wrong[0]}"
        )
    return (
        f"all {found['weights']} weights of the merged model are those of peft's merge; its logits differ from base + "
        f"adapter by {found['difference']:.2g} at half of the tokens, by {found['largest']:.2g} at most (rounding "
        f"sends tokens to other experts; the adapter changes them by {found['adapter_effect']:.2g})"
    )


def _said_of_judged(merged: Path, found: dict[str, Any]) -> str:
    """How the merged model stands to the figures by which the adapter was judged.

    Raises:
        StepError: it gives held-out answers another log-probability, and no mixture's routing can be the reason.
    """
    result = found["judged"]
    if "skipped" in result:
        return f"not compared with the figures that it was judged by: {result['skipped']}"
    if result["agree"]:
        return f"the merged model is the one that was judged: {judged.said(result)}"
    said = judged.disagreement(result["answers"])
    if not found["experts"]:
        raise _not_the_trained_model(merged, said)
    return f"note: {said}: rounding sends tokens to other experts, and every weight was compared"


def _not_the_trained_model(merged: Path, said: str) -> StepError:
    return StepError(
        f"{merged.parent}: {said}: the merge is not the trained model; give the base that the adapter was trained on "
        "and, if it is, register the adapter without merging"
    )


def _check_memory(base: Base) -> None:
    import psutil

    parameters = sum(math.prod(stored.shape) for stored in base.tensors.values())
    twice = 2 * sum(stored.size for stored in base.tensors.values())  # a mixture's weights beside those of peft's merge
    needed = max(parameters * BYTES_PER_PARAMETER, twice) + SPARE
    free = psutil.virtual_memory().available
    if needed > free:
        raise _CannotRun(
            f"the model in float32 takes {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; "
            "take an instance with more memory"
        )


def _compare(base: Base, adapter: Adapter, merged: Path, known: judged.Figures | str) -> dict[str, Any]:
    import torch

    prompts = _prompts(merged, trained_kwargs(adapter.folder))
    dtype = _coarsest(base)
    with torch.inference_mode(), _quietly():
        plain, expected, experts = _of_adapter(base, adapter, prompts)
        model = weights.load(merged, torch.float32)
        actual = _logits(model, prompts)
        tied = {"skipped": known} if isinstance(known, str) else judged.compare(model, known, dtype)
    size = _root_mean_square(expected)
    if not size:
        raise StepError(
            f"{base.name}: with the adapter every token is equally likely: the base's weights seem to be zeros; copy "
            "or download the base again"
        )
    effect = _root_mean_square(expected - plain) / size
    facts = {
        "prompts": len(prompts),
        "tokens": sum(map(len, prompts)),
        "experts": experts,
        "adapter_effect": effect,
        "judged": tied,
    }
    if experts:
        apart = (actual - expected).double().square().mean(dim=-1).sqrt() / size
        return facts | {"difference": apart.median().item(), "largest": apart.max().item()}
    difference = _root_mean_square(actual - expected) / size
    return facts | {"difference": difference, "tolerance": TOLERANCES[dtype]}


def _coarsest(base: Base) -> str:
    """The dtype of its files that rounds most."""
    return max(
        {stored.dtype for stored in base.tensors.values()} & TOLERANCES.keys(), key=lambda name: TOLERANCES[name]
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the libraries say to each other, and without their bars."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it where it is, and it tells what it lacks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _of_adapter(base: Base, adapter: Adapter, prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """The base's logits, those with the adapter, and whether there are experts; then the model's memory is free."""
    import torch

    with lean():
        from peft import PeftModel

    try:
        model = weights.load(base.folder, torch.float32)
    except CODE_ERRORS as error:
        raise _CannotRun(f"transformers cannot load {base.name}: {contract.first_line(error)}") from None
    try:
        plain, experts = _logits(model, prompts), weights.has_experts(model)
        adapted = _logits(PeftModel.from_pretrained(model, str(adapter.folder)), prompts)
    except CODE_ERRORS as error:
        raise _CannotRun(f"{base.name} with the adapter cannot be computed: {contract.first_line(error)}") from None
    del model
    gc.collect()
    return plain, adapted, experts


def _prompts(folder: Path, template_kwargs: dict[str, Any]) -> list[list[int]]:
    """Token ids of each prompt, through the chat template, as it was trained with, where there is one."""
    from transformers import AutoTokenizer

    from steps.shared.templates.chat_template import ChatTemplate  # these import pyarrow: only for who compares
    from steps.shared.templates.pair import prompt_ids

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        if tokenizer.chat_template:
            template = ChatTemplate(tokenizer, template_kwargs)
            found = [prompt_ids(template, [{"role": "user", "content": text}], None) for text in PROMPTS]
        else:
            found = [list(tokenizer(text)["input_ids"]) for text in PROMPTS]
    except CODE_ERRORS as error:
        raise _CannotRun(f"the tokenizer makes no prompt: {contract.first_line(error)}") from None
    if not all(found):
        raise _CannotRun("the tokenizer makes prompts without tokens")
    return found


def _logits(model: PreTrainedModel | PeftModel, prompts: list[list[int]]) -> torch.Tensor:
    """The logits after each token, less the mean of each row: float32, shape (tokens, vocabulary)."""
    import torch

    model.eval()
    rows = [model(torch.tensor([prompt])).logits[0] for prompt in prompts]
    logits = torch.cat(rows)
    return logits - logits.mean(dim=-1, keepdim=True)


def _root_mean_square(values: torch.Tensor) -> float:
    return values.double().square().mean().sqrt().item()
