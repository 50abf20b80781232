//! Sazanami's behaviour, without any I/O.
//!
//! Everything here is a plain state machine or a plain data type: input in, outputs out, the time passed in.
//! The platforms move bytes; they decide nothing.
//!
//! - [`identity`]: the person's key, where it is kept, and the proof of it to a peer
//! - [`social`]: typed actions (profile, note, deletion, follow list) to and from events
//! - [`store`]: the [`store::Store`] trait, its SQLite and in-memory implementations, one conformance suite
//! - [`media`]: images and files as blobs named by their hash, and where they are kept
//! - [`verify`]: ids and signatures, by any thread
//! - [`transport`]: the [`transport::Transport`] trait: links between peers, and its conformance suite
//! - [`signaling`]: messages to the signal server, and sealed introductions between peers
//! - [`negotiation`]: perfect negotiation, used by every transport
//! - [`sync`]: a session with one connected peer: proof, reconciliation, pull, live forwarding
//! - [`mesh`]: whom to connect to
//! - [`relay`]: answering plain Nostr clients
//! - [`node`]: ties all of it together; what a platform drives and what the interface talks to
//! - [`tabs`]: how the tabs of one browser profile share one node
//! - `corpus` (feature `corpus`): generated events for benchmarks, the same for the same seed
//! - `sim` (feature `sim`): a seeded network of in-memory peers under virtual time
#![warn(missing_docs)]

#[cfg(feature = "corpus")]
pub mod corpus;
pub mod identity;
pub mod media;
pub mod mesh;
pub mod negotiation;
pub mod node;
pub mod relay;
pub mod signaling;
#[cfg(feature = "sim")]
pub mod sim;
pub mod social;
pub mod store;
pub mod sync;
pub mod tabs;
pub mod time;
pub mod transport;
pub mod verify;

pub use nostr::prelude::{Event, EventId, Keys, PublicKey};
