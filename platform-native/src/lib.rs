//! Sazanami outside the browser: what the desktop app and the headless peer share.
//!
//! - [`node_thread`]: runs a node on a thread of its own, and carries out what it wants
//! - [`verifiers`]: threads that verify what arrives
//! - [`client`]: asks that node and hears of changes
//! - [`transport`]: links to peers over WebRTC
//! - [`signal`]: the WebSocket to the signal server, and its ICE servers
//! - [`relay`]: plain Nostr clients over WebSockets
//! - [`data_dir`], [`blobs`], [`vault`]: where posts, media and the secret key are kept
//! - [`cli`]: what both programs' command lines share

pub mod blobs;
pub mod cli;
pub mod client;
pub mod data_dir;
mod durable;
pub mod node_thread;
mod place;
mod recovery;
pub mod relay;
pub mod signal;
pub mod transport;
pub mod vault;
pub mod verifiers;
