//! Connecting without any server: two texts that people carry themselves, by messenger or as QR codes.
//!
//! The one who invites gives an invitation: an offer, with all of its candidates. It is signed by the session, so that
//! nobody on its way can put another fingerprint or address into it. The other gives back a reply: the answer, sealed to
//! the session that invited (NIP-44), so that only that one reads it and knows that it answers this invitation. Who the
//! people are they prove to each other on the link.
//!
//! Both texts are a word that tells which it is, and base64url of as few bytes as possible, since they are to fit into a QR
//! code.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use nostr::nips::nip44::v2::{ConversationKey, decrypt_to_bytes, encrypt_to_bytes_with_nonce};
use nostr::prelude::{Keys, PublicKey};
use sha2::{Digest, Sha256};

use super::SessionId;
use crate::time::Millis;
use crate::transport::candidates::count;
use crate::verify::has_signed;

/// Milliseconds for which an invitation can be answered, and a reply be given back.
pub const LIFETIME_MS: u64 = 600_000;
/// Milliseconds by which an honest peer's clock may differ.
const CLOCK_SKEW_MS: u64 = 600_000;
/// Largest description, and largest text.
const MAX_SDP: usize = 16 * 1024;
const MAX_TEXT: usize = 16 * 1024;
/// Most candidates: each is an address that packets are sent to.
const MAX_CANDIDATES: usize = 32;
/// Effort of compression: small texts, made once.
const LEVEL: u8 = 9;

const INVITATION: &str = "sazanami-invite-1:";
const REPLY: &str = "sazanami-reply-1:";
const DOMAIN: &[u8] = b"sazanami invitation v1";

/// Offers a link to whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Who invites.
    pub session: SessionId,
    /// Their connection attempt: random.
    pub attempt: u64,
    /// After this moment (by their clock) it is worth nothing.
    pub expires: Millis,
    /// The offer, its candidates included.
    pub sdp: String,
}

/// Answers an [`Invitation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answers.
    pub session: SessionId,
    /// Their connection attempt: random.
    pub attempt: u64,
    /// The attempt that is answered.
    pub to_attempt: u64,
    /// The answer, its candidates included.
    pub sdp: String,
}

/// A text that somebody has been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// An invitation, its signature checked.
    Invitation(Invitation),
    /// A reply to an invitation of this session, its seal checked.
    Answer(Answer),
}

/// Why a text is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Neither an invitation nor a reply, or not all of it.
    #[error("this is no invitation and no reply, or not all of it")]
    Unreadable,
    /// Altered on its way, or a reply to somebody else or to an earlier start of this program.
    #[error("this was altered, or is meant for another device")]
    Forged,
    /// Too late.
    #[error("this has expired")]
    Expired,
}

impl Invitation {
    /// The text to be given to somebody.
    pub fn text(&self, session: &Keys) -> String {
        let mut bytes = self.session.0.to_bytes().to_vec();
        bytes.extend(self.attempt.to_be_bytes());
        bytes.extend(self.expires.0.to_be_bytes());
        bytes.extend(compress_to_vec(self.sdp.as_bytes(), LEVEL));
        let signature = session.sign_schnorr(digest(&bytes));
        bytes.extend_from_slice(signature.as_bytes());
        INVITATION.to_owned() + &URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(bytes: &[u8], now: Millis) -> Result<Self, BadText> {
        let cut = bytes.len().checked_sub(64).ok_or(BadText::Unreadable)?;
        let (said, signature) = bytes.split_at(cut);
        let mut rest = said;
        let session = take_session(&mut rest)?;
        let signature = signature.try_into().map_err(|_| BadText::Unreadable)?;
        if !has_signed(&session.0, &digest(said), signature) {
            return Err(BadText::Forged);
        }
        let attempt = take_number(&mut rest)?;
        let expires = Millis(take_number(&mut rest)?);
        check_time(expires, now)?;
        let sdp = inflate(rest)?;
        Ok(Self {
            session,
            attempt,
            expires,
            sdp,
        })
    }
}

impl Answer {
    /// The text to be given back; `nonce` is random, and used once.
    ///
    /// # Errors
    /// [`BadText::Unreadable`] when the inviter's session is no key, or the description is too large.
    pub fn text(
        &self,
        session: &Keys,
        to: SessionId,
        nonce: [u8; 32],
        now: Millis,
    ) -> Result<String, BadText> {
        let mut plain = self.attempt.to_be_bytes().to_vec();
        plain.extend(self.to_attempt.to_be_bytes());
        plain.extend((now.0 + LIFETIME_MS).to_be_bytes());
        plain.extend(compress_to_vec(self.sdp.as_bytes(), LEVEL));
        let key = ConversationKey::derive(session.secret_key(), &to.0).map_err(|_| BadText::Unreadable)?;
        let sealed = encrypt_to_bytes_with_nonce(&key, &plain, nonce).map_err(|_| BadText::Unreadable)?;
        let mut bytes = self.session.0.to_bytes().to_vec();
        bytes.extend(sealed);
        Ok(REPLY.to_owned() + &URL_SAFE_NO_PAD.encode(bytes))
    }

    fn read(bytes: &[u8], own: &Keys, now: Millis) -> Result<Self, BadText> {
        let mut rest = bytes;
        let session = take_session(&mut rest)?;
        let key = ConversationKey::derive(own.secret_key(), &session.0).map_err(|_| BadText::Unreadable)?;
        let plain = decrypt_to_bytes(&key, rest).map_err(|_| BadText::Forged)?;
        let mut rest = plain.as_slice();
        let (attempt, to_attempt) = (take_number(&mut rest)?, take_number(&mut rest)?);
        check_time(Millis(take_number(&mut rest)?), now)?;
        Ok(Self {
            session,
            attempt,
            to_attempt,
            sdp: inflate(rest)?,
        })
    }
}

/// Reads what somebody was given, whatever messengers made of its white space.
///
/// # Errors
/// See [`BadText`].
pub fn read(text: &str, own: &Keys, now: Millis) -> Result<Given, BadText> {
    if text.len() > MAX_TEXT {
        return Err(BadText::Unreadable);
    }
    let text: String = text.split_whitespace().collect();
    // There may be words before it.
    let after = |word: &str| {
        text.find(word)
            .map(|at| text[at + word.len()..].trim_end_matches(['.', ',', '"', '”', '」', '。']))
    };
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| BadText::Unreadable);
    if let Some(invitation) = after(INVITATION) {
        Invitation::read(&decode(invitation)?, now).map(Given::Invitation)
    } else if let Some(reply) = after(REPLY) {
        Answer::read(&decode(reply)?, own, now).map(Given::Answer)
    } else {
        Err(BadText::Unreadable)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(bytes)
        .finalize()
        .into()
}

fn check_time(expires: Millis, now: Millis) -> Result<(), BadText> {
    let live = now.0 <= expires.0.saturating_add(CLOCK_SKEW_MS)
        && expires.0 <= now.0.saturating_add(LIFETIME_MS + CLOCK_SKEW_MS);
    if live { Ok(()) } else { Err(BadText::Expired) }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], BadText> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(BadText::Unreadable)?;
    *bytes = rest;
    Ok(*taken)
}

fn take_number(bytes: &mut &[u8]) -> Result<u64, BadText> {
    take(bytes).map(u64::from_be_bytes)
}

fn take_session(bytes: &mut &[u8]) -> Result<SessionId, BadText> {
    let key = PublicKey::from_byte_array(take(bytes)?);
    key.xonly().map_err(|_| BadText::Unreadable)?;
    Ok(SessionId(key))
}

fn inflate(bytes: &[u8]) -> Result<String, BadText> {
    let bytes = decompress_to_vec_with_limit(bytes, MAX_SDP).map_err(|_| BadText::Unreadable)?;
    let sdp = String::from_utf8(bytes).map_err(|_| BadText::Unreadable)?;
    if count(&sdp) > MAX_CANDIDATES {
        return Err(BadText::Unreadable);
    }
    Ok(sdp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_000);

    fn id(keys: &Keys) -> SessionId {
        SessionId(keys.public_key())
    }

    fn invitation(keys: &Keys) -> Invitation {
        Invitation {
            session: id(keys),
            attempt: 7,
            expires: Millis(NOW.0 + LIFETIME_MS),
            sdp: "v=0\r\na=fingerprint:sha-256 AB:CD\r\n".into(),
        }
    }

    fn answer(keys: &Keys) -> Answer {
        Answer {
            session: id(keys),
            attempt: 8,
            to_attempt: 7,
            sdp: "v=0\r\na=setup:active\r\n".into(),
        }
    }

    #[test]
    fn texts_survive_messengers() {
        let (alice, bob) = (Keys::generate(), Keys::generate());
        let text = invitation(&alice).text(&alice);
        let wrapped: String = text
            .as_bytes()
            .chunks(70)
            .map(|line| format!("  {}\r\n", std::str::from_utf8(line).unwrap()))
            .collect();
        for given in [text.clone(), wrapped, format!("接続してください： {text}\n")] {
            assert_eq!(
                read(&given, &bob, NOW),
                Ok(Given::Invitation(invitation(&alice))),
                "{given}"
            );
        }
        let reply = answer(&bob).text(&bob, id(&alice), [1; 32], NOW).unwrap();
        assert_eq!(read(&reply, &alice, NOW), Ok(Given::Answer(answer(&bob))));
        let other = Keys::generate();
        assert_eq!(
            read(&reply, &other, NOW),
            Err(BadText::Forged),
            "for somebody else"
        );
    }

    #[test]
    fn nobody_on_the_way_alters_them() {
        let (alice, bob) = (Keys::generate(), Keys::generate());
        let reply = answer(&bob).text(&bob, id(&alice), [1; 32], NOW).unwrap();
        for (text, word, reader) in [
            (invitation(&alice).text(&alice), INVITATION, &bob),
            (reply, REPLY, &alice),
        ] {
            let said = read(&text, reader, NOW);
            assert!(said.is_ok());
            let bytes = URL_SAFE_NO_PAD.decode(&text[word.len()..]).unwrap();
            for at in 0..bytes.len() {
                let mut altered = bytes.clone();
                altered[at] ^= 1;
                let text = word.to_owned() + &URL_SAFE_NO_PAD.encode(&altered);
                let given = read(&text, reader, NOW);
                // NIP-44 leaves its version byte out of what it authenticates.
                assert!(given.is_err() || given == said, "byte {at}");
            }
        }
    }

    #[test]
    fn they_expire() {
        let (alice, bob) = (Keys::generate(), Keys::generate());
        let late = Millis(NOW.0 + LIFETIME_MS + CLOCK_SKEW_MS + 1);
        let text = invitation(&alice).text(&alice);
        assert_eq!(read(&text, &bob, late), Err(BadText::Expired));
        let reply = answer(&bob).text(&bob, id(&alice), [1; 32], NOW).unwrap();
        assert_eq!(read(&reply, &alice, late), Err(BadText::Expired));
    }

    #[test]
    fn one_that_inflates_without_end_is_refused() {
        let alice = Keys::generate();
        let bomb = Invitation {
            sdp: "x".repeat(1_000_000),
            ..invitation(&alice)
        };
        assert_eq!(read(&bomb.text(&alice), &alice, NOW), Err(BadText::Unreadable));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let own = Keys::generate();
            let encoded = URL_SAFE_NO_PAD.encode(&bytes);
            for text in [text, INVITATION.to_owned() + &encoded, REPLY.to_owned() + &encoded] {
                prop_assert!(read(&text, &own, NOW).is_err());
            }
        }
    }
}
