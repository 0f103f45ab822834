"""One of two ranks, each with a folder of its own: brings files of the first one's to the other, or fails with it.

Command:  python -m tests.steps.train.runtime.on_two_nodes share|collect|fail|full FOLDER, with torchrun's variables
Outputs:  FOLDER/RANK, and FOLDER/said-RANK: what was copied, or the error.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import torch.distributed as dist

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.runtime import nodes, ranks

what, place = sys.argv[1], Path(sys.argv[2])
rank = os.environ["RANK"]
said = place / f"said-{rank}"
os.environ["LOCAL_RANK"] = "0"
nodes.CHUNK = 1000
dist.init_process_group("gloo")


def refuse() -> None:
    raise StepError(f"the first rank, {rank}, has a reason")


def main() -> None:
    if what == "share":
        first = place / "0"
        files = {path.name: contract.sha256(path) for path in sorted(first.iterdir())}
        said.write_text(str(nodes.share(place / rank, files)))
    elif what == "collect":
        nodes.collect(place / rank, f"state_{rank}")
    elif what == "fail":
        ranks.done_by_first(refuse)
    else:
        with ranks.failing_together():
            if rank == "0":
                raise OSError(errno.ENOSPC, "No space left on device", "optimizer.bin")


try:
    main()
except StepError as error:
    said.write_text(str(error))
dist.barrier()
dist.destroy_process_group()
