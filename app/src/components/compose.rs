//! Writes a note.

use dioxus::prelude::*;
use sazanami_core::node::api::RequestError;
use sazanami_core::social::MAX_NOTE_CHARS;

use super::{Avatar, Notice, Tone};
use crate::node::use_node;
use crate::state::use_ui;
use crate::words;

/// From here on the remaining characters are shown.
const SHOW_LEFT: usize = 200;
/// Remaining characters at which a screen reader is told.
const TELL_LEFT: [usize; 5] = [200, 100, 50, 20, 0];

/// The box. It is cleared only once the note is on disk; a failure keeps the text and says why.
#[component]
pub(crate) fn Compose() -> Element {
    let mut ui = use_ui();
    let node = use_node();
    let mut text = use_signal(|| ui.draft.text());
    // The field is not controlled: writing its value back while an input method composes would break the
    // composition. A new generation is a new, empty field.
    let mut generation = use_signal(|| 0_u32);
    let initial = use_memo(move || {
        generation();
        ui.draft.text()
    });
    let mut posting = use_signal(|| false);
    let mut failure = use_signal(|| None::<RequestError>);

    let count = text.read().trim_end().chars().count();
    let empty = text.read().trim().is_empty();
    let over = count > MAX_NOTE_CHARS;
    let left = MAX_NOTE_CHARS.saturating_sub(count);

    let post = use_callback(move |()| {
        let note = text.peek().trim_end().to_owned();
        if posting() || note.trim().is_empty() || note.chars().count() > MAX_NOTE_CHARS {
            return;
        }
        posting.set(true);
        failure.set(None);
        let node = node.clone();
        spawn(async move {
            match node.post(note).await {
                Ok(note) => {
                    ui.posted.set(Some(note));
                    text.set(String::new());
                    ui.draft.keep(String::new());
                    generation += 1;
                    ui.announcer.say(t!("posted"));
                }
                Err(error) => failure.set(Some(error)),
            }
            posting.set(false);
        });
    });
    let onkeydown = move |event: KeyboardEvent| {
        let modifiers = event.modifiers();
        let submit = modifiers.ctrl() || modifiers.meta();
        // Enter that ends a composition belongs to the input method.
        if event.key() == Key::Enter && submit && !event.is_composing() {
            event.prevent_default();
            post.call(());
        }
    };
    let me = ui.me.read();
    rsx! {
        form {
            class: "compose",
            aria_label: t!("compose-form"),
            onsubmit: move |event| {
                event.prevent_default();
                post.call(());
            },
            if let Some(me) = &*me {
                Avatar { person: me.key, name: me.name.clone() }
            }
            div { class: "compose-main",
                for generation in [generation()] {
                    textarea {
                        key: "{generation}",
                        class: "compose-text",
                        aria_label: t!("compose-label"),
                        placeholder: t!("compose-placeholder"),
                        "aria-describedby": "compose-hint",
                        "aria-invalid": if over { "true" },
                        rows: "2",
                        dir: "auto",
                        initial_value: initial.peek().clone(),
                        readonly: posting(),
                        onmounted: move |event| async move {
                            if generation > 0 {
                                // Ready for the next one.
                                let _ = event.set_focus(true).await;
                            }
                        },
                        oninput: move |event| {
                            let value = event.value();
                            ui.draft.keep(value.clone());
                            text.set(value);
                        },
                        onkeydown,
                    }
                }
                if let Some(error) = &*failure.read() {
                    Notice { tone: Tone::Error, {t!("compose-failed")} " " {words::explain(error)} }
                }
                div { class: "compose-foot",
                    span { class: "compose-hint", id: "compose-hint", {t!("compose-hint")} }
                    if left <= SHOW_LEFT {
                        span { class: if over { "compose-count compose-over" } else { "compose-count" }, "aria-hidden": "true",
                            if over { {format!("−{}", count - MAX_NOTE_CHARS)} } else { {left.to_string()} }
                        }
                    }
                    button {
                        class: "button button-primary",
                        r#type: "submit",
                        disabled: empty || over || posting(),
                        {t!("compose-post")}
                    }
                }
                span { class: "visually-hidden", role: "status", {told(count)} }
            }
        }
    }
}

/// What a screen reader is told of the count: only at a few steps, since it speaks at every change.
fn told(count: usize) -> String {
    if count > MAX_NOTE_CHARS {
        return t!("compose-too-long");
    }
    let left = MAX_NOTE_CHARS - count;
    match TELL_LEFT.into_iter().rev().find(|step| left <= *step) {
        Some(step) => words::remaining(MAX_NOTE_CHARS - step),
        None => String::new(),
    }
}
