"""Break things while clusters are made, and count: python -m tests.faults [options].

Each worker has a cloud of its own in build/faults-cloudN. What each run said is in
build/faults/NUMBER.log.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import doing, model, working


def main(words: Sequence[str]) -> int:
    """0 when no run was broken and nothing is left of any."""
    options = _options(words)
    numbers = options.numbers or range(options.first, options.first + options.runs)
    runs = [model.run_of(options.seed, number) for number in numbers]
    if options.show:
        print(*runs, sep="\n")
        return 0
    for name in list(os.environ):
        if name.startswith(("OS_", "CM_", "CLOUDMESH_")) and name != "CM_CLOUD_SOFTWARE":
            del os.environ[name]
    for one in (signal.SIGINT, signal.SIGTERM):  # a shell's background ignores Ctrl-C
        signal.signal(one, signal.default_int_handler)
    working.LOGS.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    outcomes: list[doing.Outcome] = []
    try:
        for outcome in _all_done(runs, min(options.clouds, len(runs))):
            outcomes.append(outcome)
            print(f"[{len(outcomes)}/{len(runs)}] {outcome}", flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    print(summary(outcomes, time.monotonic() - begun, options), flush=True)
    good = len(outcomes) == len(runs) and not any(one.trouble or one.leaks for one in outcomes)
    return 0 if good else 1


def _options(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many (200)")
    parser.add_argument("--seed", type=int, default=1, help="of which series (1)")
    parser.add_argument("--first", type=int, default=1, help="the number of the first (1)")
    parser.add_argument("--numbers", type=int, nargs="+", help="these instead")
    parser.add_argument("--clouds", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--show", action="store_true", help="tell what the runs are, do nothing")
    return parser.parse_args(words)


def _all_done(runs: Sequence[model.Run], clouds: int) -> Iterable[doing.Outcome]:
    """What came of the runs, as they end; the workers take them in turn."""
    context = multiprocessing.get_context("spawn")
    waiting: Any = context.Queue()
    ended: Any = context.Queue()
    for run in runs:
        waiting.put(run)
    for _ in range(clouds):
        waiting.put(None)
    workers = [
        context.Process(target=working.work, args=(n, waiting, ended)) for n in range(clouds)
    ]
    for one in workers:
        one.start()
    try:
        left = clouds
        while left:
            outcome = ended.get()
            if outcome is None:
                left -= 1
            else:
                yield outcome
    except BaseException:
        for one in workers:
            if one.is_alive() and one.pid:
                os.kill(one.pid, signal.SIGINT)
        raise
    finally:
        for one in workers:
            one.join()


def summary(outcomes: Sequence[doing.Outcome], seconds: float, options: Any) -> str:
    """The figures."""
    asked: Counter[str] = sum((one.asked for one in outcomes), Counter())
    hit: Counter[str] = sum((one.hit for one in outcomes), Counter())
    leaks = sum(len(one.leaks) for one in outcomes)
    broken = sorted(one.run.number for one in outcomes if one.trouble or one.leaks)
    kinds = [f"  {kind:20} {asked[kind]:5} {hit[kind]:5}" for kind in model.KINDS]
    repeat = f"  (python -m tests.faults --seed={options.seed} --numbers N)" if broken else ""
    load = Path("/proc/loadavg").read_text().split()[1] if platform.system() == "Linux" else "?"
    return "\n".join(
        [
            "",
            f"runs    {len(outcomes)}, seed {options.seed}, in {seconds / 60:.0f} min",
            f"machine {os.cpu_count()} processors, load {load}",
            f"faults  {'':18} asked   hit",
            *kinds,
            f"  {'all':20} {asked.total():5} {hit.total():5}",
            f"leaks   {leaks}",
            f"broken  {len(broken)}: {' '.join(map(str, broken)) or 'none'}{repeat}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
