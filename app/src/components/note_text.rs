//! A note's text: plain, with its line breaks, links shown in full. Very long ones open on demand.

use dioxus::prelude::*;

use crate::text::links::{Segment, segments};
use crate::text::{is_deceptive, is_japanese};

/// Characters and lines shown before "Show all".
const SHORT_CHARS: usize = 900;
const SHORT_LINES: usize = 18;

/// The text.
#[component]
pub(crate) fn NoteText(text: String) -> Element {
    let mut open = use_signal(|| false);
    let parts = use_memo(use_reactive!(|(text,)| {
        // Direction overrides would make a link read as another one.
        let text: String = text.chars().filter(|c| !is_deceptive(*c)).collect();
        let text = text.trim_end();
        let end = if open() { None } else { short_end(text) };
        let japanese = is_japanese(text);
        (
            segments(&text[..end.unwrap_or(text.len())]),
            end.is_some(),
            japanese,
        )
    }));
    let (segments, cut, japanese) = &*parts.read();
    rsx! {
        p { class: "note-text", lang: japanese.then_some("ja"), dir: "auto",
            for segment in segments {
                match segment {
                    Segment::Text(text) => rsx! {
                        {text.as_str()}
                    },
                    Segment::Link(link) => rsx! {
                        a {
                            class: "note-link",
                            href: link.as_str(),
                            target: "_blank",
                            rel: "noopener noreferrer nofollow",
                            dir: "ltr",
                            {link.as_str()}
                        }
                    },
                }
            }
            if *cut {
                "…"
            }
        }
        if *cut {
            button { class: "link-button", r#type: "button", onclick: move |_| open.set(true), {t!("note-show-all")} }
        }
    }
}

/// Where a long text is cut; `None` when it is short. A little over is shown whole.
fn short_end(text: &str) -> Option<usize> {
    let over = |text: &str| {
        text.chars().nth(SHORT_CHARS + 200).is_some() || text.lines().nth(SHORT_LINES + 4).is_some()
    };
    over(text).then(|| {
        let by_chars = text
            .char_indices()
            .nth(SHORT_CHARS)
            .map_or(text.len(), |(at, _)| at);
        let by_lines = text
            .match_indices('\n')
            .nth(SHORT_LINES - 1)
            .map_or(text.len(), |(at, _)| at);
        let end = by_chars.min(by_lines);
        if text[end..].starts_with(char::is_whitespace) {
            return end;
        }
        // Not in the middle of a word or a link, if there is a gap nearby.
        let nearby = text[..end]
            .rfind(char::is_whitespace)
            .filter(|gap| end - gap < 300);
        nearby.unwrap_or(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_gap() {
        assert_eq!(short_end("short"), None);
        assert_eq!(short_end(&"波".repeat(SHORT_CHARS + 200)), None);
        assert_eq!(short_end(&"波".repeat(2_000)), Some(SHORT_CHARS * 3));
        let words = "wave ".repeat(400);
        assert!(words[..short_end(&words).unwrap()].ends_with("wave"));
        let lines = "a\n".repeat(500);
        assert_eq!(lines[..short_end(&lines).unwrap()].lines().count(), SHORT_LINES);
        assert!(short_end(&"\n".repeat(60_000)).is_some());
    }
}
