//! Asks before a note is deleted: others cannot be made to forget what they have read.

use dioxus::prelude::*;
use sazanami_core::node::api::RequestError;
use sazanami_core::store::Note;

use crate::components::{Notice, Tone};
use crate::node::use_node;
use crate::state::use_ui;
use crate::words;

/// Characters of the note that are quoted.
const QUOTED: usize = 140;

/// The question.
#[component]
pub(crate) fn DeleteNote(note: Note) -> Element {
    let mut ui = use_ui();
    let node = use_node();
    let mut busy = use_signal(|| false);
    let mut failure = use_signal(|| None::<RequestError>);
    let id = note.id;
    let quote: String = note.content.chars().take(QUOTED).collect();
    let cut = quote.len() < note.content.len();
    let delete = move |_| {
        if busy() {
            return;
        }
        busy.set(true);
        failure.set(None);
        let node = node.clone();
        spawn(async move {
            match node.delete(id).await {
                Ok(()) => {
                    ui.announcer.say(t!("deleted"));
                    ui.sheets.close();
                }
                Err(error) => failure.set(Some(error)),
            }
            busy.set(false);
        });
    };
    rsx! {
        p { {t!("delete-text")} }
        blockquote { class: "quote", dir: "auto",
            {quote}
            if cut {
                "…"
            }
        }
        if let Some(error) = &*failure.read() {
            Notice { tone: Tone::Error, {words::explain(error)} }
        }
        div { class: "button-row button-row-end",
            button { class: "button", r#type: "button", onclick: move |_| ui.sheets.close(), {t!("cancel")} }
            button { class: "button button-danger", r#type: "button", disabled: busy(), onclick: delete, {t!("delete-confirm")} }
        }
    }
}
