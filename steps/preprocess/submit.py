"""Starts the Spark application of a step (Collect, Preprocess) on its image, and keeps the reason for which it failed.

Command:  python3 -m steps.preprocess.submit smspark-submit APPLICATION ARGUMENTS
Outputs:  what the application writes; the exit code of the command. SIGTERM is passed on to it.
Limits:   smspark-submit (github.com/aws/sagemaker-spark-container) starts the cluster, runs the application on the
          first instance and ends the others after it. It puts its words together with spaces and gives them to a shell
          (src/smspark/cli.py, job.py), so they are quoted for it. When the application fails, it writes its own command
          line over `output/message`, which is what SageMaker shows; the application's reason is in `output/failure`
          too, and is put back from there.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

from steps.shared import contract

IMAGES_OWN = "smspark-submit"


def main(command: list[str]) -> int:
    if Path(command[0]).name == IMAGES_OWN:
        command = [command[0], *map(shlex.quote, command[1:])]
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    code = child.wait()
    reason = contract.root() / "output" / "failure"
    if code != 0 and reason.is_file():
        reason.with_name("message").write_text(reason.read_text(encoding="utf-8"), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
