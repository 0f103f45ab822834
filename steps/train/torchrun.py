"""torchrun for the processes of one machine, where nothing listens to the network.

Command:  python -m steps.train.torchrun --nproc-per-node N steps/train/train.py --config FILE [--key value …]
          for several nodes on this machine also --nnodes, --node-rank, --master-addr 127.0.0.1, --master-port
Inputs:   torchrun's own options; those of the rendezvous are set here.
Outputs:  torchrun's: exit code, the processes' variables, the report of a process that failed, restarts. No process
          outlives it (on Linux).
Limits:   one machine; for several use torchrun itself, on a network that is theirs alone.

The processes of a training find each other through a store, a server that torchrun keeps for them. torchrun lets it
listen on every network interface, and torch's processes ask nobody who they are and run what they are sent
(github.com/pytorch/pytorch, SECURITY.md, "Using distributed features"). Here the store gets a socket of a loopback
address alone, and gloo and NCCL get that interface.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys

from torch.distributed import TCPStore, run
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.elastic.rendezvous import RendezvousInfo, RendezvousParameters, rendezvous_handler_registry
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

from steps.train.runtime import killed
from steps.train.runtime.tied import tied

BACKEND = "loopback"  # torchrun's name for what `LoopbackRendezvous` does
INTERFACE = "lo" if sys.platform == "linux" else "lo0"
SECONDS = 600  # that the nodes wait for each other


class LoopbackRendezvous(StaticTCPRendezvous):
    """torchrun's static rendezvous, but that the store of node 0 listens on one loopback address."""

    def get_backend(self) -> str:
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        """The store and this node's place. Processes that start again on a single node get a new store, an empty one.

        Raises:
            OSError: the port is taken.
        """
        if self.world_size == 1:
            self._store, self.master_port = None, 0
        if self.rank == 0 and self._store is None:
            self._store = self._listen()
        return super().next_rendezvous()

    def _listen(self) -> TCPStore:
        listening = socket.create_server((self.master_addr, self.master_port))
        self.master_port = listening.getsockname()[1]
        return TCPStore(
            self.master_addr, self.master_port, self.world_size, is_master=True, timeout=self.timeout,
            multi_tenant=True, master_listen_fd=listening.detach(),
        )  # fmt: skip


def rendezvous(parameters: RendezvousParameters) -> LoopbackRendezvous:
    """The rendezvous of torchrun's options."""
    address, _, port = parameters.endpoint.rpartition(":")
    rank = int(parameters.config["rank"])
    return LoopbackRendezvous(address, int(port), rank, parameters.max_nodes, parameters.run_id, SECONDS)


def _tie(options: argparse.Namespace) -> None:
    """Have each process end with this one: its session is its own, and a signal to this one's group misses it."""
    if not (words := tied(signal.SIGKILL)):
        return
    python: list[str] = [] if options.no_python else [sys.executable, "-u", *(["-m"] if options.module else [])]
    given: list[str] = [options.training_script, *options.training_script_args]
    program, *rest = [*words, *python, *given]
    options.no_python, options.module = True, False
    options.training_script, options.training_script_args = program, rest


def main(argv: list[str]) -> None:
    options = run.parse_args(argv)
    if not options.master_addr.startswith("127."):
        sys.exit(
            f"error: --master-addr {options.master_addr}: this is for nodes on one machine, by addresses such as "
            "127.0.0.1; for several machines use torchrun itself"
        )
    options.standalone, options.rdzv_backend = False, BACKEND
    options.rdzv_endpoint = f"{options.master_addr}:{options.master_port or 0}"
    options.rdzv_conf, options.node_rank = f"rank={options.node_rank}", 0  # torchrun warns of the latter
    _tie(options)
    os.environ |= {"GLOO_SOCKET_IFNAME": INTERFACE, "NCCL_SOCKET_IFNAME": INTERFACE}
    rendezvous_handler_registry.register(BACKEND, rendezvous)
    killed.told(lambda: record(run.run)(options))


if __name__ == "__main__":
    main(sys.argv[1:])
