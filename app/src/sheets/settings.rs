//! Language, theme, and who is connected directly.

use dioxus::prelude::*;

use crate::components::{Glyph, Icon, RouteChoice};
use crate::i18n::Language;
use crate::node::use_node;
use crate::state::{Sheet, Theme, use_ui};

/// The sheet's content.
#[component]
pub(crate) fn SettingsSheet() -> Element {
    let ui = use_ui();
    let language = (ui.settings.language)();
    let theme = (ui.settings.theme)();
    let node = use_node();
    let theme_node = node.clone();
    rsx! {
        fieldset { class: "choice",
            legend { {t!("settings-language")} }
            for option in Language::ALL {
                Choice {
                    key: "{option.code()}",
                    group: "language",
                    value: option.code(),
                    label: option.own_name(),
                    lang: option.code(),
                    chosen: option == language,
                    onchoose: {
                        let node = node.clone();
                        move |()| ui.settings.set_language(option, node.clone())
                    },
                }
            }
        }
        fieldset { class: "choice",
            legend { {t!("settings-theme")} }
            for option in Theme::ALL {
                Choice {
                    key: "{option.code()}",
                    group: "theme",
                    value: option.code(),
                    label: match option {
                        Theme::System => t!("theme-system"),
                        Theme::Light => t!("theme-light"),
                        Theme::Dark => t!("theme-dark"),
                    },
                    chosen: option == theme,
                    onchoose: {
                        let node = theme_node.clone();
                        move |()| ui.settings.set_theme(option, node.clone())
                    },
                }
            }
        }
        RouteChoice {}
        h3 { class: "sheet-heading", {t!("settings-key")} }
        p { class: "sheet-text", {t!("settings-key-text")} }
        button { class: "button", r#type: "button", onclick: move |_| ui.sheets.open(Sheet::SaveKey, None),
            Icon { glyph: Glyph::Key }
            {t!("key-card-save")}
        }
    }
}

/// One option of a group of radio buttons.
#[component]
fn Choice(
    group: &'static str,
    value: &'static str,
    label: String,
    lang: Option<&'static str>,
    chosen: bool,
    onchoose: EventHandler<()>,
) -> Element {
    rsx! {
        label { class: "choice-option",
            input { r#type: "radio", name: group, value, checked: chosen, onchange: move |_| onchoose.call(()) }
            span { lang, {label} }
        }
    }
}
