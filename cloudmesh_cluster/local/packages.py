"""The Debian packages that `cm cloud up` needs: `python3 -m cloudmesh_cluster.local.packages`.

Standard library only: it runs before anything is installed. None of these packages starts
a service when it is installed; RabbitMQ and Erlang would, so `up` unpacks those two itself,
from the same archive, into its own folder.
"""

from __future__ import annotations

import shutil
import sys

# A command that shows that the package is there, and the package.
TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "tar": "tar",
    "zstd": "zstd",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
# Without a command of their own: venv's pip, and the libraries that Erlang is linked with.
ALWAYS = ("python3-venv", "debian-archive-keyring", "ca-certificates", "libtinfo6", "libsctp1")


def packages() -> tuple[str, ...]:
    """All that `up` needs, in alphabetical order."""
    return tuple(sorted({*TOOLS.values(), *ALWAYS}))


def missing() -> tuple[str, ...]:
    """The packages whose commands are not on this machine."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return tuple(
        sorted({name for tool, name in TOOLS.items() if not shutil.which(tool, path=path)})
    )


if __name__ == "__main__":
    sys.stdout.write(" ".join(packages()) + "\n")
