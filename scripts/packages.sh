# Installs what a command needs and the machine lacks, from the distribution. Sourced by ./dev.
#
# Nothing that is installed here is started, now or at the next boot: PostgreSQL, etcd and Redis are programs to us, not
# services.

# Where Debian's packages of Go libraries are.
readonly DEBIAN_GOPATH=/usr/share/gocode

# The package that brings what a command needs, under Debian's and Ubuntu's names.
package_of() {
  case $1 in
    cc) echo gcc libc6-dev ;;
    protoc) echo protobuf-compiler ;;
    postgres) echo postgresql ;;
    pgbouncer) echo pgbouncer ;;
    jdbc) echo default-jdk-headless libpostgresql-jdbc-java ;;
    go-clients) echo golang-go golang-github-jackc-pgx-v4-dev golang-gopkg-redis.v5-dev ;;
    etcd) echo etcd-server ;;
    etcdctl) echo etcd-client ;;
    redis) echo redis-server redis-sentinel redis-tools ;;
    node) echo nodejs ;;
    npm) echo npm ;;
    chromium) echo chromium ;;
    haproxy) echo haproxy ;;
    jq) echo jq ;;
    curl) echo curl ;;
    ip) echo iproute2 ;;
    nft) echo nftables ;;
    nsenter | unshare) echo util-linux ;;
    vip-manager) echo vip-manager ;;
    ps) echo procps ;;
    tmux) echo tmux ;;
    zip) echo zip ;;
    mmdebstrap) echo mmdebstrap ;;
    python-venv) echo python3 python3-venv python3-pip ;;
    windows-rustc) echo rustc-web rust-web-src ;;
    windows-linker) echo gcc-mingw-w64-x86-64 ;;
    *) die "scripts/packages.sh knows no package for '$1'" ;;
  esac
}

# The services those packages would start.
service_of() {
  case $1 in
    etcd-server) echo etcd ;;
    redis-server | redis-sentinel | haproxy | pgbouncer | vip-manager) echo "$1" ;;
  esac
}

is_present() {
  case $1 in
    # Debian keeps the server outside of PATH, one directory for each version.
    postgres) compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null ;;
    redis) command -v redis-server >/dev/null && command -v redis-sentinel >/dev/null && command -v redis-cli >/dev/null ;;
    jdbc) command -v javac >/dev/null && [ -e /usr/share/java/postgresql.jar ] ;;
    go-clients)
      command -v go >/dev/null && [ -d "$DEBIAN_GOPATH/src/github.com/jackc/pgx/v4" ] &&
        [ -d "$DEBIAN_GOPATH/src/gopkg.in/redis.v5" ]
      ;;
    ip) command -v ip >/dev/null || [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] ;;
    nft) command -v nft >/dev/null || [ -x /usr/sbin/nft ] || [ -x /sbin/nft ] ;;
    haproxy | pgbouncer) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;;
    windows-rustc) [ -n "$(debian_rustc_version)" ] && [ -d "/usr/src/rustc-$(debian_rustc_version)/library" ] ;;
    python-venv) python3 -c 'import ensurepip, pip, venv' 2>/dev/null ;;
    windows-linker) command -v x86_64-w64-mingw32-gcc >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# The version of the package rustc-web's compiler; empty when it is not installed.
debian_rustc_version() {
  [ -x /usr/bin/rustc ] && dpkg-query -s rustc-web >/dev/null 2>&1 || return 0
  /usr/bin/rustc --version | cut -d ' ' -f 2
}

# need THING...: makes sure that all of them are there, or says what to install.
need() {
  local thing missing=()
  for thing; do
    is_present "$thing" || missing+=("$thing")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local packages
  packages=$(for thing in "${missing[@]}"; do package_of "$thing"; done | tr '\n' ' ')
  packages=${packages% }
  command -v apt-get >/dev/null || die "missing: ${missing[*]}" \
    "this machine has no apt-get; install what corresponds to Debian's packages: $packages"
  can_be_root || die "missing: ${missing[*]}" "run as root, or ask an administrator to: apt-get install $packages"
  say "installing from the distribution: $packages"
  install_packages $packages || die "cannot install: $packages" "see apt-get's messages above"
  for thing in "${missing[@]}"; do
    is_present "$thing" || die "$(package_of "$thing") was installed, but '$thing' is still missing"
  done
}

can_be_root() {
  [ "$EUID" -eq 0 ] && return 0
  command -v sudo >/dev/null || return 1
  # A person at a terminal can type a password, nobody else can.
  [ -t 0 ] || sudo -n true 2>/dev/null
}

as_root() {
  if [ "$EUID" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  (
    temporary=()
    trap 'for file in "${temporary[@]}"; do as_root rm -f "$file"; done' EXIT
    trap 'exit 130' INT TERM
    no_service_starts
    no_default_cluster
    apt install "$@" || { apt update && apt install "$@"; } || exit 1
    for package; do
      for service in $(service_of "$package"); do
        command -v systemctl >/dev/null && as_root systemctl --quiet disable "$service" 2>/dev/null
      done
    done
    exit 0
  ) >&2 </dev/null
}

# --no-remove: what is installed already wins over what we would like to have.
apt() {
  local verb=$1
  shift
  local options=(-qq -o DPkg::Lock::Timeout=300)
  [ "$verb" = install ] && options+=(--yes --no-install-recommends --no-remove -o Dpkg::Use-Pty=0)
  as_root env DEBIAN_FRONTEND=noninteractive apt-get "$verb" "${options[@]}" "$@"
}

# Debian asks this script before a package starts its service; 101 means no.
no_service_starts() {
  local guard=/usr/sbin/policy-rc.d
  [ -e $guard ] && return 0
  temporary+=("$guard")
  printf '#!/bin/sh\nexit 101\n' | as_root tee $guard >/dev/null
  as_root chmod 755 $guard
}

# Debian's PostgreSQL comes with a cluster of its own, on the port that ours may want.
no_default_cluster() {
  local directory=/etc/postgresql-common/createcluster.d
  local file=$directory/quorate-dev.conf
  [ -e $file ] && return 0
  temporary+=("$file")
  as_root mkdir -p $directory
  echo 'create_main_cluster = false' | as_root tee $file >/dev/null
}
