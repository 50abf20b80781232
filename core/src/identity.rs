//! The person's key: made, kept, shown, and proven to peers.
//!
//! A person is a Nostr key pair (NIP-01); `npub` and `nsec` are its written forms (NIP-19).

use nostr::nips::nip19::{FromBech32, ToBech32};
use nostr::prelude::{Event, EventBuilder, FinalizeEvent, Keys, Kind, PublicKey, SecretKey, Tag};

use crate::signaling::SessionId;
use crate::time::Millis;

/// How old a proof of identity may be, in seconds; clocks of real people differ by minutes.
pub const MAX_PROOF_AGE_SECS: u64 = 600;

/// Where a device keeps its secret key: a keyring, a private file, a table beside the posts.
pub trait Vault: Send {
    /// The stored key, if there is one.
    ///
    /// # Errors
    /// When the place cannot be read: the caller must not make a new key then.
    fn load(&mut self) -> Result<Option<Keys>, VaultError>;

    /// Keeps the key durably: once this returns, a crash does not lose it.
    ///
    /// # Errors
    /// When it could not be written.
    fn save(&mut self, keys: &Keys) -> Result<(), VaultError>;
}

/// The secret key could not be read or kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret key cannot be {action}: {reason}")]
pub struct VaultError {
    /// "read" or "kept".
    pub action: &'static str,
    /// In the platform's words.
    pub reason: String,
}

/// A vault that forgets: for tests, the simulation, and sessions without storage.
#[derive(Clone, Debug, Default)]
pub struct MemoryVault(pub Option<Keys>);

impl Vault for MemoryVault {
    fn load(&mut self) -> Result<Option<Keys>, VaultError> {
        Ok(self.0.clone())
    }

    fn save(&mut self, keys: &Keys) -> Result<(), VaultError> {
        self.0 = Some(keys.clone());
        Ok(())
    }
}

/// The `npub1…` form of a public key.
pub fn npub(key: &PublicKey) -> String {
    key.to_bech32().expect("32 bytes always have a bech32 form")
}

/// The `nsec1…` form of a secret key. Whoever reads it is the person.
pub fn nsec(keys: &Keys) -> String {
    keys.secret_key()
        .to_bech32()
        .expect("32 bytes always have a bech32 form")
}

/// Reads a secret key from its `nsec1…` form or 64 hex digits, as people paste it.
///
/// # Errors
/// When it is neither.
pub fn parse_nsec(text: &str) -> Result<Keys, NotAKey> {
    let text = text.trim();
    SecretKey::from_bech32(text)
        .or_else(|_| SecretKey::from_hex(text))
        .map(Keys::new)
        .map_err(|_| NotAKey)
}

/// A text that is no secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a secret key (nsec1… or 64 hex digits)")]
pub struct NotAKey;

/// Proves to the session `to` that the person of `keys` is behind the session `from`: a NIP-42 event (kind 22242)
/// whose `relay` names the verifier and whose `challenge` joins the prover's session with what the verifier asked.
/// It is worth nothing to anybody but `to`.
pub fn prove(keys: &Keys, from: SessionId, to: SessionId, challenge: &str, now: Millis) -> Event {
    EventBuilder::new(Kind::from(22242), "")
        .tag(Tag::custom("relay", [audience(to)]))
        .tag(Tag::custom("challenge", [bound(from, challenge)]))
        .custom_created_at(now.timestamp())
        .finalize(keys)
        .expect("a key pair signs what it is given")
}

/// Checks a proof made by [`prove`] and tells who it is.
///
/// # Errors
/// In words, what does not hold.
pub fn check_proof(
    proof: &Event,
    from: SessionId,
    to: SessionId,
    challenge: &str,
    now: Millis,
) -> Result<PublicKey, &'static str> {
    if proof.kind != Kind::from(22242) {
        return Err("the proof is not of kind 22242");
    }
    let names_us = proof
        .tags
        .iter()
        .any(|tag| tag.kind() == "relay" && tag.content() == Some(&audience(to)));
    if !names_us {
        return Err("the proof is for somebody else");
    }
    if proof.tags.challenge().as_deref() != Some(bound(from, challenge).as_str()) {
        return Err("the proof is for another session");
    }
    if proof.created_at.as_secs().abs_diff(now.0 / 1000) > MAX_PROOF_AGE_SECS {
        return Err("the proof is too old, or the clocks differ");
    }
    proof.verify().map_err(|_| "the proof's signature is wrong")?;
    Ok(proof.pubkey)
}

fn audience(to: SessionId) -> String {
    format!("sazanami:{to}")
}

fn bound(from: SessionId, challenge: &str) -> String {
    format!("{from}:{challenge}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        SessionId(Keys::generate().public_key())
    }

    #[test]
    fn a_key_reads_back_from_its_written_form() {
        let keys = Keys::generate();
        assert_eq!(
            parse_nsec(&format!(" {}\n", nsec(&keys))).unwrap().public_key(),
            keys.public_key()
        );
        assert_eq!(
            parse_nsec(&keys.secret_key().to_secret_hex())
                .unwrap()
                .public_key(),
            keys.public_key()
        );
        assert_eq!(parse_nsec(&npub(&keys.public_key())).unwrap_err(), NotAKey);
        assert!(npub(&keys.public_key()).starts_with("npub1"));
    }

    #[test]
    fn a_proof_is_worth_nothing_elsewhere() {
        let (alice, from, to, mallory) = (Keys::generate(), session(), session(), session());
        let now = Millis(1_700_000_000_000);
        let proof = prove(&alice, from, to, "c1", now);
        assert_eq!(check_proof(&proof, from, to, "c1", now), Ok(alice.public_key()));
        assert!(
            check_proof(&proof, from, mallory, "c1", now).is_err(),
            "shown to somebody else"
        );
        assert!(
            check_proof(&proof, mallory, to, "c1", now).is_err(),
            "shown by somebody else"
        );
        assert!(check_proof(&proof, from, to, "c2", now).is_err(), "shown again");
        assert!(
            check_proof(&proof, from, to, "c1", Millis(now.0 + 3_600_000)).is_err(),
            "shown late"
        );
        let mut forged = proof;
        forged.pubkey = Keys::generate().public_key();
        assert!(
            check_proof(&forged, from, to, "c1", now).is_err(),
            "signed by another key"
        );
    }
}
