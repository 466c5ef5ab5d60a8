# The page of the web console: Vite makes it of web/, crates/console puts it into the program. Sourced by ./dev.
#
# What is made lies below cargo's target directory and is never committed.

# Builds it when a source is newer. 1: it cannot be built, and npm has said why.
build_page() {
  local page
  page=$(target_directory)/page
  page_is_fresh "$page" && return 0
  say 'building the page of the web console'
  page_packages && in_web npm run --silent build -- --outDir "$page" --logLevel warn >&2
}

# The types of the page, against the description of the REST API.
check_page() {
  say 'svelte-check'
  page_packages && in_web npm run --silent check >&2
}

page_is_fresh() {
  local made=$1/index.html
  [ -e "$made" ] || return 1
  [ -z "$(in_web find src public package-lock.json vite.config.ts svelte.config.js index.html setup.html "$ROOT/crates/console/openapi.json" -newer "$made" -print -quit)" ]
}

# What package-lock.json names, once.
page_packages() {
  local marker=$ROOT/web/node_modules/.package-lock.json
  [ "$marker" -nt "$ROOT/web/package-lock.json" ] && return 0
  in_web npm ci --no-audit --no-fund --loglevel=error >&2 && touch "$marker"
}

in_web() { (cd "$ROOT/web" && "$@"); }
