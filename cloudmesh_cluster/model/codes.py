"""The codes of what can befall a cluster: stable words, for programs and for administrators.

docs/failure.rst has them as a table, which a test compares with this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HEALTHY = "healthy"
BUSY = "busy"

USAGE = "usage"
NAME_TAKEN = "name-taken"
PRODUCT = "product"
IMAGE = "image"
FLAVOR = "flavor"
NETWORK = "network"
KEYPAIR = "keypair"
QUOTA = "quota"
NO_CLOUD = "no-cloud"
CLOUD_SILENT = "cloud-silent"
CLOUD_REFUSED = "cloud-refused"
NO_HEAT = "no-heat"
HEAT_SILENT = "heat-silent"

NO_VALID_HOST = "no-valid-host"
SERVER_ERROR = "server-error"
STACK_FAILED = "stack-failed"
STACK_STALLED = "stack-stalled"

NOT_BOOTED = "not-booted"
NOT_WIRED = "not-wired"
NOT_CARRIED = "not-carried"
NOT_REKEYED = "not-rekeyed"
PRODUCT_SCRIPT = "product-script"
ROLE_SCRIPT = "role-script"
CHECK = "check"
TIME_OUT = "time-out"

SSH_UNREACHABLE = "ssh-unreachable"
HOST_KEY = "host-key"
LOGIN_REFUSED = "login-refused"
NO_KEY = "no-key"
STOPPED = "stopped"
UNFINISHED = "unfinished"
NODE_GONE = "node-gone"

INTERRUPTED = "interrupted"
NOT_DELETED = "not-deleted"
WORKSPACE = "workspace"
NO_CLUSTER = "no-cluster"
BUG = "bug"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Meaning:
    """What a code says, what is the likely cause, and what to type next.

    ``{cluster}`` stands for the cluster's name.
    """

    says: str
    likely: str
    next_step: str


MEANINGS: Mapping[str, Meaning] = {
    HEALTHY: Meaning(
        "every server runs, every node is reached and every check passes",
        "",
        "Nothing has to be done. Log in: cm cluster ssh {cluster}",
    ),
    BUSY: Meaning(
        "Heat is at work on the stack",
        "A create, an update or a delete is running.",
        "Watch it: cm cluster events {cluster} --follow",
    ),
    USAGE: Meaning(
        "what was typed, or a file that it names, cannot be taken",
        "A word, a spec or an expectation is not as it must be.",
        "Correct what the message names; the words are told by: cm help create",
    ),
    NAME_TAKEN: Meaning(
        "a stack has that name already",
        "The cluster exists, or a stack that is not ours has its name.",
        "Look: cm cluster show {cluster}. Then take another name, or: cm cluster delete {cluster}",
    ),
    PRODUCT: Meaning(
        "there is no such product",
        "Its name was mistyped, or its folder is not among your products.",
        "See those that there are: cm cluster products",
    ),
    IMAGE: Meaning(
        "the image is not there, or no server starts from it",
        "Its name was mistyped, or it was deleted; or it is not active.",
        "Choose another: cm cluster create {cluster} --image=IMAGE",
    ),
    FLAVOR: Meaning(
        "the flavor is not there, or too small",
        "Its name was mistyped, or it has less memory or disk than the image or the product needs.",
        "Choose another: cm cluster create {cluster} --flavor=FLAVOR",
    ),
    NETWORK: Meaning(
        "a network, a port or an address is not to be had",
        "The network's name was mistyped, no router leads outside, or its addresses are used up.",
        "Choose another: cm cluster create {cluster} --network=NETWORK; "
        "see what is left: cm cluster plan {cluster}",
    ),
    KEYPAIR: Meaning(
        "a key is not there, or cannot be used",
        "The file of --key is missing or no public key, or Nova does not take the keypair.",
        "Give a public key's file: cm cluster create {cluster} --key=FILE",
    ),
    QUOTA: Meaning(
        "more is asked for than the project may have",
        "Other servers of the project use the quota, or the cluster is too large for it.",
        "See what is left and how many workers fit: cm cluster plan {cluster}",
    ),
    NO_CLOUD: Meaning(
        "there is no such cloud, or none is configured",
        "The cloud's name was mistyped, or clouds.yaml has no such entry.",
        "Name one with --cloud=CLOUD, or start the embedded one: cm cloud up",
    ),
    CLOUD_SILENT: Meaning(
        "the cloud does not answer",
        "Its address is wrong, the way to it is closed, or it is down.",
        "Check auth_url and the way to it; the embedded cloud is started by: cm cloud up",
    ),
    CLOUD_REFUSED: Meaning(
        "the cloud refuses us, or what we asked",
        "User name, password or project are wrong, or the user lacks a role.",
        "Correct the entry in clouds.yaml, or ask the cloud's administrator for the role.",
    ),
    NO_HEAT: Meaning(
        "the cloud has no Heat",
        "Its catalog has no orchestration service.",
        "Ask its administrator for Heat, or use the embedded cloud: cm cloud up",
    ),
    HEAT_SILENT: Meaning(
        "Heat did not answer",
        "Heat's API or its engine is down or overloaded, or its reply was lost.",
        "When Heat is back: cm cluster delete {cluster}, which is no error where it is gone",
    ),
    NO_VALID_HOST: Meaning(
        "no host of the cloud can take a server",
        "The flavor is larger than what any host has left, or no host has what it asks for.",
        "Take a smaller flavor or fewer workers: cm cluster create {cluster} --flavor=FLAVOR",
    ),
    SERVER_ERROR: Meaning(
        "Nova could not start a server, or lost it",
        "The image has nothing that starts, or the host has trouble; the fault is in Nova's words.",
        "Try another image, --image=IMAGE; in a cluster that ran before: "
        "cm cluster repair {cluster}",
    ),
    STACK_FAILED: Meaning(
        "Heat could not make a resource of the stack",
        "The service behind that resource refused it; the reason is in its words.",
        "Mend what the reason names; all that Heat did: cm cluster events {cluster}",
    ),
    STACK_STALLED: Meaning(
        "Heat did not make all servers in the time there was",
        "The cloud is slow or busy, or one of its services hangs.",
        "Give it more time: cm cluster create {cluster} --timeout=MINUTES; "
        "what Heat waited for: cm cluster events {cluster}",
    ),
    NOT_BOOTED: Meaning(
        "a node never reported that it has booted",
        "The image has no cloud-init, or it failed; or the node does not boot, or has no network.",
        "Read how far it came: cm cluster logs {cluster} --console",
    ),
    NOT_WIRED: Meaning(
        "the last node could not wire another one",
        "Its sshd does not run, its disk is full, or a security group is between the nodes.",
        "Read the nodes' logs: cm cluster logs {cluster}",
    ),
    NOT_CARRIED: Meaning(
        "a script or a file did not arrive on a node",
        "The node's disk is full, or the connection to it broke.",
        "Read the nodes' logs: cm cluster logs {cluster}; then create again",
    ),
    NOT_REKEYED: Meaning(
        "a node did not take the keypair that replaces the first one",
        "The node's disk is full, its login user may not use sudo, or the connection broke.",
        "Read the nodes' logs: cm cluster logs {cluster}; then create again",
    ),
    PRODUCT_SCRIPT: Meaning(
        "the product's script failed on a node",
        "A package or a download is not to be had, or the node is too small for the product.",
        "Read the script's log: cm cluster logs {cluster}; look around after: "
        "cm cluster create {cluster} --keep",
    ),
    ROLE_SCRIPT: Meaning(
        "the script that was written for a role failed on a node",
        "The script has an error, or what it fetches is not to be had.",
        "Mend it and write it again: cm cluster write {cluster} ROLE FILE; then create again",
    ),
    CHECK: Meaning(
        "a check did not pass",
        "What should run does not, or needs longer to start than the check waits.",
        "Look at a node, cm cluster ssh {cluster} NODE (create with --keep to have it stay), "
        "or give the check more time with within",
    ),
    TIME_OUT: Meaning(
        "the time was up before the scripts had ended",
        "A script waits for something that does not come, or needs longer.",
        "Read how far they came: cm cluster logs {cluster}; more time: --timeout=MINUTES",
    ),
    SSH_UNREACHABLE: Meaning(
        "a node does not answer by SSH",
        "Its sshd does not run, the node hangs, or the way to it is closed.",
        "Read its console: cm cluster logs {cluster} --console; "
        "have the node replaced: cm cluster repair {cluster}",
    ),
    HOST_KEY: Meaning(
        "a node shows another host key than the one that we know, or none that we know",
        "The node was rebuilt, or another machine answers at its address.",
        "Send nothing to it until you know which. Its console tells its keys: "
        "cm cluster logs {cluster} --console",
    ),
    LOGIN_REFUSED: Meaning(
        "a node does not take the cluster's key",
        "authorized_keys was changed on the node, or its login user is gone.",
        "Compare the key with the node's console: cm cluster logs {cluster} --console",
    ),
    NO_KEY: Meaning(
        "this machine has no key for the cluster",
        "The cluster was made on another machine, or its folder here was removed.",
        "Copy ~/.cloudmesh/cluster/{cluster} from the machine that made it",
    ),
    STOPPED: Meaning(
        "a server does not run: it was shut down",
        "The cluster was stopped, or somebody shut the node down.",
        "Start it: cm cluster start {cluster}",
    ),
    UNFINISHED: Meaning(
        "the scripts have not ended on some nodes",
        "A create is still running, or was cut off.",
        "Read how far they came, cm cluster logs {cluster}; "
        "if it was cut off, have it go on: cm cluster create {cluster}",
    ),
    NODE_GONE: Meaning(
        "a server of the cluster is gone",
        "Somebody deleted it behind Heat's back.",
        "Have it made again: cm cluster repair {cluster}",
    ),
    INTERRUPTED: Meaning(
        "you, or a signal, ended the command",
        "Ctrl-C, SIGTERM or SIGHUP.",
        "Type the command again when you like.",
    ),
    NOT_DELETED: Meaning(
        "something of the stack is still there",
        "A service of the cloud could not delete it; the reason is in its words.",
        "Mend what the message names, then: cm cluster delete {cluster}",
    ),
    WORKSPACE: Meaning(
        "the cluster's folder on this machine cannot be read or written",
        "The disk is full, or the folder belongs to somebody else.",
        "Free space, or correct the permissions of ~/.cloudmesh/cluster/{cluster}",
    ),
    NO_CLUSTER: Meaning(
        "there is no such cluster, and no record of one",
        "It was deleted, or its name was mistyped.",
        "See those that there are: cm cluster list",
    ),
    BUG: Meaning(
        "the program itself failed",
        "This is a bug of cm cluster.",
        "Send the record, and what was printed, to those who maintain cm cluster",
    ),
    UNKNOWN: Meaning(
        "nothing that we know explains it",
        "",
        "Read what there is: cm cluster events {cluster}; cm cluster logs {cluster}",
    ),
}
