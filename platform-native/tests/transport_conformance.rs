//! The native transport keeps the contract of `Transport`, over real sockets on this machine.

use std::time::Duration;

use sazanami_core::transport::{ConnectOptions, Route, conformance};
use sazanami_native::transport::WebRtcTransport;
use tokio::runtime::Handle;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webrtc_keeps_the_contract() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let options = |polite, offer| ConnectOptions {
        by_hand: false,
        polite,
        offer,
        route: Route::Any,
        ice_servers: Vec::new(),
    };
    let suite = conformance::suite(|| WebRtcTransport::new(Handle::current()), options);
    tokio::time::timeout(Duration::from_secs(120), suite)
        .await
        .expect("the suite takes too long");
}
