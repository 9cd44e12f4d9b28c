#!/usr/bin/env bash
# How long `go run .` takes on a machine with nothing but Go: a fresh clone, an empty home, no module or build cache.
# Prints the seconds until /readyz answers, and the CPU seconds, which say more on a busy machine. Needs curl and a Go
# module proxy.
set -euo pipefail
cd "$(dirname "$0")/.."

port=${1:-18080}
home=$(mktemp -d)
server=
stop() {
  if [[ -n $server ]]; then
    kill -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  fi
}
cleanup() {
  stop
  chmod -R u+w "$home"
  rm -rf "$home"
}
trap cleanup EXIT

git clone -q . "$home/whalefall"
cd "$home/whalefall"
variables=("HOME=$home" "PATH=$(dirname "$(command -v go)"):/usr/bin:/bin" "WHALEFALL_ADDR=127.0.0.1:$port")
for name in GOPROXY GOSUMDB GOFLAGS HTTPS_PROXY SSL_CERT_FILE; do
  if [[ -n ${!name:-} ]]; then
    variables+=("$name=${!name}")
  fi
done
start=$(date +%s.%N)
set -m # a process group of its own, since `go run` starts the program as its child
env -i "${variables[@]}" go run . >"$home/out" 2>&1 &
server=$!
set +m
until curl -fs -o /dev/null "http://127.0.0.1:$port/readyz"; do
  if ! kill -0 "$server" 2>/dev/null; then
    cat "$home/out" >&2
    exit 1
  fi
  sleep 0.2
done
wall=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
stop
times >"$home/times" # in this shell: a pipe would ask a new one
echo "cold start: $wall s, CPU (user, system): $(tail -n 1 "$home/times")"
