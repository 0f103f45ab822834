#!/usr/bin/env bash
# mlflow 3.17.2: a second log_table to the same JSON table rewrites the text that the first one stored: "007" becomes 7,
# "1e3" becomes 1000.0.
#
# Expected: appending a row leaves the rows in the artifact as they are, and load_table gives the text that was logged.
# Seen: a text column whose values all look like numbers comes back as numbers from load_table, and an append writes
# those numbers into the artifact, leaving the new row's text beside them: 7, "007". One value that is other text keeps
# the column. A ".parquet" table keeps all text.
# Why it matters: a table of prompts, answers and expected answers changes with each batch that is logged; an exact match
# against "02139" then fails for the rows of the first batches, and what was logged is gone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mlflow==3.17.2 2>/dev/null
cat > show.py <<'PY'
import json
import os
import pathlib

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
import mlflow  # noqa: E402

assert mlflow.__version__ == "3.17.2"
mlflow.set_tracking_uri("sqlite:///runs.db")
mlflow.create_experiment("example", artifact_location=pathlib.Path("artifacts").absolute().as_uri())
mlflow.set_experiment("example")
FIRST = {"answer": ["007", "02139"], "figure": ["1e3", "1.50"], "word": ["007", "none"]}
MORE = {"answer": ["007"], "figure": ["1e3"], "word": ["007"]}
seen = {}
for kind in ("json", "parquet"):
    name = f"table.{kind}"
    with mlflow.start_run() as run:
        stored = pathlib.Path(run.info.artifact_uri.removeprefix("file://")) / name

        def load(name=name, run=run):
            return mlflow.load_table(name, run_ids=[run.info.run_id]).to_dict("list")

        mlflow.log_table(FIRST, name)
        if kind == "json":
            seen["stored at first"] = json.loads(stored.read_text())["data"]
        seen[f"{kind} loaded"] = load()
        mlflow.log_table(MORE, name)
        if kind == "json":
            seen["stored after more"] = json.loads(stored.read_text())["data"]
        seen[f"{kind} loaded after more"] = load()
for what, value in seen.items():
    print(f"{what}: {value}")
assert seen["stored at first"] == [["007", "1e3", "007"], ["02139", "1.50", "none"]]
assert seen["json loaded"] == {"answer": [7, 2139], "figure": [1000.0, 1.5], "word": ["007", "none"]}, "changed: loads text"
after = [[7, 1000.0, "007"], [2139, 1.5, "none"], ["007", "1e3", "007"]]
assert seen["stored after more"] == after, "changed: an append leaves what was stored"
assert seen["parquet loaded after more"] == {name: FIRST[name] + MORE[name] for name in FIRST}
PY
venv/bin/python show.py 2>/dev/null
