//! Links between peers: what a platform provides and what the node asks of it.
//!
//! A [`Transport`] owns connections (WebRTC peer connections in real life) and moves frames. It is driven by
//! commands and answers with events; it never decides whom to connect to and never sees a post. Offers, answers
//! and candidates travel outside it: the transport emits them as [`TransportEvent::Signal`], the node seals them
//! to the other peer and hands incoming ones back with [`Transport::signal`].
//!
//! One conformance suite (`conformance`, feature `conformance`) runs on every implementation.

use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::signaling::{IceServer, PeerSignal};

pub mod candidates;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod memory;
pub mod turn_stream;

/// Largest frame on a link, in bytes. 16 KiB is what every WebRTC implementation carries without blocking other
/// traffic (RFC 8831 §6.6, MDN "Using WebRTC data channels").
pub const MAX_FRAME: usize = 16 * 1024;

/// Bytes that may wait in a link's send buffer before [`Transport::send`] answers [`SendError::Full`].
pub const SEND_BUFFER: usize = 256 * 1024;

/// Seconds a link may take from [`Transport::connect`] to [`TransportEvent::Opened`] before the transport closes it
/// with [`CloseReason::Timeout`].
pub const CONNECT_TIMEOUT_SECS: u64 = 30;
/// The same where people carry the signals.
pub const BY_HAND_TIMEOUT_SECS: u64 = 600;

/// One attempt at a connection with one peer. Never reused within a node's life, so that a late event of a dead
/// attempt cannot be taken for one of its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId(pub u64);

impl std::fmt::Display for LinkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// Which candidates a link may use (`iceTransportPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// Direct where possible, relayed where not.
    #[default]
    Any,
    /// Through TURN only: the other peer never learns this device's address.
    RelayOnly,
}

/// How to connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectOptions {
    /// This side gives way when both offer at once (perfect negotiation); exactly one of two peers is polite.
    pub polite: bool,
    /// Whether this side makes the first offer. The other side is created when that offer arrives.
    pub offer: bool,
    /// Which candidates may be used.
    pub route: Route,
    /// People carry the signals: opening may take [`BY_HAND_TIMEOUT_SECS`], and connectivity checks that fail meanwhile
    /// mean nothing, since the other side may not know of this one yet.
    pub by_hand: bool,
    /// STUN and TURN servers with their credentials.
    pub ice_servers: Vec<IceServer>,
}

impl ConnectOptions {
    /// How long opening may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(if self.by_hand {
            BY_HAND_TIMEOUT_SECS
        } else {
            CONNECT_TIMEOUT_SECS
        })
    }
}

/// Whether a link goes straight to the peer or through a TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathKind {
    /// Peer to peer.
    Direct,
    /// Through a TURN relay on at least one side.
    Relayed,
}

/// The path a link takes at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Direct or relayed.
    pub kind: PathKind,
    /// Round-trip time of the connectivity checks in milliseconds, where the platform knows it.
    pub rtt_ms: Option<u32>,
}

/// How the connectivity checks of an open link go (`iceConnectionState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IceState {
    /// There is a path.
    Connected,
    /// The path has not answered for some seconds, and may come back by itself.
    Disconnected,
    /// There is none any more: only a restart brings one.
    Failed,
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The other side closed it.
    Remote,
    /// No connection within [`ConnectOptions::timeout`].
    Timeout,
    /// The connection broke or could not be made.
    Failed(String),
}

/// What a transport reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransportEvent {
    /// An offer, answer or candidate to carry to the other peer.
    Signal {
        /// The link it belongs to.
        link: LinkId,
        /// What to carry.
        signal: PeerSignal,
    },
    /// Frames can be sent from now on.
    Opened {
        /// The link.
        link: LinkId,
    },
    /// A frame arrived; at most [`MAX_FRAME`] bytes (a larger one closes the link as failed).
    Frame {
        /// The link.
        link: LinkId,
        /// Its bytes.
        frame: Vec<u8>,
    },
    /// This many bytes that were accepted by [`Transport::send`] have left the send buffer since the last report.
    Drained {
        /// The link.
        link: LinkId,
        /// Bytes, not frames.
        bytes: usize,
    },
    /// The path became known or changed.
    Path {
        /// The link.
        link: LinkId,
        /// The path now.
        path: Path,
    },
    /// The connectivity checks of an open link have another outcome. What is to be done about it, the node decides.
    Ice {
        /// The link.
        link: LinkId,
        /// How they go now.
        state: IceState,
    },
    /// The link is over: the last event of this id.
    Closed {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
}

/// What a node asks of a transport, as data: the browser's node runs in a worker and posts these to the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TransportCommand {
    /// See [`Transport::connect`].
    Connect {
        /// A fresh id.
        link: LinkId,
        /// How.
        options: ConnectOptions,
    },
    /// See [`Transport::signal`].
    Signal {
        /// The link.
        link: LinkId,
        /// What the other peer sent.
        signal: PeerSignal,
    },
    /// See [`Transport::send`].
    Send {
        /// The link.
        link: LinkId,
        /// At most [`MAX_FRAME`] bytes.
        frame: Vec<u8>,
    },
    /// See [`Transport::restart`].
    Restart {
        /// The link.
        link: LinkId,
        /// STUN and TURN servers from now on, with credentials that hold.
        ice_servers: Vec<IceServer>,
    },
    /// See [`Transport::close`].
    Close {
        /// The link.
        link: LinkId,
    },
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`SEND_BUFFER`] bytes are waiting: try again after [`TransportEvent::Drained`].
    #[error("the send buffer is full")]
    Full,
    /// Not open yet, or over.
    #[error("the link is not open")]
    NotOpen,
    /// Larger than [`MAX_FRAME`].
    #[error("the frame is larger than {MAX_FRAME} bytes")]
    TooLarge,
}

/// Connections to peers over one kind of network.
///
/// Frames arrive whole and in order, or the link closes. All calls return at once.
pub trait Transport {
    /// Starts a link. Its progress is told by events.
    fn connect(&mut self, link: LinkId, options: ConnectOptions);

    /// Hands over what the other peer signalled. Unknown links and bad input are ignored or close the link.
    fn signal(&mut self, link: LinkId, signal: PeerSignal);

    /// Queues one frame.
    ///
    /// # Errors
    /// [`SendError::Full`] under back-pressure, [`SendError::NotOpen`] on a link that is not open,
    /// [`SendError::TooLarge`] past [`MAX_FRAME`].
    fn send(&mut self, link: LinkId, frame: Vec<u8>) -> Result<(), SendError>;

    /// Looks for a path anew (an ICE restart): with new candidates of the network as it is now, by these servers, which
    /// the link keeps to from then on. What is on its way stays on its way.
    fn restart(&mut self, link: LinkId, ice_servers: Vec<IceServer>);

    /// Ends a link and frees what it holds; a `Closed` event with [`CloseReason::Local`] follows. Frames that were
    /// accepted before may be lost.
    fn close(&mut self, link: LinkId);

    /// The next event, or `Pending` with the waker registered.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent>;

    /// Carries out a command. A frame that cannot be sent closes its link: the node keeps within the buffer by
    /// counting [`TransportEvent::Drained`], so that this means a fault.
    fn execute(&mut self, command: TransportCommand) {
        match command {
            TransportCommand::Connect { link, options } => self.connect(link, options),
            TransportCommand::Signal { link, signal } => self.signal(link, signal),
            TransportCommand::Send { link, frame } => {
                if let Err(SendError::Full | SendError::TooLarge) = self.send(link, frame) {
                    self.close(link);
                }
            }
            TransportCommand::Restart { link, ice_servers } => self.restart(link, ice_servers),
            TransportCommand::Close { link } => self.close(link),
        }
    }
}
