"""Tie the merged model to the figures that it was judged by.

Where training evaluated the adapter in the form that is served, it left a few held-out answers with their
log-probability in that form (probes.json, which the gate keeps out of what is served; evaluation.json beside the
adapter tells the dtype). The merged model must give them the same. What may differ: training computed in the recipe's
dtype, here it is float32 (in bfloat16 a logit of 16 to 32 is a multiple of 1/8, which is 0.1 nats a token, 3 sigma, as
in steps/train/loop/trainer.py), and the merged weights are rounded to the base's dtype, which changes a logit by about
as much. Both act on every token by itself and know nothing of each other, so that they add up as the root of the sum of
squares, over an answer as the root of its tokens. (Measured on the quickstart's model in bfloat16: 0.03 nats of a
tolerance of 0.5.) In a mixture of experts rounding also sends tokens to other experts: there it is told, and every
single weight decides (`weights`). Limits: an adapter that changes these answers by less than the tolerance is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from steps.merge.fit.adapter import EVALUATION, MANIFEST, written_hashes
from steps.shared import contract
from steps.shared.contract import StepError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBES = "probes.json"
# Nats of a token that rounding to a dtype may change, by the names that files and that evaluation.json have for it.
ROUNDING = {"BF16": 0.1, "bfloat16": 0.1, "F16": 0.0125, "F32": 1e-3, "float32": 1e-3}


@dataclass(frozen=True)
class Probe:
    """A held-out answer.

    Attributes:
        ids: tokens of prompt and answer; `answer_at` is where the answer begins.
        log_prob: the sum over the answer's tokens in nats, as it was judged.
    """

    id: str
    ids: tuple[int, ...]
    answer_at: int
    log_prob: float

    @property
    def tokens(self) -> int:
        return len(self.ids) - self.answer_at


@dataclass(frozen=True)
class Figures:
    """What an evaluation says of the form that is served: its answers and the dtype in which it was computed."""

    probes: tuple[Probe, ...]
    dtype: str


def read(adapter: Path, given: Path | None) -> Figures | str:
    """The answers with which an adapter was judged as served, or why there are none.

    Args:
        given: the folder with probes.json; None where it would lie beside the adapter, as training leaves it.

    Raises:
        StepError: a file is not what training writes or, by the manifest beside the adapter, not what this one wrote.
    """
    file = adapter / EVALUATION
    if not file.is_file():
        return f"no {EVALUATION} lies beside the adapter"
    content = contract.read_json(file, "the evaluation")
    served = content.get("served") if isinstance(content, dict) else content
    if served is None:
        served = {"evaluated": False}
    if isinstance(served, dict) and served.get("evaluated") is False:
        return f"the adapter was not judged as served: {served.get('reason') or 'an earlier release trained it'}"
    dtype = served.get("dtype") if isinstance(served, dict) else None
    if not isinstance(dtype, str) or dtype not in ROUNDING:
        raise StepError(f"{file}: served: is not what training writes; copy the adapter's folder again")
    probes = _of_this_training(adapter, given)
    return probes if isinstance(probes, str) else Figures(_parsed(probes), dtype)


def _of_this_training(adapter: Path, given: Path | None) -> Path | str:
    """The file with the answers, or why there is none."""
    written, probes = written_hashes(adapter), (given or adapter) / PROBES
    if not probes.is_file():
        if written is not None and PROBES not in written:
            return "none of the held-out answers is short enough to be one of the evaluation's probes"
        if given is not None:
            raise StepError(f"{probes}: is missing; --judged must name the gate's decision/ or what training wrote")
        return f"no {PROBES} lies beside the adapter, and --judged names no folder with it"
    if written is not None and written.get(PROBES) != contract.sha256(probes):
        raise StepError(
            f"{probes}: is not the file of this adapter's training, by {adapter / MANIFEST}; give the folder where the "
            "gate of that training left it as --judged"
        )
    return probes


def _parsed(file: Path) -> tuple[Probe, ...]:
    """Raises StepError where it is not what training writes."""
    content = contract.read_json(file, "the file of probes")
    try:
        probes = tuple(
            Probe(one["id"], tuple(one["input_ids"]), one["completion_at"], one["log_prob"]) for one in content
        )
        whole = bool(probes) and all(map(_is_whole, probes))
    except (KeyError, OverflowError, TypeError):
        whole = False
    if not whole:
        raise StepError(f"{file}: is not what training writes; copy it again")
    return probes


def _is_whole(probe: Probe) -> bool:
    tokens = all(isinstance(number, int) and number >= 0 for number in (*probe.ids, probe.answer_at))
    return tokens and 0 < probe.answer_at < len(probe.ids) and math.isfinite(probe.log_prob)


def compare(model: PreTrainedModel, found: Figures, stored: str) -> dict[str, Any]:
    """The answers' log-probabilities by the merged model, in float32, beside those that were judged.

    Args:
        stored: the dtype of the merged weights, as their files name it.

    Returns:
        for the manifest: of each answer its tokens, both sums and the tolerance in nats; `agree`: whether all are
        within it.

    Raises:
        StepError: an answer has a token that the model has not.
    """
    import torch

    embedding = cast("torch.nn.Embedding", model.get_input_embeddings())
    largest, known = max(max(probe.ids) for probe in found.probes), len(embedding.weight)
    if largest >= known:
        raise StepError(
            f"{PROBES}: a held-out answer has the token {largest}, the model has {known} tokens; give the base that "
            "the adapter was trained on"
        )
    rounding = math.hypot(ROUNDING[found.dtype], ROUNDING[stored])
    rows = []
    with torch.inference_mode():
        for probe in found.probes:
            merged, tolerance = _summed(model, probe), rounding * math.sqrt(probe.tokens)
            sums = {"judged": probe.log_prob, "merged": merged, "tolerance": tolerance}
            rows.append({"id": probe.id, "tokens": probe.tokens, **sums})
    return {"answers": rows, "agree": all(_agrees(row) for row in rows)}


def said(result: dict[str, Any]) -> str:
    """The comparison as the end of a sentence on the merged model."""
    worst = max(result["answers"], key=lambda row: abs(row["merged"] - row["judged"]) / row["tolerance"])
    return (
        f"it gives {len(result['answers'])} held-out answers the log-probability that they were judged with, to "
        f"{abs(worst['merged'] - worst['judged']):.2g} nats (tolerance {worst['tolerance']:.2g})"
    )


def disagreement(rows: Sequence[dict[str, Any]]) -> str:
    """Which of the answers have another log-probability than was judged."""
    wrong = [row for row in rows if not _agrees(row)]
    first = wrong[0]
    return (
        f"{len(wrong)} of {len(rows)} held-out answers have another log-probability than the trained model was judged "
        f"with, first {first['id']}: {first['merged']:.4g} nats and not {first['judged']:.4g} (tolerance "
        f"{first['tolerance']:.2g})"
    )


def _agrees(row: dict[str, Any]) -> bool:
    return bool(abs(row["merged"] - row["judged"]) <= row["tolerance"])  # NaN is no agreement


def _summed(model: PreTrainedModel, probe: Probe) -> float:
    """The sum over the answer's tokens of their log-probability, in nats."""
    import torch

    ids = torch.tensor([probe.ids])
    logits = model(ids).logits[0, probe.answer_at - 1 : -1].float()
    return float(logits.log_softmax(-1).gather(1, ids[0, probe.answer_at :, None]).double().sum())
