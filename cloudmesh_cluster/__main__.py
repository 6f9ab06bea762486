"""``python -m cloudmesh_cluster``: the program without its script."""

import sys

from cloudmesh_cluster.shell.cli import main

sys.exit(main())
