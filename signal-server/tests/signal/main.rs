//! The signal server over real sockets. What needs no socket is tested beside the code.
#![allow(clippy::unwrap_used)]
mod cloudflare;
mod config;
mod harness;
mod http;
mod metrics;
mod nats;
mod process;
mod shutdown;
mod tls;
mod turn;
mod turn_by_tcp;
mod ws;
