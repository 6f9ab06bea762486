"""A run: what is done to a cluster, and what breaks meanwhile; all of it drawn from its number."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# What breaks. The first is the command itself, the next four are daemons, the others as they say.
CLIENT = "client killed"
DAEMONS = {
    "heat-engine killed": "heat-engine",
    "nova-compute killed": "nova-compute",
    "RabbitMQ killed": "rabbitmq",
    "MariaDB killed": "mariadb",
}
PACKETS = "packets dropped"
DISK = "disk full"
FROZEN = "node frozen"
KEYSTONE = "keystone slow"
TOKENS = "tokens expired"
KINDS = (CLIENT, *DAEMONS, PACKETS, DISK, FROZEN, KEYSTONE, TOKENS)
OF_NODES = (PACKETS, DISK, FROZEN)

CREATE, UPDATE, STOP, START, DELETE = "create", "update", "stop", "start", "delete"
RESUME = "resume"


@dataclass(frozen=True)
class Fault:
    """Something that breaks while a command runs.

    ``share`` is when, of the time that the command usually takes; ``seconds`` is for how long,
    where it has to be mended; ``pick`` is the node, of those that there are.
    """

    kind: str
    share: float
    seconds: float
    pick: float


@dataclass(frozen=True)
class Act:
    """A command, and what breaks while it runs."""

    verb: str
    fault: Fault | None = None

    def __str__(self) -> str:
        if self.fault is None:
            return self.verb
        return f"{self.verb} ({self.fault.kind} at {self.fault.share:.0%})"


@dataclass(frozen=True)
class Run:
    """What is done to one cluster, and whether it is gone on with before it is deleted."""

    number: int
    acts: tuple[Act, ...]
    resumed: bool

    def __str__(self) -> str:
        end = f"{RESUME}, {DELETE}" if self.resumed else DELETE
        return f"{self.number}: {', '.join(map(str, self.acts))}, {end}"


def run_of(seed: int, number: int) -> Run:
    """The run of that number; always the same one.

    The kinds take turns, so that any ten runs that follow each other have them all.
    """
    random = Random(f"{seed}-{number}")
    kind = Random(f"{seed}-{(number - 1) // len(KINDS)}-kinds").sample(KINDS, len(KINDS))[
        (number - 1) % len(KINDS)
    ]
    verb = random.choice((CREATE, CREATE, CREATE, UPDATE, UPDATE, STOP, START, DELETE))
    faulty = Act(verb, _fault(random, kind))
    # Now and then the create before it is broken as well, by something else.
    second = _fault(random, random.choice(KINDS)) if random.random() < 0.25 else None
    before = {
        CREATE: (),
        UPDATE: (Act(CREATE, second),),
        STOP: (Act(CREATE, second),),
        START: (Act(CREATE, second), Act(STOP)),
        DELETE: (Act(CREATE, second),),
    }[verb]
    resumed = verb != DELETE and random.random() < 0.5
    return Run(number, (*before, faulty), resumed)


def _fault(random: Random, kind: str) -> Fault:
    return Fault(
        kind, share=random.random() * 0.95, seconds=random.uniform(4, 25), pick=random.random()
    )
