//! Whether events are what they say they are: id (NIP-01) and signature (BIP 340), the costly part of a sync.
//!
//! A [`Verifier`] belongs to one thread. [`encode`] puts events into bytes for a verifier that shares no memory (a
//! browser's worker): only what is needed to verify, and nothing to parse.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use nostr::prelude::{Event, PublicKey};
use secp256k1::schnorr::Signature;
use secp256k1::{Secp256k1, VerifyOnly, XOnlyPublicKey};
use sha2::{Digest, Sha256};

use crate::social::MAX_EVENT_BYTES;
use crate::store::Invalid;

/// Authors whose keys are kept ready: few write most of what is read. 100 bytes each.
const KEYS: usize = 8_192;
/// What the JSON of an event holds beside what is hashed for its id: the names of its fields, id and signature.
const BESIDE: usize =
    r#"{"id":"","pubkey":"","created_at":,"kind":,"tags":,"content":,"sig":""}"#.len() + 64 + 128
        - r#"[0,"",,,,]"#.len();
/// Id, public key, signature and the length of the text.
const HEAD: usize = 32 + 32 + 64 + 4;

static CONTEXT: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Verifies events one after the other, and keeps what speeds up the next ones.
pub struct Verifier {
    keys: Recent<[u8; 32], XOnlyPublicKey>,
    text: Vec<u8>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self {
            keys: Recent::new(KEYS),
            text: Vec::new(),
        }
    }

    /// Whether an event holds: as [`crate::store::verify`], and faster for authors met before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&mut self, event: &Event) -> Result<(), Invalid> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        write_text(event, &mut text);
        let result = self.check(
            event.id.as_bytes(),
            event.pubkey.as_bytes(),
            event.sig.as_bytes(),
            &text,
        );
        self.text = text;
        result
    }

    /// Verifies what [`encode`] wrote; the answers stand in the order of the events. What cannot be read, and all that
    /// follows it, does not hold.
    pub fn verify_encoded(&mut self, mut bytes: &[u8]) -> Vec<bool> {
        let mut holds = Vec::new();
        while !bytes.is_empty() {
            let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
                holds.push(false);
                break;
            };
            let (id, head) = head.split_first_chunk::<32>().expect("the head is longer");
            let (author, head) = head.split_first_chunk::<32>().expect("the head is longer");
            let (signature, length) = head.split_first_chunk::<64>().expect("the head is longer");
            let length = u32::from_le_bytes(length.try_into().expect("four bytes are left"));
            let Some((text, rest)) = rest.split_at_checked(length as usize) else {
                holds.push(false);
                break;
            };
            holds.push(self.check(id, author, signature, text).is_ok());
            bytes = rest;
        }
        holds
    }

    fn check(
        &mut self,
        id: &[u8; 32],
        author: &[u8; 32],
        signature: &[u8; 64],
        text: &[u8],
    ) -> Result<(), Invalid> {
        if text.len() + BESIDE > MAX_EVENT_BYTES {
            return Err(Invalid::TooLarge);
        }
        if Sha256::digest(text).as_slice() != id {
            return Err(Invalid::Id);
        }
        let key = match self.keys.get(author) {
            Some(key) => *key,
            None => {
                // Finding the point takes a square root: a sixth of the whole.
                let key = PublicKey::from_byte_array(*author)
                    .xonly()
                    .map_err(|_| Invalid::Signature)?;
                self.keys.insert(*author, key);
                key
            }
        };
        CONTEXT
            .verify_schnorr(&Signature::from_byte_array(*signature), id, &key)
            .map_err(|_| Invalid::Signature)
    }
}

/// Whether a key has signed these 32 bytes (BIP-340).
pub(crate) fn has_signed(key: &PublicKey, digest: &[u8; 32], signature: [u8; 64]) -> bool {
    key.xonly().is_ok_and(|key| {
        let signature = Signature::from_byte_array(signature);
        CONTEXT.verify_schnorr(&signature, digest, &key).is_ok()
    })
}

/// Events for [`Verifier::verify_encoded`].
pub fn encode<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        bytes.extend_from_slice(event.id.as_bytes());
        bytes.extend_from_slice(event.pubkey.as_bytes());
        bytes.extend_from_slice(event.sig.as_bytes());
        let at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        write_text(event, &mut bytes);
        let length = u32::try_from(bytes.len() - at - 4).expect("an event came in one message");
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

/// What is hashed for the id (NIP-01).
fn write_text(event: &Event, out: &mut Vec<u8>) {
    let fields = (
        0u8,
        &event.pubkey,
        &event.created_at,
        &event.kind,
        &event.tags,
        &event.content,
    );
    serde_json::to_writer(out, &fields).expect("an event's fields serialise, and a vector takes any bytes");
}

/// A map that forgets what was not asked for lately: two halves, of which the older one goes when the newer is full.
/// Ordered, since its keys come from strangers.
pub(crate) struct Recent<K, V> {
    half: usize,
    newer: BTreeMap<K, V>,
    older: BTreeMap<K, V>,
}

impl<K: Ord, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            half: (capacity / 2).max(1),
            newer: BTreeMap::new(),
            older: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        if let Some((key, value)) = self.older.remove_entry(key) {
            self.insert(key, value);
        }
        self.newer.get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= self.half {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use nostr::prelude::{EventBuilder, EventId, FinalizeEvent, Keys, Kind, Tag};

    use super::*;
    use crate::store;

    fn event(content: &str) -> Event {
        EventBuilder::new(Kind::TextNote, content)
            .tag(Tag::hashtag("波"))
            .finalize(&Keys::generate())
            .unwrap()
    }

    /// One event as it should be and what can be wrong with it.
    fn cases() -> Vec<Event> {
        let good = event("「さざなみ」\n\u{1}\"\\");
        let other = event("other");
        let mut cases = vec![good.clone(); 6];
        cases[1].content.push('!');
        cases[2].id = EventId::from_byte_array([7; 32]);
        cases[3].sig = other.sig;
        cases[4].pubkey = other.pubkey;
        // No point of the curve has this x.
        cases[5].pubkey = PublicKey::from_byte_array([0xff; 32]);
        cases[5].id = EventId::compute(
            &cases[5].pubkey,
            &good.created_at,
            &good.kind,
            &good.tags,
            &good.content,
        );
        cases
    }

    #[test]
    fn verifies_as_the_store_does() {
        let mut verifier = Verifier::new();
        let cases = cases();
        // The second time the authors' keys are at hand.
        for event in cases.iter().chain(&cases) {
            assert_eq!(verifier.verify(event), store::verify(event), "{event:?}");
        }
        assert_eq!(
            cases
                .iter()
                .map(|event| verifier.verify(event))
                .collect::<Vec<_>>(),
            [
                Ok(()),
                Err(Invalid::Id),
                Err(Invalid::Id),
                Err(Invalid::Signature),
                Err(Invalid::Id),
                Err(Invalid::Signature)
            ]
        );
    }

    #[test]
    fn the_limit_of_size_is_the_stores() {
        let bare = serde_json::to_vec(&event("")).unwrap().len();
        let mut verifier = Verifier::new();
        for (content, fits) in [
            ("x".repeat(MAX_EVENT_BYTES - bare), true),
            ("x".repeat(MAX_EVENT_BYTES - bare + 1), false),
        ] {
            let event = event(&content);
            assert_eq!(verifier.verify(&event).is_ok(), fits);
            assert_eq!(verifier.verify(&event), store::verify(&event));
            assert_eq!(verifier.verify_encoded(&encode([&event])), [fits]);
        }
    }

    #[test]
    fn encoded_events_hold_as_they_did() {
        let cases = cases();
        let mut verifier = Verifier::new();
        let bytes = encode(&cases);
        assert_eq!(
            verifier.verify_encoded(&bytes),
            [true, false, false, false, false, false]
        );
        let cut = verifier.verify_encoded(&bytes[..bytes.len() - 1]);
        assert_eq!(cut, [true, false, false, false, false, false]);
        assert_eq!(verifier.verify_encoded(&bytes[..HEAD - 1]), [false]);
        assert_eq!(verifier.verify_encoded(&[]), [] as [bool; 0]);
    }

    #[test]
    fn what_is_not_asked_for_is_forgotten() {
        let mut recent = Recent::new(8);
        for n in 0..100 {
            recent.insert(n, n);
            assert_eq!(recent.get(&0), Some(&0), "asked for again and again");
        }
        assert_eq!(recent.get(&50), None);
        assert!(recent.newer.len() + recent.older.len() <= 8);
    }
}
