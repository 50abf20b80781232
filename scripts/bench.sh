#!/usr/bin/env bash
# Measures Sazanami beside its references in one run on this machine and prints one table. Nothing is asserted.
#
#   scripts/bench.sh [--quick] [--no-web] [--no-peers]
#
#   --quick     corpora of 20,000 and 1,000 events instead of 1,000,000, 100,000 and 1,000
#   --no-web    nothing in Chromium
#   --no-peers  no data channels (they need the native transport built, which takes minutes)
#
# References and Sazanami alternate, since a shared machine is faster now and slower then. The raw figures are kept in
# target/bench/figures.jsonl (JSON lines), and the table beside them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

large=1000000 ingest=100000 small=1000 runs=3 web=yes peers=yes web_events=20000
for argument in "$@"; do
  case $argument in
    --quick) large=20000 ingest=20000 runs=1 ;;
    --no-web) web=no ;;
    --no-peers) peers=no ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

out="${SAZANAMI_BENCH:-$root/target/bench}"
product="${CARGO_TARGET_DIR:-$root/target}"
export CARGO_TARGET_DIR="$product/bench-build"
bin="$CARGO_TARGET_DIR/release"
databases="$out/databases"
figures="$out/figures.jsonl"
mkdir -p "$out"
: >"$figures"
say() { printf '· %s\n' "$*" >&2; }
keep() { tee -a "$figures" >&2; }

say "building"
features=()
[ "$peers" = no ] || features=(--features peers)
(cd bench && cargo build --release --quiet "${features[@]}")
(cd bench/references && cargo build --release --quiet)

store() { "$bin/store" "$1" ${contender:+"$contender"} --events "$events" --corpora "$out" --dir "$databases/$events"; }
reference() {
  rm -rf "$databases/reference"
  "$bin/sazanami-bench-references" "$1" --corpus "$corpus" --dir "$databases/reference" --events "$2" --kinds "$kinds" | keep
  rm -rf "$databases/reference"
}

kinds=$("$bin/store" kinds)
events=$ingest contender=
corpus=$(store corpus)
for run in $(seq "$runs"); do
  say "ingest of $ingest events, run $run of $runs"
  contender= store verify | keep
  rm -rf "${databases:?}/$events"
  contender=ours store ingest | keep
  contender=plain store ingest | keep
  reference sqlite 20000
  reference lmdb-flight "$ingest"
  reference lmdb-serial 3000
done

for events in $(printf '%s\n' "$small" "$ingest" "$large" | sort -un); do
  contender=
  if [ ! -f "$databases/$events/ours.db" ]; then
    say "a database of $events events"
    # Its rate is no figure: it grows with the corpus.
    contender=ours store ingest >/dev/null
    contender=
  fi
  say "opening and asking a database of $events events"
  store open | keep
  [ "$events" = "$small" ] || store queries | keep
done

say "reconciling and syncing in memory"
"$bin/sync" --events "$ingest" --corpora "$out" | keep

if [ "$peers" = yes ]; then
  say "two peers over a data channel"
  "$bin/peers" measure --events "$ingest" --corpora "$out" --dir "$databases/peers" | keep
fi

if [ "$web" = yes ]; then
  say "Chromium"
  events=$web_events contender=
  web_corpus=$(store corpus)
  bench/web/build.sh "$out/site" >&2
  node bench/web/run.mjs "$out/site" "$web_corpus" 20250101 "$web_events" "$kinds" "$runs" | keep
  say "a browser that has much, and a new one"
  (
    export CARGO_TARGET_DIR="$product"
    source scripts/setup.sh
    source scripts/build.sh
    build_web >&2
    cargo build --quiet --workspace --exclude sazanami-web --bins
    "$target/debug/figures" --bench --events "$web_events"
  ) | keep
fi

"$bin/table" <"$figures" | tee "$out/table.md"
