#!/usr/bin/env python3
"""The command line's front door: `python pipeline.py --help`. Its body is the package of the same name."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
