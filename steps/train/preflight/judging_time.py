"""How long judging takes at the end of a run, beside training: a share, from the operations of both.

A matrix of w weights costs 2 w operations a token in a forward pass, and 2 w for the gradient of its input; a frozen
base has no gradient of its weights. With W weights in the blocks' linear layers, a token of training costs

    4 W, + 2 W with gradient_checkpointing (the forward pass again), + 2 W for the reference in the step,

and a token of a held-out row 2 W in each of three passes: the trained model, its reference, the champion. Rows of both
splits are taken for equally long, and the machine for equally fast at both; attention's own products and the LM head
are left out on both sides. Of answers the time is bounded and not computed: `answers_max_minutes`, set against
training's operations at 40 % of the GPU's peak (`metrics.throughput.PEAKS`), an assumption: nothing here was measured
on a GPU. A faster training makes the share larger, a slower one smaller. Without a known GPU only the first part is
told.
"""

from __future__ import annotations

from steps.train.arguments import TrainArguments
from steps.train.footprint.sizes import Footprint
from steps.train.metrics.throughput import peak_flops
from steps.train.model.shape import ModelShape
from steps.train.preflight.totals import Plan

PASSES = 3  # of the held-out rows: trained, reference, champion
UTILISATION = 0.4
HELD_OUT = 1 / 9  # held-out rows for each training row: the Preprocess step's default holds out a tenth of the prompts


def notes(
    arguments: TrainArguments,
    plan: Plan,
    shape: ModelShape | Footprint,
    unserved: str | None,
    device: str | None,
    held_out: int | None = None,
    pair_tokens: float | None = None,
) -> list[str]:
    """What is to be said of judging: why the served form is left out, and the share of training's time.

    Args:
        unserved: why nothing is evaluated in the served form; None where it is.
        device: the GPU's name; None where there is none, or where it is not known.
        held_out: held-out rows, where known.
        pair_tokens: tokens that a row's pair takes on average, where known; two sequences of `max_length` otherwise.
    """
    found = [f"the held-out rows are judged on the base in NF4 alone: {unserved}"] if unserved else []
    if plan.pairs_seen is None:
        return found
    rows = held_out if held_out is not None else (plan.rows or 0) * HELD_OUT
    served = served_share(arguments, plan, rows) if arguments.load_in_4bit and not unserved else 0.0
    answers = answers_share(arguments, plan, shape, device, pair_tokens)
    parts = [f"held-out rows as served {served:.0%}"] if served else []
    if answers:
        parts.append(f"answers at most {answers:.0%}, {arguments.answers_max_minutes:g} minutes")
    if parts:
        found.append(f"judging: about {served + (answers or 0):.0%} of training's time ({'; '.join(parts)})")
    return found


def token_cost(arguments: TrainArguments) -> int:
    """Operations of training a token, as a multiple of the blocks' linear weights."""
    cost = 6 if arguments.gradient_checkpointing else 4
    return cost if arguments.precompute_ref_log_probs else cost + 2


def served_share(arguments: TrainArguments, plan: Plan, held_out: float) -> float:
    """The evaluation in the served form, as a share of training's time."""
    return PASSES * 2 * held_out / (token_cost(arguments) * (plan.pairs_seen or 1))


def answers_share(
    arguments: TrainArguments,
    plan: Plan,
    shape: ModelShape | Footprint,
    device: str | None,
    pair_tokens: float | None = None,
) -> float | None:
    """All the time that answers may take, as a share of training's; None where the GPU's speed is not known."""
    if not arguments.evaluate_answers:
        return 0.0
    peak = peak_flops(device) if device else None
    if peak is None:
        return None
    tokens = (plan.pairs_seen or 1) * (pair_tokens or 2 * arguments.max_length)
    seconds = tokens * token_cost(arguments) * weights(shape) / (UTILISATION * peak * plan.ranks)
    return 60 * arguments.answers_max_minutes / seconds


def weights(shape: ModelShape | Footprint) -> int:
    """Of the blocks' linear layers; of a mixture, whose experts are one tensor, at least those that become 4-bit."""
    return shape.linear
