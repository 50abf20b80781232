//! What stands over the page.

mod delete;
mod meet;
mod network;
mod profile;
mod save_key;
mod settings;

use dioxus::prelude::*;

use crate::components::Dialog;
use crate::state::{Sheet, use_ui};

/// The topmost open sheet, if any.
#[component]
pub(crate) fn SheetLayer() -> Element {
    let ui = use_ui();
    let Some((sheet, depth)) = ui.sheets.top() else {
        return rsx! {};
    };
    let (title, question) = match &sheet {
        Sheet::Profile(_) => (t!("profile-title"), false),
        Sheet::Network => (t!("network-title"), false),
        Sheet::Meet => (t!("meet-title"), false),
        Sheet::Settings => (t!("settings-title"), false),
        Sheet::SaveKey => (t!("key-title"), false),
        Sheet::Delete(_) => (t!("delete-title"), true),
    };
    rsx! {
        // Keyed by depth, so that each sheet takes the focus anew.
        for depth in [depth] {
            Dialog { key: "{depth}", title: title.clone(), question, back: depth > 1, onclose: move |()| ui.sheets.close(),
                match &sheet {
                    Sheet::Profile(key) => rsx! {
                        for key in [*key] {
                            profile::Profile { key: "{key}", person: key }
                        }
                    },
                    Sheet::Network => rsx! {
                        network::NetworkSheet {}
                    },
                    Sheet::Meet => rsx! {
                        meet::Meet {}
                    },
                    Sheet::Settings => rsx! {
                        settings::SettingsSheet {}
                    },
                    Sheet::SaveKey => rsx! {
                        save_key::SaveKey {}
                    },
                    Sheet::Delete(note) => rsx! {
                        delete::DeleteNote { note: note.clone() }
                    },
                }
            }
        }
    }
}
