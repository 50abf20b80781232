//! Sazanami's signal server: introduces peers to each other, hands out ICE servers, serves the web app.
//!
//! It stores nothing, and what it relays is sealed: see [`sazanami_core::signaling`] for what is said and why the
//! server can neither read nor change it.
//!
//! - [`Config`]: what a server is told; [`Options`]: the same from flags, environment and a TOML file
//! - [`Server`]: binds, serves, stops
//! - [`Limits`]: what one client may cost
//! - [`metrics`]: what is counted
//! - [`hub`], [`connection`], [`outbox`]: the signalling itself, without sockets: a frame goes into a connection, and
//!   messages come out of outboxes
//!
//! Inside: `ws` moves frames between sockets and connections, `http` has the routes, `ice` the sources of ICE
//! servers, `turn_server` the embedded STUN/TURN, `nats` the way to other servers, `web` the web app's files.
//!
//! Nothing is logged that tells who somebody is: no addresses, and no sessions or topics above the debug level.
#![warn(missing_docs)]
// Without the shell, some of what it calls is not called.
#![cfg_attr(not(feature = "server"), allow(dead_code))]

mod address;
mod bucket;
#[cfg(feature = "server")]
mod config;
pub mod connection;
#[cfg(feature = "server")]
mod http;
pub mod hub;
#[cfg(feature = "server")]
mod ice;
mod limits;
pub mod metrics;
#[cfg(feature = "server")]
mod nats;
pub mod outbox;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod turn_server;
#[cfg(feature = "server")]
mod web;
#[cfg(feature = "server")]
mod ws;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use address::ClientAddress;
pub use bucket::Rate;
#[cfg(feature = "server")]
pub use config::{
    BadConfig, Config, IceConfig, IceKind, LimitOptions, LogFormat, Options, RateOption, Seconds, TlsFiles,
};
pub use limits::Limits;
#[cfg(feature = "server")]
pub use server::{Server, ServerError};

/// Locks, also after a panic elsewhere: one broken request must not take all others down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
