"""Delete what an account test that was killed has left: `python -m tests.account .local/account-test/NAME.made`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.account.made import Made, unfinished


def main(words: list[str]) -> int:
    paths = [Path(word) for word in words] or unfinished()
    if missing := [str(path) for path in paths if not path.is_file()]:
        print(f"no such list: {', '.join(missing)}", file=sys.stderr)
        return 1
    left = [problem for path in paths for problem in Made(path).delete(print)]
    for problem in left:
        print(f"could not be deleted: {problem}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
