#!/usr/bin/env bash
# Three members on Windows, as far as Wine is one: from `quorate version` to a member that lost its power and comes back.
#
# Started by ./dev windows-test inside of namespaces of its own (mounts, processes, network), so nothing that runs here can be
# reached from elsewhere or outlive it. Each member has a Wine prefix: a registry, a service manager and a drive C: of its own.
#
# usage: windows_scenario.sh TREE PROGRAM, where TREE is a Debian with Wine and with PostgreSQL in /opt/pgsql
set -euo pipefail
readonly TREE=$1 PROGRAM=$2
readonly MEMBERS='1 2 3'
readonly PASSWORD='se cret\1'
readonly INSTALLED='C:\Program Files\Quorate\quorate.exe'
readonly HOME_THERE='C:\ProgramData\Quorate'
# Wine on two busy cores takes up to seven times as long as on an idle machine.
readonly PATIENCE=180
readonly PAUSE=0.2
readonly TEMPLATE=$TREE/members/template

died() {
  printf 'FAILED: %s\n' "$1" >&2
  local n
  for n in $MEMBERS; do
    for log in "$(home_of "$n")/quorate.log" "$(home_of "$n")/agent.out" "$(home_of "$n")/data.log"; do
      [ ! -s "$log" ] || { printf -- '--- the end of %s\n' "$log" && tail -n 40 "$log"; } >&2
    done
  done
  exit 1
}

STEP_BEGUN=0
step() {
  printf '%-76s' "$1"
  STEP_BEGUN=$(date +%s%N)
}
done_step() { printf '%6d ms  %s\n' $((($(date +%s%N) - STEP_BEGUN) / 1000000)) "${1:-}"; }

address() { echo "127.0.0.1$1"; }
drive_of() { echo "$TREE/members/m$1/drive_c"; }
home_of() { echo "$(drive_of "$1")/ProgramData/Quorate"; }

# on MACHINE PROGRAM ARGUMENTS...: one of Wine's own programs.
on() {
  local machine=$1
  shift
  chroot "$TREE" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 WINEDEBUG=-all WINEPREFIX="/members/$machine" \
    XDG_RUNTIME_DIR=/tmp WINEDLLOVERRIDES='mscoree=d;mshtml=d;winemenubuilder.exe=d' "$@"
}

# wine N PROGRAM ARGUMENTS...: a Windows program on the machine of member N.
wine() {
  local n=$1
  shift
  on "m$n" wine "$@"
}

# Without the first line Wine ends a machine on which nothing but services runs.
power_on() {
  on "m$1" /usr/lib/wine/wineserver64 --persistent
  on "m$1" wineboot >/dev/null 2>&1 </dev/null
}

# quorate N ARGUMENTS...; a Windows program ends its lines in its own way.
quorate() {
  local n=$1
  shift
  wine "$n" "$INSTALLED" "$@" </dev/null | tr -d '\r'
}

# wait_for WORDS COMMAND...: until the command succeeds.
wait_for() {
  local words=$1 deadline=$((SECONDS + PATIENCE))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || died "$words (waited for $PATIENCE s)"
    sleep $PAUSE
  done
}

rest() { curl --silent --max-time 5 "http://$(address "$1"):8008/$2"; }
answers() { [ "$(curl --silent --output /dev/null --max-time 5 --write-out '%{http_code}' "http://$(address "$1"):8008/$2")" = 200 ]; }
sql() {
  PGPASSWORD=$PASSWORD PGCONNECT_TIMEOUT=5 psql --no-psqlrc --quiet --tuples-only --no-align --host "$1" --port "$2" --username postgres \
    --dbname postgres --command "$3" 2>/dev/null
}
sql_says() { [ "$(sql "$1" "$2" "$3")" = "$4" ]; }

leader() {
  local n
  for n in $MEMBERS; do if answers "$n" primary; then echo "$n" && return; fi; done
  return 1
}
leads() { answers "$1" primary; }
other_leads() { local now && now=$(leader) && [ "$now" != "$1" ]; }
follows() { answers "$1" replica; }
another() { local n && for n in $MEMBERS; do if [ "$n" != "$1" ]; then echo "$n" && return; fi; done; }
all_but() { local n && for n in $MEMBERS; do [ "$n" = "$1" ] || printf '%s ' "$n"; done; }

# A row through the proxy of a member that is not the leader; every row that was confirmed must be there in the end.
ROWS=0
write_row() {
  wait_for "no row can be written through the proxy of $1" sql "$(address "$1")" 5000 "insert into kept values ($((ROWS + 1)))"
  ROWS=$((ROWS + 1))
}
rows_are_on() {
  wait_for "member $1 lacks rows" sql_says "$(address "$1")" 5432 'select count(*) from kept' "$ROWS"
}

# Windows processes of a member, as Linux sees them: their numbers and how they were started.
processes_of() {
  local pid environment line
  for pid in /proc/[0-9]*; do
    # A process may end between the two looks at it.
    { environment=$(tr '\0' '\n' <"$pid/environ") && line=$(tr '\0' ' ' <"$pid/cmdline"); } 2>/dev/null || continue
    [[ $'\n'$environment$'\n' != *$'\n'"WINEPREFIX=/members/m$1"$'\n'* ]] || printf '%s %s\n' "${pid#/proc/}" "$line"
  done
}
# part_of N WORD...: the first process of member N that has all these words in its command line.
part_of() {
  local found word
  found=$(processes_of "$1")
  shift
  for word; do found=$(grep --fixed-strings -- "$word" <<<"$found") || return 1; done
  found=${found%%$'\n'*}
  echo "${found%% *}"
}
worker_of() { part_of "$1" quorate.exe ' worker '; }
guard_of() { part_of "$1" quorate.exe ' service run '; }
postmaster_of() { part_of "$1" postgres.exe ' -D '; }
no_postgres_on() {
  local found
  found=$(processes_of "$1")
  [[ $found != *postgres.exe* ]]
}
power_off() {
  local pids
  while pids=$(processes_of "$1" | cut -d ' ' -f 1) && [ -n "$pids" ]; do
    # One that ends by itself in this moment is no failure.
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep $PAUSE
  done
}

prepare() {
  local n
  mount --bind /proc "$TREE/proc"
  mount --bind /dev "$TREE/dev"
  ip link set lo up
  if [ ! -d "$TEMPLATE" ]; then
    step 'a Windows without anything is made'
    on template sh -c 'wineboot --init; wineserver --wait' >/dev/null 2>&1 </dev/null
    done_step
  fi
  for n in $MEMBERS; do
    rm -rf "$TREE/members/m$n"
    mkdir -p "$TREE/members/m$n"
    # Windows' own files are the same ones (770 MB); what a machine changes is its own.
    (cd "$TEMPLATE" && find . -path ./drive_c/windows -prune -o -mindepth 1 -maxdepth 1 ! -name drive_c -exec cp -a {} "$TREE/members/m$n/" \;)
    mkdir "$(drive_of "$n")"
    (cd "$TEMPLATE/drive_c" && find . -mindepth 1 -maxdepth 1 ! -name windows -exec cp -a {} "$(drive_of "$n")/" \;)
    cp -al "$TEMPLATE/drive_c/windows" "$(drive_of "$n")/windows"
    mkdir -p "$(drive_of "$n")/Program Files/"{Quorate,PostgreSQL} "$(home_of "$n")"
    ln -s /opt/pgsql "$(drive_of "$n")/Program Files/PostgreSQL/18"
    ln "$PROGRAM" "$(drive_of "$n")/Program Files/Quorate/quorate.exe" 2>/dev/null ||
      cp "$PROGRAM" "$(drive_of "$n")/Program Files/Quorate/quorate.exe"
    configuration "$n" >"$(home_of "$n")/quorate.yml"
    power_on "$n"
  done
}

configuration() {
  cat <<YAML
scope: demo
name: pg$1
restapi: {listen: "$(address "$1"):8008", connect_address: "$(address "$1"):8008"}
store:
  listen: $(address "$1")
  data_dir: '$HOME_THERE\store'
  members: {pg1: $(address 1), pg2: $(address 2), pg3: $(address 3)}
bootstrap:
  dcs:
    # Wine is slower than Windows, and this is no measurement.
    ttl: 8
    postgresql: {use_pg_rewind: true}
  initdb: [{encoding: UTF8}, data-checksums]
postgresql:
  listen: "$(address "$1"):5432"
  connect_address: "$(address "$1"):5432"
  data_dir: '$HOME_THERE\data'
  authentication:
    superuser: {username: postgres, password: '$PASSWORD'}
    replication: {username: replicator, password: '$PASSWORD'}
    rewind: {username: rewind, password: '$PASSWORD'}
  parameters: {shared_buffers: 16MB}
proxy: {listen: $(address "$1")}
YAML
}

says_its_version() {
  step 'quorate version'
  local said
  said=$(quorate 1 version)
  [[ $said == 'quorate version '* ]] || died "it says: $said"
  done_step "$said"
}

doctor_finds_nothing_wrong() {
  step 'quorate doctor on a server where nothing runs yet'
  local said
  said=$(quorate 1 -c "$HOME_THERE\\quorate.yml" doctor -o json) || true
  jq --exit-status 'type == "object" or type == "array"' >/dev/null <<<"$said" || died "quorate doctor says: $said"
  done_step
}

the_plan_is_shown() {
  step 'quorate setup --from cluster.yaml --dry-run'
  cat >"$(home_of 1)/cluster.yaml" <<YAML
scope: shop
promise: stay-writable
members:
- {name: pg1, address: $(address 1), roles: [database, store]}
- {name: pg2, address: $(address 2), roles: [database, store]}
- {name: pg3, address: $(address 3), roles: [witness]}
postgresql: {version: "18", data_dir: 'C:\\ProgramData\\Quorate\\postgresql'}
store_dir: 'C:\\ProgramData\\Quorate\\store'
YAML
  local said
  said=$(quorate 1 setup --from "$HOME_THERE\\cluster.yaml" --member pg1 --dry-run 2>&1) || died "it says: $said"
  grep --quiet 'scope: "\?shop' <<<"$said" || died "it shows no configuration: $said"
  rm "$(home_of 1)/cluster.yaml"
  done_step
}

services_start() {
  local n
  step 'quorate service install and start on three members'
  for n in $MEMBERS; do
    quorate "$n" service install "$HOME_THERE\\quorate.yml" >"$(home_of "$n")/agent.out" 2>&1 || died "install on $n: $(cat "$(home_of "$n")/agent.out")"
    quorate "$n" service start >"$(home_of "$n")/agent.out" 2>&1 || died "start on $n: $(cat "$(home_of "$n")/agent.out")"
    [ "$(quorate "$n" service status)" = 'quorate is running' ] || died "the service of $n does not run"
  done
  done_step
}

a_cluster_comes_up() {
  local n
  step 'bootstrap: one member makes the cluster'
  wait_for 'nobody leads' leader >/dev/null
  done_step "pg$(leader)"
  step 'the others are cloned and follow'
  for n in $(all_but "$(leader)"); do wait_for "member $n does not follow" follows "$n"; done
  done_step
  step 'rows through the proxy of a replica'
  wait_for 'no table can be made' sql "$(address "$(another "$(leader)")")" 5000 'create table if not exists kept (n int)'
  write_row "$(another "$(leader)")"
  for n in $MEMBERS; do rows_are_on "$n"; done
  done_step
}

the_cluster_is_listed() {
  step 'quorate list'
  local said
  said=$(quorate 2 -c "$HOME_THERE\\quorate.yml" list -o json) || died "it says: $said"
  [ "$(jq '[.. | objects | select(has("Role") or has("role"))] | length' <<<"$said")" -ge 3 ] || died "it says: $said"
  done_step
}

switchover() {
  local old
  old=$(leader)
  step 'a planned switchover'
  quorate "$old" -c "$HOME_THERE\\quorate.yml" switchover --force >"$(home_of "$old")/agent.out" 2>&1 || died "it says: $(cat "$(home_of "$old")/agent.out")"
  other_leads "$old" || died 'the same member leads'
  wait_for "the old leader $old does not follow" follows "$old"
  write_row "$old"
  done_step "pg$old -> pg$(leader)"
}

worker_is_killed() {
  local now postmaster worker
  now=$(leader)
  step "the leader's worker is killed; PostgreSQL goes on under the guard"
  postmaster=$(postmaster_of "$now") worker=$(worker_of "$now")
  kill -KILL "$worker"
  wait_for 'the guard starts no worker' new_worker "$now" "$worker"
  wait_for 'there is no leader' leader >/dev/null
  [ "$(leader)" != "$now" ] || [ "$(postmaster_of "$now")" = "$postmaster" ] || died 'PostgreSQL was started anew'
  write_row "$(another "$(leader)")"
  done_step
}
new_worker() { local worker && worker=$(worker_of "$1") && [ "$worker" != "$2" ]; }

worker_is_frozen() {
  local now
  now=$(leader)
  step "the leader's worker is frozen; the fence ends PostgreSQL"
  local worker
  worker=$(worker_of "$now")
  kill -STOP "$worker"
  wait_for 'PostgreSQL still runs after the fence' no_postgres_on "$now"
  wait_for 'no other member leads' other_leads "$now"
  kill -CONT "$worker"
  wait_for "member $now does not follow" follows "$now"
  write_row "$now"
  done_step "pg$now -> pg$(leader)"
}

guard_is_frozen() {
  local now guard
  now=$(leader)
  step "the leader's guard is frozen; the worker ends PostgreSQL in its place"
  guard=$(guard_of "$now")
  kill -STOP "$guard"
  wait_for 'PostgreSQL still runs after the fence' no_postgres_on "$now"
  wait_for 'no other member leads' other_leads "$now"
  kill -CONT "$guard"
  wait_for "member $now does not follow" follows "$now"
  write_row "$now"
  done_step "pg$now -> pg$(leader)"
}

postmaster_is_killed() {
  local now
  now=$(leader)
  step "the leader's postmaster is killed"
  kill -KILL "$(postmaster_of "$now")"
  wait_for 'nobody leads' leader >/dev/null
  write_row "$(another "$now")"
  wait_for 'a member does not come back' all_serve
  done_step "pg$now -> pg$(leader)"
}
all_serve() { local n && for n in $MEMBERS; do answers "$n" health || return 1; done; }

guard_is_killed() {
  local now
  now=$(leader)
  step "the leader's guard is killed; its job object ends PostgreSQL"
  kill -KILL "$(guard_of "$now")"
  wait_for 'PostgreSQL outlives its guard' no_postgres_on "$now"
  wait_for 'no other member leads' other_leads "$now"
  [[ $(quorate "$now" service status) != *'is running' ]] || died 'the service says that it runs'
  quorate "$now" service start >/dev/null 2>&1 || died 'the service does not start again'
  wait_for "member $now does not come back" follows "$now"
  write_row "$now"
  done_step "pg$now -> pg$(leader)"
}

power_fails() {
  local now
  now=$(leader)
  step "every process of the leader's machine is killed; it starts again"
  power_off "$now"
  wait_for 'no other member leads' other_leads "$now"
  write_row "$(another "$now")"
  # The service starts with the system.
  power_on "$now"
  wait_for "member $now does not come back" follows "$now"
  done_step "pg$now -> pg$(leader)"
}

nothing_is_lost() {
  step 'every confirmed row is on every member, whose histories are one'
  local n
  for n in $MEMBERS; do rows_are_on "$n"; done
  done_step "$ROWS rows"
}

services_stop() {
  local n
  step 'quorate service stop: PostgreSQL ends in order; uninstall leaves the data'
  for n in $(all_but "$(leader)") $(leader); do
    quorate "$n" service stop >/dev/null 2>&1 || died "the service of $n does not stop"
    no_postgres_on "$n" || died "PostgreSQL of $n still runs"
    grep --quiet 'database system is shut down' "$(home_of "$n")/data.log" || died "PostgreSQL of $n was not shut down in order"
    [ ! -e "$(home_of "$n")/data/postmaster.pid" ] || died "PostgreSQL of $n left its postmaster.pid"
    quorate "$n" service uninstall >/dev/null 2>&1 || died "the service of $n cannot be removed"
    [ -s "$(home_of "$n")/data/PG_VERSION" ] && [ -s "$(home_of "$n")/quorate.yml" ] || died "data or configuration of $n are gone"
  done
  done_step
}

prepare
says_its_version
doctor_finds_nothing_wrong
the_plan_is_shown
services_start
a_cluster_comes_up
the_cluster_is_listed
switchover
worker_is_killed
worker_is_frozen
guard_is_frozen
postmaster_is_killed
guard_is_killed
power_fails
nothing_is_lost
services_stop
echo 'all of it works under Wine'
