#!/usr/bin/env bash
# sagemaker-mlflow 0.5.0 with mlflow 3.17.2: the plugin takes the tracking server's ARN from MLflow's global tracking URI,
# and never from the client that makes the request.
#
# Expected: MlflowClient(tracking_uri=ARN) speaks to that server; the documentation of MlflowClient says that its own URI
# is used instead of the global one.
# Seen: with another global URI (here SQLite, as in a default installation) the call ends in "IndexError: list index out
# of range", and no request arrives. With mlflow.set_tracking_uri(ARN) before it, the same call arrives: signed, with the
# ARN in a header. And while the plugin is installed, a client of an ordinary HTTP server logs a warning per request.
# Why it matters: code that keeps several clients, or that never sets the global URI, cannot log to SageMaker at all.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sagemaker-mlflow==0.5.0 mlflow==3.17.2 2>/dev/null
cat > show.py <<'PY'
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

os.environ.update(
    AWS_ACCESS_KEY_ID="example", AWS_SECRET_ACCESS_KEY="example", AWS_EC2_METADATA_DISABLED="true",
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_TRACKING_URI="sqlite:///global.db",
)
ARN = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/example"
asked = []


class Server(BaseHTTPRequestHandler):
    """Notes each request and answers that there is no such experiment."""

    def do_GET(self):
        asked.append(dict(self.headers))
        self.send_error(404)

    def log_message(self, *_):
        """Nothing on stderr."""


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
os.environ["SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT"] = address  # the plugin's own variable

import mlflow  # noqa: E402


def call(uri):
    asked.clear()
    try:
        mlflow.MlflowClient(tracking_uri=uri).get_experiment_by_name("example")
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:60]
    return "answered"


said = call(ARN)
print("client with an ARN, another global URI: ", said, "| requests:", len(asked))
assert said.startswith("IndexError: list index out of range") and not asked

warned = []
handler = logging.Handler()
handler.emit = lambda record: warned.append(record.getMessage())
logging.getLogger("mlflow.tracking.request_header.registry").addHandler(handler)
call(address)
print("client of an HTTP server:               ", warned[0], "| requests:", len(asked))
assert len(asked) == len(warned) == 1 and "list index out of range" in warned[0]

mlflow.set_tracking_uri(ARN)
call(ARN)
(headers,) = asked
print("the same client, the ARN as global URI: ", headers["Authorization"][:16], "…", headers["x-mlflow-sm-tracking-server-arn"])
assert headers["Authorization"].startswith("AWS4-HMAC-SHA256")
PY
venv/bin/python show.py 2>/dev/null
echo "as described"
