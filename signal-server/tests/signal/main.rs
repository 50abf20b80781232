//! The signal server over real sockets. What needs no socket is tested beside the code.

mod cloudflare;
mod config;
mod harness;
mod http;
mod process;
mod shutdown;
mod turn;
mod ws;
