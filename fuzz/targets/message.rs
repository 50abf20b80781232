//! Messages on a link: text in, and what was understood means the same when it is said again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::sync::Message;

fuzz_target!(|text: &str| {
    let Ok(message) = Message::parse(text) else {
        return;
    };
    if message == Message::Unknown {
        return;
    }
    let again = Message::parse(&message.to_json());
    assert_eq!(again.as_ref(), Ok(&message), "{}", message.to_json());
});
