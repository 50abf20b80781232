//! Answering plain Nostr: what this peer says to a client that speaks the relay protocol (NIP-01, NIP-77) to it, and what
//! it says about itself (NIP-11). No sockets: a platform hands [`ClientEvent`]s to the node and carries out
//! [`ClientCommand`]s.
//!
//! A client is nobody: it proves no person and is introduced by nobody. It hears what any peer hears, and what it brings
//! goes the same way as what a peer brings: verified, stored, passed on.
//!
//! - [`request`]: what clients say
//! - [`client`]: one connection as a state machine
//! - [`host`]: what an address may cost

use std::net::IpAddr;

pub mod client;
pub mod host;
pub mod request;

pub use client::Client;
pub use host::{Host, HostAddress};
pub use request::{Nonsense, Request};

use crate::social::{MAX_EVENT_BYTES, MAX_FUTURE_SECS};

/// Largest message of a client, in bytes: the largest event, and the largest reconciliation message in hex.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// A connection, by a number that the platform gives it and never gives again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// What happens to a connection.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// It is open.
    Opened {
        /// Which.
        client: ClientId,
        /// Where it comes from.
        address: IpAddr,
    },
    /// What came together.
    Said {
        /// Who.
        client: ClientId,
        /// In the order of arrival.
        requests: Vec<Result<Request, Nonsense>>,
    },
    /// The socket has taken so many bytes of texts.
    Drained {
        /// Which.
        client: ClientId,
        /// How many.
        bytes: usize,
    },
    /// It is gone.
    Closed {
        /// Which.
        client: ClientId,
    },
}

/// What to do about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Send these text messages; answered by [`ClientEvent::Drained`].
    Send {
        /// To whom.
        client: ClientId,
        /// In this order.
        texts: Vec<String>,
    },
    /// Send what is queued and close it.
    Close {
        /// Which.
        client: ClientId,
    },
}

/// The information document (NIP-11), as JSON.
pub fn information() -> String {
    serde_json::json!({
        "name": "Sazanami peer",
        "description": "An always-on peer of the Sazanami network: what is published here spreads to other peers.",
        "software": "sazanami-peer",
        "version": env!("CARGO_PKG_VERSION"),
        "supported_nips": [1, 2, 9, 11, 18, 25, 40, 51, 56, 62, 70, 77],
        "limitation": {
            "max_message_length": MAX_MESSAGE,
            "max_subscriptions": client::MAX_SUBSCRIPTIONS,
            "max_filters": client::MAX_FILTERS,
            "max_limit": client::MAX_LIMIT,
            "default_limit": client::DEFAULT_LIMIT,
            "max_subid_length": request::MAX_SUBSCRIPTION_ID,
            "max_content_length": MAX_EVENT_BYTES,
            "created_at_upper_limit": MAX_FUTURE_SECS,
            "auth_required": false,
            "payment_required": false,
            "restricted_writes": false,
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests;
