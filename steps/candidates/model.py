"""Who answers: the champion as it is served, the unquantised base with its adapter; without a champion, the base.

Without a champion the run's training starts from the base too (or from `initial_adapter`, which then answers): its own
answers are what the training has to tell apart. An adapter that does not belong to the base answers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from steps.answer.weights import Weights, find_weights, whole_base
from steps.candidates.options import NONE, Options
from steps.merge.fit.adapter import read_adapter
from steps.merge.fit.find_changes import find_changes
from steps.shared import contract
from steps.shared.contract import StepError
from steps.shared.serving import parser_for
from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.trained_with import MANIFEST, trained_kwargs
from steps.train.answers.said import Said

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ADAPTER = "adapter_config.json"


class Misfit(StepError):
    """The adapter that should answer does not belong to the run's base."""


@dataclass(frozen=True)
class Origin:
    """
    Attributes:
        kind: whose weights they are.
        version: the champion's, in the registry; None of others.
        adapter: its folder; None of the base alone.
    """

    kind: str
    version: str | None
    adapter: Path | None

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "version": self.version}


def origin(options: Options) -> Origin:
    """Who answers, by what is there: a folder that stands for no champion has no adapter in it."""
    if options.champion and (options.champion / ADAPTER).is_file():
        return Origin("champion", None if options.version == NONE else options.version, options.champion)
    if options.initial_adapter and (options.initial_adapter / ADAPTER).is_file():
        return Origin("initial_adapter", None, options.initial_adapter)
    return Origin("base", None, None)


@dataclass(frozen=True)
class Files:
    """What answers, before any weight is read.

    Attributes:
        parser: of its calls; None: they cannot be read.
        positions: that the model has; None: no limit is known.
    """

    weights: Weights
    template: ChatTemplate
    parser: str | None
    positions: int | None


def find(options: Options, who: Origin) -> Files:
    """
    Raises:
        Misfit: the adapter belongs to another base.
        StepError: something of the base is missing or damaged.
    """
    from steps.answer.generate import load_tokenizer
    from steps.train.model.load import ends_of

    if who.adapter:
        weights = _with_adapter(who.adapter, options)
    else:
        weights = find_weights(options.base, None, None, options.revision)
    tokenizer = load_tokenizer(weights.tokenizer)
    kwargs = trained_kwargs(weights.tokenizer) if who.adapter else options.chat_template_kwargs
    template = ChatTemplate(tokenizer, kwargs, ends=ends_of(str(weights.model.folder)))
    named, asked = options.model_name or options.base, options.tool_call_parser
    parser = None if asked == NONE else parser_for(named, template.source) if asked == "auto" else asked
    return Files(weights, template, parser, _positions(weights.model.config))


def _positions(config: dict[str, Any]) -> int | None:
    text = config.get("text_config")
    positions = (text if isinstance(text, dict) else config).get("max_position_embeddings")
    return positions if isinstance(positions, int) else None


def _with_adapter(adapter: Path, options: Options) -> Weights:
    """
    Raises:
        Misfit: by the names and commits that are known of both, as training compares them, or by the tensors.
        StepError: something of the base is missing or damaged.
    """
    own = str(contract.read_json(adapter / ADAPTER, "the adapter's configuration").get("base_model_name_or_path"))
    if options.model_name and own.rstrip("/") != options.model_name.rstrip("/"):
        raise Misfit(f"its base is {own}, this run's is {options.model_name}")
    manifest = adapter / MANIFEST
    told = contract.read_json(manifest, "the adapter's manifest") if manifest.is_file() else {}
    then = told.get("arguments", {}).get("model_revision")
    if None not in (then, options.revision) and then != options.revision:
        raise Misfit(f"its base is of revision {then}, this run's of {options.revision}")
    base = whole_base(options.base, options.revision, adapter)
    try:
        find_changes(base, read_adapter(adapter))
    except StepError as error:
        raise Misfit(str(error)) from None
    return Weights(base, adapter, adapter)


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes:
        network: with the adapter's layers in it.
        ends: tokens that end an answer.
    """

    network: PreTrainedModel
    device: torch.device
    ends: frozenset[int]
    template: ChatTemplate

    def said(self, tokens: list[int]) -> Said:
        """An answer's tokens as what was said."""
        ended = tokens[-1] in self.ends
        text = self.template.tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=False)
        return Said(cast("str", text), len(tokens), ended)  # a list only of several answers


def load(files: Files) -> Model:
    """
    Raises:
        StepError: the memory does not suffice, or the files cannot be loaded.
    """
    from steps.answer.generate import load_model, quiet

    quiet()
    ends = frozenset(files.template.ends.values())
    if not ends:
        raise StepError("neither the model nor its tokenizer names a token that ends an answer (eos_token)")
    loaded: Any = load_model(files.weights)
    network = loaded.get_base_model() if files.weights.adapter else loaded
    return Model(network, loaded.device, ends, files.template)
