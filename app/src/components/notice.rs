//! A calm box that says something: a hint, a warning, an error.

use dioxus::prelude::*;

/// How weighty a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Good to know.
    Quiet,
    /// Something did not work; read out at once.
    Error,
}

/// The box.
#[component]
pub(crate) fn Notice(tone: Tone, children: Element) -> Element {
    let (class, role) = match tone {
        Tone::Quiet => ("notice", "note"),
        Tone::Error => ("notice notice-error", "alert"),
    };
    rsx! {
        div { class, role, {children} }
    }
}
