"""What every test gets: a home of its own, no cloud of yours, an embedded one on demand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cloudmesh_cluster.local.cloud import Home

ROOT = Path(__file__).resolve().parent.parent
REAL_HOME = Path.home()  # before any test has another
SOFTWARE = Path(
    os.environ.get("CM_CLOUD_SOFTWARE") or REAL_HOME / ".cloudmesh" / "cloud" / "software"
)
PRIVATE = tuple(
    str(REAL_HOME / name) for name in (".ssh/", ".cloudmesh/", ".config/openstack/", "clouds.yaml")
)
LIVE = bool(os.environ.get("CM_LIVE"))  # make live: the cloud that the environment names is meant
LEFT_OUT = pytest.StashKey[str]()

collect_ignore = [] if LIVE else ["live"]


def pytest_configure(config: pytest.Config) -> None:
    """Hide the developer's cloud, keys and settings, from fixtures of the session as well."""
    for name in list(os.environ):
        if name.startswith(("OS_", "CM_", "CLOUDMESH_")) and not LIVE:
            del os.environ[name]
    for name in ("SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "NO_COLOR"):
        os.environ.pop(name, None)
    sys.addaudithook(_refuse_private_files)
    # A job in a shell's background ignores Ctrl-C, and so would every program that a test starts.
    # And whoever ends the tests in another way wants them to take their cloud down as well.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler)


def _refuse_private_files(event: str, arguments: tuple[object, ...]) -> None:
    """Fail the test that opens what belongs to the developer."""
    if event != "open" or not isinstance(arguments[0], str):
        return
    path = arguments[0]
    if path.startswith(PRIVATE) and not path.startswith(str(SOFTWARE)):
        raise PermissionError(f"a test must not open {path}")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The HOME of this test alone."""
    place = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The variables with which clients find the embedded OpenStack, up as long as tests run."""
    from cloudmesh_cluster.local import cloud as local

    home = local.Home(state=ROOT / "build" / "test-cloud", software=SOFTWARE)
    with _guarded(home):
        try:
            local.up(home, print)
            _delete_leftovers(local.exports(home), tmp_path_factory.mktemp("nobody"))
            yield local.exports(home)
        finally:
            local.down(home, print)


@pytest.fixture(scope="session")
def guarded() -> Callable[..., AbstractContextManager[None]]:
    """For a cloud of a test's own: within it, the cloud does not outlive the tests."""
    return _guarded


@contextmanager
def _guarded(home: Home, *options: str) -> Iterator[None]:
    """Have somebody take the cloud down in case that these tests are killed before they do."""
    words = [sys.executable, ROOT / "tests" / "guard.py", home.state, home.software, *options]
    (ROOT / "build").mkdir(exist_ok=True)
    with (
        (ROOT / "build" / "guard.log").open("a") as log,
        # In a session of its own, where no Ctrl-C comes.
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        ) as guard,
    ):
        yield
        assert guard.stdin
        guard.stdin.write(b"down")


def _delete_leftovers(exports: Mapping[str, str], home: Path) -> None:
    """Delete clusters of tests that were killed: their names must be free."""
    cm = [sys.executable, "-m", "cloudmesh_cluster", "cluster"]
    environ = {**os.environ, **exports, "HOME": str(home)}  # your workspaces are not ours to tidy
    rows = subprocess.check_output([*cm, "list", "--format=json"], env=environ, stdin=DEVNULL)
    if names := [row["name"] for row in json.loads(rows)]:
        subprocess.check_call([*cm, "delete", *names], env=environ, stdin=DEVNULL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the embedded cloud where that cannot run."""
    for item in items:
        if "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker("cloud")
            if os.environ.get("CI"):  # once more, and the summary names it: RERUN
                item.add_marker(pytest.mark.flaky(reruns=1))
    # Last of all: what breaks the cloud's services may leave it slower for others.
    items.sort(key=lambda item: "faults" in item.path.parts)
    reason = _no_cloud_because()
    left_out = [item for item in items if reason and item.get_closest_marker("cloud")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        config.stash[LEFT_OUT] = (
            f"left out: {len(left_out)} tests on the embedded cloud, because {reason}"
        )


def _no_cloud_because() -> str:
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "this is not root"
    return ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was wrong with each test that was tried once more: the second try may fail otherwise."""
    for one in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"first try of {one.nodeid}")
        terminalreporter.line(one.longreprtext[-4000:])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of all: what was left out, and why."""
    said = config.stash.get(LEFT_OUT, "")
    if said:
        print(said)
