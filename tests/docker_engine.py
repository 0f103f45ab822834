"""A Docker engine of the tests' own, and a base image that stands for Python's and AWS's: no registry is reached.

The engine has its own socket and data folder, and ends with the tests. The base is a minimal Debian, kept between runs
as an archive; of this machine it gets the certificates and the wheel of torch's CPU build. Whatever is missing for that
(root, apt, a kernel that lets an engine run) is `Unavailable` with its reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.paths import ROOT

PACKAGES = ("docker.io", "iptables", "debootstrap")
SUITE = "bookworm"
CERTIFICATES = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BARE, BASE = "dpo-test-bare", "dpo-test-base"
START_SECONDS = 20
# What the base says of itself: where certificates are, and that its pip may install into the system's Python.
ENVIRONMENT = {
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_CERT": BUNDLE,
    "SSL_CERT_FILE": BUNDLE,
    "REQUESTS_CA_BUNDLE": BUNDLE,
}


class Unavailable(Exception):
    """Why there can be no engine or no base image on this machine."""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """An engine with all its state in `folder`, as the variables that lead the docker CLI to it.

    Raises:
        Unavailable: this machine cannot run one.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Unavailable("an engine is started as root, on Linux")
    _install()
    socket, pid = folder / "docker.sock", folder / "docker.pid"
    places = {"--data-root": folder / "data", "--exec-root": folder / "exec", "--pidfile": pid}
    command = ["dockerd", *(f"{option}={path}" for option, path in places.items()), "-H", f"unix://{socket}"]
    host = {"DOCKER_HOST": f"unix://{socket}"}
    with open(folder / "dockerd.log", "wb") as log:
        engine = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(engine, host, folder / "dockerd.log")
            yield host
        finally:
            engine.send_signal(signal.SIGTERM)
            engine.wait(timeout=30)
            for mount in _mounts(folder):
                subprocess.run(["umount", mount], check=False)


def make_bare(host: Mapping[str, str], folder: Path) -> None:
    """Make the image BARE: a Debian with Python.

    Raises:
        Unavailable: an archive of Debian is not to be had.
    """
    archive = _archive(folder)
    changes = [word for key, value in ENVIRONMENT.items() for word in ("--change", f"ENV {key}={value}")]
    docker(host, "import", *changes, str(archive), BARE)


def make_base(host: Mapping[str, str], folder: Path) -> None:
    """Make the image BASE: with torch's CPU build, installed by the version and hash that the processing image locks.

    AWS's base brings torch to the training image; for the processing image it saves the tests a second install.

    Raises:
        Unavailable: the wheel is not to be had.
    """
    lock = (ROOT / "containers/processing/requirements.lock").read_text()
    pinned = re.search(r"^torch==(\S+)( \\\n\s+--hash=\S+)+", lock, re.MULTILINE)
    assert pinned, "the processing image locks no torch"
    wheels = folder / "wheels"
    index = (
        ["--extra-index-url", "https://download.pytorch.org/whl/cpu"] if not os.environ.get("PIP_FIND_LINKS") else []
    )
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    _try([*download, *index, f"torch=={pinned[1]}"], "torch's CPU wheel")
    (folder / "torch.lock").write_text(pinned[0] + "\n")
    install = "python3 -m pip install --no-cache-dir --no-index --find-links /tmp/wheels --no-deps --require-hashes"
    (folder / "Dockerfile").write_text(f"FROM {BARE}\nCOPY . /tmp/\nRUN {install} -r /tmp/torch.lock\n")
    docker(host, "build", "--tag", BASE, str(folder))


def docker(host: Mapping[str, str], *words: str) -> str:
    """What a docker command prints; one that fails fails the test with it."""
    done = subprocess.run(["docker", *words], env=os.environ | host, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {words[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def _install() -> None:
    if shutil.which("dockerd") and shutil.which("debootstrap") and shutil.which("docker"):
        return
    if not shutil.which("apt-get"):
        raise Unavailable("there is no dockerd, and no apt-get to install it with")
    install = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    if subprocess.run(install, capture_output=True, check=False).returncode != 0:
        _try(["apt-get", "update"], "Debian's package lists")
        _try(install, "Docker's packages")


def _try(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from None
    if done.returncode != 0:
        raise Unavailable(f"{what}: {(done.stderr or done.stdout).strip()[-300:]}")


def _wait(engine: subprocess.Popen[bytes], host: Mapping[str, str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and engine.poll() is None:
        info = subprocess.run(["docker", "info"], env=os.environ | host, capture_output=True, check=False)
        if info.returncode == 0:
            return
        time.sleep(0.2)
    raise Unavailable(f"dockerd does not start here: {log.read_text(errors='replace')[-300:]}")


def _archive(folder: Path) -> Path:
    """A minimal Debian with Python and this machine's certificates, from an earlier run where there was one."""
    certificates = sorted(CERTIFICATES.glob("*.crt"))
    key = hashlib.sha256(b"".join([SUITE.encode(), *(file.read_bytes() for file in certificates)])).hexdigest()[:12]
    kept = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dpo-tests" / f"{SUITE}-{key}.tar.gz"
    if kept.is_file():
        return kept
    rootfs = folder / "rootfs"
    include = "--include=ca-certificates,python3,python3-venv,python3-pip,netbase"
    _try(["debootstrap", "--variant=minbase", include, SUITE, str(rootfs)], "Debian's base system")
    shutil.copytree(CERTIFICATES, rootfs / CERTIFICATES.relative_to("/"), dirs_exist_ok=True)
    _try(["chroot", str(rootfs), "update-ca-certificates"], "certificates")
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = kept.with_suffix(f".{os.getpid()}")
    _try(
        ["tar", "--directory", str(rootfs), "--exclude=./var/cache/apt/archives/*.deb", "-czf", str(beside), "."], "tar"
    )
    os.replace(beside, kept)
    shutil.rmtree(rootfs)
    return kept


def _mounts(folder: Path) -> list[str]:
    """What a killed engine left mounted below its folder, the innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return sorted(
        (line.split()[1] for line in lines if re.match(rf"\S+ {re.escape(str(folder))}/", line)), reverse=True
    )
