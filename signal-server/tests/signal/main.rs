//! The signal server over real sockets. What needs no socket is tested beside the code.
#![allow(clippy::unwrap_used)]
mod cloudflare;
mod config;
mod harness;
mod http;
mod process;
mod shutdown;
mod turn;
mod ws;
