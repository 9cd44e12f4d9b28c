#!/usr/bin/env bash
# Runs the tests with the race detector: ./test.sh, or ./test.sh ./models ./collectors for some packages.
# As root on Debian or Ubuntu it first installs the servers and the browser that the tests use; elsewhere it names
# what is missing. It starts no service. What was skipped, and why, is listed at the end; with CI=true a skip fails.
set -euo pipefail
cd "$(dirname "$0")"

missing=()

need() { # need PACKAGES CHECK...: notes the Debian packages as missing if the command CHECK fails
  local packages=$1
  shift
  if ! "$@" >/dev/null 2>&1; then
    read -ra words <<<"$packages"
    missing+=("${words[@]}")
  fi
}

any() { # any COMMAND...: prints the path of the first command that exists
  local name
  for name in "$@"; do
    command -v "$name" && return
  done
  return 1
}

has_postgres() {
  [[ -n ${TEST_POSTGRES_URL:-}${TEST_POSTGRES_BIN:-} ]] ||
    compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb
}
has_mariadb() {
  [[ -n ${TEST_MYSQL_DSN:-} ]] ||
    { PATH=$PATH:/usr/sbin any mariadbd mysqld && any mariadb-install-db && any my_print_defaults; }
}
has_cjk_font() {
  [[ $(uname) == Darwin ]] || fc-list :lang=zh | grep -q . || compgen -G '/usr/share/fonts/*/noto/NotoSansCJK*'
}
has_libc() { echo 'int main(void){return 0;}' | gcc -x c -o /dev/null -; }

installable() { # installable PACKAGE...: prints those that the distribution has
  local name
  for name in "$@"; do
    if apt-cache show "$name" >/dev/null 2>&1; then
      echo "$name"
    else
      echo "test.sh: package $name does not exist in this distribution" >&2
    fi
  done
}

install() {
  # Tests start servers of their own: a fresh PostgreSQL package must neither create nor start its default one.
  local no_cluster=/etc/postgresql-common/createcluster.d/whalefall-tests.conf packages log failed=0
  log=$(mktemp)
  apt-get -qq update || true
  mapfile -t packages < <(installable "$@")
  mkdir -p "${no_cluster%/*}"
  echo "create_main_cluster = false" >"$no_cluster"
  DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends --no-remove "${packages[@]}" </dev/null >"$log" 2>&1 || failed=1
  rm -f "$no_cluster"
  if ((failed)); then
    cat "$log" >&2
    echo "test.sh: could not install ${packages[*]}; continuing without" >&2
  fi
  rm -f "$log"
}

need 'postgresql' has_postgres
need 'mariadb-server-core mariadb-client-core' has_mariadb
need 'chromium' any chromium chromium-browser google-chrome google-chrome-stable headless-shell chrome
need 'fontconfig fonts-noto-cjk' has_cjk_font
need 'gcc libc6-dev' has_libc
need 'curl' any curl
need 'jq' any jq

if ((${#missing[@]})); then
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "test.sh: installing ${missing[*]}"
    install "${missing[@]}"
  else
    echo "test.sh: not installed here (the names are Debian's): ${missing[*]}" >&2
  fi
fi

# -race also checks unsafe pointers. In SQLite, which is translated from C, these checks take half of the time and find
# nothing in our code. SQLite's driver is not checked for races: when a statement is cancelled it reads the handle of a
# connection that may just be closing, and only then takes the lock under which it does nothing with a closed one.
race=(-race -gcflags='modernc.org/...=-d=checkptr=0' -gcflags='github.com/glebarez/go-sqlite=-race=false')
export CGO_ENABLED=1
if ! has_libc >/dev/null 2>&1; then
  echo "test.sh: no C compiler, so no race detector" >&2
  [[ ${CI:-} != true ]] || exit 1
  race=()
  CGO_ENABLED=0
fi

run() { # run PACKAGES...: runs their tests, and for ./... those of tools/grammar, which are slow even without -race
  local failed=0
  go test "${race[@]}" -v -p 2 -timeout 60m "$@" || failed=1
  if [[ $* == ./... ]]; then
    # They read files outside of their module, whose changes go test does not notice: -count=1.
    CGO_ENABLED=0 go -C tools/grammar test -v -count=1 -timeout 20m ./... || failed=1
  fi
  return "$failed"
}

run "${@:-./...}" | awk -v ci="${CI:-}" -f tools/testlog.awk
