//! A whole peer as a state machine: store, sessions with other peers, signalling, and what the interface asks.
//!
//! A platform feeds [`Node::handle`] with what happens, sends out what [`Node::poll_output`] returns, and calls again
//! with [`Input::Tick`] at [`Node::next_tick`]. The node does no I/O but for its store, which blocks: it runs in a
//! worker or on a thread of its own.

pub mod api;

use serde::{Deserialize, Serialize};

use crate::signaling::IceServers;
use crate::transport::{TransportCommand, TransportEvent};

/// What happens to a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// The interface asks.
    Request(api::Request),
    /// Something about the connection to the signal server.
    Signal(SignalEvent),
    /// Something about links to peers.
    Transport(TransportEvent),
    /// What `/turn` answered, or why it did not.
    IceServers(Result<IceServers, String>),
    /// The network came back (`online` event): connect without waiting.
    Online,
    /// Time has passed.
    Tick,
}

/// The WebSocket to the signal server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalEvent {
    /// It is open.
    Opened,
    /// A text frame.
    Message(String),
    /// It is closed, or could not be opened.
    Closed(String),
}

/// What a node wants done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Output {
    /// For the interface.
    Interface(api::FromNode),
    /// For the connection to the signal server.
    Signal(SignalCommand),
    /// For the transport.
    Transport(TransportCommand),
}

/// What to do about the signal server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalCommand {
    /// Open the WebSocket (`/ws`). Answered by [`SignalEvent::Opened`] or [`SignalEvent::Closed`].
    Connect,
    /// Send a text frame.
    Send(String),
    /// Close it.
    Close,
    /// `GET /turn`; answered by [`Input::IceServers`].
    FetchIceServers,
}
