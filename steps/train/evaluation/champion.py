"""The champion: the adapter of the newest approved version, compared with the trained one on the same held-out rows.

Both are measured against one reference, the base without any adapter, whatever training's own reference was, and in one
form: on the unquantised base, as they are served, where the scorer has that, or else on the base in NF4. Where the
champion's own evaluation has these rows in that form, under the same arguments and against the base, its margins are
taken from there; otherwise the base computes them with the champion's matrices, once, after training: while a model
trains nothing of the champion is there, so that it takes no memory and cannot change a bit of the result. An adapter of
another base or kind is not compared, and that is said; it stops no training.

The matrices are applied by hooks and not by peft, which adds none of its 4-bit layers to a model that FSDP2 has
sharded: it asks a weight for its quantisation, and a shard has none. LoRA on a mixture's experts is on parameters,
which no hook reaches: such a champion takes the trained adapter's place for the evaluation, which needs the same
modules and ranks. Limits: plain LoRA.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.lora_settings import malformed, named
from steps.shared.weights.safetensors_file import Stored, read_header
from steps.train.arguments import TrainArguments
from steps.train.evaluation import log_probs
from steps.train.evaluation.figures import RowMargin, summarise
from steps.train.evaluation.held_out import row_margin
from steps.train.evaluation.paired import pair
from steps.train.evaluation.recorded import recorded
from steps.train.evaluation.scorer import Scorer
from steps.train.model import adapter
from steps.train.model.initial_adapter import PREFIX, broken_values, layer_ranks, not_plain

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from steps.train.rows.tokenise import Pair

log = logging.getLogger(__name__)

SIDES = ("lora_A", "lora_B")
CHAMPION = "evaluation of the champion"  # as the log calls it
FIGURES = ("reward_accuracy", "loss", "reward_margin")


@dataclass(frozen=True)
class Champion:
    """The adapter to compare with.

    Attributes:
        version: its number in the registry, where it is known.
        scale: the factor of its matrices' product.
        reason: why it cannot be compared; None where it can, as far as its files tell.
    """

    folder: Path
    version: str | None
    scale: float
    reason: str | None


def find(arguments: TrainArguments) -> Champion | None:
    """The champion that the arguments name, or that lies in the job's channel; None without one.

    Raises:
        StepError: the named folder holds no adapter, or the weights are not whole or not finite.
    """
    folder = _folder(arguments)
    if not (folder / adapter.CONFIG).is_file():
        if arguments.champion:
            raise StepError(f"champion: {folder}: {adapter.CONFIG} is missing; name a folder that training wrote")
        return None  # without a champion the channel holds something else
    if not (folder / adapter.WEIGHTS).is_file():
        raise StepError(f"champion: {folder}: {adapter.WEIGHTS} is missing; put it back, or reject that version")
    config = contract.read_json(folder / adapter.CONFIG, "the champion's configuration")
    tensors = read_header(folder / adapter.WEIGHTS)
    if broken := list(broken_values(folder / adapter.WEIGHTS)):
        raise StepError(f"champion: {folder}: {broken[0]}, or reject that version")
    reason = next(_obstacles(config, tensors, arguments), None) or _other_revision(folder, arguments)
    found = Champion(folder, arguments.champion_version, 0.0 if reason else _scale(config), reason)
    if reason:
        log.warning("no comparison with the champion in %s: %s", folder, reason)
    return found


def _folder(arguments: TrainArguments) -> Path:
    return Path(arguments.champion) if arguments.champion else contract.channel("champion")


def continued(arguments: TrainArguments) -> TrainArguments:
    """The arguments with the champion as the adapter to start from, where they ask for it and there is one."""
    if not arguments.continue_from_champion:
        return arguments
    folder, version = _folder(arguments), arguments.champion_version
    if not (folder / adapter.CONFIG).is_file():
        log.info("continue_from_champion: there is no champion yet; training starts with a fresh adapter")
        return arguments
    log.info("continue_from_champion: training goes on from version %s, in %s", version or "unknown", folder)
    return arguments.model_copy(update={"initial_adapter": str(folder)})


def _scale(config: dict[str, Any]) -> float:
    return config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])


def _other_revision(folder: Path, arguments: TrainArguments) -> str | None:
    """Whether it was trained on the same hub model at another revision, as far as its manifest tells."""
    file = folder / "manifest.json"
    trained = contract.read_json(file, "the champion's manifest").get("arguments", {}) if file.is_file() else {}
    then, now = trained.get("model_revision"), arguments.model_revision
    if then is None or now is None or then == now:
        return None
    return f"its base is of revision {then}, this model's of {now}"


def _obstacles(config: Any, tensors: dict[str, Stored], arguments: TrainArguments) -> Iterator[str]:
    """Why it cannot be compared, from its configuration and its tensors' names."""
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        yield "it is not a LoRA adapter"
        return
    if wrong := malformed(config):
        yield f"its {adapter.CONFIG} is not whole: {wrong}"
        return
    if more := not_plain(config):
        yield f"its {adapter.CONFIG} has {named(more)}, and only plain LoRA is compared"
    base, own = arguments.base_model_name or arguments.model_id, str(config.get("base_model_name_or_path"))
    if own.rstrip("/") != base.rstrip("/"):
        yield f"its base is {own}, this model's is {base}"
    modules = {name.partition(".lora_")[0] for name in tensors}
    if not modules or tensors.keys() != {f"{module}.{side}.weight" for module in modules for side in SIDES}:
        yield "its file holds other tensors than the two matrices of each module"
    rank, ranks = config["r"], layer_ranks(tensors)
    if (ranks and ranks != {rank}) or any(len(tensor.shape) != 2 for tensor in tensors.values()):
        yield f"its matrices are of rank {', '.join(map(str, sorted(ranks)))}, its {adapter.CONFIG} says r {rank}"


def compare(
    champion: Champion,
    scorer: Scorer,
    pairs: Sequence[Pair],
    margins: Sequence[RowMargin],
    canaries: Set[str] = frozenset(),
) -> Any:
    """Both models' figures on the held-out rows, as evaluation.json keeps them. All ranks must call it together.

    Args:
        scorer: the model with the trained adapter, in the form in which both are compared.
        pairs: the held-out rows.
        margins: the trained model's, in the same order, as this scorer evaluated it.
        canaries: ids of the rows that are compared by themselves too.
    """
    section: dict[str, Any] = {"version": champion.version, "compared": False, "reason": champion.reason}
    if champion.reason:
        return section
    arguments, size = scorer.arguments, scorer.arguments.per_device_eval_batch_size
    model = scorer.accelerator.unwrap_model(scorer.model)
    rows, source = recorded(champion.folder, arguments, margins), "recorded"
    base = {row.id: (row.reference_chosen, row.reference_rejected) for row in margins}
    if arguments.initial_adapter:  # the margins are relative to that one
        base = log_probs.gathered(scorer, pairs, size, "base", "evaluation of the base")
    if rows is None:
        source = "evaluated"
        if reason := misfit(champion, model):
            return section | {"reason": reason}
        if has_parameters(champion):
            with exchanged(champion, model):
                policy = log_probs.gathered(scorer, pairs, size, "trained", CHAMPION)
        else:
            with applied(champion, model, scorer):
                policy = log_probs.gathered(scorer, pairs, size, "base", CHAMPION)
        rows = [row_margin(one, policy[one.id], base[one.id]) for one in pairs]
    candidate = [replace(row, reference_chosen=base[row.id][0], reference_rejected=base[row.id][1]) for row in margins]
    if not all(math.isfinite(row.margin) for row in (*rows, *candidate)):
        return section | {"reason": "it gives held-out rows a log-probability that is not finite"}
    log.info("the champion's margins on %d held-out rows: %s", len(rows), source)
    return section | {
        "compared": True,
        "form": "trained" if arguments.load_in_4bit else "served",
        "source": source,
        "rows": len(rows),
        "candidate": _figures(candidate, arguments.beta),
        "champion": _figures(rows, arguments.beta),
        **asdict(pair([row.margin for row in candidate], [row.margin for row in rows])),
        **_canary(candidate, rows, canaries, arguments.beta),
    }


def _canary(
    candidate: Sequence[RowMargin], rows: Sequence[RowMargin], canaries: Set[str], beta: float
) -> dict[str, Any]:
    """The same of the canary set; nothing where there is none."""
    own, theirs = ([row for row in of if row.id in canaries] for of in (candidate, rows))
    if not own:
        return {}
    paired = asdict(pair([row.margin for row in own], [row.margin for row in theirs]))
    return {
        "canary": {"rows": len(own), "candidate": _figures(own, beta), "champion": _figures(theirs, beta), **paired}
    }


def _figures(rows: Sequence[RowMargin], beta: float) -> dict[str, float]:
    whole = summarise(rows, beta)
    return {name: getattr(whole, name) for name in FIGURES}


def misfit(champion: Champion, model: PeftModel) -> str | None:
    """Why the champion's matrices do not go with the base's layers; None where they do."""
    tensors = read_header(champion.folder / adapter.WEIGHTS)
    if has_parameters(champion):
        other = adapter.misfit(model, tensors) or _other_scale(champion, model)
        form = "it adapts experts, which is compared only where this model's adapter is of its form"
        return f"{form}: {other}" if other else None
    layers = _layers(model)
    for name, tensor in tensors.items():
        module, _, side = name.removeprefix(PREFIX).removesuffix(".weight").rpartition(".")
        layer = layers.get(module)
        if layer is None:
            return f"it has a matrix for {module}, which is no linear layer of the base"
        at, size = (1, layer.in_features) if side == "lora_A" else (0, layer.out_features)
        if tensor.shape[at] != size:
            return f"its matrix {name} is {list(tensor.shape)}, the base's layer has {size} features"
    return None


def has_parameters(champion: Champion) -> bool:
    """Whether it holds LoRA on a mixture's experts or router, which are parameters of their own."""
    config = contract.read_json(champion.folder / adapter.CONFIG, "the champion's configuration")
    return bool(config.get("target_parameters"))


def _other_scale(champion: Champion, model: PeftModel) -> str | None:
    config = contract.read_json(champion.folder / adapter.CONFIG, "the champion's configuration")
    own = model.peft_config[adapter.TRAINED].to_dict()
    keys = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")
    return next(
        (f"its {key} is {config.get(key)}, here {own[key]}" for key in keys if config.get(key) != own[key]), None
    )


@contextmanager
def exchanged(champion: Champion, model: PeftModel) -> Iterator[None]:
    """Within, the trained adapter holds the champion's matrices. All ranks must call it together."""
    # Copies: without a GPU and shards, what is gathered is the model's own memory.
    trained = {name: tensor.clone() for name, tensor in adapter.gather(model).items()}
    adapter.load(model, champion.folder)
    try:
        yield
    finally:
        adapter.put(model, trained, champion.folder)


@contextmanager
def applied(champion: Champion, model: PeftModel, scorer: Scorer) -> Iterator[None]:
    """Within, the base's linear layers answer with the champion: y = W x + scale B A x (Hu et al. 2021,
    arXiv:2106.09685, section 4.1; scale alpha / r, or of rank-stabilised LoRA alpha / sqrt(r), arXiv:2312.03732).

    In float32, as the trained adapter is; under FSDP in the dtype to which FSDP casts that one.
    """
    import torch
    from safetensors.torch import load_file

    from steps.train.model.load import compute_dtype

    dtype = compute_dtype(scorer.arguments) if scorer.is_fsdp_enabled else torch.float32
    tensors = load_file(champion.folder / adapter.WEIGHTS)
    tensors = {name: tensor.to(scorer.args.device, dtype) for name, tensor in tensors.items()}
    layers, handles = _layers(model), []
    try:
        for module in {name.partition(".lora_")[0] for name in tensors}:
            down, up = (tensors[f"{module}.{side}.weight"] for side in SIDES)
            layer = layers[module.removeprefix(PREFIX)]
            handles.append(layer.register_forward_hook(_addition(down, up, champion.scale)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _addition(down: torch.Tensor, up: torch.Tensor, scale: float) -> Any:
    """A forward hook that adds the matrices' product; `down`: [rank, inputs], `up`: [outputs, rank]."""
    from torch.nn.functional import linear

    def hook(_: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        return (output + linear(linear(inputs[0].to(down.dtype), down), up) * scale).to(output.dtype)

    return hook


def _layers(model: PeftModel) -> dict[str, Any]:
    """The base's linear layers by the names that the base gives them; one that peft has wrapped is the inner one."""
    found = {}
    for name, module in model.named_modules():
        plain = name.replace("._checkpoint_wrapped_module", "").removeprefix(PREFIX).removesuffix(".base_layer")
        if ".lora_" not in plain and hasattr(module, "in_features"):
            found[plain] = module  # the inner one comes after its wrapper
    return found
