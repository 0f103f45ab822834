#!/usr/bin/env bash
# datasets 5.2.0: in a JSON Lines column that holds an object in one row and text in others, the text is parsed as JSON.
#
# Expected: "007" stays the text 007, "[1, 2]" stays text.
# Seen: the column gets the feature Json(), and reading it gives the number 7 and the list [1, 2]; only text that is no
# JSON stays text. The column beside it, which holds texts alone, keeps its "42".
# Why it matters: a file in which one rejected answer is a structured call turns the other rows' answers into numbers.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1 2>/dev/null
cat > show.py <<'PY'
import json

import datasets

assert datasets.__version__ == "5.2.0"
rows = [
    {"prompt": "Call the tool.", "chosen": "42", "rejected": {"name": "lookup"}},
    {"prompt": "Which agent?", "chosen": "7", "rejected": "007"},
    {"prompt": "Which two?", "chosen": "8", "rejected": "[1, 2]"},
    {"prompt": "Who?", "chosen": "9", "rejected": "nobody"},
]
with open("rows.jsonl", "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in rows)
data = datasets.load_dataset("json", data_files="rows.jsonl", split="train", cache_dir="cache")
print("chosen:  ", data.features["chosen"], data["chosen"][:])
print("rejected:", data.features["rejected"], data["rejected"][:])
assert data["chosen"][:] == ["42", "7", "8", "9"]
assert data["rejected"][:] == [{"name": "lookup"}, 7, [1, 2], "nobody"], "changed: text is kept now"
PY
HF_HUB_OFFLINE=1 HF_HOME="$work/hf" HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python show.py
