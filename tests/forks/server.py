"""The process that forks: it imports the named modules once, then runs a command in a child each time it is asked.

Command:  python -m tests.forks.server SOCKET MODULE…
Inputs:   connections on SOCKET; each sends one line of JSON (words, environment, folder, ranks, python) with two open
          files. A connection that closes ends its command, and what that started. Connections on SOCKET.users say
          nothing: the server ends when the last of them closes.
Outputs:  per connection, two lines: the id of the process that keeps the ranks, and the exit code.
Limits:   Linux; imports must start no thread: none lives on in a forked child.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import psutil

from pipeline.local.jobs.in_job.sitecustomize import VARIABLE, refusing

OF_ARROW = "jemalloc_bg_thd"  # the one thread that begins anew in a forked child, by its library's own doing
ENVIRONMENT = "environment-of-the-command"  # a file in memory, open in a forked command: its environment as JSON
USERS = ".users"  # after the socket's path: the socket of those who use the server
GRACE_SECONDS = 30  # that a rank has to end after another failed, as torchrun gives


def main(path: str, modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    threads = sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    assert len(threads) - threads.count(OF_ARROW) == 1, f"importing {modules} started threads: {threads}"
    gc.collect()
    gc.freeze()  # a child's collections leave the pages that it shares with this process alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children: they are removed as they end
    commands, users = listen(path), listen(path + USERS)
    print("ready", flush=True)
    waiting = selectors.DefaultSelector()
    for listening in (commands, users):
        waiting.register(listening, selectors.EVENT_READ)
    using: set[socket.socket] = set()
    while True:
        for key, _ in waiting.select():
            if key.fileobj is users:
                user, _ = users.accept()
                using.add(user)
                waiting.register(user, selectors.EVENT_READ)
            elif key.fileobj is commands:
                connection, _ = commands.accept()
                if os.fork() == 0:
                    for other in (commands, users, *using):
                        other.close()
                    return answer(connection)
                connection.close()
            else:
                waiting.unregister(key.fileobj)
                using.remove(key.fileobj)
                key.fileobj.close()
                if not using:
                    return


def listen(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    return listening


def answer(connection: socket.socket) -> None:
    """Start the ranks, keep them, and tell how the command ended; in a rank this is the command itself."""
    line, files, _, _ = socket.recv_fds(connection, 1 << 20, 2)
    request = json.loads(line)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.write(os.memfd_create(ENVIRONMENT), json.dumps(request["environment"]).encode())  # /proc shows the server's own
    ranks: list[int] = []
    for rank in range(max(1, request["ranks"])):
        child = os.fork()
        if child == 0:
            connection.close()
            return become(request, rank, files)
        ranks.append(child)
    connection.sendall(f"{os.getpid()}\n".encode())
    code = wait(ranks, connection)
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def wait(ranks: list[int], connection: socket.socket) -> int:
    """The exit code of the rank that failed first, 0 where none did; SIGTERM is passed on, as torchrun does."""
    living, first = {os.pidfd_open(rank): rank for rank in ranks}, 0

    def end(number: int) -> None:
        for rank in living.values():
            os.kill(rank, number)  # not waited for yet, so the number is still its own

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: end(received))
    signal.signal(signal.SIGALRM, lambda *_: end(signal.SIGKILL))
    while living:
        ready, _, _ = select.select([*living, connection], [], [])
        if connection in ready:  # whoever asked is gone
            for process in psutil.Process().children(recursive=True):
                process.kill()
            return -signal.SIGKILL
        for ended in ready:
            _, status = os.waitpid(living.pop(ended), 0)
            code = os.waitstatus_to_exitcode(status)
            if code != 0 and first == 0:
                first = code
                end(signal.SIGTERM)
                signal.alarm(GRACE_SECONDS)
    return first


def become(request: dict[str, Any], rank: int, files: list[int]) -> None:
    """Be the process that `python WORDS` starts."""
    with open(os.devnull) as nothing:
        for number, file in enumerate((nothing.fileno(), *files)):
            os.dup2(file, number)
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["ranks"]:
        os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank)})
    sys.executable = request["python"] or sys.executable
    if "PYTHONUNBUFFERED" in request["environment"]:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
        sys.stderr.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.chdir(request["folder"])
    if VARIABLE in os.environ and "coverage" not in sys.modules:  # which writes its figures into the checkout
        sys.addaudithook(refusing(json.loads(os.environ[VARIABLE])))
    try:
        run(request["folder"], request["words"])
        code = 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        raise
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
        if isinstance(asked.code, str):
            print(asked.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    leave(code)


def run(folder: str, words: list[str]) -> None:
    """What `python WORDS` runs."""
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path[0] = folder
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[0] = str(Path(words[0]).resolve().parent)
        runpy.run_path(words[0], run_name="__main__")


def leave(code: int) -> NoReturn:
    """End as Python does, but for the last thing it does: to free, object by object, the libraries that were loaded."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
