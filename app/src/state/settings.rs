//! Language and theme: read at the start, kept when changed.

use dioxus::prelude::*;

use crate::i18n::Language;
use crate::node::Node;

const LANGUAGE: &str = "language";
const THEME: &str = "theme";
/// Set once the person has saved the key or waved the card away.
const KEY_CARD: &str = "key-card";

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name as kept and as set on the document.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The settings of this device.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// The language shown.
    pub(crate) language: Signal<Language>,
    /// The theme shown.
    pub(crate) theme: Signal<Theme>,
    /// Whether the card that offers to save the key is done with.
    pub(crate) key_card_done: Signal<bool>,
}

impl Settings {
    pub(crate) fn new(language: Language) -> Self {
        Self {
            language: Signal::new(language),
            theme: Signal::new(Theme::System),
            key_card_done: Signal::new(false),
        }
    }

    /// Reads what was kept; what cannot be read stays as it is.
    pub(crate) async fn load(mut self, node: &Node) {
        let read = async |name| node.setting(name).await.ok().flatten();
        if let Some(language) = read(LANGUAGE).await.and_then(|code| Language::of_tag(&code)) {
            self.language.set(language);
        }
        if let Some(code) = read(THEME).await {
            self.theme.set(
                Theme::ALL
                    .into_iter()
                    .find(|theme| theme.code() == code)
                    .unwrap_or_default(),
            );
        }
        self.key_card_done.set(read(KEY_CARD).await.is_some());
    }

    pub(crate) fn set_language(mut self, language: Language, node: Node) {
        self.language.set(language);
        keep(node, LANGUAGE, language.code());
    }

    pub(crate) fn set_theme(mut self, theme: Theme, node: Node) {
        self.theme.set(theme);
        keep(node, THEME, theme.code());
    }

    pub(crate) fn finish_key_card(mut self, node: Node) {
        self.key_card_done.set(true);
        keep(node, KEY_CARD, "done");
    }
}

/// The setting holds for this session even when it cannot be kept.
fn keep(node: Node, name: &'static str, value: &'static str) {
    dioxus::core::spawn_forever(async move {
        if let Err(error) = node.set_setting(name, Some(value.to_owned())).await {
            tracing::warn!(%error, name, "the setting is not kept");
        }
    });
}
