"""Take a test cloud down when the tests that used it are gone: guard.py STATE SOFTWARE [--purge].

Standard input is a pipe from them. It ends with the word "down" where they did it themselves, and
without it where they were killed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cloudmesh_cluster.local import cloud
from cloudmesh_cluster.model.errors import ClusterError

TRIES = 5


def main() -> int:
    """0 when the cloud is down."""
    state, software, *options = sys.argv[1:]
    if sys.stdin.read().endswith("down"):
        return 0
    print(f"whoever used {state} is gone", flush=True)
    home = cloud.Home(state=Path(state), software=Path(software))
    for _ in range(TRIES):
        try:
            cloud.down(home, lambda line: print(line, flush=True), purge="--purge" in options)
        except ClusterError as error:
            # What the killed ones had begun may still be at work.
            print(error, flush=True)
            time.sleep(5)
        else:
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
