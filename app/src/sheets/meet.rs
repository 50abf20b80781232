//! Connecting without any server: a text or QR code there, another one back.

use dioxus::prelude::*;
use sazanami_core::node::api::{Meeting, RequestError};

use crate::components::{CopyButton, Notice, PersonName, QrCode, Tone};
use crate::node::{Loaded, use_meeting, use_node, use_person};
use crate::words;

const INVITE: &str = "invite";
const GIVEN: &str = "meet-given";

/// The sheet's content.
#[component]
pub(crate) fn Meet() -> Element {
    let node = use_node();
    let query = use_meeting();
    let failure = use_signal(|| None::<RequestError>);
    let mut shown = failure;
    let invite = move |_| {
        let node = node.clone();
        async move { shown.set(node.invite().await.err()) }
    };
    let meeting = match &*query.value.read() {
        Loaded::Ready(meeting) => meeting.clone(),
        Loaded::Loading => return rsx! {},
        Loaded::Failed(error) => {
            return rsx! {
                Notice { tone: Tone::Error, {words::explain(error)} }
            };
        }
    };
    rsx! {
        match meeting {
            Meeting::None | Meeting::Failed => rsx! {
                p { class: "sheet-lead", {t!("meet-text")} }
                if meeting == Meeting::Failed {
                    Notice { tone: Tone::Error, {t!("meet-failed")} }
                }
                p { class: "sheet-text", {t!("meet-warning")} }
                button { class: "button button-primary", r#type: "button", id: INVITE, onclick: invite,
                    {t!("meet-invite")}
                }
                UseText { label: t!("meet-given"), failure }
            },
            Meeting::Preparing => rsx! {
                p { class: "sheet-lead", role: "status", {t!("meet-preparing")} }
                GiveUp {}
            },
            Meeting::Invitation { text, .. } => rsx! {
                p { class: "sheet-lead", role: "status", {t!("meet-invitation")} }
                Shown { text, label: t!("meet-invitation-label") }
                UseText { label: t!("meet-reply-given"), failure }
                GiveUp {}
            },
            Meeting::Reply { text, .. } => rsx! {
                p { class: "sheet-lead", role: "status", {t!("meet-reply")} }
                Shown { text, label: t!("meet-reply-label") }
                GiveUp {}
            },
            Meeting::Connecting => rsx! {
                p { class: "sheet-lead", role: "status", {t!("meet-connecting")} }
                GiveUp {}
            },
            Meeting::Connected(person) => rsx! {
                div { class: "meet-connected", role: "status", "data-testid": "meet-connected",
                    p { class: "sheet-lead", {t!("meet-connected")} }
                    if let Some(person) = person {
                        Met { person }
                    }
                }
                GiveUp { again: true }
            },
        }
        if let Some(error) = &*failure.read() {
            Notice { tone: Tone::Error, {words::explain(error)} }
        }
    }
}

/// Who is connected now.
#[component]
fn Met(person: sazanami_core::PublicKey) -> Element {
    let query = use_person(person);
    let name = match &*query.value.read() {
        Loaded::Ready(person) => person.name.clone(),
        _ => None,
    };
    rsx! {
        p {
            PersonName { person, name, ambiguous: true }
        }
    }
}

/// A text to give away.
#[component]
fn Shown(text: String, label: String) -> Element {
    rsx! {
        QrCode { text: "{text}", label: "{label}" }
        textarea {
            class: "field field-code meet-text",
            "data-testid": "meet-text",
            readonly: true,
            rows: 3,
            spellcheck: false,
            aria_label: "{label}",
            value: "{text}",
        }
        div { class: "button-row",
            CopyButton { text: text.clone(), label: t!("meet-copy") }
        }
    }
}

/// A field for a text that was given.
#[component]
fn UseText(label: String, failure: Signal<Option<RequestError>>) -> Element {
    let mut failure = failure;
    let node = use_node();
    let mut text = use_signal(String::new);
    let mut busy = use_signal(|| false);
    let onsubmit = move |event: FormEvent| {
        event.prevent_default();
        if busy() {
            return;
        }
        busy.set(true);
        let node = node.clone();
        let given = text.peek().clone();
        spawn(async move {
            match node.meet(given).await {
                Ok(()) => {
                    failure.set(None);
                    text.set(String::new());
                }
                Err(error) => failure.set(Some(error)),
            }
            busy.set(false);
        });
    };
    rsx! {
        form { class: "meet-given", id: "{GIVEN}-form", novalidate: true, onsubmit,
            label { class: "field-label", r#for: GIVEN, {label} }
            textarea {
                class: "field field-code meet-text",
                id: GIVEN,
                rows: 3,
                autocomplete: "off",
                autocapitalize: "none",
                spellcheck: false,
                "aria-invalid": if failure.read().is_some() { "true" },
                value: text,
                oninput: move |event| text.set(event.value()),
            }
            div { class: "button-row",
                button { class: "button", r#type: "submit", "data-testid": "meet-use", disabled: busy() || text.read().trim().is_empty(),
                    {t!("meet-use")}
                }
            }
        }
    }
}

/// Back to the beginning.
#[component]
fn GiveUp(#[props(default)] again: bool) -> Element {
    let node = use_node();
    let end = move |_| {
        let node = node.clone();
        async move {
            if let Err(error) = node.end_meeting().await {
                tracing::warn!(%error, "it could not be given up");
            }
        }
    };
    rsx! {
        div { class: "button-row",
            button { class: "button button-quiet", r#type: "button", "data-testid": "meet-end", onclick: end,
                if again {
                    {t!("meet-again")}
                } else {
                    {t!("meet-give-up")}
                }
            }
        }
    }
}
