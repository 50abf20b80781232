//! A text as a QR code (ISO/IEC 18004), dark on white in every theme: readers expect it so.

use std::fmt::Write;

use dioxus::prelude::*;
use qrcodegen::{QrCode as Code, QrCodeEcc};

/// Modules of white around it, as the standard asks.
const QUIET_ZONE: i32 = 4;

/// The picture; nothing for a text that is too long for one. `label` says what it holds.
#[component]
pub(crate) fn QrCode(text: String, label: String) -> Element {
    // Shown on a screen, it is not torn or stained.
    let Ok(code) = Code::encode_text(&text, QrCodeEcc::Low) else {
        return rsx! {};
    };
    let side = code.size() + 2 * QUIET_ZONE;
    rsx! {
        svg {
            class: "qr-code",
            role: "img",
            "aria-label": label,
            view_box: "0 0 {side} {side}",
            "shape-rendering": "crispEdges",
            rect { width: "{side}", height: "{side}", fill: "#fff" }
            path { d: path(&code), fill: "#000" }
        }
    }
}

/// Each row's runs of dark modules.
fn path(code: &Code) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|&x| code.get_module(x, y)).count();
            let run = i32::try_from(run).unwrap_or_default();
            if run > 0 {
                // Writing to a string does not fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += run.max(1);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_draws_the_dark_modules() {
        let code = Code::encode_text("さざなみ", QrCodeEcc::Low).unwrap();
        let dark = (0..code.size())
            .flat_map(|y| (0..code.size()).map(move |x| (x, y)))
            .filter(|&(x, y)| code.get_module(x, y))
            .count();
        let drawn: usize = path(&code)
            .split('M')
            .skip(1)
            .map(|run| {
                let length = run.split(['h', 'v']).nth(1).unwrap();
                length.parse::<usize>().unwrap()
            })
            .sum();
        assert_eq!(drawn, dark);
    }
}
