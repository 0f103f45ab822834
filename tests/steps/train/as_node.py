"""Runs a script as a rank that is alone on a node of its own, which has a disk of its own.

Command:  python tests/steps/train/as_node.py SCRIPT WORD…, with the variables that torchrun sets
Inputs:   `{node}` in a word stands for nothing on the first node and for -1 on the second: folders of their own.
"""

from __future__ import annotations

import os
import runpy
import sys

node = os.environ["RANK"]
os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": node}
sys.argv = [word.replace("{node}", "" if node == "0" else f"-{node}") for word in sys.argv[1:]]
runpy.run_path(sys.argv[0], run_name="__main__")
