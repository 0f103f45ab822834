"""Imports of torch's companions without what they load for uses that no step has: a quarter of the import's time.

What is left out, of the versions in containers/locks:

- transformers imports scipy for the losses of object detection, TRL imports wandb for callbacks (Train's own tracking
  imports it where it is asked for). Both look whether the package is there, and here it is not while they are imported;
- bitsandbytes hands four functions to `torch.compile`, which imports the whole compiler. They are its fallbacks for
  devices that it has no kernels for, and compute the same uncompiled;
- accelerate imports boto3 for its command line;
- TRL asks for the packages of every installed distribution: answered when it looks for one;
- Python looks for garbage again and again among ever more objects, of which none is: a tenth of the time.

Limits: a package that is loaded already stays, and so does scipy where transformers is: that it is there was decided
then, and is relied on. Afterwards everything can be imported as ever; what a library decided while it was imported
remains.
"""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

UNUSED = ("boto3", "scipy", "wandb")


@contextmanager
def lean() -> Iterator[None]:
    """Around the first imports of transformers, peft and TRL."""
    with uncollected(), _absent(UNUSED), _distributions_when_asked():
        _import_bitsandbytes()
        yield


@contextmanager
def uncollected() -> Iterator[None]:
    """No look for garbage meanwhile. Nothing is frozen: what is there already, such as a model, must be freed later."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _absent(names: tuple[str, ...]) -> Iterator[None]:
    """None among the loaded modules means to Python that there is no such package."""
    relied_on = ("scipy",) if "transformers" in sys.modules else ()
    hidden = [name for name in names if name not in sys.modules and name not in relied_on]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _distributions_when_asked() -> Iterator[None]:
    read = importlib.metadata.packages_distributions
    importlib.metadata.packages_distributions = lambda: _WhenAsked(read)
    try:
        yield
    finally:
        importlib.metadata.packages_distributions = read


class _WhenAsked(dict[str, list[str]]):
    """Package -> distributions: read, all at once, when one that is not known is looked up."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read

    def __missing__(self, package: str) -> list[str]:
        self.update(self._read())
        if package in self:
            return self[package]
        raise KeyError(package)


def _import_bitsandbytes() -> None:
    if importlib.util.find_spec("bitsandbytes") is None:  # as in the image of Merge
        return
    import torch

    compiled = torch.compile
    torch.compile = _uncompiled  # type: ignore[assignment]
    try:
        import bitsandbytes  # noqa: F401
    finally:
        torch.compile = compiled


def _uncompiled(function: Any = None, **_: Any) -> Any:
    """In the place of `torch.compile`, as a call and as a decorator with options."""
    return function if function is not None else lambda given: given
