"""Install a lock into the environment of the Python that runs this: with uv, in seconds where pip takes minutes.

Command:  python containers/locks/install.py LOCK [--else-index URL]
Inputs:   LOCK: every package with its version and the hashes of its files; what it does not name is not installed.
          --else-index: where to look when the configured indexes have not got them.
Limits:   uv reads no pip configuration, so what pip is told of indexes, folders of wheels, certificates and proxies, by
          files and by variables, is handed on. Where uv cannot install, pip does, and that is said with uv's reason.
          Python files are not compiled.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

UV = Path(sys.executable).with_name("uv")
SECTIONS = (":env:", "install", "global")  # of pip's configuration; the first that has a value counts
OPTIONS = {"index-url": "--default-index", "extra-index-url": "--index", "find-links": "--find-links",
           "trusted-host": "--allow-insecure-host", "cert": "--cert"}  # fmt: skip
INDEXES = ("index-url", "extra-index-url", "find-links")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python containers/locks/install.py", description=__doc__.splitlines()[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("--else-index", metavar="URL", help="where to look for what is nowhere else")
    asked = parser.parse_args(argv)
    configured = read_configuration(pip("config", "list").stdout.splitlines())
    places = [configured]
    if asked.else_index:
        rest = {name: configured[name] for name in configured.keys() - set(INDEXES)}
        places.append(rest | {"index-url": asked.else_index})
    lock = ["--quiet", "--no-deps", "--require-hashes", "--requirement", str(asked.lock)]
    reason = "it is not in this environment"
    for place in places if UV.is_file() else ():
        if (done := uv(place, *lock)).returncode == 0:
            return 0
        reason = done.stderr.strip()
    print(f"uv cannot install {asked.lock.name}: {reason}\npip does, which takes minutes", file=sys.stderr)
    for words in ([], ["--isolated", "--index-url", asked.else_index])[: len(places)]:
        if (done := pip("install", *words, *lock)).returncode == 0:
            return 0
    print(done.stderr, file=sys.stderr)
    return done.returncode


def pip(*words: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words])


def run(command: list[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end; a line tells now and then that it goes on."""
    every = 4.0 if sys.stderr.isatty() else 60.0
    begun = time.monotonic()
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while True:
            try:
                said, errors = process.communicate(timeout=every)
            except subprocess.TimeoutExpired:
                print(f"installing {Path(command[-1]).name} · {time.monotonic() - begun:.0f} s", file=sys.stderr)
            else:
                return subprocess.CompletedProcess(command, process.returncode, said, errors)


def uv(configured: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(UV), "pip", "install", "--python", sys.executable, "--no-config", *uv_options(configured), *words]
    return run(command, uv_environment(configured))


def read_configuration(lines: Iterable[str]) -> dict[str, str]:
    """pip's settings by their names, from what `pip config list` prints: lines of `section.name='value'`."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in lines:
        key, equals, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if equals and section in found:
            found[section][name] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def uv_options(configured: Mapping[str, str]) -> list[str]:
    """What tells uv the same. A package may come from any of the indexes, as with pip; its hash is checked."""
    words = ["--index-strategy", "unsafe-best-match"]
    if configured.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        words.append("--no-index")
    for name, option in OPTIONS.items():
        given = configured.get(name, "")
        values = [given] if name in ("index-url", "cert") else given.split()
        words += [word for value in values if value for word in (option, value)]
    return words


def uv_environment(configured: Mapping[str, str]) -> dict[str, str]:
    """As pip does, the system's certificates are trusted; and its proxy is asked."""
    found = {"UV_SYSTEM_CERTS": "true"} | dict(os.environ)
    if proxy := configured.get("proxy"):
        found = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy} | found
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
