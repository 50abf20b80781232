//! Copies a text and says so.

use std::time::Duration;

use dioxus::prelude::*;

use super::{Glyph, Icon};
use crate::node::use_host;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Idle,
    Copied,
    Failed,
}

/// The button. `label` says what is copied.
#[component]
pub(crate) fn CopyButton(text: String, label: String, oncopied: Option<EventHandler<()>>) -> Element {
    let host = use_host();
    let mut state = use_signal(|| State::Idle);
    let copy = move |_| {
        let (host, text) = (host.clone(), text.clone());
        async move {
            match host.copy(text).await {
                Ok(()) => {
                    state.set(State::Copied);
                    if let Some(oncopied) = oncopied {
                        oncopied.call(());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "copying failed");
                    state.set(State::Failed);
                }
            }
            host.sleep(Duration::from_secs(3)).await;
            state.set(State::Idle);
        }
    };
    rsx! {
        button { class: "button", r#type: "button", onclick: copy,
            Icon { glyph: if state() == State::Copied { Glyph::Check } else { Glyph::Copy } }
            span { {label} }
        }
        span { class: "copy-state", role: "status",
            match state() {
                State::Idle => String::new(),
                State::Copied => t!("copied"),
                State::Failed => t!("copy-failed"),
            }
        }
    }
}
