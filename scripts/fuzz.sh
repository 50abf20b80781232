#!/usr/bin/env bash
# Runs the fuzz targets in fuzz/: everything that reads input from the network.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'HELP'
Usage: scripts/fuzz.sh [smoke [SECONDS]]          every target in turn, SECONDS in all (60)
       scripts/fuzz.sh run TARGET [SECONDS]       one target (600); what it finds is kept beside the builds
       scripts/fuzz.sh minimise TARGET            takes what `run` has found into the committed corpus
       scripts/fuzz.sh replay TARGET FILE…        runs inputs once
       scripts/fuzz.sh build

Without a sanitizer: the core has no unsafe code, and panics, overflows, broken promises, hangs and memory are seen
without one. SANITIZER=address builds with it, on the same stable toolchain.
HELP
}

sanitizer="${SANITIZER:-none}"
work="$target/fuzz"
found="$work/corpus"
failed="$work/failed"
# One input: no honest peer's message takes a second, even on a busy machine; more than 2 GiB is what a tab never has.
limits=(-timeout=20 -rss_limit_mb=2048)

targets() {
  awk -F'"' '/^\[\[bin\]\]/ { bin = 1 } bin && /^name/ { print $2; bin = 0 }' "$root/fuzz/Cargo.toml"
}

build() {
  need_for_fuzzing
  install_packages
  ensure_cargo_fuzz
  if [ "$sanitizer" != none ]; then export RUSTC_BOOTSTRAP=1; fi
  local host
  host=$(rustc -vV | awk '$1 == "host:" { print $2 }')
  # As the programs are built but for the coverage: without --cfg fuzzing, which crates take as leave to check less.
  (cd "$root" && cargo fuzz build --fuzz-dir fuzz --target "$host" --target-dir "$work/$sanitizer" \
    --sanitizer "$sanitizer" --no-cfg-fuzzing)
  programs="$work/$sanitizer/$host/release"
}

# start TARGET ARGUMENT…
start() {
  local name=$1
  shift
  mkdir -p "$failed/$name"
  "$programs/$name" "$@" "${limits[@]}" -max_len=4096 -artifact_prefix="$failed/$name/"
}

smoke() {
  local seconds=$1 name each scratch log
  local names=($(targets))
  each=$((seconds / ${#names[@]} > 0 ? seconds / ${#names[@]} : 1))
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/sazanami-fuzz.XXXXXX")
  for name in "${names[@]}"; do
    mkdir "$scratch/$name"
    log="$scratch/$name.log"
    # The committed corpus runs whole, then time is spent; what is new goes into the scratch folder.
    if ! start "$name" "$scratch/$name" "$root/fuzz/corpus/$name" -max_total_time="$each" >"$log" 2>&1; then
      tail -n 60 "$log"
      die "$name failed; the input is in $failed/$name: scripts/fuzz.sh replay $name FILE"
    fi
    printf '%-16s %s\n' "$name" "$(grep -E 'DONE' "$log" | tail -n 1)"
  done
  rm -rf "$scratch"
}

# A few dozen short inputs that reach most of what is known: a corpus to begin from, not an archive.
minimise() {
  local name=$1 committed="$root/fuzz/corpus/$1" least
  least=$(mktemp -d "${TMPDIR:-/tmp}/sazanami-fuzz.XXXXXX")
  mkdir -p "$found/$name" "$committed"
  start "$name" -set_cover_merge=1 -use_counters=0 "$least" "$committed" "$found/$name" 2>&1 | tail -n 1
  rm -f "$committed"/*
  # Of short ones the longer reach more.
  find "$least" -type f -size -513c -printf '%s %p\n' | sort -rn | awk 'NR <= 40 { print $2 }' |
    while read -r file; do cp "$file" "$committed/"; done
  rm -rf "$least"
  say "$(find "$committed" -type f | wc -l) inputs in fuzz/corpus/$name"
}

known() { targets | grep -qx "${1:-}" || die "no such target: ${1:-}; there are: $(targets | tr '\n' ' ')"; }

case "${1:-smoke}" in
  smoke)
    build
    (cd "$root/fuzz" && cargo fmt --check)
    smoke "${2:-60}"
    ;;
  run)
    known "${2:-}"
    build
    mkdir -p "$found/$2"
    start "$2" "$found/$2" "$root/fuzz/corpus/$2" -max_total_time="${3:-600}" -print_final_stats=1
    ;;
  minimise)
    known "${2:-}"
    build
    minimise "$2"
    ;;
  replay)
    known "${2:-}"
    build
    start "${@:2}"
    ;;
  build) build ;;
  -h | --help) usage ;;
  *)
    usage >&2
    die "unknown: $1"
    ;;
esac
