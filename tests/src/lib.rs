//! The harness of the end-to-end scenarios: the built programs, real browsers, no mocks.
//!
//! - [`Site`]: the signal server with its TURN server, serving the built web app.
//! - [`Browser`]: one Chromium profile, driven by WebDriver; it can be closed, killed and opened again.
//! - [`NativePeer`]: the headless peer, spoken to in JSON lines.
//! - [`Desktop`]: the desktop window on a display of its own.
//! - [`RawPeer`]: a program of the tests that speaks over a real data channel, byte by byte.
//! - [`HostileServer`]: a signal server that does its worst, between peers and an honest one.
//! - [`Visited`]: a peer that others connect to and leave again, and what it holds.
//! - [`internet`]: namespaces behind address translation and bad lines, in which all of these run.
//!
//! Each scenario is a file in `tests/`. Every wait has a limit and fails with what was there instead ([`until`]).

mod browser;
mod desktop;
mod hostile_server;
pub mod internet;
mod native_peer;
mod paths;
mod process;
mod raw_peer;
mod site;
mod until;
mod visited;

pub use browser::{Browser, Launch, PeerRow};
pub use desktop::Desktop;
pub use hostile_server::{Attack, HostileServer, Owner, find_leaks};
pub use native_peer::NativePeer;
pub use paths::{artefacts, browser_is_here, program, web_root};
pub use process::{Process, free_port};
pub use raw_peer::RawPeer;
pub use site::{Site, Turn};
pub use until::until;
pub use visited::{Held, Visited};

use std::time::Duration;

/// For what crosses the network once peers are connected: long enough for a loaded machine with two cores.
pub const SOON: Duration = Duration::from_secs(30);
/// For what includes starting a program or finding a peer.
pub const START: Duration = Duration::from_secs(90);
