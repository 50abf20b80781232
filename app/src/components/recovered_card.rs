//! Says that the storage was damaged and what is left of it, until the person has read it.

use dioxus::prelude::*;
use sazanami_core::node::api::Change;
use sazanami_core::store::{RECOVERED, Recovered};

use super::{Notice, Tone};
use crate::node::use_node;
use crate::text::grouped;

/// The notice.
#[component]
pub(crate) fn RecoveredCard() -> Element {
    let node = use_node();
    let mut recovered = use_signal(|| None::<Recovered>);
    let asking = node.clone();
    use_future(move || {
        let node = asking.clone();
        async move {
            use futures::StreamExt;
            let mut changes = node.changes();
            loop {
                let told = node.setting(RECOVERED).await.ok().flatten();
                recovered.set(told.as_deref().and_then(Recovered::read));
                // It may happen while the app runs: the node starts anew then.
                while let Some(change) = changes.next().await
                    && !matches!(change, Change::Me | Change::Everything)
                {}
            }
        }
    });
    let Some(Recovered { events, .. }) = recovered() else {
        return rsx! {};
    };
    let done = move |_| {
        let node = node.clone();
        recovered.set(None);
        spawn(async move {
            // Kept, it is shown once more: no harm.
            let _ = node.set_setting(RECOVERED, None).await;
        });
    };
    rsx! {
        Notice { tone: Tone::Quiet,
            strong { {t!("recovered-title")} }
            " "
            {t!("recovered-text", events: events, count: grouped(events))}
            button { class: "button", r#type: "button", onclick: done, {t!("recovered-done")} }
        }
    }
}
