//! A person's name: cut nicely, told apart from a namesake's by the end of the key.

use dioxus::prelude::*;
use sazanami_core::{PublicKey, identity};

use crate::text::names;

/// The name in a line. `ambiguous` when somebody else in view is called the same.
#[component]
pub(crate) fn PersonName(
    person: PublicKey,
    name: Option<String>,
    #[props(default)] ambiguous: bool,
) -> Element {
    let clean = name.as_deref().and_then(names::clean);
    let unnamed = clean.is_none();
    let shown = clean.unwrap_or_else(|| t!("person-unnamed"));
    rsx! {
        span { class: "person-name",
            bdi { class: if unnamed { "person-name-text person-unnamed" } else { "person-name-text" }, title: "{shown}", {shown.clone()} }
            if unnamed || ambiguous {
                span { class: "person-tail", {names::tail(&identity::npub(&person))} }
            }
        }
    }
}
