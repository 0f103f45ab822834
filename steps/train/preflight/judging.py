"""GPU memory of what judges at the end, behind `memory`'s phases of training: held-out rows in the form that is served,
and answers to held-out prompts.

The served form is the unquantised base, sharded as training was, with the adapter, when the base in NF4 is free again;
it has no gradients and no optimizer. `evaluate_served: auto` takes it where that needs no more than training itself, so
that it is never the reason why a run ends. Answers are batched so that their keys and values take no more than what
training keeps for its backward pass (steps/train/answers); they come in the served form where there is one. Pure
arithmetic, as `memory`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from steps.train.arguments import Attention, TrainArguments
from steps.train.footprint.sizes import Footprint
from steps.train.model.shape import ModelShape
from steps.train.preflight.fixes import gib
from steps.train.preflight.instances import Gpu
from steps.train.preflight.memory import Estimate, Item, Phase, RankMemory, estimate, rank_memory
from steps.train.preflight.passes import FP32

ALIKE = 1.01  # two peaks that the estimate does not tell apart, such as those of a tiny model's tiles of logits
ALL_THE_SAME = "evaluate_served: true asks for it all the same"


@dataclass(frozen=True)
class Judging:
    """
    Attributes:
        whole: the phases of training, and behind them those of what judges.
        unserved: why the held-out rows are not evaluated in the served form; None where they are, or where training's
            own form is that.
    """

    whole: Estimate
    unserved: str | None


def with_judging(
    arguments: TrainArguments,
    shape: ModelShape | Footprint,
    *,
    ranks: int = 1,
    attention: Attention = "sdpa",
    length: int | None = None,
    gpu: Gpu | None = None,
) -> Judging:
    """The memory of one rank over the whole run.

    Args:
        gpu: where it is known.
    """
    own = estimate(arguments, shape, ranks=ranks, attention=attention, length=length)
    trained = rank_memory(arguments, shape, ranks, attention, length)
    if not arguments.load_in_4bit:
        return Judging(_longer(own, trained, _answers(arguments, trained, trained.held())), None)
    unquantised = arguments.model_copy(update={"load_in_4bit": False})
    served = rank_memory(unquantised, shape, ranks, attention, length)
    phases = [*_served(served), *_answers(arguments, served, _held(served))]
    with_served = _longer(own, served, phases)
    unserved = without_estimate(arguments) or _too_large(arguments, own, with_served, gpu)
    if unserved:
        return Judging(_longer(own, trained, _answers(arguments, trained, trained.held())), unserved)
    return Judging(with_served, None)


def without_estimate(arguments: TrainArguments, unknown: str | None = None) -> str | None:
    """Why nothing is evaluated in the served form, as far as the recipe tells; None where it is, or where training's
    own form is that.

    Args:
        unknown: why the memory could not be estimated; None where it could.
    """
    if arguments.evaluate_served == "false" and arguments.load_in_4bit:
        return "evaluate_served: false"
    if arguments.evaluate_served == "auto" and arguments.load_in_4bit and unknown:
        return f"evaluate_served: auto: the memory that it takes is not known ({unknown}); {ALL_THE_SAME}"
    return None


def _too_large(arguments: TrainArguments, own: Estimate, judged: Estimate, gpu: Gpu | None) -> str | None:
    """Why `auto` leaves the served form out."""
    if arguments.evaluate_served != "auto":
        return None
    phases = judged.phases[len(own.phases) :]
    largest, most = max(phases, key=lambda phase: phase.bytes), own.peak.bytes
    takes = f"evaluate_served: auto: the unquantised base would take {gib(largest.bytes)} a process ({largest.name})"
    if largest.bytes > ALIKE * most:
        return f"{takes}, training's own peak is {gib(most)}; {ALL_THE_SAME}"
    if gpu and largest.bytes > gpu.usable:
        return f"{takes}, {gpu.name} has {gib(gpu.usable)}; {ALL_THE_SAME}"
    return None


def _longer(own: Estimate, rank: RankMemory, phases: list[Phase]) -> Estimate:
    return replace(own, phases=(*own.phases, *(rank.finished(phase) for phase in phases)))


def _held(rank: RankMemory) -> list[Item]:
    """The served form by itself. The adapter is in float32 as it trained; autocast's copies are a block's."""
    adapters = 2 if rank.arguments.initial_adapter else 1
    items = [*rank.base(), Item("adapter: float32 weights", rank.share(adapters * FP32 * rank.adapter))]
    if rank.arguments.bf16 and not rank.sharded:
        items.append(Item("adapter: bfloat16 copies", rank.c * rank.block_adapter))
    return items


def _served(rank: RankMemory) -> list[Phase]:
    """While the base is put onto the GPUs, where FSDP2 has one whole weight at a time before it keeps its shard of it;
    then as every evaluation."""
    largest = rank.c * max(rank.shape.embedding, rank.shape.block_linear + rank.shape.block_other)
    whole = [Item("FSDP: what is being sharded, whole", largest)] if rank.sharded else []
    held = _held(rank)
    return [
        Phase("served form, loading", (*held, *whole)),
        Phase("served form, embeddings", (*held, *rank.embeddings())),
        Phase("served form, evaluation", (*held, *rank.evaluation())),
    ]


def _answers(arguments: TrainArguments, rank: RankMemory, held: list[Item]) -> list[Phase]:
    """While a batch's prompts are read: their tokens pass through the blocks, and all keys and values are kept. The
    logits are those of each prompt's last token."""
    if not arguments.evaluate_answers:
        return []
    tokens, kept = rank.activations.tokens, sum(item.bytes for item in rank.saved())
    prompts = min(arguments.evaluate_answers, tokens)
    logits = FP32 * prompts * rank.shape.embedding // rank.shape.hidden
    return [
        Phase(
            "answers",
            (
                *held,
                *rank.gathered(),
                *rank.head(1),
                Item("answers: keys and values", min(_keys_and_values(rank) * tokens, kept)),
                Item("answers: a block at work", rank.activations.at_work(tokens, adapter=True)),
                Item("answers: logits", logits),
            ),
        )
    ]


def _keys_and_values(rank: RankMemory) -> int:
    """Bytes of a token in all layers; of a family that is known by its footprint alone at most so many."""
    shape = rank.shape
    width = shape.kv_heads * shape.head_dim if isinstance(shape, ModelShape) else shape.hidden
    return 2 * rank.c * width * shape.layers
