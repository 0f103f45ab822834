"""A workflow in the account of moto's server, and what leads a process or a client there."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
from moto.server import ThreadedMotoServer

from tests.conftest import ROOT

ACCOUNT = "123456789012"  # moto's
BUCKET = f"dpo-pipeline-{ACCOUNT}"


@contextmanager
def running() -> Iterator[str]:
    """The address of a server of moto's on loopback, with nothing in it: its state is the whole process's."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    reset(endpoint)
    yield endpoint
    server.stop()


def reset(endpoint: str) -> None:
    """Empty every service of a server of moto's."""
    urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")).close()


def write_settings(folder: Path) -> Path:
    """The quickstart's settings in moto's account, with a model that needs no making."""
    (folder / "recipes").mkdir()
    account = (ROOT / "configs" / "account.yaml").read_text().replace("111122223333", ACCOUNT)
    (folder / "account.yaml").write_text(account)
    recipe = (ROOT / "configs" / "recipes" / "quickstart.yaml").read_text()
    recipe = re.sub(r"model_id: .*", f"model_id: s3://{BUCKET}/models/tiny/", recipe)
    (folder / "recipes" / "quickstart.yaml").write_text(recipe)
    workflow = (ROOT / "configs" / "quickstart.yaml").read_text()
    workflow = re.sub(r"make_model: .*\n", "", workflow)
    workflow = workflow.replace("../steps/quickstart", str(ROOT / "steps" / "quickstart"))
    (folder / "quickstart.yaml").write_text(workflow)
    return folder / "quickstart.yaml"


def client(endpoint: str, service: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=endpoint, **keys)


def access(endpoint: str, home: Path) -> dict[str, str]:
    """The variables that lead a process to the server, and to no one's own configuration."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(home),
    }


class _Credentials(BaseHTTPRequestHandler):
    """Answers as the address does that AWS names to its containers."""

    def do_GET(self) -> None:
        hours = datetime.now(UTC) + timedelta(hours=6)
        keys = {"AccessKeyId": "test", "SecretAccessKey": "test", "Token": "token", "Expiration": hours.isoformat()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(keys).encode())

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def credentials() -> Iterator[str]:
    """The address that gives a job its credentials."""
    with HTTPServer(("127.0.0.1", 0), _Credentials) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/credentials"
        server.shutdown()
