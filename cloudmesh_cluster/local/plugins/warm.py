"""Supervisord whose Python daemons start with their libraries already imported.

What the daemons need to start is, for the most part, the same two thousand modules in each.
Here the keeper imports them once, when the first such daemon is to start, and a daemon that is a
script of this folder runs in the process that the supervisor forked for it, where execve would
begin with nothing. And when the database is back after it died, nova-compute starts anew. All else
is supervisor's own: what runs when, signals, restarts, logs.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import os
import runpy
import signal
import sys
import threading
import traceback

from setproctitle import setproctitle, setthreadtitle
from supervisor import events, supervisord
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

HERE = os.path.dirname(os.path.abspath(__file__))
# What most of the daemons import. None of it starts a thread, keeps a file open, or knows which
# daemon it is in.
LIBRARIES = (
    "sqlalchemy.orm", "sqlalchemy.dialects.mysql.pymysql", "sqlalchemy.ext.declarative",
    "oslo_log.log", "oslo_db.sqlalchemy.enginefacade", "oslo_messaging",
    "oslo_messaging._drivers.impl_rabbit", "oslo_middleware", "oslo_policy.policy",
    "oslo_cache.core", "oslo_concurrency.processutils", "oslo_reports.guru_meditation_report",
    "oslo_versionedobjects.fields", "oslo_privsep.priv_context",
    "keystonemiddleware.auth_token", "keystoneclient.v3.client", "openstack.connection",
    "castellan.key_manager", "barbicanclient.v1.client", "neutronclient.v2_0.client",
    "glanceclient.v2.client", "cursive.signature_utils", "routes.middleware", "paste.deploy",
    "paste.urlmap", "jsonschema", "waitress", "osprofiler.web", "oauthlib.oauth1", "os_traits",
    "lxml.etree", "pygments.lexers",
)  # fmt: skip
DATABASE = "mariadb"
# What Nova was deleting when the database died goes on when nova-compute starts, and not before.
RESUMING = ("nova-compute",)
HANDLED = ("SIGTERM", "SIGQUIT", "SIGHUP", "SIGCHLD", "SIGUSR2")  # by the supervisor


class WarmOptions(ServerOptions):
    """The supervisor's doors to the system, two of them with our scripts in mind."""

    def check_execv_args(self, filename, argv, st):
        """Asked before each start, in the supervisor itself."""
        super().check_execv_args(filename, argv, st)
        if is_ours(argv):
            warm()

    def execve(self, filename, argv, env):
        """The last step of each start, in the new process."""
        if not is_ours(argv):
            return super().execve(filename, argv, env)
        run_here(argv, env)


class WarmSupervisor(supervisord.Supervisor):
    """The supervisor, which also knows who has to hear that the database died."""

    database_died = False

    def runforever(self):
        """Keep the daemons, until told to end."""
        # Not before: the start forgets who listens.
        events.subscribe(events.ProcessStateExitedEvent, self.has_died)
        events.subscribe(events.ProcessStateRunningEvent, self.runs)
        super().runforever()

    def has_died(self, event):
        """Remember that the database ended, and nobody had asked it to."""
        if event.process.config.name == DATABASE:
            self.database_died = True

    def runs(self, event):
        """End those that take up their work only when they start; they are then started."""
        if event.process.config.name != DATABASE or not self.database_died:
            return
        self.database_died = False
        for group in self.process_groups.values():
            for process in group.processes.values():
                if process.config.name in RESUMING and process.state == ProcessStates.RUNNING:
                    # Politely: what it is at, and can go on with, it ends first.
                    process.signal(signal.SIGTERM)


def is_ours(argv):
    """Whether a command is this very Python with a script of this folder."""
    return argv[0] == sys.executable and os.path.dirname(argv[1]) == HERE


@functools.cache
def warm():
    """Import the libraries, once; what cannot be imported, a daemon that needs it will tell."""
    gc.disable()
    with without_eventlet():
        for name in LIBRARIES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        # It reads what every installed distribution has to offer, and keeps it for all.
        importlib.import_module("stevedore").ExtensionManager("cm_cloud")
    gc.freeze()
    gc.enable()


@contextlib.contextmanager
def without_eventlet():
    """Let libraries choose threads, which is what the daemons run with.

    Nova refuses to start where eventlet was imported, and the libraries would do so.
    """
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    modules["eventlet"] = None
    backend = importlib.import_module("oslo_service.backend")
    backend.init_backend(backend.BackendType.THREADING)
    try:
        yield
    finally:
        del modules["eventlet"]


def run_here(argv, environ):
    """Be what execve of the command would have made of this process; never returns."""
    # First: it finds the command line in memory by the untouched environment behind it.
    setproctitle(" ".join(argv))
    setthreadtitle(environ["SUPERVISOR_PROCESS_NAME"])
    os.environ.clear()
    os.environ.update(environ)
    for name in HANDLED:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The supervisor keeps its own: closed, they would close 0, 1 and 2.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = text_stream(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = argv[1:]
    status = status_of(argv[1])
    # As the end of a program does.
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    os._exit(status)


def text_stream(number):
    """What Python makes of 0, 1 and 2 where LC_ALL and PYTHONUNBUFFERED are as in our services."""
    raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
    return io.TextIOWrapper(
        raw if number else io.BufferedReader(raw),
        encoding="utf-8",
        errors="backslashreplace" if number == 2 else "surrogateescape",
        write_through=True,
    )


def with_room(function):
    """Give a function a frame so large that those of all it calls lie in one piece with it.

    Python keeps frames in pieces of 16 KB. A loop that calls across the edge of one gets and
    gives back a piece with every call, which made Nova's API start two seconds later.
    """
    function.__code__ = function.__code__.replace(co_stacksize=33000)
    return function


@with_room
def status_of(script):
    """Run a script to its end; its exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    supervisord.ServerOptions = WarmOptions
    supervisord.Supervisor = WarmSupervisor
    supervisord.main()
