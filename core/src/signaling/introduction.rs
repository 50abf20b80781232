//! Sealed introductions: what one peer sends another through the server, so that the server can neither read,
//! forge nor redirect it.
//!
//! An introduction is JSON, encrypted with NIP-44 from the sender's session key to the receiver's. The key is the
//! ECDH of both, so opening it proves the sender. It carries an expiry and a sequence number against replays, names
//! the connection attempts on both sides against late arrivals, and with each description a proof of who the person
//! is ([`crate::identity::prove`]).

use nostr::nips::nip44;
use nostr::prelude::{Event, Keys};
use serde::{Deserialize, Serialize};

use super::{PeerSignal, SessionId};
use crate::time::Millis;

/// Milliseconds that an introduction may travel.
pub const LIFETIME_MS: u64 = 60_000;
/// Milliseconds by which an honest peer's clock may differ.
pub const CLOCK_SKEW_MS: u64 = 600_000;

/// One message of a connection being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The sender's connection attempt: random, a new one for each attempt.
    pub from_attempt: u64,
    /// The receiver's attempt that this answers, once the sender has heard of it.
    pub to_attempt: Option<u64>,
    /// Counts up within `from_attempt`, from 1.
    pub sequence: u64,
    /// After this moment (by the sender's clock) it is worth nothing.
    pub expires: Millis,
    /// Who the person is; present with descriptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<Event>>,
    /// How many links the sender has: who has next to none is let in even by a full peer.
    #[serde(default)]
    pub links: usize,
    /// What it is about.
    pub body: Body,
}

/// What an introduction says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// For the other side's transport.
    Signal(PeerSignal),
    /// This peer has all the links it takes: try somebody else.
    Full,
    /// This peer reaches those whom it does not know through a relay only, and has none.
    NoRelay,
}

/// Why a sealed message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not encrypted by the named sender to this session, or altered.
    #[error("the seal does not hold")]
    Seal,
    /// Encrypted well, but no introduction.
    #[error("the content is not an introduction")]
    Content,
    /// Too late.
    #[error("the introduction has expired")]
    Expired,
}

/// Encrypts an introduction to `to`.
///
/// # Errors
/// [`OpenError::Content`] when it is larger than NIP-44 carries (65,535 bytes).
pub fn seal(introduction: &Introduction, session: &Keys, to: SessionId) -> Result<String, OpenError> {
    let plain = serde_json::to_string(introduction).map_err(|_| OpenError::Content)?;
    nip44::encrypt(session.secret_key(), &to.0, plain, nip44::Version::V2).map_err(|_| OpenError::Content)
}

/// Decrypts what `from` sealed to this session, and checks its expiry.
///
/// # Errors
/// See [`OpenError`].
pub fn open(sealed: &str, session: &Keys, from: SessionId, now: Millis) -> Result<Introduction, OpenError> {
    let plain = nip44::decrypt(session.secret_key(), &from.0, sealed).map_err(|_| OpenError::Seal)?;
    let introduction: Introduction = serde_json::from_str(&plain).map_err(|_| OpenError::Content)?;
    let live = now.0 <= introduction.expires.0.saturating_add(CLOCK_SKEW_MS)
        && introduction.expires.0 <= now.0 + LIFETIME_MS + CLOCK_SKEW_MS;
    if live {
        Ok(introduction)
    } else {
        Err(OpenError::Expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(now: Millis) -> Introduction {
        Introduction {
            from_attempt: 1,
            to_attempt: None,
            sequence: 1,
            expires: Millis(now.0 + LIFETIME_MS),
            proof: None,
            links: 0,
            body: Body::Signal(PeerSignal::Offer("v=0".into())),
        }
    }

    #[test]
    fn only_the_receiver_opens_and_only_the_sender_seals() {
        let (alice, bob, server) = (Keys::generate(), Keys::generate(), Keys::generate());
        let id = |keys: &Keys| SessionId(keys.public_key());
        let now = Millis(1_700_000_000_000);
        let sealed = seal(&introduction(now), &alice, id(&bob)).unwrap();
        assert!(!sealed.contains("v=0"));
        assert_eq!(open(&sealed, &bob, id(&alice), now), Ok(introduction(now)));
        assert_eq!(
            open(&sealed, &server, id(&alice), now),
            Err(OpenError::Seal),
            "read by the server"
        );
        assert_eq!(
            open(&sealed, &bob, id(&server), now),
            Err(OpenError::Seal),
            "said to be from another"
        );
        let mut altered = sealed.clone().into_bytes();
        altered[60] ^= 1;
        assert!(
            open(&String::from_utf8_lossy(&altered), &bob, id(&alice), now).is_err(),
            "altered"
        );
        let late = Millis(now.0 + LIFETIME_MS + CLOCK_SKEW_MS + 1);
        assert_eq!(open(&sealed, &bob, id(&alice), late), Err(OpenError::Expired));
    }
}
