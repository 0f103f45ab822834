"""Merge a LoRA adapter into its base model, shard by shard, on a CPU.

Command:  python3 -m steps.merge --base DIR_OR_HUB_ID [--revision R] --adapter DIR --output DIR [--facts DIR]
          [--judged DIR]
Inputs:   --base: the original model (not its quantised form), a folder or a hub name; --adapter: what training wrote;
          --judged: where probes.json of the same training is, which the gate keeps apart from the adapter.
Outputs:  OUTPUT/: the base's weight files by the same names, their index, config.json, generation_config.json,
          tokenizer and chat template, and manifest.json (hashes, base and revision, adapter's hash, the comparison of
          logits), which comes last; FACTS/merged.json with the manifest's own hash, for the registration.
Limits:   LoRA, rsLoRA and DoRA on linear layers (Conv1D too) and embeddings, LoRA on experts and other parameters, with
          modules_to_save and biases; whatever else an adapter asks for is refused before anything is written.
          The comparison of logits takes the model in float32 into memory; without room for it, it is skipped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from steps.merge import judged
from steps.merge.fit.adapter import read_adapter
from steps.merge.fit.base import open_base
from steps.merge.logits import Check
from steps.merge.merge import merge
from steps.merge.write import output_folder
from steps.shared import contract, secrets, served_files


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m steps.merge", description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="folder of the base model, or its hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a hub model; ignored for a folder")
    parser.add_argument("--adapter", type=Path, required=True, help="folder with the adapter, as training wrote it")
    parser.add_argument("--output", type=Path, required=True, help="folder for the merged model: new, or empty")
    parser.add_argument("--facts", type=Path, help="folder for merged.json, which says the manifest's hash")
    parser.add_argument(
        "--check-logits", choices=("auto", "always", "never"), default="auto",
        help="compare the merged model with base + adapter on a few prompts (default: where the model fits in memory)",
    )  # fmt: skip
    parser.add_argument("--judged", type=Path, help="folder with probes.json, as the gate's decision/ (the adapter's)")
    options = parser.parse_args(argv)
    output_folder.check(options.output)
    adapter = read_adapter(options.adapter)  # before the base, which may be a long download
    check = Check(options.check_logits, judged.read(options.adapter, options.judged))
    secrets.load()
    merge(open_base(options.base, options.revision), adapter, options.output, check)
    if options.facts:
        digest = contract.sha256(options.output / output_folder.MANIFEST)
        contract.write_json(options.facts / "merged.json", {served_files.OF_MODEL: digest})


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
