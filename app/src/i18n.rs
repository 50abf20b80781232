//! Words in Japanese and English, from the Fluent files.

use dioxus_i18n::prelude::{DioxusI18nError, I18nConfig};
use dioxus_i18n::unic_langid::LanguageIdentifier;

/// A translated text: `t!("key")` or `t!("key", count: 3)`. The key is a literal, so that a test can check that
/// every key used exists.
macro_rules! t {
    ($key:literal $(, $name:ident : $value:expr)* $(,)?) => {
        $crate::i18n::plain(dioxus_i18n::te!($key $(, $name : $value)*), $key)
    };
}

/// A language of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// 日本語.
    Japanese,
    /// English.
    English,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::Japanese, Self::English];

    /// Its BCP 47 tag.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Japanese => "ja",
            Self::English => "en",
        }
    }

    /// Its name in itself.
    pub(crate) fn own_name(self) -> &'static str {
        match self {
            Self::Japanese => "日本語",
            Self::English => "English",
        }
    }

    /// The language of a tag (`ja-JP`), if the interface speaks it.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|language| primary.eq_ignore_ascii_case(language.code()))
    }

    /// The first of a person's languages that the interface speaks, else English.
    pub(crate) fn best(tags: &[String]) -> Self {
        tags.iter()
            .find_map(|tag| Self::of_tag(tag))
            .unwrap_or(Self::English)
    }

    pub(crate) fn id(self) -> LanguageIdentifier {
        self.code().parse().expect("the two tags are well-formed")
    }
}

/// The configuration with both languages built in.
pub(crate) fn config(language: Language) -> I18nConfig {
    I18nConfig::new(language.id())
        .with_locale((Language::Japanese.id(), include_str!("../i18n/ja.ftl")))
        .with_locale((Language::English.id(), include_str!("../i18n/en.ftl")))
        .with_fallback(Language::English.id())
}

/// Fluent wraps what it inserts in direction isolates. They would stand in accessible names and copied text; names
/// are cleaned of direction controls anyway before they are shown.
pub(crate) fn plain(text: Result<String, DioxusI18nError>, key: &str) -> String {
    match text {
        Ok(text) => text.replace(['\u{2068}', '\u{2069}'], ""),
        Err(error) => {
            tracing::error!(%error, key, "untranslated");
            key.to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
