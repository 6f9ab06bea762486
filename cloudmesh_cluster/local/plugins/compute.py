"""Start nova-compute with our compute driver where Nova looks for one: in nova.virt."""

import os

import nova.virt

nova.virt.__path__.append(os.path.dirname(__file__))

from nova.cmd import compute  # noqa: E402  (the path has to be there first)

if __name__ == "__main__":
    compute.main()
