"""Measure a recipe's model, from its configuration alone, and print one JSON object.

Command:  python -m steps.train.footprint --model CONFIG_OR_FOLDER < RECIPE.json
Inputs:   a model's config.json or its folder; on standard input the recipe, as TrainArguments writes it.
Outputs:  footprint: the numbers of `sizes.Footprint`, or null; unknown: why; shares: sentences on what becomes 4-bit
          and gets adapters; refused: what cannot be trained so, or null.
Limits:   runs none of the code that comes with a model, and downloads nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
import warnings
from typing import Any

from steps.shared.contract import StepError
from steps.train.arguments import TrainArguments
from steps.train.model.shape import MOST_LAYERS

COUNTS = re.compile(r"layers?$|experts$|blocks$|depth$")  # ends of the names of what a configuration has many of


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m steps.train.footprint", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="config.json, or the folder that it lies in")
    options = parser.parse_args(argv)
    recipe = TrainArguments.model_validate_json(sys.stdin.read())
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    print(json.dumps(found(recipe, options.model)))


def found(recipe: TrainArguments, model: str) -> dict[str, Any]:
    """What is told of a recipe and a model; see this module's first lines."""
    from steps.train.footprint.measure import CannotMeasure, measure
    from steps.train.model.base_config import read_config, without_randomness
    from steps.train.model.lora import try_on

    told: dict[str, Any] = {"footprint": None, "unknown": None, "shares": [], "refused": None}
    arguments = recipe.model_copy(update={"model_id": model, "model_revision": None, "trust_remote_code": False})
    if recipe.attn_implementation == "flash_attention_2":  # which this machine need not have
        arguments = arguments.model_copy(update={"attn_implementation": "auto"})
    try:
        config = read_config(arguments)
        _refuse_absurd(model, config.to_dict())
        without_randomness(config)
        trial = try_on(arguments.model_copy(update={"load_in_4bit": True}), config)
        told["shares"] = trial.fitted.coverage.sentences(arguments)
        told["footprint"] = dataclasses.asdict(measure(arguments, trial))
    except StepError as error:
        told["refused"] = str(error)
    except CannotMeasure as error:
        told["unknown"] = str(error)
    return told


def _refuse_absurd(model: str, config: dict[str, Any]) -> None:
    """
    Raises:
        StepError: the configuration has more layers or experts than a model can: each is built, if without weights.
    """
    for key, value in config.items():
        if isinstance(value, dict):
            _refuse_absurd(model, value)
        elif COUNTS.search(str(key)) and isinstance(value, int) and value > MOST_LAYERS:
            raise StepError(f"{model}: {key}: {value:,}: must be at most {MOST_LAYERS:,}")


if __name__ == "__main__":
    main(sys.argv[1:])
