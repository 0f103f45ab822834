"""torchrun on one machine: its store listens on loopback alone, and its processes may start again."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from torch.distributed import run
from torch.distributed.elastic.rendezvous import RendezvousParameters

from steps.train import torchrun
from steps.train.runtime.tied import tied


def node(rank: int, nodes: int, port: int) -> torchrun.LoopbackRendezvous:
    endpoint = f"127.0.0.1:{port}"
    parameters = RendezvousParameters(torchrun.BACKEND, endpoint, "run", nodes, nodes, rank=str(rank))
    return torchrun.rendezvous(parameters)


def listening(port: int) -> set[str]:
    """The addresses at which this process listens on a port."""
    connections = psutil.Process().net_connections("tcp")
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN and one.laddr.port == port}


def test_processes_that_start_again_find_an_empty_store_on_loopback() -> None:
    single = node(0, 1, 0)
    first = single.next_rendezvous()
    first.store.set("key", "of the first start")
    again = single.next_rendezvous()
    assert (again.rank, again.world_size, again.bootstrap_store_info.master_addr) == (0, 1, "127.0.0.1")
    assert not again.store.check(["key"])
    assert listening(again.bootstrap_store_info.master_port) == {"127.0.0.1"}


def test_two_nodes_of_one_machine_share_a_store_on_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(lambda rank: node(rank, 2, port).next_rendezvous(), (0, 1))
    assert (first.rank, second.rank) == (0, 1)
    second.store.set("key", "of the second node")
    assert first.store.get("key") == b"of the second node"
    assert listening(port) == {"127.0.0.1"}


def test_an_address_of_another_machine_is_refused(forked) -> None:
    done = forked("-m", "steps.train.torchrun", "--nnodes=2", "--master-addr=algo-1", "script.py")
    assert done.returncode == 1
    assert done.stderr == (
        "error: --master-addr algo-1: this is for nodes on one machine, by addresses such as 127.0.0.1; for several "
        "machines use torchrun itself\n"
    )


@pytest.mark.parametrize("words", [["script.py", "--config"], ["--module", "steps.x"], ["--no-python", "program"]])
def test_a_process_is_started_as_torchrun_would_and_ends_with_torchrun(words: list[str]) -> None:
    options = run.parse_args(["--nproc-per-node=2", *words])
    _, program, arguments = run.config_from_args(options)
    torchrun._tie(options)
    _, tied_program, tied_arguments = run.config_from_args(options)
    ties = tied(signal.SIGKILL)
    assert [tied_program, *tied_arguments] == [*ties, program, *arguments]
