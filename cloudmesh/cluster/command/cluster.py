"""The command ``cluster`` of the cloudmesh shell, which finds it by the name of this module."""

from cloudmesh.shell.command import PluginCommand

from cloudmesh_cluster.shell import cms


class ClusterCommand(PluginCommand):  # type: ignore[misc]  # that shell has no types
    """What the cloudmesh shell mixes into itself."""

    def do_cluster(self, args: str) -> str:
        return cms.run(args)

    do_cluster.__doc__ = cms.DOC
