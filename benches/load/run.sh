#!/usr/bin/env bash
# What a hit costs, what a herd meets, what an object weighs: see README.md beside this file.
#
#   benches/load/run.sh [ROUNDS] [SECONDS]      default: 5 rounds of 4 seconds
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5} seconds=${2:-4}
objects=100000

# The edge and the bare server have one core to themselves, one at a time; everything else has another.
server_cpu=0 load_cpu=1
[ "$(nproc)" -ge 2 ] || { echo "two cores are needed" >&2; exit 1; }

# One after the other: built together, the program would get what only tests want of its dependencies,
# such as a tokio whose clock can be stopped.
cargo build --release --locked --bin warmfront
cargo build --release --locked --example load
target=${CARGO_TARGET_DIR:-target}/release
load() { taskset -c "$load_cpu" "$target/examples/load" "$@"; }

scratch=$(mktemp -d)
started=()
finish() {
  [ "${#started[@]}" -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The process id of what is started is left in $!.
start() { # CPU COMMAND…
  taskset -c "$1" "${@:2}" >>"$scratch/log" 2>&1 &
  started+=("$!")
}

mapfile -t ports < <(load ports 3)
origin=127.0.0.1:${ports[0]} edge=127.0.0.1:${ports[1]} bare=127.0.0.1:${ports[2]}
cat >"$scratch/edge.toml" <<TOML
[server]
workers = 1
[cache]
memory = "2GiB"
[[listener]]
address = "$edge"
[[origin]]
id = "origin"
url = "http://$origin"
[[distribution]]
id = "load"
[[distribution.behaviour]]
path = "*"
origin = "origin"
key.query = "all"
TOML

start "$load_cpu" "$target/examples/load" origin "${ports[0]}"
load wait "$origin"
start "$server_cpu" "$target/warmfront" run --config "$scratch/edge.toml"
edge_pid=$!
load wait "$edge" || { cat "$scratch/log" >&2; exit 1; }
load get "$edge" /1k/one >/dev/null
load get "$edge" /1k/one >"$scratch/hit"
grep -qi '^x-cache: hit' "$scratch/hit" || { echo "the second request is no hit:" >&2; cat "$scratch/hit" >&2; exit 1; }
start "$server_cpu" "$target/examples/load" bare "${ports[2]}" "$scratch/hit"
bare_pid=$!
load wait "$bare"

ticks_per_second=$(getconf CLK_TCK)
ticks() { # PID: user and system time; the name in parentheses may hold spaces
  sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}
pss_kb() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }
count() { load get "$origin" /count | tail -n 1; }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
value() { sed -n "s/.*\b$1=\([0-9.]*\).*/\1/p"; }

one_round() { # ADDRESS PID: CPU µs per request, requests per second
  local before after requests
  before=$(ticks "$2")
  taskset -c "$load_cpu" wrk -t1 -c64 "-d${seconds}s" "http://$1/1k/one" >"$scratch/wrk"
  after=$(ticks "$2")
  if grep -q 'Non-2xx\|Socket errors' "$scratch/wrk"; then cat "$scratch/wrk" >&2; exit 1; fi
  requests=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$scratch/wrk")
  awk -v t="$((after - before))" -v hz="$ticks_per_second" -v n="$requests" -v s="$seconds" \
    'BEGIN { printf "%.2f %.0f\n", t / hz * 1e6 / n, n / s }'
}

echo "== hit of 1 KiB, wrk -t1 -c64, $rounds rounds of $seconds s, one core"
if command -v wrk >/dev/null; then
  served=$(count)
  printf '%6s %12s %12s %7s %12s %12s\n' round "edge µs" "bare µs" ratio "edge req/s" "bare req/s"
  for round in $(seq "$rounds"); do
    read -r edge_us edge_rps < <(one_round "$edge" "$edge_pid")
    read -r bare_us bare_rps < <(one_round "$bare" "$bare_pid")
    ratio=$(awk -v e="$edge_us" -v b="$bare_us" 'BEGIN { printf "%.2f", e / b }')
    printf '%6s %12s %12s %7s %12s %12s\n' "$round" "$edge_us" "$bare_us" "$ratio" "$edge_rps" "$bare_rps"
    echo "$ratio" >>"$scratch/ratios"
  done
  echo "median ratio $(median <"$scratch/ratios") (goal: 1.7 or less); origin requests meanwhile: $(($(count) - served))"
else
  echo "skipped: wrk is missing (apt-get install wrk)"
fi

echo "== herd: 500 requests at once for a cold URL that takes the origin 500 ms"
served=$(count)
herd=$(load herd "$edge" "/slow/$$" 500)
# The connections are warmed with a request each, for one object: that is one origin request more.
echo "$herd; origin requests: $(($(count) - served - 1)) (goal: ok=500, 1 origin request, spread_ms 30 or less)"

echo "== memory: $objects objects of 1 KiB"
before=$(pss_kb "$edge_pid")
filled=$(load fill "$edge" "$objects")
grown=$(($(pss_kb "$edge_pid") - before))
echo "$filled" "grown_kb=$grown"
awk -v kb="$grown" -v b="$(value body_bytes <<<"$filled")" -v h="$(value head_bytes <<<"$filled")" -v n="$objects" \
  'BEGIN { printf "%.0f bytes per object, %.0f of them besides body and head\n", kb * 1024 / n, (kb * 1024 - b - h) / n }'
