//! Peers and servers, with a word on what they are.

use dioxus::prelude::*;

use crate::components::{PeerList, ServerList};
use crate::state::{Sheet, use_ui};

/// The button that opens the other sheet.
const MEET: &str = "meet-open";

/// The sheet's content.
#[component]
pub(crate) fn NetworkSheet() -> Element {
    let ui = use_ui();
    rsx! {
        p { class: "sheet-lead", {t!("network-text")} }
        PeerList {}
        dl { class: "legend",
            dt { {t!("path-direct")} }
            dd { {t!("path-direct-text")} }
            dt { {t!("path-relayed")} }
            dd { {t!("path-relayed-text")} }
        }
        ServerList {}
        p { class: "sheet-text", {t!("meet-open-text")} }
        div { class: "button-row",
            button {
                class: "button",
                r#type: "button",
                id: MEET,
                onclick: move |_| ui.sheets.open(Sheet::Meet, None),
                {t!("meet-title")}
            }
        }
    }
}
