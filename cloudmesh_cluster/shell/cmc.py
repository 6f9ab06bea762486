"""``cmc cluster``: the program inside cloudmesh's shell cmc, which loads ``cluster``.

That shell takes commands of click's only, and brings click. The words go to ``main`` as they come.
"""

from __future__ import annotations

import sys

import click

from cloudmesh_cluster.shell.cli import main


@click.command(
    add_help_option=False,  # help is main's as well
    # From the first word on nothing is click's, not even "--".
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def cluster(words: tuple[str, ...]) -> None:
    """Compute clusters on OpenStack: made, wired, verified, or rolled back."""
    sys.exit(main(["cluster", *words]))
