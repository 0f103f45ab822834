"""The part of the SageMaker SDK that a render needs, imported without the rest: half a second instead of four.

`sagemaker.core` and `sagemaker.mlops` gather, when they are imported, all that the SDK can do: its trainers and model
builders with pandas, docker and omegaconf, and hundreds of classes for the API's shapes. A definition takes the
classes of `workflow` alone. So these packages are entered without their `__init__`, and the modules below are left out:
the workflow modules take names from them that belong to other kinds of steps, or to calls of AWS.

A name of a module that is left out is a class that cannot be made, so that whoever comes to use one hears of it; a test
compares the definitions of all workflows with those of the whole SDK. Limits: for SDK 3.27, which is pinned.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NoReturn

ENTERED = ("sagemaker.core", "sagemaker.mlops", "sagemaker.mlops.workflow")
LEFT_OUT = (
    "sagemaker.core.image_uris",
    "sagemaker.core.processing",
    "sagemaker.core.remote_function",
    "sagemaker.core.shapes",
    "sagemaker.core.training",
)


@contextlib.contextmanager
def lightly() -> Iterator[None]:
    """What is imported of the SDK while this lasts is imported lightly; afterwards an import gets the SDK as it is.

    Where the process has the SDK already, it keeps it.
    """
    if ENTERED[0] in sys.modules:
        yield
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name in ENTERED or _is_left_out(name)]:
            del sys.modules[name]


def _is_left_out(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in LEFT_OUT)


class _Finder(MetaPathFinder, Loader):
    """Finds the packages that are only entered, and the modules that are left out; each has nothing of its own."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if _is_left_out(name):
            return ModuleSpec(name, self, is_package=True)
        found = PathFinder.find_spec(name, path) if name in ENTERED else None
        if found is None:
            return None
        entered = ModuleSpec(name, self, is_package=True)
        entered.submodule_search_locations = found.submodule_search_locations
        return entered

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return _LeftOut(spec.name) if _is_left_out(spec.name) else None

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: what the file would do is what is saved."""


class _LeftOut(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Unmade,), {"__module__": self.__name__})


class _Unmade:
    def __new__(cls, *_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"{cls.__module__}.{cls.__name__} is left out of the SDK's import: see {__name__}")
