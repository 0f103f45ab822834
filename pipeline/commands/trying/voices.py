"""The models that a conversation may ask: the version, its base, the champion; each loaded when it is first asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import typer

from pipeline.commands.shared.model_registry import Registry
from pipeline.commands.trying import model_words
from pipeline.commands.trying.speaker import Speaker
from pipeline.errors import UserError
from pipeline.versions import registry
from pipeline.versions.registry import ModelVersion

Ask = Callable[[dict[str, Any], Callable[[str], None]], dict[str, Any]]


class Asked(Protocol):
    """What a conversation needs of its models."""

    def version(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        """The version's answer to a request, as Speaker.ask gives it."""

    def base(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        """The base's."""

    def champion(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        """The champion's. Raises UserError where there is none, or the version is it."""


class Voices:
    """The processes of one session; leave it to end them."""

    def __init__(self, registry_of: Callable[[], AbstractContextManager[Registry]], model: ModelVersion,
                 words: Sequence[str], *, verify: bool):  # fmt: skip
        """Loads the version.

        Args:
            registry_of: opens the registry again, when another model's files are needed.
            words: the version's files.
        """
        self._registry_of, self._model, self._verify = registry_of, model, verify
        self._base: Speaker | None = None
        self._champion: Speaker | None = None
        self._version = Speaker(f"version {model.version}", words)

    def __enter__(self) -> Voices:
        return self

    def __exit__(self, *_: object) -> None:
        for speaker in (self._version, self._base, self._champion):
            if speaker:
                speaker.close()

    def version(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        return self._version.ask({**request, "as_base": False}, heard)

    def base(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        """The base's answer; an adapter's is loaded already."""
        if self._model.variant == "adapter":
            return self._version.ask({**request, "as_base": True}, heard)
        if self._base is None:
            with self._registry_of() as there:
                words = model_words.of_base(there, self._model)
            self._base = _loaded("the base model", words)
        return self._base.ask({**request, "as_base": False}, heard)

    def champion(self, request: dict[str, Any], heard: Callable[[str], None]) -> dict[str, Any]:
        if self._champion is None:
            with self._registry_of() as there:
                number = registry.champion(there.statuses())
                if number is None:
                    raise UserError(f"no version is approved yet: python pipeline.py approve VERSION{there.options}")
                if number == self._model.version:
                    raise UserError(f"version {number} is the champion itself")
                words = model_words.of_version(there, there.find(str(number)), verify=self._verify)
            self._champion = _loaded(f"version {number}, the champion", words)
        return self._champion.ask({**request, "as_base": False}, heard)


def _loaded(name: str, words: Sequence[str]) -> Speaker:
    try:
        return Speaker(name, words)
    except typer.Exit:
        raise UserError(f"{name} cannot be loaded, as said above") from None
    except KeyboardInterrupt:
        raise UserError(f"{name} was not loaded: interrupted") from None
