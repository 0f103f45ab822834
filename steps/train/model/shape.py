"""A model's shape from its config.json: layers, weights by kind, the modules that an adapter can sit on.

Knows the dense decoder families Llama, Mistral, Qwen2 and Qwen3. What a config leaves out has the default that
transformers 5.23 gives it. Reads no weights, and imports neither torch nor transformers; mixtures of experts and models
that see images have other shapes and are named as unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.hub import is_hub_name
from steps.train.arguments import TrainArguments

ALL_LINEAR = "all-linear"
EMBEDDINGS = "model.embed_tokens"

# What a family's configuration class fills in (transformers/models/*/configuration_*.py); None: follows from others.
DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": None, "head_dim": None, "max_position_embeddings": 2048},
    "mistral": {"num_key_value_heads": 8, "head_dim": None, "max_position_embeddings": 131072},
    "qwen2": {"num_key_value_heads": 32, "head_dim": None, "max_position_embeddings": 32768},
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 32768},
}
OPTIONAL = ("num_key_value_heads", "head_dim", "max_position_embeddings")  # whole numbers too, where they are there
OBJECTS = ("rope_parameters", "rope_scaling", "quantization_config")
MOST_LAYERS = 10_000  # far beyond any model: to build one, even without weights, takes memory for each
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


class UnknownModel(StepError):
    """The shape cannot be determined; `str(error)` says why and what to do."""


@dataclass(frozen=True)
class Linear:
    """A linear layer of a transformer block; `name` is its path inside the block."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs


@dataclass(frozen=True)
class ModelShape:
    """What memory depends on. Sizes are in elements, not bytes."""

    family: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool  # the LM head is the embeddings' own weight
    attention_bias: bool  # of q, k and v
    output_bias: bool  # of o
    mlp_bias: bool
    positions: int  # tokens that the position encoding reaches
    quantization: str | None  # the method of a checkpoint that is quantised already

    @property
    def linears(self) -> tuple[Linear, ...]:
        """The linear layers of one block; the LM head is none of them."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention, mlp = self.attention_bias, self.mlp_bias
        return (
            Linear("self_attn.q_proj", self.hidden, queries, attention),
            Linear("self_attn.k_proj", self.hidden, keys, attention),
            Linear("self_attn.v_proj", self.hidden, keys, attention),
            Linear("self_attn.o_proj", queries, self.hidden, self.output_bias),
            Linear("mlp.gate_proj", self.hidden, self.intermediate, mlp),
            Linear("mlp.up_proj", self.hidden, self.intermediate, mlp),
            Linear("mlp.down_proj", self.intermediate, self.hidden, mlp),
        )

    @property
    def qk_norm(self) -> bool:
        """Qwen3 normalises every head's queries and keys."""
        return self.family == "qwen3"

    @property
    def block_linear(self) -> int:
        """Weights of one block's linear layers: what NF4 quantises."""
        return sum(linear.weights for linear in self.linears)

    @property
    def block_other(self) -> int:
        """One block's norms and biases: they stay in the compute dtype."""
        biases = sum(linear.outputs for linear in self.linears if linear.bias)
        return 2 * self.hidden + biases + (2 * self.head_dim if self.qk_norm else 0)

    @property
    def linear(self) -> int:
        """Weights of all blocks' linear layers."""
        return self.layers * self.block_linear

    @property
    def other(self) -> int:
        """What NF4 leaves alone."""
        return self.outside_blocks + self.layers * self.block_other

    @property
    def other_named(self) -> str:
        return "embeddings, LM head, norms"

    @property
    def largest_linear(self) -> int:
        return max(linear.weights for linear in self.linears)

    @property
    def embedding(self) -> int:
        """The input embeddings; an LM head of its own has as many."""
        return self.vocab * self.hidden

    @property
    def outside_blocks(self) -> int:
        """Embeddings, LM head and final norm."""
        return self.embedding * (1 if self.tied else 2) + self.hidden

    @property
    def parameters(self) -> int:
        return self.linear + self.other

    def modules(self) -> dict[str, Linear]:
        """Every module that an adapter can sit on, by its full name."""
        found = [
            replace(linear, name=f"model.layers.{layer}.{linear.name}")
            for layer in range(self.layers)
            for linear in self.linears
        ]
        return {module.name: module for module in (*found, Linear(EMBEDDINGS, self.vocab, self.hidden))}

    def adapted(self, targets: Sequence[str]) -> list[Linear]:
        """The modules that `target_modules` names: all linear ones of the blocks, or those whose name ends in a target.

        The rule is peft's (peft/tuners/tuners_utils.py, check_target_module_exists).
        """
        modules = self.modules()
        if list(targets) == [ALL_LINEAR]:
            return [module for name, module in modules.items() if name != EMBEDDINGS]
        return [module for name, module in modules.items() if any(_ends(name, target) for target in targets)]

    def lora_parameters(self, rank: int, targets: Sequence[str]) -> int:
        """A is [rank, inputs] and B [outputs, rank] (Hu et al. 2021, arXiv 2106.09685, section 4.1)."""
        return sum(rank * (module.inputs + module.outputs) for module in self.adapted(targets))

    def block_lora_parameters(self, rank: int, targets: Sequence[str]) -> int:
        """Those of one block, where they are alike."""
        return math.ceil(self.lora_parameters(rank, targets) / self.layers)

    def unmatched(self, targets: Sequence[str]) -> list[str]:
        """Targets that name no module; peft passes over them in silence as long as another one matches."""
        if list(targets) == [ALL_LINEAR]:
            return []
        names = list(self.modules())
        return [target for target in targets if not any(_ends(name, target) for name in names)]


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def read(path: Path) -> ModelShape:
    """The shape of a model folder, or of a config.json.

    Raises:
        StepError: there is no config.json, or it is not JSON.
        UnknownModel: the family is not known here, or a size is missing.
        StepError: it has more layers than any model.
    """
    file = path / "config.json" if path.is_dir() else path
    config = contract.read_json(file, "the model's configuration")
    if not isinstance(config, dict):
        raise StepError(f"{file}: must be a JSON object: a model's config.json")
    try:
        return shape(config)
    except StepError as error:
        raise type(error)(f"{file}: {error}") from None


def shape(config: Mapping[str, Any]) -> ModelShape:
    """The shape that a parsed config.json describes.

    Raises:
        UnknownModel: the family is not known here, or a size is missing or no size.
        StepError: it has more layers than any model.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in DEFAULTS:
        raise UnknownModel(f"model_type {family}: the shape is known for {', '.join(DEFAULTS)} only")
    wrong = [name for name in SIZES if not _is_size(config.get(name))]
    wrong += [name for name in OPTIONAL if config.get(name) is not None and not _is_size(config[name])]
    if wrong:
        raise UnknownModel(f"{', '.join(wrong)}: must be whole numbers above 0")
    if wrong := [name for name in OBJECTS if not isinstance(config.get(name) or {}, dict)]:
        raise UnknownModel(f"{', '.join(wrong)}: must be objects")
    if config["num_hidden_layers"] > MOST_LAYERS:
        raise StepError(f"num_hidden_layers: {config['num_hidden_layers']:,}: must be at most {MOST_LAYERS:,}")
    given = DEFAULTS[family] | {key: value for key, value in config.items() if value is not None}
    heads = given["num_attention_heads"]
    return ModelShape(
        family=family,
        hidden=given["hidden_size"],
        intermediate=given["intermediate_size"],
        layers=given["num_hidden_layers"],
        heads=heads,
        kv_heads=given["num_key_value_heads"] or heads,
        head_dim=given["head_dim"] or given["hidden_size"] // heads,
        vocab=given["vocab_size"],
        tied=bool(given.get("tie_word_embeddings", False)),
        # Llama and Qwen3 read attention_bias for all four; Qwen2 always has q, k and v; Mistral has none.
        attention_bias=family == "qwen2" or (family in ("llama", "qwen3") and bool(given.get("attention_bias"))),
        output_bias=family in ("llama", "qwen3") and bool(given.get("attention_bias")),
        mlp_bias=family == "llama" and bool(given.get("mlp_bias")),
        positions=_positions(given),
        quantization=(given.get("quantization_config") or {}).get("quant_method"),
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _positions(config: Mapping[str, Any]) -> int:
    """Positions with the scaling that the config asks for (`rope_scaling`, in newer files `rope_parameters`)."""
    stated = config["max_position_embeddings"]
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings", stated)
    if not all(isinstance(number, int | float | None) for number in (factor, original)):
        raise UnknownModel("rope_parameters: factor and original_max_position_embeddings must be numbers")
    return max(stated, int(factor * (original or stated))) if factor else stated


def base_folder(arguments: TrainArguments) -> Path:
    """The base's files on this machine: the folder that is named, or the snapshot in the hub's cache.

    Raises:
        OSError: a hub model's config.json is not there, and cannot be downloaded.
    """
    if not is_hub_name(arguments.model_id):
        return Path(arguments.model_id)
    from transformers.utils import cached_file

    found = cached_file(arguments.model_id, "config.json", revision=arguments.model_revision)
    assert found is not None  # it raises instead, unless told otherwise
    return Path(found).parent


def known_shape(arguments: TrainArguments) -> tuple[ModelShape | None, str | None]:
    """The shape of the model that is about to be loaded, or why it is not known."""
    try:
        return read(base_folder(arguments)), None
    except UnknownModel as error:
        return None, str(error)
    except OSError as error:
        return None, f"{arguments.model_id}: its config.json cannot be read: {contract.first_line(error)}"
