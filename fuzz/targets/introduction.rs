//! Sealed introductions: opened whatever they hold; a seal that was touched never opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nostr::nips::nip44;
use sazanami_core::identity::check_proof;
use sazanami_core::signaling::introduction::{CLOCK_SKEW_MS, LIFETIME_MS, OpenError, open};
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
}

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
