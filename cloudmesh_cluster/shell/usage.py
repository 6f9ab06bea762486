"""The help of every shell, which is also the grammar; nothing else, so that help costs nothing."""

USAGE = """\
cm cluster - compute clusters on OpenStack: one master and equal workers that log
in to each other by name, verified, or rolled back.

Usage:
  cm cluster create NAME [--product=PRODUCT] [--workers=N] [--cloud=CLOUD]
             [--image=IMAGE] [--flavor=FLAVOR] [--master-flavor=FLAVOR]
             [--network=NETWORK] [--external-network=NETWORK]
             [--ssh-from=CIDR] [--key=FILE]
             [--expect=FILE]... [--set=NAME=VALUE]... [--file=SPEC]
             [--timeout=MINUTES] [--min-ready=SHARE] [--expires=TIME] [--keep]
             [--dry-run] [--format=FORMAT]
  cm cluster plan NAME [--product=PRODUCT] [--workers=N] [--cloud=CLOUD]
             [--image=IMAGE] [--flavor=FLAVOR] [--master-flavor=FLAVOR]
             [--network=NETWORK] [--external-network=NETWORK]
             [--ssh-from=CIDR] [--key=FILE]
             [--expect=FILE]... [--set=NAME=VALUE]... [--file=SPEC]
             [--timeout=MINUTES] [--format=FORMAT]
  cm cluster update NAME [--workers=N] [--remove=NODES] [--set=NAME=VALUE]...
             [--image=IMAGE] [--flavor=FLAVOR] [--file=SPEC] [--allow-replace]
             [--timeout=MINUTES] [--min-ready=SHARE] [--dry-run]
             [--format=FORMAT]
  cm cluster repair NAME [NODE...] [--format=FORMAT]
  cm cluster write NAME ROLE [FILE] [--show]
  cm cluster test NAME [--role=ROLE] [--expect=FILE]... [--junit=FILE]
             [--format=FORMAT] [--] [COMMAND...]
  cm cluster list [--cloud=CLOUD] [--format=FORMAT]
  cm cluster show NAME [--format=FORMAT]
  cm cluster ssh NAME [NODE] [--forward=FORWARD]... [--] [COMMAND...]
  cm cluster tunnel NAME [PORT]
  cm cluster copy NAME FILE... TARGET [--role=ROLE] [--from]
  cm cluster inventory NAME [--format=FORMAT]
  cm cluster events NAME [--follow] [--format=FORMAT]
  cm cluster logs NAME [NODE] [--console]
  cm cluster stop NAME [--timeout=MINUTES] [--format=FORMAT]
  cm cluster start NAME [--timeout=MINUTES] [--format=FORMAT]
  cm cluster timeline NAME [--svg=FILE] [--format=FORMAT]
  cm cluster explain NAME [RECORD] [--format=FORMAT]
  cm cluster template NAME [--product=PRODUCT] [--workers=N] [--cloud=CLOUD]
             [--image=IMAGE] [--flavor=FLAVOR] [--master-flavor=FLAVOR]
             [--network=NETWORK] [--external-network=NETWORK]
             [--ssh-from=CIDR] [--key=FILE]
             [--set=NAME=VALUE]... [--file=SPEC]
  cm cluster products [NAME] [--format=FORMAT]
  cm cluster delete NAME... [--cloud=CLOUD]
  cm cluster doctor [--cloud=CLOUD] [--fix] [--format=FORMAT]
  cm cloud up
  cm cloud down [--purge]
  cm cloud status [--format=FORMAT]
  cm cloud env
  cm cloud image build --product=PRODUCT [--set=NAME=VALUE]...
  cm cloud image list [--format=FORMAT]
  cm cloud image delete NAME
  cm completion bash
  cm completion zsh
  cm completion fish

What they do:
  create     Make a cluster, wire and verify it; roll it back if anything fails.
             Of one that is there it makes what is missing.
  plan       Tell what create would take, what is left of it, and every problem.
  update     Grow, shrink or change a cluster; it stays what it was if that fails.
  repair     Make anew the nodes that are broken, or those that are named.
  write      Keep a role's script, from FILE or stdin; it runs at first boot, and
             by update on nodes that are there.
  test       Run the expectations again, or a command or script on the nodes.
  list       Name the clusters that the cloud has.
  show       Tell one cluster: its nodes, addresses and status.
  ssh        Log in to a node (default: the master), or run one command there.
  tunnel     Reach the product's web pages, or one port, from this machine.
  copy       Copy files to the nodes of a role, or from them to TARGET/NODE/.
  inventory  Print the nodes for Ansible, for ssh -F, for /etc/hosts, or as JSON.
  events     Tell what Heat did for a cluster, or for one whose create failed.
  logs       Print the logs of all nodes, or of one; also of a create that failed.
  stop       Shut all nodes down, the workers first; they keep disk and address.
  start      Start the nodes of a stopped cluster, and verify it as test does.
  timeline   Tell when each node reached each stage, and what took how long.
  explain    Tell why a create failed, or what is the matter with a cluster, by a
             code, the evidence, the likely cause and what to type.
  template   Print the Heat template of a cluster, for openstack stack create -t.
  products   Name what can be installed, or tell all of one product.
  delete     Delete clusters; one that is gone already is deleted.
  doctor     List what is left of clusters that are no more, and the clusters that
             failed or have expired. With --fix, after the list: remove what is
             left, and delete the clusters that have expired.
  cloud      A real OpenStack on this machine, the default where no cloud is
             configured: start it (up), stop it (down), ask after it (status), and
             print the variables with which the openstack command finds it (env).
  image      The embedded cloud's images: build bakes a product's Debian packages
             into one, from which its clusters are made then; list; delete.
  completion Let your shell complete words: eval "$(cm completion bash)".

RECORD is a record's time or its file; without it, the cluster is looked at, or
its newest record if it is gone.
ROLE is master or worker; NODE is a node's name, such as worker1 or demo-worker1;
PORT is a port of the master, or NODE:PORT.
The words of COMMAND are joined by spaces for the node's shell, as ssh does.

Options:
  --product=PRODUCT           What to install, see products (default: plain).
  --workers=N                 How many workers (default: 2).
  --cloud=CLOUD               An entry of clouds.yaml (default: OS_CLOUD, else
                              OS_* variables, else ~/.cloudmesh/cloudmesh.yaml,
                              else the cloud on this machine).
  --image=IMAGE               Name or id of the image (default: the product's).
  --flavor=FLAVOR             Flavor of every node (default: the product's).
  --master-flavor=FLAVOR      Flavor of the master (default: that of the workers).
  --network=NETWORK           Network of the nodes (default: the only one).
  --external-network=NETWORK  Where the master's floating IP comes from.
  --ssh-from=CIDR             From where SSH is let in, such as 203.0.113.0/24
                              (default: from everywhere).
  --key=FILE                  A public key that may also log in.
  --expect=FILE               YAML file of expectations; may be repeated.
  --set=NAME=VALUE            A setting of the product; may be repeated.
  --file=SPEC                 YAML file with these options; those given here win.
  --timeout=MINUTES           How long create and update may take (default: 30),
                              or stop and start (default: 10).
  --min-ready=SHARE           How many workers are enough if others fail: a count,
                              or a share such as 95% (default: all).
  --expires=TIME              After how long it may be deleted: 90m, 8h or 7d
                              (default: never).
  --keep                      Keep what was made when it fails.
  --dry-run                   Print what Heat would get, secrets masked, or what
                              update would do to each node; stop.
  --forward=FORWARD           As ssh's -L (which will do): 8080:master:8080.
  --follow                    Tell new events until the stack is settled.
  --console                   The servers' consoles instead, as Nova has them.
  --svg=FILE                  Also draw it into FILE.
  --from                      Copy from the nodes to this machine.
  --remove=NODES              Workers that leave, such as worker2,worker[4-6].
  --allow-replace             Let update make nodes anew, what is on them lost.
  --role=ROLE                 master, worker or all [default: all].
  --junit=FILE                Also write the verdicts to FILE as JUnit XML.
  --show                      Print the script that is kept.
  --fix                       Remove what doctor lists, see there.
  --purge                     Remove this machine's cloud with all it holds.
  --format=FORMAT             table, json, yaml or csv (default: table);
                              inventory: ansible (default), ssh, hosts or json.

Examples:
  cm cluster create demo --product=slurm --workers=8
  echo 'apt-get install -y htop' | cm cluster write demo worker
  cm cluster test demo --role=worker uptime
  cm cluster ssh demo worker1 -- df -h
  cm cluster delete demo

Exit status: 0 done or nothing to do, 1 failed, 2 usage, 3 verification failed,
130 interrupted. Also: cm help VERB, cm --version.
"""
