"""Whether an image's CUDA can use the GPUs of the instances that it runs on.

NVIDIA's release notes: CUDA 13 has no libraries for GPUs before compute capability 7.5 (V100 and older); each newer
architecture has a first version that knows it. Which driver SageMaker's training hosts have is documented nowhere, so
that is left to the job itself, which ends where torch finds no GPU; `deploy` asks for a host with the driver it needs.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.account_check.context import Context
from pipeline.account_check.finding import Finding, error, unknown
from steps.train.preflight.instances import find

# compute capability -> first version of CUDA with it
FIRST = {(7, 0): (9, 0), (7, 5): (10, 0), (8, 0): (11, 0), (8, 6): (11, 1), (8, 9): (11, 8), (9, 0): (11, 8)}
DROPPED = ((13, 0), (7, 5))  # from this version on nothing below this capability


def findings(context: Context, image: str, version: str | None) -> Iterator[Finding]:
    """
    Args:
        image: its name in the settings.
        version: the image's CUDA, as `13.3.0`; None where it names none.
    """
    settings = context.workflow.settings
    if image == "training":
        types, fix = [settings.train.instance_type], _of_training(context)
    elif image == "inference":
        types = settings.register_model.inference_instance_types
        fix = f"take other types ({context.place('workflow', 'register.inference_instance_types')}) or another image"
    else:
        return
    for name in types:
        if problem := _problem(name, version):
            yield (unknown if version is None else error)(problem, fix)


def _of_training(context: Context) -> str:
    build = context.command("images build training --build-arg BASE_IMAGE=…")
    return f"take another instance ({context.place('workflow', 'train.instance_type')}) or base: {build}"


def _problem(instance_type: str, version: str | None) -> str:
    """Why the GPUs of an instance type cannot be used; empty where they can, or where it has none that is known."""
    instance = find(instance_type)
    if instance is None or instance.gpu is None:
        return ""
    gpu = f"{instance_type} has {instance.gpu.name} GPUs (compute capability {_dotted(instance.gpu.capability)})"
    if version is None:
        return f"{gpu}, and the image names no CUDA (CUDA_VERSION): it may hold torch's CPU build"
    given = tuple(int(part) for part in version.split(".")[:2])
    if given >= DROPPED[0] and instance.gpu.capability < DROPPED[1]:
        return f"{gpu}, and the image's CUDA {version} has nothing for GPUs below {_dotted(DROPPED[1])}"
    first = FIRST.get(instance.gpu.capability)
    if first and given < first:
        return f"{gpu}, which CUDA knows from {_dotted(first)} on; the image has {version}"
    return ""


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
