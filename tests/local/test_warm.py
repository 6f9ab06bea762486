"""The keeper that has imported the daemons' libraries: what a daemon of it sees."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cloudmesh_cluster.local.config import PLUGINS

pytestmark = pytest.mark.cloud
SCRIPT = """
import atexit, json, os, signal, sys, threading
seen = {
    "argv": sys.argv, "path": sys.path, "name": __name__, "environ": dict(os.environ),
    "signals": {int(one): str(signal.getsignal(one)) for one in signal.valid_signals()},
    "streams": [
        (one.fileno(), one.encoding, one.errors, one.write_through)
        for one in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "threads": threading.active_count(), "cwd": os.getcwd(),
}
seen["environ"].pop("LC_CTYPE", None)
atexit.register(lambda: print("the end", flush=True))
threading.Timer(0.2, lambda: print("a thread")).start()
print(json.dumps(seen))
sys.exit(3)
"""
# As the supervisor does: the same fork, and handlers of its own.
START = """
import os, signal, sys, warm
how, script, argument = sys.argv[1:]
if how == "here":
    warm.warm()
argv = [sys.executable, script, argument]
environ = {"PATH": "/bin", "PYTHONUNBUFFERED": "1", "SUPERVISOR_PROCESS_NAME": "one",
           "PYTHONPATH": os.environ["PYTHONPATH"], "LC_ALL": "C.UTF-8"}
for one in (*warm.HANDLED, "SIGINT"):
    signal.signal(getattr(signal, one), lambda *_: None)
sys.path[0] = os.path.dirname(script)
for _ in range(int(os.environ.get("TIMES", 1))):
    child = os.fork()
    if not child:
        warm.run_here(argv, environ) if how == "here" else os.execve(argv[0], argv, environ)
    status = os.waitpid(child, 0)[1]
os._exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(scope="module")
def python(cloud: dict[str, str], request: pytest.FixtureRequest) -> Path:
    """The Python of the OpenStack venv."""
    plugins = request.config.pluginmanager.get_plugins()
    software = next(one.SOFTWARE for one in plugins if hasattr(one, "SOFTWARE"))
    return Path(software) / "venv/bin/python3"


def ran(python: Path, *words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """What the venv's Python printed, with the plug-ins to import."""
    return subprocess.run(
        [python, *map(str, words)],
        env={"PYTHONPATH": str(PLUGINS), "PATH": "/bin", "LC_ALL": "C.UTF-8"}
        | {"PYTHONUNBUFFERED": "1"}
        | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def started(python: Path, how: str, script: Path, **environ: str) -> tuple[int, str, str]:
    """Exit status and output of a script that was started here, or by execve."""
    done = ran(python, "-c", START, how, script, "an argument", **environ)
    return done.returncode, done.stdout, done.stderr


def test_every_library_can_be_imported(python: Path) -> None:
    code = "import importlib, warm; [importlib.import_module(one) for one in warm.LIBRARIES]"
    done = ran(python, "-W", "ignore", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")


def test_warming_leaves_nothing_that_a_fork_would_share(python: Path) -> None:
    code = """
import json, logging, os, sys, warm
def held(): return sorted(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
before = held()
warm.warm()
green = [name for name in sys.modules if name.startswith("eventlet")]
print(json.dumps([before == held(), green, logging.root.handlers]))
"""
    assert json.loads(ran(python, "-c", code).stdout) == [True, [], []]


def test_a_script_sees_and_ends_as_if_it_had_been_executed(python: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    executed = started(python, "execve", script)
    assert executed[0] == 3
    assert executed[1].splitlines()[1:] == ["a thread", "the end"]
    assert json.loads(executed[1].splitlines()[0])["argv"] == [str(script), "an argument"]
    assert started(python, "here", script) == executed


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("raise ValueError('told')", 1, "ValueError: told"),
        ("import sys; sys.exit('told')", 1, "told"),
        ("pass", 0, ""),
    ],
)
def test_a_script_that_fails_tells_it(
    python: Path, tmp_path: Path, line: str, status: int, said: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(line)
    for how in ("here", "execve"):
        found = started(python, how, script)
        assert found[0] == status
        assert (found[2].strip().splitlines() or [""])[-1] == said


def test_what_should_be_random_differs_from_daemon_to_daemon(python: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, random, ssl, tempfile, uuid\n"
        "print(random.random(), uuid.uuid4(), uuid.uuid1(), ssl.RAND_bytes(8), "
        "os.path.basename(tempfile.mktemp()))\n"
    )
    lines = started(python, "here", script, TIMES="4")[1].splitlines()
    columns = zip(*(line.split(" ") for line in lines), strict=True)
    assert [len(set(column)) for column in columns] == [4, 4, 4, 4, 4]
