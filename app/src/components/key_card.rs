//! Offers to save the key, until the person has done it or waved it away.

use dioxus::prelude::*;

use super::{Glyph, Icon};
use crate::node::use_node;
use crate::state::{Opener, Sheet, use_ui};

/// The card.
#[component]
pub(crate) fn KeyCard() -> Element {
    let ui = use_ui();
    let node = use_node();
    let mut button = use_signal(|| None as Opener);
    if (ui.settings.key_card_done)() {
        return rsx! {};
    }
    rsx! {
        section { class: "key-card", "aria-labelledby": "key-card-title",
            span { class: "key-card-icon",
                Icon { glyph: Glyph::Key }
            }
            div { class: "key-card-main",
                h2 { class: "key-card-title", id: "key-card-title", {t!("key-card-title")} }
                p { {t!("key-card-text")} }
                div { class: "button-row",
                    button {
                        class: "button",
                        r#type: "button",
                        onmounted: move |event| button.set(Some(event.data())),
                        onclick: move |_| ui.sheets.open(Sheet::SaveKey, button.peek().clone()),
                        {t!("key-card-save")}
                    }
                    button {
                        class: "button button-quiet",
                        r#type: "button",
                        onclick: move |_| ui.settings.finish_key_card(node.clone()),
                        {t!("key-card-later")}
                    }
                }
            }
        }
    }
}
