# rekey PHASE: another keypair for logins from node to node, of root and of the user who called sudo.
# All nodes pass one phase before any begins the next: accept (the private key on standard input),
# use, drop. So both keys are taken while nodes change over, and no login fails.
# shellcheck shell=bash
set -euo pipefail
umask 077

mark=cm-cluster-nodes
login_seconds=20

homes() { getent passwd root "${SUDO_USER:-root}" | cut -d: -f6 | sort -u; }

public() { printf '%s %s\n' "$(ssh-keygen -y -f "$1" | cut -d' ' -f1,2)" "$mark"; }

# put FILE: standard input becomes the file, whole, of whom the folder is.
put() {
  cat >"$1.cm-new"
  chown --reference="${1%/*}" "$1.cm-new"
  mv "$1.cm-new" "$1"
}

# Until every ssh that runs now has ended, or is so old that it is logged in: ssh looks at the key when
# it begins and again when it signs, and gives up if that is another one by then.
settle() {
  local process
  for process in /proc/[0-9]*; do
    while logging_in "$process"; do sleep 0.2; done
  done
}

logging_in() {
  local now words
  read -r now _ </proc/uptime
  read -ra words <"$1/stat" || return
  [ "${words[1]}" = '(ssh)' ] && ((${now%.*} - words[21] / 100 < login_seconds))
} 2>/dev/null

accept() {
  local key ssh
  key=$(cat)
  for ssh in "${homes[@]}"; do
    printf '%s\n' "$key" | put "$ssh/id_ed25519.next"
    { grep -vxF "$(public "$ssh/id_ed25519.next")" "$ssh/authorized_keys" || true
      public "$ssh/id_ed25519.next"; } | put "$ssh/authorized_keys"
    # ssh tries a key of this name before the other one, so from here on it has both.
    ln -s id_ed25519.next "$ssh/id_ecdsa" 2>/dev/null || true
  done
}

use() {
  local ssh
  settle
  for ssh in "${homes[@]}"; do
    public "$ssh/id_ed25519.next" | put "$ssh/id_ed25519.pub"
    put "$ssh/id_ed25519" <"$ssh/id_ed25519.next"
  done
}

drop() {
  local ssh
  for ssh in "${homes[@]}"; do
    { grep -v " $mark\$" "$ssh/authorized_keys" || true
      public "$ssh/id_ed25519"; } | put "$ssh/authorized_keys"
  done
  settle
  for ssh in "${homes[@]}"; do
    if [ "$(readlink "$ssh/id_ecdsa")" = id_ed25519.next ]; then rm "$ssh/id_ecdsa"; fi
    rm -f "$ssh/id_ed25519.next"
  done
}

mapfile -t homes < <(homes)
homes=("${homes[@]/%//.ssh}")
"$1"
