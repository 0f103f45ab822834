"""What a safetensors file holds, told from its header alone: no tensor is read and torch is not imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from steps.contract import StepError


@dataclass(frozen=True)
class Stored:
    """A tensor as its file's header describes it; dtypes by safetensors' names (BF16, F32, U8, …)."""

    shape: tuple[int, ...]
    dtype: str


def read_header(path: Path) -> dict[str, Stored]:
    """Every tensor in a file, by name. A file that was cut short is found here: the header knows its length.

    Raises:
        StepError: it is not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            return {name: Stored(tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise StepError(f"{path}: is not a whole safetensors file ({error}); copy or download it again") from None
