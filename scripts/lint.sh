# Formatting, clippy, and the rules about who may depend on whom. Sourced by ./dev.

# Ring 1 decides; it has no clock, no randomness and no operating system. The compiler cannot see that, the list of
# dependencies can.
readonly RING_1='types kv ha store'
readonly BANNED_IN_RING_1='tokio mio rand getrandom libc rustix socket2 async-trait futures-core'
# The exception: `store` may have them through the crate `raft`, and replaces the one random value that is used there.
readonly EXCEPTION_OF_STORE='raft'

lint() {
  say 'rustfmt'
  in_root cargo fmt --all --check || die 'the code is not formatted' 'cargo fmt --all'
  say 'clippy'
  in_root cargo clippy --quiet --workspace --all-targets -- --deny warnings || die 'clippy has something to say'
  say 'ring 1 depends on nothing that could decide differently twice'
  ring_1_is_pure
  say 'the configuration reference is what the program reads'
  docs --check
  if command -v shellcheck >/dev/null; then
    say 'shellcheck'
    in_root shellcheck --shell bash --severity warning dev .ci/run scripts/*.sh
  fi
  if command -v cargo-deny >/dev/null; then
    say 'cargo deny'
    in_root cargo deny --all-features check bans licenses sources
  fi
}

ring_1_is_pure() {
  local crate dependency tree except
  for crate in $RING_1; do
    except=()
    [ "$crate" != store ] || except=(--prune "$EXCEPTION_OF_STORE")
    tree=$(in_root cargo tree --quiet --edges normal --package "$crate" --prefix none "${except[@]}") ||
      die "cargo tree fails for '$crate'"
    for dependency in $BANNED_IN_RING_1; do
      if grep --quiet "^$dependency v" <<<"$tree"; then
        die "the ring-1 crate '$crate' depends on '$dependency'" \
          "cargo tree --edges normal --package $crate --invert $dependency"
      fi
    done
  done
}
