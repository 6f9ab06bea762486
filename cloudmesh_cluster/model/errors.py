"""What can go wrong: one base, and a child where someone catches it or its exit status differs."""

from __future__ import annotations

from enum import IntEnum

from cloudmesh_cluster.model import codes


class ExitStatus(IntEnum):
    """How the program ends, for scripts."""

    DONE = 0  # done, or nothing to do
    FAILED = 1  # the cloud, a node or a file failed us
    USAGE = 2  # the words of the command are off
    UNVERIFIED = 3  # a check did not pass
    INTERRUPTED = 130  # Ctrl-C, as shells report it (128 + SIGINT)


class ClusterError(Exception):
    """The problem in the words of whoever had it, what to do next, a code of model/codes.py."""

    exit_status = ExitStatus.FAILED
    code = codes.UNKNOWN
    more = ""  # the command that tells more of it

    def __init__(self, problem: str, next_step: str = "", *, code: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step
        self.code = code or self.code

    def __str__(self) -> str:
        return "\n".join(part for part in (self.problem, self.next_step) if part)


class UsageError(ClusterError):
    """The words of a command, or a file they name, cannot be taken."""

    exit_status = ExitStatus.USAGE
    code = codes.USAGE


class NotFound(ClusterError):
    """Something named does not exist; the message lists what does."""


class NoCloud(NotFound):
    """No cloud is configured, and the embedded one was never started."""

    code = codes.NO_CLOUD


class NoCluster(NotFound):
    """No cluster has that name; it may be gone."""

    code = codes.NO_CLUSTER


class CloudError(ClusterError):
    """A service of the cloud refused, failed or did not answer."""

    code = codes.CLOUD_REFUSED


class NodeError(ClusterError):
    """A node could not be reached or spoken to."""

    code = codes.SSH_UNREACHABLE


class VerificationFailed(ClusterError):
    """The cluster is there, but not as it was said to be."""

    exit_status = ExitStatus.UNVERIFIED
    code = codes.CHECK


class NameTaken(ClusterError):
    """Heat has a stack of that name already."""

    code = codes.NAME_TAKEN


class StackNotFound(ClusterError):
    """Heat has no such stack."""

    code = codes.NO_CLUSTER


class Refused(CloudError):
    """A service does not do it as the thing is now, or the thing is gone."""


class NoAnswer(CloudError):
    """The reply was lost: what was asked for may have happened."""

    code = codes.HEAT_SILENT


class TakenBack(ClusterError):
    """A command failed; the message also says what became of what it had begun."""

    def __init__(
        self,
        problem: str,
        next_step: str,
        exit_status: ExitStatus,
        *,
        code: str = "",
        more: str = "",
    ) -> None:
        super().__init__(problem, next_step, code=code)
        self.exit_status = exit_status
        self.more = more
