"""CPU time of ``cm --help`` against bare Python and ``openstack --help``, taken in turns.

Promised: at most 3 times bare Python, and at least 25 times less than ``openstack --help``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROUNDS = 15
AT_MOST, AT_LEAST = 3.0, 25.0
BIN = Path(sys.executable).parent
COMMANDS = {
    "python3 -c pass": [sys.executable, "-c", "pass"],
    "cm --help": [str(BIN / "cm"), "--help"],
    "openstack --help": [str(BIN / "openstack"), "--help"],
}


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run, its children included."""
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print the medians and ratios; 1 when a promise is not kept."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):  # the first, which fills caches, is not counted
        for name, command in COMMANDS.items():
            times[name].append(cpu_seconds(command))
    bare, ours, theirs = (median(times[name][1:]) for name in COMMANDS)
    for name, seconds in zip(COMMANDS, (bare, ours, theirs), strict=True):
        print(f"{name:18} {1000 * seconds:8.1f} ms CPU (median of {ROUNDS})")
    print(f"cm --help / python3:          {ours / bare:6.2f}  (at most {AT_MOST:g})")
    print(f"openstack --help / cm --help: {theirs / ours:6.1f}  (at least {AT_LEAST:g})")
    return 0 if ours / bare <= AT_MOST and theirs / ours >= AT_LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
