//! Shows the secret key on demand, to copy or to keep as a file.

use dioxus::prelude::*;
use sazanami_core::node::api::{RequestError, Secret};

use crate::components::{CopyButton, Glyph, Icon, Notice, Tone};
use crate::node::{use_host, use_node};
use crate::state::use_ui;
use crate::words;

const FILE: &str = "sazanami-key.txt";

/// The sheet's content.
#[component]
pub(crate) fn SaveKey() -> Element {
    let node = use_node();
    let mut secret = use_signal(|| None::<Secret>);
    let mut failure = use_signal(|| None::<RequestError>);
    let show = move |_| {
        let node = node.clone();
        async move {
            match node.secret().await {
                Ok(found) => {
                    failure.set(None);
                    secret.set(Some(found));
                }
                Err(error) => failure.set(Some(error)),
            }
        }
    };
    rsx! {
        p { class: "sheet-lead", {t!("key-text")} }
        p { class: "sheet-text", {t!("key-warning")} }
        match &*secret.read() {
            Some(secret) => rsx! {
                Shown { secret: secret.clone() }
            },
            None => rsx! {
                button { class: "button button-primary", r#type: "button", onclick: show, {t!("key-show")} }
            },
        }
        if let Some(error) = &*failure.read() {
            Notice { tone: Tone::Error, {words::explain(error)} }
        }
    }
}

#[component]
fn Shown(secret: Secret) -> Element {
    let ui = use_ui();
    let (node, host) = (use_node(), use_host());
    let mut saved = use_signal(|| false);
    let mut said = use_signal(String::new);
    let nsec = secret.nsec.clone();
    let download = move |_| {
        let host = host.clone();
        let text = t!("key-file", npub: secret.npub.clone(), nsec: secret.nsec.clone());
        async move {
            match host.save_file(FILE.to_owned(), format!("{text}\n")).await {
                Ok(place) => {
                    saved.set(true);
                    said.set(match place {
                        Some(place) => t!("key-saved-at", place: place),
                        None => t!("key-saved"),
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the key file could not be saved");
                    said.set(t!("key-save-failed"));
                }
            }
        }
    };
    rsx! {
        code { class: "secret", "data-testid": "secret", tabindex: "0", aria_label: t!("key-secret"), {nsec.clone()} }
        div { class: "button-row",
            CopyButton { text: nsec, label: t!("key-copy"), oncopied: move |()| saved.set(true) }
            button { class: "button", r#type: "button", onclick: download,
                Icon { glyph: Glyph::Download }
                {t!("key-download")}
            }
        }
        p { class: "sheet-text", role: "status", {said()} }
        button {
            class: if saved() { "button button-primary" } else { "button" },
            r#type: "button",
            onclick: move |_| {
                ui.settings.finish_key_card(node.clone());
                ui.sheets.close();
            },
            {t!("key-done")}
        }
    }
}
