//! What people paste into the key field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::identity::{npub, nsec, parse_nsec};

fuzz_target!(|text: &str| {
    if let Ok(keys) = parse_nsec(text) {
        let again = parse_nsec(&nsec(&keys)).expect("a key's own form reads back");
        assert_eq!(again.public_key(), keys.public_key());
        assert!(npub(&keys.public_key()).starts_with("npub1"));
        assert!(parse_nsec(&npub(&keys.public_key())).is_err());
    }
});
