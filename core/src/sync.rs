//! Keeping two connected peers' stores alike.
//!
//! On a link both sides speak the Nostr relay protocol to each other at once: each is relay and client. A
//! [`Session`] goes: prove who each is (NIP-42), subscribe to new events, reconcile (NIP-77), pull what is missing in
//! bounded batches at the receiver's own pace, reconcile again as the delivery check, then forward live.
//!
//! - [`frame`]: messages on a link that carries 16 KiB at a time
//! - [`message`]: the protocol's messages; [`pack`]: several of them together, compressed
//! - [`wants`]: what a peer wants of the others
//! - [`item_set`], [`sets`]: the sets of items that are reconciled, kept up to date with the store
//! - [`reconcile`]: range-based set reconciliation over them
//! - [`limits`]: what a peer may cost
//! - [`session`]: the state machine
//! - [`blobs`]: images and files, after the events

pub mod blobs;
pub mod frame;
pub mod item_set;
pub mod limits;
pub mod message;
pub mod pack;
pub mod reconcile;
pub mod session;
pub mod sets;
mod varint;
pub mod wants;

pub use item_set::ItemSet;
pub use message::Message;
pub use session::{Env, Session, SessionEvent};
pub use sets::ReconcileSets;
pub use wants::Wants;

#[cfg(test)]
mod tests;
