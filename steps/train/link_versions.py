"""Tell MLflow of registered versions: tags at their runs, versions in its model registry, the alias `champion`.

Command:  python -m steps.train.link_versions --mlflow_uri URI < GROUP.json
Inputs:   standard input: what to tell (`tracking.versions.Group`), from the model package group.
Outputs:  standard output: what came of it (`tracking.versions.Linked`), JSON; exit code 1 where MLflow is not reached.
Limits:   MLflow alone; the pipeline's commands start it (pipeline/versions/linked.py).
"""

from __future__ import annotations

import argparse
import sys

from pydantic import ValidationError

from steps.shared import contract
from steps.shared.contract import StepError
from steps.train.tracking import mlflow_client, versions
from steps.train.tracking.settings import fault, login, without_password


def main(argv: list[str]) -> None:
    """
    Raises:
        StepError: the address or the input is none, or MLflow is not reached.
    """
    parser = argparse.ArgumentParser(prog="python -m steps.train.link_versions", description=__doc__.splitlines()[0])
    parser.add_argument("--mlflow_uri", required=True, help="MLflow's address")
    uri = parser.parse_args(argv).mlflow_uri
    if said := fault(uri):
        raise StepError(f"--mlflow_uri: {said}")
    try:
        group = versions.Group.model_validate_json(sys.stdin.read())
    except ValidationError as error:
        raise StepError(f"standard input: no group to link: {contract.in_one_line(error)}") from None
    try:
        found = versions.link(mlflow_client.connect(without_password(uri), login(uri)), group)
    except Exception as error:  # a client can raise anything: requests, boto3 and SQLAlchemy each their own
        raise StepError(f"MLflow is not reached: {contract.first_line(error)}") from None
    print(found.model_dump_json())


if __name__ == "__main__":
    sys.exit(contract.run(lambda: main(sys.argv[1:])))
