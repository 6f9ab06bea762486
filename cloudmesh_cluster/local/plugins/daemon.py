"""Run one daemon of OpenStack: daemon.py MODULE NAME [OPTION...], where MODULE has a main().

Four things are not as its own console script has them. While it imports its thousand modules
the garbage collector is off, which makes it start a fifth sooner. And Nova, which loads compute
drivers from its package nova.virt only, finds ours there. And Nova's daemons report as soon as
they serve, where they would wait five seconds, and `up` with them. And where CM_CLOUD_AFTER names
a queue of the broker, the daemon waits for that: what it asks before, nobody hears, and it would
wait ten seconds for the answer.
"""

import configparser
import gc
import importlib
import os
import sys
import time
import urllib.parse

WAIT_SECONDS = 60


def main():
    """Import the daemon and run it as the program NAME."""
    module, name, *options = sys.argv[1:]
    sys.argv = [name, *options]
    gc.disable()
    if module.startswith("nova."):
        import nova.virt

        nova.virt.__path__.append(os.path.dirname(__file__))
    program = importlib.import_module(module)
    if module.startswith("nova."):
        import nova.servicegroup.api

        nova.servicegroup.api.INITIAL_REPORTING_DELAY = 0
    gc.freeze()
    gc.enable()
    if queue := os.environ.get("CM_CLOUD_AFTER"):
        wait_for(queue, options[options.index("--config-file") + 1])
    program.main()


def wait_for(queue, config_file):
    """Wait until somebody has made the queue; give up after a while, and let the daemon say why."""
    amqp = importlib.import_module("amqp")  # only here: the other daemons need not pay for it
    settings = configparser.ConfigParser(strict=False, interpolation=None)
    settings.read(config_file)
    broker = urllib.parse.urlsplit(settings["DEFAULT"]["transport_url"])
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            with amqp.Connection(
                host=f"{broker.hostname}:{broker.port}",
                userid=broker.username,
                password=broker.password,
                connect_timeout=5,
            ) as connection:
                connection.channel().queue_declare(queue, passive=True)
                return
        except (OSError, amqp.exceptions.AMQPError):
            time.sleep(0.2)


if __name__ == "__main__":
    main()
