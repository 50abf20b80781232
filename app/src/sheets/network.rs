//! Peers and servers, with a word on what they are.

use dioxus::prelude::*;

use crate::components::{PeerList, ServerList};

/// The sheet's content.
#[component]
pub(crate) fn NetworkSheet() -> Element {
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
    }
}
