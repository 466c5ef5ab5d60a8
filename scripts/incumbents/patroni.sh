#!/usr/bin/env bash
# Patroni with etcd and HAProxy under the faults of our own benchmark, by a folder of measuring scripts that is not part of
# this repository. `quorate-drill bench failover --incumbents` calls this; by hand it is for looking closer.
#
#   patroni.sh check                  says what is missing to begin with
#   patroni.sh setup                  installs everything, builds the probe; nothing is started, now or at the next boot
#   patroni.sh version                prints `patroni 4.1.5`
#   patroni.sh up                     from nothing to three healthy members
#   patroni.sh measure FAULT RUNS     prints a JSON object for each run that gave a number (see `outcome` below)
#   patroni.sh down                   stops everything and removes the data; the measured data stays
#
# PROFILE=default|tuned and SYNC=on|off mean what they mean to those scripts, and are the same for up and measure.
# QUORATE_INCUMBENTS is the folder with the scripts, PEER_ROOT where everything is installed and kept.
#
# The folder itself is never written to: what runs is a copy below PEER_ROOT, because building the probe writes a
# Cargo.lock beside its sources.
set -euo pipefail
ROOT=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
SOURCE=${QUORATE_INCUMBENTS:-$(dirname "$ROOT")/shared/incumbents}
export PEER_ROOT=${PEER_ROOT:-/var/tmp/incumbents}
# A cluster of its own, in a network namespace of its own: nothing else on this machine is touched by `down`, not even
# another measurement. quorate-drill appends its process id, by which it is seen later that nobody is there any more.
export PEER_INST=${PEER_INST:-quorate-bench}
export PEER_NETNS=peer-$PEER_INST
COPY=$PEER_ROOT/scripts
# The services of the packages that setup.sh installs.
SERVICES='etcd haproxy redis-server redis-sentinel vip-manager'
POLICY=/usr/sbin/policy-rc.d
PATH=$PATH:/usr/sbin:/sbin
readonly ROOT SOURCE COPY SERVICES POLICY

# die SENTENCE HINT
die() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

check() {
  local script
  for script in setup.sh env.sh pgcluster.sh fault.sh bench_pg.py analyze.py; do
    [ -r "$SOURCE/$script" ] || die "the scripts that measure Patroni are not there: $SOURCE/$script is missing" \
      'QUORATE_INCUMBENTS=FOLDER says where they are; without --incumbents they are not needed'
  done
  [ "$EUID" -eq 0 ] || die 'Patroni can be measured by root only: its cluster gets a network namespace' \
    'become root, or leave out --incumbents'
  command -v apt-get >/dev/null || die 'the scripts that measure Patroni install from Debian, and there is no apt-get' \
    'use a Debian 12 machine, or leave out --incumbents'
}

setup() {
  check
  command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
  mkdir -p "$COPY"
  cp --recursive --update --preserve=mode,timestamps --no-target-directory "$SOURCE" "$COPY"
  chmod --recursive u+w "$COPY"
  local service disabled=()
  for service in $SERVICES; do
    is_service "$service" || disabled+=("$service")
  done
  # setup.sh leaves this file behind, which would keep every package from starting its service from then on.
  # shellcheck disable=SC2064
  [ -e $POLICY ] || trap "rm -f $POLICY" EXIT
  # The lists of packages may be missing or older than the mirror.
  "$COPY/setup.sh" || { apt-get -qq update && "$COPY/setup.sh"; } ||
    die 'what Patroni needs cannot be installed' 'the messages above say why; the scripts expect Debian 12'
  for service in "${disabled[@]}"; do
    if is_service "$service" && command -v systemctl >/dev/null; then
      systemctl --quiet disable "$service" || true
    fi
  done
} >&2 </dev/null

is_service() { [ -e "/lib/systemd/system/$1.service" ]; }

version() { "$PEER_ROOT/venv/bin/patroni" --version; }

up() {
  local left
  for left in "$PEER_ROOT"/inst/quorate-bench-*; do
    [ ! -d "$left" ] || kill -0 "${left##*-}" 2>/dev/null || PEER_INST=${left##*/} "${BASH_SOURCE[0]}" down
  done
  "$COPY/pgcluster.sh" up
} >&2 </dev/null

measure() {
  "$COPY/bench_pg.py" "$1" "$2" </dev/null | while IFS= read -r line; do
    # What is not a result is the reason why there is none.
    outcome "$line" || printf 'patroni, %s: %s\n' "$1" "$line" >&2
  done
}

# One run in the words of our own results. Fails when it has no number: the cluster did not recover in time.
outcome() {
  jq --exit-status '.recovered and .gap_ms != null' <<<"$1" >/dev/null 2>&1 || return 1
  local log after on_its_way
  log=$(jq --raw-output .log <<<"$1")
  read -r after on_its_way < <(old_after_new "$(jq .t_fault_us <<<"$1")" "$log" "${log%.log}-direct.log")
  # Our own count leaves out a write that was sent before the fault, was confirmed late, and is there in the end.
  # Here it is known only how many of them are lost: the others are left out as long as that is possible.
  jq --compact-output --argjson after "$after" --argjson on_its_way "$on_its_way" '
    (.acked_lost + (.direct_acked_lost // 0)) as $lost |
    ([$after - (.split_lost // .acked_lost), 0] | max) as $there |
    { fault: .scenario, gap_ms, errors, acked_lost: $lost, split_brain_writes: ($after - ([$on_its_way, $there] | min)) }
  ' <<<"$1"
}

# old_after_new FAULT_US LOG DIRECT_LOG: how many writes the old primary confirmed after the new one had confirmed its
# first through HAProxy, and how many of these were sent before the fault. DIRECT_LOG is that of a client straight at the
# old primary, which there is only when something is paused; our own measurement has one for every fault.
# A line of a log is `A CONFIRMED_US LATENCY_US NUMBER NODE`.
old_after_new() {
  [ -e "$3" ] || set -- "$1" "$2"
  local fault=$1
  shift
  awk -v fault="$fault" '
    $1 != "A" { next }
    FNR == NR && $2 <= fault { old = $5; next }
    FNR == NR && !first && $5 != old { first = $2 }
    first && $5 == old && $2 > first { after++; if ($2 - $3 < fault) on_its_way++ }
    END { print after + 0, on_its_way + 0 }' "$@"
}

down() {
  local pids
  # Probes, and whatever a run that was interrupted has left. Killing takes a moment to be visible.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    pids=$(ip netns pids "$PEER_NETNS" 2>/dev/null) || break
    [ -n "$pids" ] || break
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.1
  done
  [ ! -d "$COPY" ] || "$COPY/pgcluster.sh" down
} >&2 </dev/null

case ${1:-} in
  check | setup | version | up | down) "$1" ;;
  measure) measure "${2:?FAULT}" "${3:?RUNS}" ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
