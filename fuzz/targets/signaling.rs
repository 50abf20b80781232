//! What peers and the signal server say to each other, read by either side.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::signaling::introduction::Introduction;
use sazanami_core::signaling::{ClientMessage, IceServers, PeerSignal, ServerMessage, check_hello};
use sazanami_fuzz::START;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|text: &str| {
    if let Some(ClientMessage::Hello { proof, .. }) = reads_back::<ClientMessage>(text) {
        let _ = check_hello(&proof, "abc", START);
    }
    reads_back::<ServerMessage>(text);
    reads_back::<IceServers>(text);
    reads_back::<PeerSignal>(text);
    reads_back::<Introduction>(text);
});

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) -> Option<T> {
    let message: T = serde_json::from_str(text).ok()?;
    let said = serde_json::to_string(&message).expect("what was read can be said");
    let again: T = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}: {error}"));
    assert_eq!(again, message, "{said}");
    Some(message)
}
