"""A worker: a cloud of its own, and the runs that it does on that."""

from __future__ import annotations

import signal
import traceback
from typing import Any

from cloudmesh_cluster.local import cloud

from ..conftest import ROOT, SOFTWARE, _delete_leftovers, _guarded
from . import doing

LOGS = ROOT / "build" / "faults"


def work(number: int, waiting: Any, ended: Any) -> None:
    """Take runs and do them on a cloud of this worker's own."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.default_int_handler)
    home = cloud.Home(state=ROOT / "build" / f"faults-cloud{number}", software=SOFTWARE)
    scratch = LOGS / f"scratch{number}"
    scratch.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        print(f"cloud {number}: {line}", flush=True)

    try:
        with _guarded(home):
            try:
                cloud.up(home, say)
                _delete_leftovers(cloud.exports(home), scratch)
                site = doing.Site(home, scratch, say)
                site.pace = doing.measured(site)
                say(f"commands take {site.pace:.1f} times as long as usual")
                while (run := waiting.get()) is not None:
                    outcome = doing.done(run, site)
                    (LOGS / f"{run.number}.log").write_text(
                        "\n".join([str(outcome), *outcome.said, outcome.trouble, ""])
                    )
                    ended.put(outcome)
            finally:
                cloud.down(home, say)
    except BaseException:
        say(traceback.format_exc())
    finally:
        ended.put(None)
