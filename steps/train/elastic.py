"""torchrun for a job of several machines; a process that the system kills is told as that.

Command:  python -m steps.train.elastic, with torchrun's options
Inputs:   torchrun's own.
Outputs:  torchrun's; and the failure's reason where a process was killed.
Limits:   torchrun's store listens on every network interface: the network must be the job's alone.
"""

from __future__ import annotations

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import record

from steps.train.runtime import killed


def main(argv: list[str]) -> None:
    options = run.parse_args(argv)
    killed.told(lambda: record(run.run)(options))


if __name__ == "__main__":
    main(sys.argv[1:])
