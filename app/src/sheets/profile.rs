//! A person: who they are, follow, their notes. One's own: rename, save the key.

use dioxus::prelude::*;
use sazanami_core::PublicKey;
use sazanami_core::node::api::{Person, RequestError};
use sazanami_core::social::clean_name;
use sazanami_core::store::Scope;

use crate::components::{Avatar, CopyButton, Glyph, Icon, Notice, Timeline, Tone};
use crate::node::{Loaded, use_node, use_person};
use crate::state::{Sheet, use_ui};
use crate::text::{grouped, names};
use crate::words;

/// The sheet's content.
#[component]
pub(crate) fn Profile(person: PublicKey) -> Element {
    let query = use_person(person);
    match &*query.value.read() {
        Loaded::Loading => rsx! {
            p { role: "status", {t!("loading")} }
        },
        Loaded::Failed(error) => rsx! {
            Notice { tone: Tone::Error,
                p { {words::explain(error)} }
                button { class: "button", r#type: "button", onclick: move |_| query.retry(), {t!("retry")} }
            }
        },
        Loaded::Ready(person) => rsx! {
            Head { person: person.clone() }
            h3 { class: "sheet-heading", {t!("profile-notes")} }
            Timeline {
                scope: Scope::Author(person.key),
                empty: rsx! {
                    p { class: "sheet-text", {t!("profile-empty")} }
                },
            }
        },
    }
}

#[component]
fn Head(person: Person) -> Element {
    let name = person
        .name
        .as_deref()
        .and_then(names::clean)
        .unwrap_or_else(|| t!("person-unnamed"));
    rsx! {
        div { class: "profile",
            Avatar { person: person.key, name: person.name.clone(), large: true }
            div { class: "profile-main",
                p { class: "profile-name", dir: "auto", "data-testid": "profile-name", {name} }
                p { class: "profile-facts",
                    span { {words::notes(person.notes)} }
                    span { {t!("follows-count", count: person.follows, shown: grouped(person.follows))} }
                }
            }
        }
        code { class: "npub", aria_label: t!("profile-npub"), {person.npub.clone()} }
        div { class: "button-row",
            if person.me {
                Own { person: person.clone() }
            } else {
                FollowButton { person: person.clone() }
            }
            CopyButton { text: person.npub.clone(), label: t!("profile-copy") }
        }
    }
}

#[component]
fn FollowButton(person: Person) -> Element {
    let node = use_node();
    let mut busy = use_signal(|| false);
    let mut failure = use_signal(|| None::<RequestError>);
    let (key, followed) = (person.key, person.followed);
    let toggle = move |_| {
        if busy() {
            return;
        }
        busy.set(true);
        let node = node.clone();
        spawn(async move {
            failure.set(node.follow(key, !followed).await.err());
            busy.set(false);
        });
    };
    rsx! {
        button {
            class: if followed { "button" } else { "button button-primary" },
            r#type: "button",
            "data-testid": "follow",
            "aria-busy": if busy() { "true" },
            onclick: toggle,
            if followed {
                Icon { glyph: Glyph::Check }
                {t!("unfollow")}
            } else {
                {t!("follow")}
            }
        }
        if let Some(error) = &*failure.read() {
            Notice { tone: Tone::Error, {words::explain(error)} }
        }
    }
}

#[component]
fn Own(person: Person) -> Element {
    let ui = use_ui();
    let mut renaming = use_signal(|| false);
    rsx! {
        if renaming() {
            Rename { name: person.name.clone().unwrap_or_default(), ondone: move |()| renaming.set(false) }
        } else {
            button { class: "button", r#type: "button", onclick: move |_| renaming.set(true), {t!("rename")} }
        }
        button { class: "button", r#type: "button", onclick: move |_| ui.sheets.open(Sheet::SaveKey, None),
            Icon { glyph: Glyph::Key }
            {t!("key-card-save")}
        }
    }
}

#[component]
fn Rename(name: String, ondone: EventHandler<()>) -> Element {
    let node = use_node();
    let initial = use_hook(|| name);
    let mut text = use_signal(|| initial.clone());
    let mut busy = use_signal(|| false);
    let mut failure = use_signal(|| None::<RequestError>);
    let onsubmit = move |event: FormEvent| {
        event.prevent_default();
        if busy() {
            return;
        }
        let cleaned = match clean_name(&text.peek()) {
            Ok(cleaned) => cleaned,
            Err(error) => return failure.set(Some(RequestError::Text(error))),
        };
        busy.set(true);
        let node = node.clone();
        spawn(async move {
            match node.rename(cleaned).await {
                Ok(()) => ondone.call(()),
                Err(error) => {
                    failure.set(Some(error));
                    busy.set(false);
                }
            }
        });
    };
    rsx! {
        form { class: "rename", novalidate: true, onsubmit,
            label { class: "field-label", r#for: "rename", {t!("welcome-name")} }
            input {
                class: "field",
                id: "rename",
                r#type: "text",
                autocomplete: "nickname",
                dir: "auto",
                initial_value: initial,
                onmounted: move |event| async move {
                    let _ = event.set_focus(true).await;
                },
                oninput: move |event| text.set(event.value()),
            }
            if let Some(error) = &*failure.read() {
                Notice { tone: Tone::Error,
                    match error {
                        RequestError::Text(error) => words::name_error(*error),
                        error => words::explain(error),
                    }
                }
            }
            div { class: "button-row",
                button { class: "button button-primary", r#type: "submit", disabled: busy(), {t!("rename-save")} }
                button { class: "button button-quiet", r#type: "button", onclick: move |_| ondone.call(()), {t!("cancel")} }
            }
        }
    }
}
