"""``cms cluster``: the program inside the cloudmesh shell, which loads ClusterCommand.

That shell reads a command's words by docopt from its docstring, and swallows the exit status; so
its decorator is not used, and the words go to ``main`` as they come.
"""

from __future__ import annotations

import sys
from textwrap import indent

from cloudmesh_cluster.shell.cli import main
from cloudmesh_cluster.shell.usage import USAGE

# "::" begins the docstring of every command of that shell.
DOC = f"""::

{indent(USAGE, "    ")}
    In the cloudmesh shell write cms cluster where this says cm cluster. That shell itself
    expands $NAME, os.NAME, var.NAME and default.NAME in the line, and takes --help, --file=FILE,
    --debug, --echo and -i. Use cm in scripts, for these options, and for cm cloud.
"""


def run(line: str) -> str:
    """Run the words of the line; an empty string tells that shell to go on."""
    status = main([f"cluster {line}"])
    if status and _alone():
        sys.exit(status)
    return ""


def _alone() -> bool:
    """Whether that shell was started for this one command, and ends with it."""
    return sys.argv[1:2] == ["cluster"] and "-i" not in sys.argv
