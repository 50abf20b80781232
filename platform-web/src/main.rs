//! Starts Sazanami in the browser. The same script runs in the page and in its workers.

#[cfg(target_arch = "wasm32")]
fn main() {
    sazanami_web::start();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!(
        "sazanami-web is the browser's part of Sazanami: build it for wasm32 with `dx build --web -p sazanami-web`"
    );
    std::process::exit(2);
}
