# Finds or installs what a command needs. Sourced by ./run and ./test.
#
# Nothing that is on the machine already is replaced. System packages come from apt; dx, wasm-bindgen, esbuild and
# wasm-opt come from the cargo and npm registries into a folder of their own, shared by all clones.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sazanami"
tools="${SAZANAMI_TOOLS:-$cache/tools}"
# A target folder that outlives the clone makes the next run in CI warm.
if [ "${CI:-}" = true ]; then
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
fi
target="${CARGO_TARGET_DIR:-$root/target}"
case $target in /*) ;; *) target="$root/$target" ;; esac
export PATH="$tools/bin:$tools/node_modules/.bin:$PATH"

dx_version=0.7.10
cargo_fuzz_version=0.13.2
esbuild_version=0.27.3
# Older ones (Debian's 108) stop at bulk memory: "invalid code after misc prefix".
binaryen_least=120
binaryen_version=132.0.0

say() { printf '\033[1m·\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# System packages still to install, with the reason for each.
missing_packages=()

# need PACKAGE REASON CHECK…: notes a Debian package unless the check succeeds.
need() {
  local package=$1 reason=$2
  shift 2
  "$@" >/dev/null 2>&1 && return
  say "missing: $package ($reason)"
  missing_packages+=("$package")
}

has_library() { have pkg-config && pkg-config --exists "$1"; }
has_cjk_font() { have fc-list && [ -n "$(fc-list :lang=ja family)" ]; }
has_nats_server() { have nats-server || [ -x /usr/sbin/nats-server ]; }
has_chromium() { have chromium || have chromium-browser || have google-chrome; }

need_for_native() {
  need build-essential "the C compiler for SQLite and secp256k1" have cc
  need pkg-config "finds system libraries" have pkg-config
}

need_for_fuzzing() {
  need_for_native
  need g++ "compiles libFuzzer" have c++
}

need_for_web() {
  need_for_native
  need clang "compiles SQLite and secp256k1 to WebAssembly" have clang
  need lld "links WebAssembly" have lld
}

need_for_desktop() {
  need_for_native
  need libwebkit2gtk-4.1-dev "the desktop window" has_library webkit2gtk-4.1
  need libgtk-3-dev "the desktop window" has_library gtk+-3.0
  need libxdo-dev "keys in the desktop window" test -e /usr/include/xdo.h
  need libayatana-appindicator3-dev "the desktop window's tray" has_library ayatana-appindicator3-0.1
  need librsvg2-dev "icons of the desktop window" has_library librsvg-2.0
  need libssl-dev "dioxus-desktop links OpenSSL" has_library openssl
}

need_for_tests() {
  need chromium "a real browser" has_chromium
  need chromium-driver "drives the browser (WebDriver)" have chromedriver
  need xvfb "a display for the desktop window" have xvfb-run
  need xauth "a display for the desktop window" have xauth
  need imagemagick "pictures of the desktop window" have import
  need xdotool "types into the desktop window" have xdotool
  need coturn "a TURN server that is not ours, for peers behind address translation" have turnserver
  need iproute2 "networks to test in" have ip
  need nats-server "joins several signal servers into one" has_nats_server
  need fonts-noto-cjk "Japanese text in pictures" has_cjk_font
}

# Installs what `need` noted.
install_packages() {
  [ ${#missing_packages[@]} -gt 0 ] || return 0
  if ! have apt-get; then
    die "install these first (names of Debian packages): ${missing_packages[*]}"
  fi
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    have sudo || die "not root, and no sudo: as root, run: apt-get install ${missing_packages[*]}"
    as_root=(sudo)
    [ -t 0 ] || as_root=(sudo -n)
    say "asking sudo to install them"
  fi
  # In the foreground: sudo asks on the terminal.
  if have timeout; then as_root=(timeout --foreground 1200 ${as_root[@]+"${as_root[@]}"}); fi
  local install=(${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends)
  if ! "${install[@]}" "${missing_packages[@]}"; then
    # The package lists of a fresh machine are empty or old.
    ${as_root[@]+"${as_root[@]}"} apt-get update -q
    "${install[@]}" "${missing_packages[@]}" || die "apt could not install: ${missing_packages[*]}"
  fi
  missing_packages=()
}

need_rust() {
  have cargo || die "Rust is missing: see https://rustup.rs"
}

need_node() {
  have node && have npm || die "Node.js with npm is missing (18 or newer): see https://nodejs.org"
}

ensure_wasm_target() {
  [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ] && return
  have rustup || die "the Rust target wasm32-unknown-unknown is missing, and there is no rustup to add it"
  say "adding the Rust target wasm32-unknown-unknown (the web app)"
  rustup target add wasm32-unknown-unknown
}

# Version that Cargo.lock holds of a crate.
locked_version() {
  awk -v name="\"$1\"" '$1 == "name" { found = ($3 == name) } found && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' "$root/Cargo.lock"
}

# with_limit SECONDS COMMAND…: where there is `timeout`.
with_limit() {
  if have timeout; then timeout --kill-after=10 "$@"; else shift; "$@"; fi
}

ensure_dx() {
  case "$(dx --version 2>/dev/null || true)" in "dioxus $dx_version"*) return ;; esac
  if have cargo-binstall; then
    say "installing dx $dx_version with cargo binstall (bundles the web app)"
    if with_limit 300 cargo binstall --no-confirm --root "$tools" "dioxus-cli@$dx_version" </dev/null; then return; fi
    say "cargo binstall could not: building it"
  fi
  say "building dx $dx_version (bundles the web app); once, about ten minutes"
  cargo install "dioxus-cli@$dx_version" --locked --debug --root "$tools"
}

ensure_wasm_bindgen() {
  local version
  version=$(locked_version wasm-bindgen)
  [ "$(wasm-bindgen --version 2>/dev/null || true)" = "wasm-bindgen $version" ] && have wasm-bindgen-test-runner && return
  say "building wasm-bindgen $version (joins WebAssembly and the browser; must be the version in Cargo.lock)"
  # Not --locked: its own lock file may name versions that a registry mirror lacks.
  cargo install "wasm-bindgen-cli@$version" --root "$tools" --force
}

ensure_cargo_fuzz() {
  [ "$(cargo-fuzz --version 2>/dev/null || true)" = "cargo-fuzz $cargo_fuzz_version" ] && return
  say "building cargo-fuzz $cargo_fuzz_version (runs the fuzz targets); half a minute"
  # The debug build starts the same compiler.
  cargo install "cargo-fuzz@$cargo_fuzz_version" --locked --debug --root "$tools" --force
}

has_wasm_opt() {
  local version
  version=$(wasm-opt --version 2>/dev/null) || return 1
  version=${version#wasm-opt version }
  [ "${version%%[!0-9]*}" -ge "$binaryen_least" ] 2>/dev/null
}

ensure_npm_tools() {
  local packages=()
  [ "$(esbuild --version 2>/dev/null || true)" = "$esbuild_version" ] || packages+=("esbuild@$esbuild_version")
  has_wasm_opt || packages+=("binaryen@$binaryen_version")
  [ ${#packages[@]} -gt 0 ] || return 0
  say "installing ${packages[*]} from npm (make the web app small)"
  mkdir -p "$tools"
  npm install --prefix "$tools" --no-audit --no-fund --loglevel=error "${packages[@]}"
  has_wasm_opt || die "wasm-opt does not run from $tools/node_modules/.bin"
}

set_up_web() {
  need_rust
  need_node
  need_for_web
  install_packages
  ensure_wasm_target
  ensure_npm_tools
  ensure_wasm_bindgen
  ensure_dx
}

set_up_native() {
  need_rust
  need_for_native
  install_packages
}

set_up_desktop() {
  need_rust
  need_for_desktop
  install_packages
}
