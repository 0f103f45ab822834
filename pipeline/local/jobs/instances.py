"""What a node has for an instance: resourceconfig.json as SageMaker writes it, and a share of this machine's GPUs."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from pipeline.local.jobs.engine import Group


def resource_config(group: Group, current: str, instance_type: str) -> dict[str, Any]:
    """resourceconfig.json of one node."""
    instances = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": group.hosts}
    return {
        "current_host": current,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": group.hosts,
        "instance_groups": [instances],
        "network_interface_name": group.interface,
    }


def gpus() -> list[str]:
    """The GPUs of this machine that a job may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip() not in ("", "-1")]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.split()


def shares(devices: list[str], nodes: int) -> list[list[str]]:
    """Each node's GPUs. Two nodes never share one: NCCL refuses that, so too few GPUs means none for anyone."""
    each = len(devices) // nodes
    return [devices[each * node : each * (node + 1)] for node in range(nodes)]
