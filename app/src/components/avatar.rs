//! A person's picture, made of their key: one of twelve calm tones, a water line, and the letter of the name.

use dioxus::prelude::*;
use sazanami_core::PublicKey;

use crate::text::names;

const TONES: u8 = 12;

/// The picture; decoration beside the name.
#[component]
pub(crate) fn Avatar(person: PublicKey, name: Option<String>, #[props(default)] large: bool) -> Element {
    let bytes = person.to_bytes();
    let tone = bytes[0] % TONES;
    let wave = match bytes[1] % 4 {
        0 => "M0 26c7-5 13-5 20 0s13 5 20 0v14H0z",
        1 => "M0 23c5 5 12 5 20 1s15-4 20 1v15H0z",
        2 => "M0 29c10-8 18-2 24-3s11-6 16-3v17H0z",
        _ => "M0 21c8 1 11 8 20 8s12-7 20-6v17H0z",
    };
    let letter = names::initial(name.as_deref());
    rsx! {
        span {
            class: if large { "avatar avatar-large tone-{tone}" } else { "avatar tone-{tone}" },
            "aria-hidden": "true",
            svg { class: "avatar-water", view_box: "0 0 40 40", "focusable": "false",
                path { fill: "currentColor", d: wave }
            }
            span { class: "avatar-letter", {letter} }
        }
    }
}
