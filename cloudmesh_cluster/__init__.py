"""Compute clusters on OpenStack: one master, equal workers, wired, verified, or rolled back."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cloudmesh_cluster.cluster import Cluster as Cluster
    from cloudmesh_cluster.model.errors import ClusterError as ClusterError

__version__ = "0.1.0"

WHERE = {"Cluster": "cloudmesh_cluster.cluster", "ClusterError": "cloudmesh_cluster.model.errors"}


def __getattr__(name: str) -> object:
    """What Python programs use, imported when they do: ``cm --help`` does not pay for it."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(WHERE[name]), name)


def load_ipython_extension(shell: object) -> None:
    """Give IPython the magics %cm and %%cm: ``%load_ext cloudmesh_cluster`` calls this."""
    from cloudmesh_cluster.shell import notebook

    notebook.load(shell)  # type: ignore[arg-type]  # IPython gives its own
