//! Sazanami in the browser: a durable peer in a tab.
//!
//! All tabs of one profile share one node ([`sazanami_core::tabs`]): one of them owns it.
//!
//! One wasm serves all threads. The page renders the interface and owns what browsers allow only there (WebRTC, the
//! WebSocket, the Web Lock); a dedicated worker owns the node and its databases, so that neither waits for the other;
//! some more, which that one starts, verify what arrives.
//!
//! - [`page`]: launches the interface, claims the store, starts the worker and moves its messages
//! - [`worker`]: opens the databases on OPFS and drives the node
//! - [`verifier`]: verifies what the node's worker hands over
//! - [`bridge`]: what page and workers say to each other
//! - [`channel`]: what tabs say to each other
//! - `child`: a worker as the scope that started it sees it
//! - [`transport`]: links to peers over `RTCPeerConnection`
//! - [`dom`]: event listeners that end with their owner
//! - [`log`]: the crates' logs in the console
#![cfg(target_arch = "wasm32")]

pub mod bridge;
pub mod channel;
pub mod dom;
pub mod log;
pub mod page;
pub mod transport;
pub mod verifier;
pub mod worker;

mod breath;
mod child;
mod clock;
mod random;

use wasm_bindgen::JsCast;

/// Runs the worker or, by its name, a verifier in a dedicated worker, the page anywhere else.
pub fn start() {
    log::start(tracing::Level::INFO);
    match js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        Ok(scope) if scope.name() == verifier::NAME => verifier::start(scope),
        Ok(scope) => worker::start(scope),
        Err(_) => page::start(),
    }
}
