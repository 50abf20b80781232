#!/usr/bin/env bash
# Measures Sazanami beside its references in one run on this machine and prints one table. Nothing is asserted.
#
#   scripts/bench.sh [--quick] [--no-web] [--no-peers] [--no-relay]
#
#   --quick     corpora of 20,000 and 1,000 events instead of 1,000,000, 100,000 and 1,000
#   --no-web    nothing in Chromium
#   --no-peers  no data channels (they need the native transport built, which takes minutes)
#   --no-relay  no publishing over WebSockets (it needs the native peer, and nostr-rs-relay, built)
#
# References and Sazanami alternate, since a shared machine is faster now and slower then. The raw figures are kept in
# target/bench/figures.jsonl (JSON lines), and the table beside them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

large=1000000 ingest=100000 small=1000 runs=3 web=yes peers=yes relay=yes web_events=20000
for argument in "$@"; do
  case $argument in
    --quick) large=20000 ingest=20000 runs=1 ;;
    --no-web) web=no ;;
    --no-peers) peers=no ;;
    --no-relay) relay=no ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
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

if [ "$relay" = yes ]; then
  cargo build --release --quiet -p sazanami-native --no-default-features --bin sazanami-peer
  # Named by NOSTR_RS_RELAY where it is built already.
  nostr_rs_relay="${NOSTR_RS_RELAY:-$CARGO_TARGET_DIR/tools/bin/nostr-rs-relay}"
  [ -x "$nostr_rs_relay" ] || cargo install --quiet --locked --root "$CARGO_TARGET_DIR/tools" nostr-rs-relay
fi

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

# publish NAME EVENTS: to the relay that listens on $port, over one connection.
publish() {
  # Until it listens.
  timeout 60 bash -c "until (: </dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.1; done"
  "$bin/relay" "ws://127.0.0.1:$port" --name "$1" --corpus "$corpus" --events "$2" --kinds "$kinds" | keep
  kill "$server"
  wait "$server" 2>/dev/null || true
  rm -rf "$databases/relay"
}

if [ "$relay" = yes ]; then
  port=7447
  # strfry is in no package registry; its authors' figure.
  echo '{"what":"relay/strfry, published","value":3300,"unit":"events/s"}' | keep
  # The corpus is of last year: strangers' events are kept for good here.
  unlimited='{"SetBudget":{"ring":"Stranger","budget":{"events":null,"bytes":null,"age":null}}}'
  for run in $(seq "$runs"); do
    say "publishing over a WebSocket, run $run of $runs"
    mkdir -p "$databases/relay"
    # A signal server that does not exist: nobody else takes part.
    "$bin/sazanami-peer" --stdin --name relay --relay "$port" --data-dir "$databases/relay" \
      --signal http://127.0.0.1:9 < <(echo "$unlimited"; exec sleep 600 2>/dev/null) >/dev/null 2>&1 &
    server=$!
    publish ours "$ingest"
    mkdir -p "$databases/relay"
    printf '[database]\ndata_directory = "%s"\n[network]\naddress = "127.0.0.1"\nport = %s\n' \
      "$databases/relay" "$port" >"$databases/relay/config.toml"
    RUST_LOG=error "$nostr_rs_relay" --config "$databases/relay/config.toml" >/dev/null 2>&1 &
    server=$!
    publish nostr-rs-relay 3000
  done
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
