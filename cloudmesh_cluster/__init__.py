"""Compute clusters on OpenStack: one master, equal workers, wired, verified, or rolled back."""

__version__ = "0.1.0"


def load_ipython_extension(shell: object) -> None:
    """Give IPython the magics %cm and %%cm: ``%load_ext cloudmesh_cluster`` calls this."""
    from cloudmesh_cluster.shell import notebook

    notebook.load(shell)  # type: ignore[arg-type]  # IPython gives its own
