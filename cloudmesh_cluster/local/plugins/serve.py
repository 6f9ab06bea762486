"""Serve one WSGI application of OpenStack: serve.py MODULE ADDRESS PORT NAME [OPTION...].

The applications read sys.argv while they are imported, so they get one with only
their own options in it.
"""

import gc
import importlib
import sys

import waitress


def main():
    """Import the application as the program NAME would, and answer on ADDRESS until ended."""
    module, address, port, name, *options = sys.argv[1:]
    sys.argv = [name, *options]
    # Off while it imports its thousand modules, which makes it start a fifth sooner.
    gc.disable()
    application = importlib.import_module(module).application
    if orm := sys.modules.get("sqlalchemy.orm"):
        # Else the first requests do it, and those that come beside the very first one fail.
        orm.configure_mappers()
    gc.freeze()
    gc.enable()
    waitress.serve(
        application,
        host=address,
        port=int(port),
        threads=16,
        ident=None,
        channel_timeout=600,
        connection_limit=1000,
        max_request_body_size=64 * 1024**3,
        clear_untrusted_proxy_headers=True,
    )


if __name__ == "__main__":
    main()
