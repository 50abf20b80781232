//! Sazanami in the browser: a durable peer in a tab.
//!
//! One wasm serves two threads. The page renders the interface and owns what browsers allow only there (WebRTC, the
//! WebSocket, the Web Lock); a dedicated worker owns the node and its databases, so that neither waits for the other.
//!
//! - [`page`]: launches the interface, claims the store, starts the worker and moves its messages
//! - [`worker`]: opens the databases on OPFS and drives the node
//! - [`bridge`]: what page and worker say to each other
//! - [`transport`]: links to peers over `RTCPeerConnection`
//! - [`dom`]: event listeners that end with their owner
//! - [`log`]: the crates' logs in the console
#![cfg(target_arch = "wasm32")]

pub mod bridge;
pub mod dom;
pub mod log;
pub mod page;
pub mod transport;
pub mod worker;

mod clock;

use wasm_bindgen::JsCast;

/// Runs the worker in a dedicated worker, the page anywhere else.
pub fn start() {
    log::start(tracing::Level::INFO);
    match js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        Ok(scope) => worker::start(scope),
        Err(_) => page::start(),
    }
}
