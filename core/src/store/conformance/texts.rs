//! Texts of every script survive as they are; settings.

use nostr::prelude::{EventBuilder, FinalizeEvent, Kind, Tag, Timestamp};

use super::fixtures::{NOW, START, note, person};
use super::{Case, Failure, Outcome, same};
use crate::store::{Put, Scope, Store};

pub(super) const CASES: &[Case] = &[
    ("texts of every script", scripts),
    ("tags read back as signed", tags),
    ("settings", settings),
];

const TEXTS: [&str; 9] = [
    "",
    "さざなみが立つ。静かな海に、ひとつの波。",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇯🇵 e\u{301} é",
    "𠮷野家 𩸽 𓀀 𝄞",
    "before\u{0}after",
    "\u{0}",
    "line\r\n\ttab \"quotes\" \\ 'single' </script> \u{7f}\u{1b}[31m",
    "\u{feff}bom \u{202e}rtl \u{2028} \u{fffd} \u{10ffff}",
    "'; DROP TABLE event; --",
];

fn scripts(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    for (second, text) in TEXTS.into_iter().enumerate() {
        let event = note(&keys, text, second as u64);
        same(
            &store.put(std::slice::from_ref(&event), NOW)?,
            &vec![Put::Stored],
            format_args!("put {text:?}"),
        )?;
        same(
            &store.note(&event.id)?.map(|note| note.content).as_deref(),
            &Some(text),
            "the note's text",
        )?;
        same(&store.event(&event.id)?, &Some(event), "the event")?;
    }
    let page = store.timeline(Scope::Everyone, None, 99)?;
    let texts: Vec<_> = page
        .notes
        .iter()
        .rev()
        .map(|note| note.content.as_str())
        .collect();
    same(&texts, &TEXTS.to_vec(), "a page")
}

fn tags(store: &mut dyn Store) -> Outcome {
    let tags = TEXTS.map(|text| Tag::custom("x", [text, "", text]));
    let builder = EventBuilder::new(Kind::TextNote, "tagged")
        .tags(tags)
        .tags([Tag::custom("", [] as [&str; 0])]);
    let event = builder
        .custom_created_at(Timestamp::from(START))
        .finalize(&person(1));
    let event = event.map_err(|error| Failure(error.to_string()))?;
    same(
        &store.put(std::slice::from_ref(&event), NOW)?,
        &vec![Put::Stored],
        "put",
    )?;
    same(&store.event(&event.id)?, &Some(event), "the event")
}

fn settings(store: &mut dyn Store) -> Outcome {
    same(&store.setting("draft")?, &None, "unset")?;
    store.set_setting("draft", None)?;
    for text in TEXTS {
        store.set_setting("draft", Some(text))?;
        same(
            &store.setting("draft")?.as_deref(),
            &Some(text),
            "set and overwritten",
        )?;
    }
    store.set_setting("theme", Some("dark"))?;
    store.set_setting("draft", None)?;
    same(&store.setting("draft")?, &None, "forgotten")?;
    same(
        &store.setting("theme")?.as_deref(),
        &Some("dark"),
        "the other one stays",
    )
}
