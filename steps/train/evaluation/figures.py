"""Figures of a policy on held-out rows, over all of them and over each slice, from their log-probabilities.

Written for every row: log pi(y|x), the log-probability of an answer y to its prompt x, is summed over the tokens of the
answer that count in the loss, in nats (natural logarithms), and lengths are numbers of these tokens. An answer's log
ratio is log pi_policy(y|x) - log pi_reference(y|x); its implicit reward is beta times that (Rafailov et al. 2023,
arXiv:2305.18290, section 4). A figure that is not defined is None, null in JSON; never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from steps.shared.statistics.intervals import wilson_interval


@dataclass(frozen=True)
class RowMargin:
    """One row: its two answers' summed log-probabilities under the policy and the reference, and what row it is.

    Attributes:
        chosen_tokens: tokens of the chosen answer that count in the loss, that is over which is summed.
        format: the layout that the row had in the raw data.
        with_tools: whether the row declares tools.
    """

    id: str
    chosen: float
    rejected: float
    reference_chosen: float
    reference_rejected: float
    chosen_tokens: int
    rejected_tokens: int
    format: str
    with_tools: bool

    @property
    def chosen_log_ratio(self) -> float:
        return self.chosen - self.reference_chosen

    @property
    def rejected_log_ratio(self) -> float:
        return self.rejected - self.reference_rejected

    @property
    def margin(self) -> float:
        """The implicit reward difference without beta: (chosen - reference) - (rejected - reference)."""
        return self.chosen_log_ratio - self.rejected_log_ratio

    @property
    def longer_by(self) -> int:
        """Tokens by which the chosen answer is longer than the rejected one."""
        return self.chosen_tokens - self.rejected_tokens

    def as_dict(self) -> dict[str, Any]:
        """What every figure here can be computed from anew."""
        return {
            "id": self.id,
            "margin": self.margin,
            "chosen_log_ratio": self.chosen_log_ratio,
            "rejected_log_ratio": self.rejected_log_ratio,
            "chosen_tokens": self.chosen_tokens,
            "rejected_tokens": self.rejected_tokens,
            "format": self.format,
            "with_tools": self.with_tools,
        }


@dataclass(frozen=True)
class Figures:
    """Figures over `rows` held-out rows.

    Attributes:
        loss: mean sigmoid DPO loss, -log sigmoid(beta * margin) (Rafailov et al. 2023, eq. 7), whatever loss_type
            trains, so that runs compare.
        reward_accuracy: share of rows with a positive margin; a tie counts one half, as a coin would.
        reward_accuracy_low, reward_accuracy_high: Wilson's score interval of it at 95 % (`wilson_interval`).
        reward_margin: mean of beta * margin.
        ties: rows whose margin is exactly 0 (all of them before the first step: policy and reference are one model).
        drift_chosen, drift_rejected: mean over the rows of the log ratio of the chosen (rejected) answer, in nats:
            below 0, the policy gives these answers less probability than the reference does. The answers are the
            data's and were not sampled from the policy, so this is not the KL divergence from the reference, nor an
            estimate of it: it has either sign.
        drift_chosen_per_token, drift_rejected_per_token: the log ratios of all rows, divided by the tokens of all
            rows, in nats per token; None where no token counts.
        unequal_lengths: rows whose two answers have different lengths; the next two figures are over these.
        longer_is_chosen: share of them whose longer answer is the chosen one: the data's own bias, which no training
            changes. None where there is no such row.
        longer_is_preferred: share of them whose longer answer has the higher implicit reward; a tie counts one half.
            Above `longer_is_chosen`, the policy prefers length beyond what the data asks for. None as above.
        length_margin_correlation: Spearman's rank correlation of `longer_by` with the margin over all rows, -1 to 1
            (`rank_correlation`). None where one of them is the same in all rows, as before the first step.
    """

    rows: int
    loss: float
    reward_accuracy: float
    reward_accuracy_low: float
    reward_accuracy_high: float
    reward_margin: float
    ties: int
    drift_chosen: float
    drift_rejected: float
    drift_chosen_per_token: float | None
    drift_rejected_per_token: float | None
    unequal_lengths: int
    longer_is_chosen: float | None
    longer_is_preferred: float | None
    length_margin_correlation: float | None


@dataclass(frozen=True)
class Evaluation(Figures):
    """Figures over all rows, and over each part of them.

    Attributes:
        slices: by `format`, a slice for each layout of the raw data; by `tools`, the slices `with` and `without`.
            Each row is in one slice of each kind; a slice without rows is left out.
    """

    slices: dict[str, dict[str, Figures]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Evaluation:
        """What `as_dict` gave, as a checkpoint keeps it."""
        slices = {
            kind: {name: Figures(**figures) for name, figures in parts.items()}
            for kind, parts in saved["slices"].items()
        }
        return cls(**{**saved, "slices": slices})


SLICES: dict[str, Callable[[RowMargin], str]] = {
    "format": lambda row: row.format,
    "tools": lambda row: "with" if row.with_tools else "without",
}


def summarise(rows: Sequence[RowMargin], beta: float) -> Evaluation:
    """The figures of a list of rows and of its slices; it must not be empty."""
    slices: dict[str, dict[str, Figures]] = {}
    for kind, slice_of in SLICES.items():
        parts: dict[str, list[RowMargin]] = {}
        for row in rows:
            parts.setdefault(slice_of(row), []).append(row)
        slices[kind] = {name: _figures(parts[name], beta) for name in sorted(parts)}
    whole = _figures(rows, beta)
    return Evaluation(**{entry.name: getattr(whole, entry.name) for entry in fields(Figures)}, slices=slices)


def _figures(rows: Sequence[RowMargin], beta: float) -> Figures:
    count = len(rows)
    rewards = [beta * row.margin for row in rows]
    ties = sum(reward == 0 for reward in rewards)
    wins = sum(reward > 0 for reward in rewards) + ties / 2
    low, high = wilson_interval(wins, count)
    chosen, rejected = sum(row.chosen_log_ratio for row in rows), sum(row.rejected_log_ratio for row in rows)
    unequal = [row for row in rows if row.longer_by]
    return Figures(
        rows=count,
        loss=sum(_softplus(-reward) for reward in rewards) / count,
        reward_accuracy=wins / count,
        reward_accuracy_low=low,
        reward_accuracy_high=high,
        reward_margin=sum(rewards) / count,
        ties=ties,
        drift_chosen=chosen / count,
        drift_rejected=rejected / count,
        drift_chosen_per_token=_ratio(chosen, sum(row.chosen_tokens for row in rows)),
        drift_rejected_per_token=_ratio(rejected, sum(row.rejected_tokens for row in rows)),
        unequal_lengths=len(unequal),
        longer_is_chosen=_ratio(sum(row.longer_by > 0 for row in unequal), len(unequal)),
        longer_is_preferred=_ratio(sum(_prefers_longer(row) for row in unequal), len(unequal)),
        length_margin_correlation=rank_correlation([row.longer_by for row in rows], [row.margin for row in rows]),
    )


def _prefers_longer(row: RowMargin) -> float:
    """1 where the longer of two answers has the higher implicit reward, 0 where the shorter has, 1/2 in a tie."""
    return 0.5 if row.margin == 0 else float((row.margin > 0) == (row.longer_by > 0))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _softplus(x: float) -> float:
    """log(1 + e^x) without overflow; -log sigmoid(r) = softplus(-r)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rho: Pearson's correlation of the ranks of `xs` and `ys`; equal values share their mean rank.

    rho = sum (r_i - r)(s_i - s) / sqrt(sum (r_i - r)^2 sum (s_i - s)^2), with r = s = (n + 1) / 2. Of ranks rather than
    of the values, since one very long answer would decide the latter. None where all xs or all ys are equal.
    """
    if len(set(xs)) < 2 or len(set(ys)) < 2:
        return None
    mean = (len(xs) + 1) / 2
    ranks = [(x - mean, y - mean) for x, y in zip(_ranks(xs), _ranks(ys), strict=True)]
    squares = sum(x * x for x, _ in ranks) * sum(y * y for _, y in ranks)
    return min(max(sum(x * y for x, y in ranks) / math.sqrt(squares), -1.0), 1.0)


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values get the mean of those that they take up."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + 1 + end) / 2
        start = end
    return ranks


def model_quality(figures: Figures) -> dict[str, Any]:
    """The reward accuracy in the form of SageMaker's model quality metrics, for the readers of that form.

    `ModelMetrics.ModelQuality.Statistics` of CreateModelPackage takes any JSON document by its S3Uri; what Model
    Monitor writes there for a binary classifier has this key (docs.aws.amazon.com/sagemaker/latest/dg/
    model-monitor-model-quality-metrics.html). A reward model that tells chosen from rejected is one. The standard
    deviation is the share's own, sqrt(p (1 - p) / rows).
    """
    p = figures.reward_accuracy
    return {"accuracy": {"value": p, "standard_deviation": math.sqrt(p * (1 - p) / figures.rows)}}
