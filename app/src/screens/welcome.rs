//! The first visit: a name, and one is in. Or a key from another device.

use dioxus::prelude::*;
use sazanami_core::node::api::{Person, RequestError};
use sazanami_core::social::clean_name;

use crate::components::{Logo, Notice, Tone};
use crate::i18n::Language;
use crate::node::{Node, use_node};
use crate::state::{Ui, use_ui};
use crate::words;

/// The screen.
#[component]
pub(crate) fn Welcome(ephemeral: Option<String>) -> Element {
    let mut with_key = use_signal(|| false);
    rsx! {
        main { class: "gate",
            div { class: "gate-card welcome",
                div { class: "welcome-brand",
                    Logo {}
                    h1 { class: "welcome-name", {t!("app-name")} }
                }
                p { class: "welcome-lead", {t!("welcome-lead")} }
                p { class: "welcome-more", {t!("welcome-more")} }
                if ephemeral.is_some() {
                    Notice { tone: Tone::Quiet, {t!("ephemeral-text")} }
                }
                if with_key() {
                    KeyForm {}
                } else {
                    NameForm {}
                }
                button {
                    class: "link-button",
                    r#type: "button",
                    onclick: move |_| with_key.toggle(),
                    if with_key() {
                        {t!("welcome-no-key")}
                    } else {
                        {t!("welcome-have-key")}
                    }
                }
            }
            LanguageSwitch {}
        }
    }
}

/// A request of this screen failed. An identity that is there already (another window was quicker) is as good.
async fn settle(
    answer: Result<Option<Person>, RequestError>,
    node: &Node,
    mut ui: Ui,
    mut failure: Signal<Option<RequestError>>,
) {
    let answer = match answer {
        Err(RequestError::AlreadySignedUp) => node.me().await,
        answer => answer,
    };
    match answer {
        Ok(Some(me)) => ui.me.set(Some(me)),
        Ok(None) => failure.set(Some(RequestError::NoIdentity)),
        Err(error) => failure.set(Some(error)),
    }
}

#[component]
fn NameForm() -> Element {
    let ui = use_ui();
    let node = use_node();
    let mut name = use_signal(String::new);
    let mut busy = use_signal(|| false);
    let mut failure = use_signal(|| None::<RequestError>);
    let onsubmit = move |event: FormEvent| {
        event.prevent_default();
        if busy() {
            return;
        }
        let cleaned = match clean_name(&name.peek()) {
            Ok(cleaned) => cleaned,
            Err(error) => return failure.set(Some(RequestError::Text(error))),
        };
        busy.set(true);
        failure.set(None);
        let node = node.clone();
        spawn(async move {
            let answer = node.sign_up(cleaned).await;
            settle(answer, &node, ui, failure).await;
            busy.set(false);
        });
    };
    rsx! {
        form { class: "gate-form", novalidate: true, onsubmit,
            label { class: "field-label", r#for: "welcome-name", {t!("welcome-name")} }
            input {
                class: "field",
                id: "welcome-name",
                name: "nickname",
                r#type: "text",
                autocomplete: "nickname",
                autocapitalize: "off",
                spellcheck: "false",
                dir: "auto",
                required: true,
                "aria-describedby": "welcome-name-hint",
                "aria-invalid": if failure.read().is_some() { "true" },
                onmounted: move |event| async move {
                    let _ = event.set_focus(true).await;
                },
                oninput: move |event| name.set(event.value()),
            }
            p { class: "field-hint", id: "welcome-name-hint", {t!("welcome-name-hint")} }
            if let Some(error) = &*failure.read() {
                Notice { tone: Tone::Error,
                    match error {
                        RequestError::Text(error) => words::name_error(*error),
                        error => words::explain(error),
                    }
                }
            }
            button { class: "button button-primary button-wide", r#type: "submit", disabled: busy(), {t!("welcome-start")} }
        }
    }
}

#[component]
fn KeyForm() -> Element {
    let ui = use_ui();
    let node = use_node();
    let mut key = use_signal(String::new);
    let mut busy = use_signal(|| false);
    let mut failure = use_signal(|| None::<RequestError>);
    let onsubmit = move |event: FormEvent| {
        event.prevent_default();
        if busy() {
            return;
        }
        busy.set(true);
        failure.set(None);
        let (node, nsec) = (node.clone(), key.peek().trim().to_owned());
        spawn(async move {
            let answer = node.import(nsec).await;
            if answer.is_ok() {
                // Whoever brings a key has it somewhere.
                ui.settings.finish_key_card(node.clone());
            }
            settle(answer, &node, ui, failure).await;
            busy.set(false);
        });
    };
    rsx! {
        form { class: "gate-form", novalidate: true, onsubmit,
            label { class: "field-label", r#for: "welcome-key", {t!("welcome-key")} }
            input {
                class: "field field-code",
                id: "welcome-key",
                r#type: "password",
                autocomplete: "off",
                spellcheck: "false",
                "aria-describedby": "welcome-key-hint",
                "aria-invalid": if failure.read().is_some() { "true" },
                onmounted: move |event| async move {
                    let _ = event.set_focus(true).await;
                },
                oninput: move |event| key.set(event.value()),
            }
            p { class: "field-hint", id: "welcome-key-hint", {t!("welcome-key-hint")} }
            if let Some(error) = &*failure.read() {
                Notice { tone: Tone::Error, {words::explain(error)} }
            }
            button { class: "button button-primary button-wide", r#type: "submit", disabled: busy(), {t!("welcome-use-key")} }
        }
    }
}

/// The other language, one press away: nobody looks for settings before they can read.
#[component]
fn LanguageSwitch() -> Element {
    let ui = use_ui();
    let node = use_node();
    let current = (ui.settings.language)();
    rsx! {
        nav { class: "welcome-languages", aria_label: t!("settings-language"),
            for language in Language::ALL {
                {
                    let node = node.clone();
                    rsx! {
                        button {
                            key: "{language.code()}",
                            class: "link-button",
                            r#type: "button",
                            lang: language.code(),
                            "aria-pressed": if language == current { "true" } else { "false" },
                            onclick: move |_| ui.settings.set_language(language, node.clone()),
                            {language.own_name()}
                        }
                    }
                }
            }
        }
    }
}
