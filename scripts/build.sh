# Builds what ./run and ./test start. Sourced after setup.sh.

web_root="$target/dx/sazanami-web/release/web/public"

# Whether the bundle is younger than everything it is made of. Folders count too: removing a file touches its folder.
web_is_fresh() {
  local stamp="$target/web.stamp" newer
  [ -f "$stamp" ] && [ -f "$web_root/index.html" ] || return 1
  newer=$(cd "$root" && find core app platform-web Cargo.toml Cargo.lock Dioxus.toml .cargo scripts -newer "$stamp" -print 2>/dev/null | head -n 1)
  [ -z "$newer" ]
}

# The web app in release, optimised and pre-compressed.
build_web() {
  if web_is_fresh; then return; fi
  say "building the web app (release)"
  mkdir -p "$target"
  # Set before the build, so that what is edited meanwhile counts as newer.
  local begun="$target/web.stamp.new" log="$target/web.log"
  touch "$begun"
  # Hashed files of earlier builds would stay beside the new ones.
  rm -rf "$web_root"
  (cd "$root" && NO_DOWNLOADS=1 dx bundle --web -p sazanami-web --release) 2>&1 | tee "$log"
  # dx prints this, keeps the unoptimised file and exits with 0.
  if grep -q "wasm-opt failed" "$log"; then die "wasm-opt failed: see above"; fi
  [ -f "$web_root/index.html" ] || die "dx left no bundle in $web_root"
  node "$root/scripts/compress.mjs" "$web_root"
  mv "$begun" "$target/web.stamp"
}
