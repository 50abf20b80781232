//! Sazanami's signal server: introduces peers to each other, hands out ICE servers, serves the web app.
//!
//! It stores nothing, and what it relays is sealed: see [`sazanami_core::signaling`] for what is said and why the
//! server can neither read nor change it.
//!
//! - [`Config`]: what a server is told; [`Options`]: the same from flags, environment and a TOML file
//! - [`Server`]: binds, serves, stops
//! - [`Limits`]: what one client may cost
//! - [`hub`], [`connection`], [`outbox`]: the signalling itself, without sockets: a frame goes into a connection, and
//!   messages come out of outboxes
//!
//! Inside: `ws` moves frames between sockets and connections, `http` has the routes, `ice` the sources of ICE
//! servers, `turn_server` the embedded STUN/TURN, `web` the web app's files.
//!
//! Nothing is logged that tells who somebody is: no addresses, and no sessions or topics above the debug level.
#![warn(missing_docs)]

mod address;
mod bucket;
mod config;
pub mod connection;
mod http;
pub mod hub;
mod ice;
mod limits;
pub mod outbox;
mod server;
mod turn_server;
mod web;
mod ws;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use address::ClientAddress;
pub use bucket::Rate;
pub use config::{BadConfig, Config, IceConfig, IceKind, LogFormat, Options};
pub use limits::Limits;
pub use server::{Server, ServerError};

/// Locks, also after a panic elsewhere: one broken request must not take all others down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
