"""How Sphinx builds these pages."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import cloudmesh_cluster  # noqa: E402
from cloudmesh_cluster.shell.usage import USAGE  # noqa: E402

project = "cm cluster"
copyright = "the authors of cm cluster, under the Apache License 2.0"
version = release = cloudmesh_cluster.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc"]
autodoc_preserve_defaults = True
nb_execution_mode = "off"  # notebooks are shown as they were run: make notebooks
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Compute clusters on OpenStack", "page_width": "1100px"}
html_show_sourcelink = False
highlight_language = "none"
smartquotes = False

# The help is shown as the program prints it: it is taken from the program at every build.
HELP = HERE / "_build" / "usage.txt"
HELP.parent.mkdir(exist_ok=True)
if not HELP.exists() or HELP.read_text() != USAGE:
    HELP.write_text(USAGE)
