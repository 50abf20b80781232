//! Sealed introductions: opened whatever they hold; a seal that was touched never opens. Invitations and replies that
//! people carry: any text, and any description in a well signed one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nostr::nips::nip44;
use sazanami_core::identity::check_proof;
use sazanami_core::signaling::introduction::{CLOCK_SKEW_MS, LIFETIME_MS, OpenError, open};
use sazanami_core::signaling::invitation::{self, Given, Invitation};
use sazanami_core::time::Millis;
use sazanami_fuzz::{START, person, session};

#[derive(arbitrary::Arbitrary, Debug)]
enum Sealed {
    /// As the server may make it up.
    Garbage(String),
    /// Sealed well by a session: the content is the attack.
    Content(String),
    /// Sealed well by a session and changed on the way.
    Touched { content: String, at: u16, bit: u8 },
    /// Late, early, or by a clock that is far off.
    Timed { expires: u64, now: u64 },
    /// What somebody pastes.
    Pasted(String),
    /// A well signed invitation with this in it.
    Invited { sdp: String, expires: u64 },
}

/// The two words that texts begin with.
const WORDS: [&str; 3] = ["", "sazanami-invite-1:", "sazanami-reply-1:"];

fuzz_target!(|sealed: Sealed| {
    let (me, from) = (person(0), person(1));
    let seal = |text: &str| nip44::encrypt(from.secret_key(), &me.public_key(), text, nip44::Version::V2);
    match sealed {
        Sealed::Garbage(text) => {
            assert_eq!(open(&text, &me, session(1), START), Err(OpenError::Seal));
        }
        Sealed::Content(text) => {
            let Ok(sealed) = seal(&text) else { return };
            if let Ok(introduction) = open(&sealed, &me, session(1), START)
                && let Some(proof) = &introduction.proof
            {
                let challenge = introduction.from_attempt.to_string();
                let _ = check_proof(proof, session(1), session(0), &challenge, START);
            }
            assert_eq!(open(&sealed, &me, session(2), START), Err(OpenError::Seal));
        }
        Sealed::Touched { content, at, bit } => {
            let Ok(sealed) = seal(&content) else { return };
            let mut bytes = sealed.clone().into_bytes();
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= 1 << (bit % 7);
            let touched = String::from_utf8(bytes).expect("ASCII stays ASCII");
            assert_eq!(open(&touched, &me, session(1), START), Err(OpenError::Seal));
        }
        Sealed::Pasted(text) => {
            for word in WORDS {
                assert!(invitation::read(&format!("{word}{text}"), &me, START).is_err());
            }
        }
        Sealed::Invited { sdp, expires } => {
            let invited = Invitation {
                session: session(1),
                attempt: 1,
                expires: Millis(expires),
                sdp,
            };
            if let Ok(given) = invitation::read(&invited.text(&from), &me, START) {
                assert_eq!(given, Given::Invitation(invited));
            }
        }
        Sealed::Timed { expires, now } => {
            // The own clock is wrong by years at worst.
            let now = now >> 20;
            let text = format!(
                r#"{{"from_attempt":1,"to_attempt":null,"sequence":1,"expires":{expires},"body":"full"}}"#
            );
            let sealed = seal(&text).expect("it is short");
            let opened = open(&sealed, &me, session(1), Millis(now));
            let fresh = expires.saturating_add(CLOCK_SKEW_MS) >= now
                && expires <= now.saturating_add(LIFETIME_MS + CLOCK_SKEW_MS);
            assert_eq!(opened.is_ok(), fresh, "{opened:?}");
        }
    }
});
