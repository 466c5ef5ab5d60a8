# Does it work on Windows? Three members under Wine, with a real Windows PostgreSQL. Sourced by ./dev.
#
# Deliberately not a part of `./dev test`: it takes ten minutes, root, and 1.1 GB. What Wine cannot show is listed in
# docs/how-to/windows.md.

# Debian 12's Wine is too old for PostgreSQL 16 and newer.
readonly WINE_DEBIAN=trixie
readonly WINDOWS_POSTGRES_SHA256=075f493fd899a5aeef1aea47dbd6b662e6b634c0b904e4e754fdaf6fef2db343
# A program that starts soon matters more here than a fast one; the rest is what users get.
readonly WINDOWS_TEST_PROFILE=demo

# windows_test [DIRECTORY]: where the Debian with Wine is kept.
windows_test() {
  local tree=${1:-$ROOT/target-windows/wine}
  [ "$EUID" -eq 0 ] || die 'the test on Windows makes namespaces and changes its root' 'run it as root'
  need postgres jq curl ip unshare mmdebstrap windows-linker
  build_for_windows "$WINDOWS_TEST_PROFILE" || die "this toolchain cannot compile for $WINDOWS_TARGET" "rustup target add $WINDOWS_TARGET"
  mkdir -p "$(dirname "$tree")"
  fetch_once "$tree" wine_tree
  [ -d "$tree" ] || die 'there is no Debian with Wine' 'see the messages of mmdebstrap above'
  fetch_once "$tree/opt/pgsql" windows_postgresql
  [ -d "$tree/opt/pgsql" ] || die 'there is no PostgreSQL for Windows' 'pip must reach PyPI'
  say 'three members under Wine'
  # Whatever is left when the scenario ends, ends with its namespaces.
  unshare --mount --net --pid --fork --kill-child --mount-proc \
    "$ROOT/scripts/windows_scenario.sh" "$tree" "$(windows_program "$WINDOWS_TEST_PROFILE")" </dev/null
}

wine_tree() {
  mmdebstrap --variant=apt --mode=root --include=wine64,wine,ca-certificates "$WINE_DEBIAN" "$1" && mkdir "$1/members"
}

windows_postgresql() {
  postgresql_wheel "$1" win_amd64 "$WINDOWS_POSTGRES_SHA256"
}
