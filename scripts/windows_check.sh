# Does everything compile for Windows? Checked without a Windows machine. And the program for it. Sourced by ./dev.

readonly WINDOWS_TARGET=x86_64-pc-windows-gnu

# Uses the target's standard library if the toolchain has it; otherwise compiles the standard library from Debian's
# sources, with the one compiler they belong to.
windows_check() {
  local libraries
  libraries=$(rustc --print target-libdir --target $WINDOWS_TARGET 2>/dev/null) || libraries=
  if compgen -G "$libraries/libstd-*" >/dev/null; then
    # `ring` has parts in C.
    need windows-linker
    say "cargo check for $WINDOWS_TARGET"
    in_root env CARGO_TARGET_DIR="$ROOT/target-windows" cargo check --quiet --workspace --target $WINDOWS_TARGET
    return
  fi
  if ! is_present windows-rustc && ! apt_has_rustc_web; then
    [ "${1:-}" = --if-possible ] || die "this toolchain cannot compile for $WINDOWS_TARGET" "rustup target add $WINDOWS_TARGET"
    say "skipped: the check for Windows (hint: rustup target add $WINDOWS_TARGET)"
    return
  fi
  need cc protoc windows-rustc windows-linker
  say "cargo check for $WINDOWS_TARGET, with the standard library of rustc $(debian_rustc_version)"
  # The variable lets a stable compiler take the -Z option; nothing of ours uses unstable features.
  in_root env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$ROOT/target-windows" \
    cargo check --quiet --workspace --target $WINDOWS_TARGET -Z build-std=std,panic_abort
}

# build_for_windows PROFILE: the program, or 1 where no compiler for it is installed. The page must be built before.
build_for_windows() {
  local libraries failed="see cargo's messages above"
  # A panic ends the program, as in a release: the standard library that is compiled below knows nothing else.
  local variables=(CARGO_TARGET_DIR="$ROOT/target-windows" CARGO_PROFILE_DEMO_PANIC=abort)
  local options=(--quiet --locked --profile "$1" --package app --target "$WINDOWS_TARGET")
  libraries=$(rustc --print target-libdir --target "$WINDOWS_TARGET" 2>/dev/null) || libraries=
  say "building for Windows (profile $1)"
  if compgen -G "$libraries/libstd-*" >/dev/null; then
    in_root env "${variables[@]}" cargo build "${options[@]}" || die 'the program does not compile for Windows' "$failed"
  elif is_present windows-rustc; then
    in_root env "${variables[@]}" RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc cargo build "${options[@]}" -Z build-std=std,panic_abort ||
      die 'the program does not compile for Windows' "$failed"
  else
    return 1
  fi
}

windows_program() { echo "$ROOT/target-windows/$WINDOWS_TARGET/$1/quorate.exe"; }

# Debian has it as of version 12 (in its security updates), Ubuntu does not.
apt_has_rustc_web() {
  can_be_root || return 1
  apt-cache policy rustc-web 2>/dev/null | grep --quiet 'Candidate: [1-9]'
}
