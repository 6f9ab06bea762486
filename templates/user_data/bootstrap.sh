# First boot of a node: its identity, its report, the wait for the wiring, the role's scripts.
# Heat fills the __words__; the same text serves every node of a role. Before it in user_data
# stands signal.sh, and on the last node wire.sh as well.
# shellcheck shell=bash
set -u
umask 077

cluster='__cluster__'
role='__role__'
workers='__workers__'
seconds=__deadline__
deadline=$((SECONDS + seconds))
public_key='__public_key__'
node_public_key='__node_public_key__'
ca_public_key='__ca_public_key__'
user_key='__user_key__'
scripts='__scripts__'

state=/var/lib/cm-cluster
logs=/var/log/cm-cluster
mkdir -p "$state/status" "$state/scripts" "$state/ran" "$logs"
chmod 755 "$state" "$state/status" "$logs"
exec </dev/null >>"$logs/bootstrap.log" 2>&1

node_private_key() {
  cat <<'PRIVATE'
__node_private_key__
PRIVATE
}

ca_private_key() {
  cat <<'PRIVATE'
__ca_private_key__
PRIVATE
}

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }

# surely COMMAND...: again and again, for a disk that is full may have room later; false when the
# time is over.
surely() {
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

# What nodes are told about themselves; a domain that the cloud adds is no part of the name.
name=$(hostname -s)
alias=${name#"$cluster"-}
# Nova's id of this server tells it from one of the same name that it replaced.
server=$(tr -cd '[:alnum:]-' </var/lib/cloud/data/instance-id)

# ---- reports: kept on the node, and signalled to Heat where Heat can be reached ----------

# note PHASE EXIT REASON: kept on the node.
note() {
  local file=$state/status/$1
  printf '{"id":"%s.%s","status":"SUCCESS","reason":"%s","data":{"node":"%s","phase":"%s","exit":%d,"reason":"%s","login":"%s","host_key":"%s","server":"%s","at":%d}}\n' \
    "$name" "$1" "$1" "$name" "$1" "$2" "$3" "$login" "$host_key" "$server" "$(date +%s)" >"$file.new" &&
    chmod 644 "$file.new" &&
    mv "$file.new" "$file"
}

# report PHASE EXIT REASON: signalled in the background, so that a deaf Heat delays nothing.
report() {
  local file=$state/status/$1 try
  surely note "$@"
  say "$1: exit $2 $3"
  (
    for try in 1 2 3 4 5; do
      signal "$file" && exit
      sleep "$try"
    done
    say "$1: Heat took no signal"
  ) &
}

# ---- identity ----------------------------------------------------------------------------

# The user whom the image lets log in is the one to whom cloud-init gave the cluster's key.
login_user() {
  local file
  for file in /home/*/.ssh/authorized_keys; do
    if grep -qsF "$public_key" "$file"; then
      stat -c %U "${file%/.ssh/authorized_keys}"
      return
    fi
  done
  echo root
}

# give_keys USER: the nodes' first keypair, so that every node logs in to every node, and who may log in.
give_keys() {
  local home ssh
  home=$(getent passwd "$1" | cut -d: -f6)
  ssh=$home/.ssh
  mkdir -p "$ssh" &&
    node_private_key >"$ssh/id_ed25519" &&
    nodes_line >"$ssh/id_ed25519.pub" &&
    let_in "$1" "$ssh/authorized_keys" >"$ssh/authorized_keys.new" &&
    mv "$ssh/authorized_keys.new" "$ssh/authorized_keys" &&
    chmod 700 "$ssh" &&
    chmod 600 "$ssh/id_ed25519" "$ssh/authorized_keys" &&
    chown -R "$1:" "$ssh"
}

# let_in USER FILE: the public keys of those who may log in, those in the file among them.
let_in() {
  # cloud-init lets root in with this very key only to say "log in as another user".
  grep -vsF "$public_key" "$2"
  if [ -n "$user_key" ] && [ "$1" = "$login" ]; then printf '%s\n' "$user_key" || return; fi
  printf '%s\n' "$public_key" && nodes_line
}

# The mark at its end is how rekey.sh knows the nodes' keys from others.
nodes_line() { printf '%s cm-cluster-nodes\n' "$(cut -d' ' -f1,2 <<<"$node_public_key")"; }

host_key_file() {
  local type
  for type in ed25519 ecdsa rsa; do
    [ -s "/etc/ssh/ssh_host_${type}_key.pub" ] && echo "/etc/ssh/ssh_host_${type}_key" && return
  done
}

# As cloud-init prints them, which does so only after this script: the client may need them before.
tell_console() {
  {
    echo '-----BEGIN SSH HOST KEY KEYS-----'
    cat /etc/ssh/ssh_host_*_key.pub
    echo '-----END SSH HOST KEY KEYS-----'
  } >/dev/console || true
}

reload_sshd() { systemctl try-reload-or-restart ssh 2>/dev/null || systemctl try-reload-or-restart sshd; }

# Until the wiring brings the real host keys, a certificate of the cluster's own CA proves them.
certify_host_key() {
  local ca=$state/ca names
  names=$name,$alias,$(hostname -I | tr -s ' ' ',')
  ca_private_key >"$ca" && ssh-keygen -q -s "$ca" -h -I "$name" -n "${names%,}" "$key_file.pub"
  local status=$?
  rm -f "$ca"
  [ "$status" -eq 0 ] || return
  # sshd drops some of more than ten logins that begin at once, and all workers may call the master.
  sed -i "1i MaxStartups 1000\nHostCertificate $key_file-cert.pub" /etc/ssh/sshd_config &&
    printf '@cert-authority * %s\n' "$ca_public_key" | block /etc/ssh/ssh_known_hosts || return
  reload_sshd
}

# block FILE: standard input becomes the part of FILE that is the cluster's.
block() {
  touch "$1" &&
    sed -i '/^# cm cluster begin$/,/^# cm cluster end$/d' "$1" &&
    { echo '# cm cluster begin' && cat && echo '# cm cluster end'; } >>"$1" &&
    chmod 644 "$1"
}

# ---- the wiring's receiving end: called over SSH by the last node --------------------------

install_wiring_end() {
  # Some images have cloud-init write /etc/hosts anew at every boot.
  mkdir -p /etc/cloud/cloud.cfg.d &&
    echo 'manage_etc_hosts: false' >/etc/cloud/cloud.cfg.d/99-cm-cluster.cfg &&
    {
      echo '#!/bin/bash' &&
        echo '# wire: a tar of hosts and known_hosts on standard input, put where every program looks.' &&
        declare -p state name key_file &&
        declare -f block reload_sshd take_wiring &&
        echo take_wiring
    } >"$state/wire" &&
    chmod 700 "$state/wire"
}

take_wiring() {
  set -eu
  cd "$state"
  tar -x
  # A name that leads to 127.0.1.1 makes services listen where no other node finds them.
  sed -i "/^127\.0\.1\.1[[:space:]]/d" /etc/hosts
  block /etc/hosts <hosts
  block /etc/ssh/ssh_known_hosts <known_hosts
  touch wired
  # sshd takes no connection in the moment in which it reads its configuration again.
  grep -q '^HostCertificate .*-cert\.pub$' /etc/ssh/sshd_config || return 0
  sed -i '/^HostCertificate .*-cert\.pub$/d' /etc/ssh/sshd_config
  rm -f "$key_file-cert.pub"
  reload_sshd
}

# ---- the role's scripts ----------------------------------------------------------------------

unpack_scripts() {
  if [ -n "$scripts" ]; then
    surely unpack
  else
    # Too large for user_data: the client brings them once the cluster is wired.
    until [ -e "$state/scripts/complete" ]; do
      ((SECONDS < deadline)) || return 1
      sleep 0.5
    done
  fi
}

unpack() { base64 -d <<<"$scripts" | tar -xz -C "$state/scripts"; }

# run NAME: one of the role's scripts, in the interpreter that it names, or bash; one that has ended
# well here, as it is, does not run again.
run() {
  local file=$state/scripts/$1 sum interpreter=(/bin/bash) status
  [ -e "$file" ] || return 0
  sum=$(sha256sum <"$file")
  [ "$(cat "$state/ran/$1" 2>/dev/null)" != "$sum" ] || return 0
  rm -f "$state/ran/$1"
  chmod 700 "$file"
  [ "$(head -c 2 "$file")" = '#!' ] && interpreter=()
  say "$1 script starts"
  (
    cd /root || exit
    umask 022
    export HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive
    export CM_CLUSTER=$cluster CM_ROLE=$role CM_NODE=$name CM_WORKERS=$workers
    exec "${interpreter[@]}" "$file"
  ) >"$logs/$1.log" 2>&1 9>&-
  status=$?
  [ "$status" -ne 0 ] || printf '%s\n' "$sum" >"$state/ran/$1"
  return "$status"
}

# run_all: the scripts in their order, never beside another who runs them; what fails is in $script.
run_all() {
  local status
  exec 9>"$state/lock"
  flock 9
  for script in product role; do
    run "$script"
    status=$?
    [ "$status" -eq 0 ] || return "$status"
  done
}

run_scripts() {
  local script status
  unpack_scripts || { report finished 75 'the scripts did not arrive in time'; return; }
  run_all
  status=$?
  if [ "$status" -ne 0 ]; then report finished "$status" "$script script"; else report finished 0 ''; fi
}

# ---- the client's end: the scripts as they are to be now -------------------------------------

install_apply_end() {
  {
    echo '#!/bin/bash' &&
      echo '# apply prepare WORKERS [again]: a tar.gz of scripts on standard input takes the place of those here.' &&
      echo '# apply run: those of them run that have not ended well here as they are.' &&
      declare -p state logs cluster role name login host_key server &&
      declare -f say note run run_all prepare apply &&
      echo 'umask 077; apply "$@"'
  } >"$state/apply" &&
    chmod 700 "$state/apply"
}

# What a node has published for others is of the product's script; the next run publishes anew.
# Scripts that still run are of a change that was given up.
prepare() {
  set -e
  pkill -f "$state/scripts/(product|role)" || true
  rm -rf "$state/scripts.new"
  mkdir -p "$state/scripts.new"
  tar -xz -C "$state/scripts.new"
  [ "${2:-}" != again ] || rm -f "$state/ran/product"
  if [ "$(cat "$state/ran/product" 2>/dev/null)" != "$(cat "$state/scripts.new/product" 2>/dev/null | sha256sum)" ]; then
    rm -rf "$state/published"
  fi
  printf '%s\n' "$1" >"$state/workers"
  touch "$state/scripts.new/complete"
  rm -rf "$state/scripts"
  mv "$state/scripts.new" "$state/scripts"
}

apply() {
  local script status workers
  if [ "$1" = prepare ]; then prepare "${@:2}"; return; fi
  workers=$(<"$state/workers")
  run_all
  status=$?
  if [ "$status" -eq 0 ]; then note finished 0 ''; return; fi
  note finished "$status" "$script script"
  echo "$script script ended with exit status $status" >&2
  tail -n 8 "$logs/$script.log" >&2
  return "$status"
}

be_wired() {
  if declare -F wire_all >/dev/null; then wire_all || return; fi
  until [ -e "$state/wired" ]; do
    ((SECONDS < deadline)) || { report wired 75 'not wired in time'; return 1; }
    sleep 0.2
  done
  report wired 0 ''
}

login=$(login_user)
key_file=$(host_key_file)
host_key=$(cut -d' ' -f1,2 <"$key_file.pub")
surely give_keys root
[ "$login" = root ] || surely give_keys "$login"
surely install_wiring_end
surely install_apply_end
surely certify_host_key
tell_console
report booted 0 ''
be_wired && run_scripts
wait
