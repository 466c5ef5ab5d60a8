# What users install: a Debian package, a tarball, and a zip for Windows. Sourced by ./dev.
#
# Everything is made below the target directory, from the release build alone, and checked before the command ends: the
# listing is the expected one and the program in it runs.

readonly PACKAGE_MAINTAINER='The Quorate developers <quorate@example.org>'
# Files that take part in what is packed, as they are called in the tree of a package.
readonly PACKAGE_DOCUMENTS='README.md CHANGELOG.md LICENSE'

# package [--no-windows]
package() {
  need cc protoc
  local version directory program
  version=$(in_root sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
  directory=$(target_directory)/package
  say "building the program (profile ${PACKAGE_PROFILE:-release})"
  in_root cargo build --quiet --profile "${PACKAGE_PROFILE:-release}" --package app
  program=$(program "${PACKAGE_PROFILE:-release}" quorate)
  rm -rf "$directory"
  mkdir -p "$directory/shared"
  # The same at each build of the same state.
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(in_root git log -1 --format=%ct)}
  export SOURCE_DATE_EPOCH
  package_shared "$program" "$directory/shared"
  package_tarball "$program" "$directory" "$version"
  if command -v dpkg-deb >/dev/null; then
    package_debian "$program" "$directory" "$version"
  else
    say 'no Debian package: this machine has no dpkg-deb'
  fi
  [ "${1:-}" = --no-windows ] || package_windows "$directory" "$version"
  rm -rf "$directory/shared"
  say "made in $directory:"
  (cd "$directory" && ls -1)
}

# package_shared PROGRAM DIRECTORY: what every package has besides the program.
package_shared() {
  local program=$1 to=$2 document
  mkdir -p "$to/completions" "$to/examples"
  "$program" man "$to/man"
  "$program" completions bash >"$to/completions/quorate.bash"
  "$program" completions zsh >"$to/completions/_quorate"
  "$program" completions fish >"$to/completions/quorate.fish"
  "$program" completions powershell >"$to/completions/_quorate.ps1"
  for document in $PACKAGE_DOCUMENTS; do cp "$ROOT/$document" "$to/"; done
  cp "$ROOT/contrib/quorate.yml" "$to/examples/quorate.yml"
  cp "$ROOT/contrib/prometheus/alerts.yml" "$to/examples/prometheus-alerts.yml"
  cp "$ROOT/contrib/grafana/quorate.json" "$to/examples/grafana-dashboard.json"
  # The unit as `service install` would write it for the example, with the places of an installed program.
  "$program" service install --print "$ROOT/contrib/quorate.yml" |
    sed -e 's|^ExecStart=.*|ExecStart="/usr/bin/quorate" agent "/etc/quorate/quorate.yml"|' >"$to/examples/quorate.service"
}

package_tarball() {
  local program=$1 directory=$2 name=quorate-$3-linux-$(uname -m)
  mkdir -p "$directory/$name/bin"
  cp -R "$directory/shared/." "$directory/$name/"
  install -m 755 "$program" "$directory/$name/bin/quorate"
  tar -C "$directory" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --use-compress-program='gzip -n' -cf "$directory/$name.tar.gz" "$name"
  rm -rf "${directory:?}/$name"
  check_tarball "$directory/$name.tar.gz" "$name" "$3"
}

package_debian() {
  local program=$1 directory=$2 version=$3 architecture tree glibc
  architecture=$(dpkg --print-architecture)
  tree=$directory/tree
  mkdir -p "$tree/DEBIAN" "$tree/usr/share/man/man1" "$tree/usr/share/bash-completion/completions" \
    "$tree/usr/share/zsh/vendor-completions" "$tree/usr/share/fish/vendor_completions.d" "$tree/usr/share/doc/quorate"
  install -D -m 755 "$program" "$tree/usr/bin/quorate"
  install -m 644 "$directory"/shared/man/*.1 "$tree/usr/share/man/man1/"
  gzip -n -9 "$tree"/usr/share/man/man1/*.1
  install -m 644 "$directory/shared/completions/quorate.bash" "$tree/usr/share/bash-completion/completions/quorate"
  install -m 644 "$directory/shared/completions/_quorate" "$tree/usr/share/zsh/vendor-completions/_quorate"
  install -m 644 "$directory/shared/completions/quorate.fish" "$tree/usr/share/fish/vendor_completions.d/quorate.fish"
  install -m 644 "$directory/shared/README.md" "$directory/shared/CHANGELOG.md" "$tree/usr/share/doc/quorate/"
  install -m 644 "$directory/shared/LICENSE" "$tree/usr/share/doc/quorate/copyright"
  cp -R "$directory/shared/examples" "$tree/usr/share/doc/quorate/examples"
  find "$tree" -type d -exec chmod 755 {} +
  find "$tree/usr/share" -type f -exec chmod 644 {} +
  glibc=$(objdump -T "$program" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | cut -d _ -f 2)
  cat >"$tree/DEBIAN/control" <<TEXT
Package: quorate
Version: $version
Architecture: $architecture
Maintainer: $PACKAGE_MAINTAINER
Installed-Size: $(du -sk --apparent-size "$tree/usr" | cut -f 1)
Depends: libc6 (>= ${glibc:-2.36}), libgcc-s1
Suggests: postgresql, redis-server
Section: database
Priority: optional
Description: high availability of PostgreSQL and Redis in one program
 One program on each server keeps PostgreSQL and Redis available: agent, store,
 proxy, virtual address and Sentinel. It reads patroni.yml and answers as
 Patroni, etcd and Redis Sentinel do.
 .
 Nothing is started by the package. Write /etc/quorate/quorate.yml, then run
 "quorate service install".
TEXT
  dpkg-deb --root-owner-group -Zxz --build "$tree" "$directory/quorate_${version}_$architecture.deb" >/dev/null
  rm -rf "$tree"
  check_debian "$directory/quorate_${version}_$architecture.deb" "$version"
}

# package_windows DIRECTORY VERSION: when the cross compiler and its linker are there.
package_windows() {
  local directory=$1 version=$2 name=quorate-$2-windows-x86_64 program
  command -v x86_64-w64-mingw32-gcc >/dev/null || {
    say 'no zip for Windows: its linker is not installed (gcc-mingw-w64-x86-64)'
    return 0
  }
  build_for_windows release || {
    say "no zip for Windows: this toolchain cannot compile for it (rustup target add $WINDOWS_TARGET)"
    return 0
  }
  need zip
  program=$(windows_program release)
  mkdir -p "$directory/$name/completions" "$directory/$name/examples"
  cp "$program" "$directory/$name/"
  cp "$directory"/shared/{README.md,CHANGELOG.md,LICENSE} "$directory/$name/"
  cp "$directory/shared/completions/_quorate.ps1" "$directory/$name/completions/"
  cp "$directory"/shared/examples/{quorate.yml,prometheus-alerts.yml,grafana-dashboard.json} "$directory/$name/examples/"
  (cd "$directory" && zip --quiet --recurse-paths -X "$name.zip" "$name")
  rm -rf "${directory:?}/$name"
}

# check_debian FILE VERSION
check_debian() {
  local file=$1 version=$2 listing wanted unpacked said
  listing=$(dpkg-deb --contents "$file")
  for wanted in usr/bin/quorate usr/share/man/man1/quorate.1.gz usr/share/man/man1/quorate-switchover.1.gz \
    usr/share/man/man1/quorate-service-install.1.gz usr/share/bash-completion/completions/quorate \
    usr/share/zsh/vendor-completions/_quorate usr/share/fish/vendor_completions.d/quorate.fish \
    usr/share/doc/quorate/copyright usr/share/doc/quorate/README.md usr/share/doc/quorate/CHANGELOG.md \
    usr/share/doc/quorate/examples/quorate.service usr/share/doc/quorate/examples/quorate.yml \
    usr/share/doc/quorate/examples/prometheus-alerts.yml usr/share/doc/quorate/examples/grafana-dashboard.json; do
    grep --quiet --fixed-strings " ./$wanted" <<<"$listing" || die "$file lacks $wanted"
  done
  # Everything belongs to root, and nothing may be written by others.
  if awk '$2 != "root/root" || substr($1, 9, 1) == "w"' <<<"$listing" | grep --quiet .; then
    die "$file has files of other owners, or that others may write"
  fi
  if grep --extended-regexp --quiet ' \./(etc|var|lib)/' <<<"$listing"; then die "$file has files outside of /usr"; fi
  unpacked=$(mktemp -d)
  dpkg-deb -x "$file" "$unpacked"
  said=$("$unpacked/usr/bin/quorate" version)
  gzip -t "$unpacked"/usr/share/man/man1/*.gz
  rm -rf "$unpacked"
  [ "$said" = "quorate version $version" ] || die "the program in $file says: $said"
}

# check_tarball FILE NAME VERSION
check_tarball() {
  local unpacked said wanted
  unpacked=$(mktemp -d)
  tar -C "$unpacked" -xzf "$1"
  for wanted in man/quorate.1 completions/quorate.bash completions/_quorate completions/quorate.fish LICENSE README.md \
    examples/quorate.service examples/quorate.yml; do
    [ -s "$unpacked/$2/$wanted" ] || die "$1 lacks $wanted"
  done
  said=$("$unpacked/$2/bin/quorate" version)
  rm -rf "$unpacked"
  [ "$said" = "quorate version $3" ] || die "the program in $1 says: $said"
}
