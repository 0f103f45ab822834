#!/usr/bin/env bash
# datasets 5.2.0: Dataset.from_generator answers from its cache after the file that the generator reads has changed.
#
# Expected: the generator runs in each new process, or the cache notices the change, as load_dataset("json") does for the
# same file.
# Seen: in a second process, after the file was rewritten, from_generator gives the first content without running the
# generator; load_dataset("json") gives the new one. The cache's key is made of the generator's code and its arguments.
# Why it matters: the second training is on the first one's data, and the log says nothing.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1 2>/dev/null
cat > show.py <<'PY'
import json

import datasets

assert datasets.__version__ == "5.2.0"


def rows(path):
    with open(path) as file:
        yield from map(json.loads, file)


made = datasets.Dataset.from_generator(rows, gen_kwargs={"path": "rows.jsonl"})
loaded = datasets.load_dataset("json", data_files="rows.jsonl", split="train")
print("from_generator", made["chosen"][:], "load_dataset", loaded["chosen"][:])
PY
export HF_HUB_OFFLINE=1 HF_HOME="$work/hf" HF_DATASETS_DISABLE_PROGRESS_BARS=1
printf '{"chosen": "first"}\n' > rows.jsonl
before=$(venv/bin/python show.py 2>/dev/null)
printf '{"chosen": "second"}\n{"chosen": "third"}\n' > rows.jsonl
after=$(venv/bin/python show.py 2>/dev/null)
echo "first content: $before"
echo "new content:   $after"
[ "$before" = "from_generator ['first'] load_dataset ['first']" ]
[ "$after" = "from_generator ['first'] load_dataset ['second', 'third']" ] || { echo "changed: the new rows are read"; exit 1; }
