//! One note.

use dioxus::prelude::*;
use sazanami_core::store::Note;

use super::{Avatar, Glyph, Icon, NoteText, PersonName};
use crate::state::{Opener, Sheet, use_ui};
use crate::text::{names, time};
use crate::words;

/// The note. `ambiguous` when somebody else in view has the author's name.
#[component]
pub(crate) fn NoteCard(note: Note, #[props(default)] ambiguous: bool) -> Element {
    let ui = use_ui();
    let author = note.author;
    let own = ui.is_me(&author);
    let mut name_button = use_signal(|| None as Opener);
    let mut delete_button = use_signal(|| None as Opener);
    let created_at = note.created_at;
    let offset = *ui.utc_offset.read();
    let when = words::relative(ui.now.read().0 / 1_000, created_at, offset);
    let name = note
        .author_name
        .as_deref()
        .and_then(names::clean)
        .unwrap_or_else(|| t!("person-unnamed"));
    let id = note.id.to_hex();
    let deleted = note.clone();
    let open_profile = move |_| ui.sheets.open(Sheet::Profile(author), name_button.peek().clone());
    rsx! {
        article {
            class: "note",
            "data-testid": "note",
            "data-note-id": "{id}",
            "aria-labelledby": "by-{id} at-{id}",
            button {
                class: "note-avatar",
                r#type: "button",
                // The name beside it does the same: one stop is enough for keyboard and screen reader.
                tabindex: "-1",
                "aria-hidden": "true",
                onclick: open_profile,
                Avatar { person: author, name: note.author_name.clone() }
            }
            div { class: "note-main",
                div { class: "note-head",
                    button {
                        class: "note-author",
                        id: "by-{id}",
                        r#type: "button",
                        onmounted: move |event| name_button.set(Some(event.data())),
                        onclick: open_profile,
                        PersonName { person: author, name: note.author_name.clone(), ambiguous }
                    }
                    time {
                        class: "note-time",
                        id: "at-{id}",
                        datetime: time::iso(created_at),
                        title: words::absolute(created_at, offset),
                        {when}
                    }
                    if own {
                        button {
                            class: "icon-button note-delete",
                            r#type: "button",
                            aria_label: t!("note-delete-of", name: name),
                            title: t!("note-delete"),
                            onmounted: move |event| delete_button.set(Some(event.data())),
                            onclick: move |_| ui.sheets.open(Sheet::Delete(deleted.clone()), delete_button.peek().clone()),
                            Icon { glyph: Glyph::Trash }
                        }
                    }
                }
                NoteText { text: note.content }
            }
        }
    }
}
