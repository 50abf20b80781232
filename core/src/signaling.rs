//! What a peer says to the signal server, and what peers say to each other through it.
//!
//! The server knows session keys (fresh at each start) and topics (hashes), nothing else. What it relays is
//! sealed: see [`introduction`].
//!
//! A connection goes: server [`ServerMessage::Challenge`], peer [`ClientMessage::Hello`], server
//! [`ServerMessage::Welcome`], then joins, relays and pings. Messages are JSON text frames.

pub mod introduction;
pub mod invitation;
mod server_url;

use nostr::prelude::{Event, EventBuilder, FinalizeEvent, Keys, Kind, PublicKey, Tag};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::Millis;

pub use server_url::{BadServerUrl, ServerUrl};

/// Version of these messages; a server answers a `Hello` of another version with [`ErrorCode::Version`].
pub const PROTOCOL_VERSION: u32 = 1;
/// Largest message in either direction, in bytes. A sealed SDP of a data channel takes about 4 KiB.
pub const MAX_MESSAGE: usize = 32 * 1024;
/// Most peers in one [`ServerMessage::Members`].
pub const MAX_SAMPLE: usize = 16;
/// Most topics that one connection may be in.
pub const MAX_TOPICS: usize = 64;
/// Most other servers that a server recommends.
pub const MAX_RECOMMENDED: usize = 3;
/// How old a hello's proof may be, in seconds.
pub const MAX_PROOF_AGE_SECS: u64 = 300;

/// The public key under which a device appears in signalling: made fresh at each start, tied to no person in the
/// server's eyes. Serialised as 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub PublicKey);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// A rendezvous name that tells the server nothing: the SHA-256 of something that it does not know, as 64 lower-case
/// hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(String);

impl Topic {
    /// The public meeting place, where everybody finds somebody.
    pub fn lobby() -> Self {
        Self::derive(b"sazanami lobby v1")
    }

    /// The topic of a secret.
    pub fn derive(secret: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(secret)))
    }

    /// Its 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A topic that is not 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a topic is 64 lower-case hex digits")]
pub struct BadTopic;

impl TryFrom<String> for Topic {
    type Error = BadTopic;

    fn try_from(text: String) -> Result<Self, BadTopic> {
        let well_formed = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed {
            Ok(Self(text))
        } else {
            Err(BadTopic)
        }
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}

/// From a peer to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Who this is: a NIP-42 event (kind 22242) signed by the session key over the server's challenge.
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// The proof; its author is the session id.
        proof: Box<Event>,
    },
    /// Enter a topic; answered by [`ServerMessage::Members`]. Joining again asks for a new sample.
    Join {
        /// The topic.
        topic: Topic,
    },
    /// Leave a topic.
    Leave {
        /// The topic.
        topic: Topic,
    },
    /// Carry a sealed message to another session.
    Relay {
        /// The receiver.
        to: SessionId,
        /// NIP-44 payload (base64), opaque to the server.
        sealed: String,
    },
    /// Keep-alive; answered by [`ServerMessage::Pong`].
    Ping,
}

/// From the server to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First message on a connection: what to sign.
    Challenge {
        /// Random, at least 128 bits, used once; from a server that says so, see [`challenge`].
        challenge: String,
        /// The server's time, by which peers whose clocks are wrong date what they say to it and to each other.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now: Option<Millis>,
    },
    /// The hello was accepted.
    Welcome {
        /// Addresses ([`ServerUrl`]) of other servers that this one's operator recommends to use beside it, at most
        /// [`MAX_RECOMMENDED`]: so that peers stay together when it dies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        servers: Vec<String>,
    },
    /// A random sample of the other sessions in a topic, at most [`MAX_SAMPLE`].
    Members {
        /// The topic.
        topic: Topic,
        /// The sample, never including the asker.
        peers: Vec<SessionId>,
    },
    /// A sealed message from another session.
    Relayed {
        /// The sender, as the server says; the seal proves it.
        from: SessionId,
        /// NIP-44 payload.
        sealed: String,
    },
    /// The receiver of a relay is not connected.
    Unreachable {
        /// The missing session.
        to: SessionId,
    },
    /// Answer to a ping.
    Pong,
    /// A message was refused; the connection stays open unless the code says otherwise.
    Error {
        /// What kind of refusal.
        code: ErrorCode,
        /// In words, English.
        message: String,
    },
}

/// Why the server refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON of a known message, or binary.
    Malformed,
    /// Larger than [`MAX_MESSAGE`]; the connection closes.
    TooLarge,
    /// The client speaks another version; the connection closes.
    Version,
    /// The hello's proof does not hold; the connection closes.
    Proof,
    /// Something else came before the hello.
    NotWelcome,
    /// Too many messages or bytes in a short time.
    RateLimited,
    /// Too many topics.
    TooManyTopics,
    /// Too many connections, from this address or at all; the connection closes.
    TooManyConnections,
    /// No hello in time, or nothing at all for too long; the connection closes.
    TimedOut,
}

/// A STUN or TURN server (`RTCIceServer`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    pub urls: Vec<String>,
    /// TURN user name, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl IceServer {
    /// Whether it is a TURN server.
    pub fn relays(&self) -> bool {
        self.urls
            .iter()
            .any(|url| url.starts_with("turn:") || url.starts_with("turns:"))
    }
}

/// What `/turn` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceServers {
    /// The servers.
    pub ice_servers: Vec<IceServer>,
    /// Seconds until the credentials end.
    pub ttl: u64,
}

/// What a transport needs carried to the other peer's transport (WebRTC 1.0 §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerSignal {
    /// An SDP offer.
    Offer(String),
    /// An SDP answer.
    Answer(String),
    /// A trickled ICE candidate.
    Candidate {
        /// `candidate:…`, empty for end-of-candidates.
        candidate: String,
        /// `sdpMid`.
        sdp_mid: Option<String>,
        /// `sdpMLineIndex`.
        sdp_m_line_index: Option<u16>,
    },
}

/// A server's challenge: what names the server, and what is used once. A peer that uses several servers sees by it when
/// one of them passes on the challenge of another, to log in there in its place.
pub fn challenge(server: [u8; 16], once: [u8; 32]) -> String {
    format!("{}:{}", hex::encode(server), hex::encode(once))
}

/// Which server a challenge names, if any.
pub fn challenger(challenge: &str) -> Option<&str> {
    let (server, _) = challenge.split_once(':')?;
    (server.len() == 32).then_some(server)
}

/// The proof of a session key that a [`ClientMessage::Hello`] carries.
pub fn hello_proof(session: &Keys, challenge: &str, now: Millis) -> Event {
    EventBuilder::new(Kind::from(22242), "")
        .tag(Tag::custom("challenge", [challenge]))
        .custom_created_at(now.timestamp())
        .finalize(session)
        .expect("a key pair signs what it is given")
}

/// Checks a hello's proof: kind, challenge, age, id and signature.
///
/// # Errors
/// In words, what does not hold.
pub fn check_hello(proof: &Event, challenge: &str, now: Millis) -> Result<SessionId, &'static str> {
    if proof.kind != Kind::from(22242) {
        return Err("the proof is not of kind 22242");
    }
    if proof.tags.challenge().as_deref() != Some(challenge) {
        return Err("the proof is for another challenge");
    }
    if proof.created_at.as_secs().abs_diff(now.0 / 1000) > MAX_PROOF_AGE_SECS {
        return Err("the proof is too old, or the clocks differ");
    }
    proof.verify().map_err(|_| "the proof's signature is wrong")?;
    Ok(SessionId(proof.pubkey))
}

#[cfg(test)]
mod tests;
