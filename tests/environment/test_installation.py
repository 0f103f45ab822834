"""How a lock gets into an environment: by uv, told what pip is told; by pip where uv cannot."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.paths import ROOT


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "containers" / "locks" / "install.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_variables_come_before_files_and_the_command_before_the_rest(install: ModuleType) -> None:
    lines = [
        ":env:.find-links='/wheels'",
        "global.find-links='/others'",
        "global.index-url='https://mirror/simple'",
        "install.index-url='https://for-install/simple'",
        "freeze.index-url='https://not-for-install/simple'",
        "global.extra-index-url='https://one/simple\\nhttps://two/simple'",
        "a line of a later pip",
    ]
    assert install.read_configuration(lines) == {
        "find-links": "/wheels",
        "index-url": "https://for-install/simple",
        "extra-index-url": "https://one/simple\nhttps://two/simple",
    }


def test_uv_is_told_what_pip_is_told(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = {
        "index-url": "https://mirror/simple", "extra-index-url": "https://one/simple\nhttps://two/simple",
        "find-links": "/a /b", "cert": "/etc/own ca.pem", "trusted-host": "mirror", "proxy": "http://proxy:3128",
        "no-index": "true", "timeout": "60",
    }  # fmt: skip
    assert install.uv_options(configured) == [
        "--index-strategy", "unsafe-best-match", "--no-index", "--default-index", "https://mirror/simple",
        "--index", "https://one/simple", "--index", "https://two/simple", "--find-links", "/a", "--find-links", "/b",
        "--allow-insecure-host", "mirror", "--cert", "/etc/own ca.pem",
    ]  # fmt: skip
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://of-the-shell")
    told = install.uv_environment(configured)
    assert (told["HTTP_PROXY"], told["HTTPS_PROXY"]) == ("http://of-the-shell", "http://proxy:3128")


def test_a_long_installation_tells_that_it_goes_on(install: ModuleType, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    given = subprocess.Popen.communicate

    def hurried(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
        assert timeout == 4
        return given(process, timeout=0.2)

    monkeypatch.setattr(subprocess.Popen, "communicate", hurried)
    done = install.run([sys.executable, "-c", "import time; print('out'); time.sleep(0.7)", "some.lock"])
    assert (done.returncode, done.stdout) == (0, "out\n")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2 and all(line.startswith("installing some.lock · ") for line in lines)


class World:
    """An environment, a folder with one wheel, a lock of it, and a pip that only notes what it is asked."""

    def __init__(self, folder: Path, install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install, self.lock, self.asked = install, folder / "some.lock", []
        wheels = folder / "wheels"
        wheels.mkdir()
        wheel = wheels / "tiny_package-1.0-py3-none-any.whl"
        info = "tiny_package-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr("tiny_package.py", "found = True\n")
            file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.0\n")
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
        self.digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        self.configured = [f":env:.find-links='{wheels}'", ":env:.no-index='1'"]
        venv.create(folder / "env", symlinks=True)
        self.python = folder / "env" / "bin" / "python"
        monkeypatch.setattr(install, "UV", Path(pytest.importorskip("uv").find_uv_bin()))
        monkeypatch.setattr(sys, "executable", str(self.python))
        monkeypatch.setattr(install, "pip", self.pip)
        monkeypatch.setenv("UV_CACHE_DIR", str(folder / "cache"))

    def pip(self, *words: str) -> subprocess.CompletedProcess[str]:
        self.asked.append(words[:2])
        return subprocess.CompletedProcess(words, 0, "\n".join(self.configured), "")

    def run(self, digest: str, *options: str) -> int:
        self.lock.write_text(f"tiny-package==1.0 \\\n    --hash=sha256:{digest}\n")
        return self.install.main([str(self.lock), *options])

    def installed(self) -> bool:
        done = subprocess.run([self.python, "-c", "import tiny_package"], capture_output=True, check=False)
        return done.returncode == 0


@pytest.fixture
def world(tmp_path: Path, install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, install, monkeypatch)


def test_what_a_lock_names_is_installed_from_where_pip_would_look(world: World) -> None:
    assert world.run(world.digest) == 0
    assert world.installed()
    assert world.asked == [("config", "list")]


def test_a_file_with_another_hash_is_not_installed_and_pip_is_asked(world: World, capsys) -> None:
    assert world.run(64 * "0") == 0
    assert not world.installed()
    said = capsys.readouterr().err
    assert said.startswith("uv cannot install some.lock: ") and said.endswith("pip does, which takes minutes\n")
    assert world.asked == [("config", "list"), ("install", "--quiet")]


def test_without_uv_pip_is_asked_and_that_is_said(world: World, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(world.install, "UV", tmp_path / "uv")
    assert world.run(world.digest) == 0
    said = "uv cannot install some.lock: it is not in this environment\npip does, which takes minutes\n"
    assert capsys.readouterr().err == said
    assert world.asked == [("config", "list"), ("install", "--quiet")]


def test_what_the_configured_places_have_not_got_comes_from_the_other_index(world: World, tmp_path: Path) -> None:
    simple = tmp_path / "other" / "tiny-package"
    simple.mkdir(parents=True)
    (wheel,) = (tmp_path / "wheels").iterdir()
    wheel.rename(simple / wheel.name)
    (simple / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>')
    world.configured = [world.configured[0]]
    world.configured.append(f"global.index-url='{(tmp_path / 'wheels').as_uri()}'")
    assert world.run(world.digest, "--else-index", simple.parent.as_uri()) == 0
    assert world.installed()
