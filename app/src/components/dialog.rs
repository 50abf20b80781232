//! A modal dialog. The page behind it is `inert` (see the home screen), so that neither focus nor a screen reader
//! leaves it; Escape and the scrim close it.

use dioxus::prelude::*;

use super::{Glyph, Icon};

/// The dialog. `back` when another one lies beneath.
#[component]
pub(crate) fn Dialog(
    title: String,
    onclose: EventHandler<()>,
    #[props(default)] back: bool,
    /// Small, in the middle, and announced as urgent: a question.
    #[props(default)]
    question: bool,
    children: Element,
) -> Element {
    let onkeydown = move |event: KeyboardEvent| {
        if event.key() == Key::Escape && !event.is_composing() {
            event.prevent_default();
            onclose.call(());
        }
    };
    rsx! {
        div { class: if question { "dialog-layer dialog-layer-question" } else { "dialog-layer" }, onkeydown,
            div { class: "dialog-scrim", "aria-hidden": "true", onclick: move |_| onclose.call(()) }
            div {
                class: if question { "dialog dialog-question" } else { "dialog" },
                role: if question { "alertdialog" } else { "dialog" },
                "aria-modal": "true",
                "aria-labelledby": "dialog-title",
                tabindex: "-1",
                onmounted: move |event| async move {
                    // The platform may not support it; the dialog is there all the same.
                    let _ = event.set_focus(true).await;
                },
                div { class: "dialog-head",
                    h2 { id: "dialog-title", class: "dialog-title", {title} }
                    button {
                        class: "icon-button",
                        r#type: "button",
                        aria_label: if back { t!("back") } else { t!("close") },
                        onclick: move |_| onclose.call(()),
                        Icon { glyph: if back { Glyph::Back } else { Glyph::Close } }
                    }
                }
                div { class: "dialog-body", {children} }
            }
        }
    }
}
