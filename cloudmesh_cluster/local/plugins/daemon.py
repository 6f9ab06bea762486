"""Run one daemon of OpenStack: daemon.py MODULE NAME [OPTION...], where MODULE has a main().

Two things are not as its own console script has them. While it imports its thousand modules
the garbage collector is off, which makes it start a fifth sooner. And Nova, which loads compute
drivers from its package nova.virt only, finds ours there.
"""

import gc
import importlib
import os
import sys


def main():
    """Import the daemon and run it as the program NAME."""
    module, name, *options = sys.argv[1:]
    sys.argv = [name, *options]
    gc.disable()
    if module.startswith("nova."):
        import nova.virt

        nova.virt.__path__.append(os.path.dirname(__file__))
    program = importlib.import_module(module)
    gc.freeze()
    gc.enable()
    program.main()


if __name__ == "__main__":
    main()
