# The last node knows every name and address, for Heat starts it last. It asks each node for its
# host key, then gives all of them /etc/hosts and known_hosts. bootstrap.sh calls wire_all.
# shellcheck shell=bash disable=SC2154

# Heat fills in address and alias alone, so that the table of a large cluster fits into user_data.
others() {
  sed "s/ \(.*\)/ $cluster-\1 \1/" <<'HOSTS'
__hosts__
HOSTS
}

over_ssh() { ssh -n -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=5 "$@"; }

# until_done SECONDS COMMAND...: again and again; false when the time is over, or the client, who
# may leave out a node that stays deaf, has wired the cluster in the meantime.
until_done() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) && [ ! -e "$state/wired" ] || return 1
    sleep 0.5
  done
}

# A node that does not have the nodes' key yet refuses us, and is asked again.
collect_key() {
  over_ssh "root@$1" cat "$key_file.pub" 2>"$work/$1.why" >"$work/$1.key" && [ -s "$work/$1.key" ]
}

give_wiring() {
  ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=5 "root@$1" "$state/wire" \
    2>"$work/$1.why" <"$work/wiring.tar"
}

# on_all FUNCTION: on every other node, some at a time; notes which stayed deaf, and is false where
# it cannot.
on_all() {
  export -f collect_key give_wiring until_done over_ssh
  export state key_file work
  # shellcheck disable=SC2016
  others | cut -d' ' -f1 |
    xargs -r -P 24 -I{} bash -c 'until_done "$1" "$2" "$3" || touch "$work/$3.deaf"' \
      bash "$((deadline - SECONDS))" "$1" {}
}

deaf() {
  local address names
  while read -r address names; do
    [ -e "$work/$address.deaf" ] && printf '%s ' "${names%% *}"
  done < <(others)
}

give_up() {
  cat "$work"/*.why
  report wired 76 "the wiring did not reach $(deaf)"
  return 1
}

no_room() {
  report wired 76 "the wiring could not be written on $name"
  return 1
}

own_line() {
  local first
  read -r first _ < <(others)
  printf '%s %s %s\n' "$(ip -4 route get "$first" | sed -n 's/.* src \([0-9.]*\).*/\1/p')" "$name" "$alias"
}

# The real host keys, under every name of each node.
known_hosts() {
  local address names key
  while read -r address names; do
    if [ "${names%% *}" = "$name" ]; then key=$host_key; else key=$(cut -d' ' -f1,2 <"$work/$address.key"); fi
    printf '%s,%s %s\n' "${names// /,}" "$address" "$key" || return
  done <"$work/hosts"
}

# What every node gets; first here, for a node drops its certificate as soon as it is wired.
wire_here() {
  others >"$work/hosts" &&
    own_line >>"$work/hosts" &&
    known_hosts >"$work/known_hosts" &&
    tar -c -f "$work/wiring.tar" -C "$work" hosts known_hosts &&
    "$state/wire" <"$work/wiring.tar"
}

wire_all() {
  work=$state/wiring
  surely mkdir -p "$work"
  on_all collect_key || { no_room; return; }
  [ ! -e "$state/wired" ] || return 0
  [ -z "$(deaf)" ] || { give_up; return; }
  surely wire_here || { no_room; return; }
  rm -f "$state/wired"
  on_all give_wiring || { no_room; return; }
  [ -e "$state/wired" ] || [ -z "$(deaf)" ] || { give_up; return; }
  touch "$state/wired"
  rm -rf "$work"
}
