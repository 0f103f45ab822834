"""Stands in for `steps.answer --stay`: `load` ends while it loads, anything else at the first request."""

import sys

if __name__ == "__main__":
    if sys.argv[1] == "load":
        sys.exit(3)
    print('{"ready": true}', flush=True)
    sys.stdin.readline()
    print('{"text": "half an an', end="", flush=True)
    sys.exit(4)
