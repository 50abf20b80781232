#!/usr/bin/env bash
# Builds the page into a folder: build.sh SITE
set -euo pipefail
site=$1
cd "$(dirname "${BASH_SOURCE[0]}")"
target="${CARGO_TARGET_DIR:-$PWD/target}"
cargo build --release --target wasm32-unknown-unknown
[ -d node_modules ] || npm install --no-audit --no-fund --loglevel=error
mkdir -p "$site/ours" "$site/snort"
wasm-bindgen --target web --no-typescript --out-dir "$site/ours" \
  "$target/wasm32-unknown-unknown/release/sazanami_bench_web.wasm"
# As dx does with the app.
wasm-opt -Oz --enable-bulk-memory --enable-mutable-globals --enable-nontrapping-float-to-int --enable-sign-ext \
  --enable-reference-types --enable-multivalue "$site/ours/sazanami_bench_web_bg.wasm" -o "$site/ours/sazanami_bench_web_bg.wasm"
# From its source: the script in its package imports "sqlite3.wasm?url", which only a bundler understands.
esbuild node_modules/@snort/worker-relay/src/worker.ts --bundle --minify --format=esm --loader:.wasm=file \
  --asset-names='[name]' --outfile="$site/snort/worker.mjs" --log-level=warning
cp page/ours.worker.js page/ours.verifier.js "$site/"
esbuild page/main.js page/nostr-wasm.worker.js --bundle --external:./ours/* --format=esm --outdir="$site" --log-level=warning
echo '<!doctype html><meta charset="utf-8"><title>Benchmarks</title><script type="module" src="main.js"></script>' >"$site/index.html"
