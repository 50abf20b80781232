//! What people do, to and from events.
//!
//! [`References`] says what a note refers to, [`concerns`] whom an event concerns; `reaction_target` and its siblings
//! say what the other kinds act on; the `*_event` functions make and sign events.

use nostr::prelude::{Event, EventBuilder, EventId, FinalizeEvent, Keys, Kind, PublicKey, Tag};
use serde::{Deserialize, Serialize};

use crate::time::Millis;

mod actions;
mod concerns;
mod mutes;
mod references;
mod ring;
mod targets;
mod text;

pub use actions::{
    deletion_of, list_event, mutes_event, note_event, quote_event, reaction_event, reply_event, repost_event,
    vanish_event,
};
pub use concerns::concerns;
pub use mutes::{MAX_MUTED_WORD_CHARS, MAX_MUTED_WORDS, Mutes, read_mutes, read_private_mutes};
pub use references::{
    MAX_DESCRIPTION_CHARS, MAX_HASHTAGS, MAX_MEDIA, MAX_MENTIONS, MAX_QUOTES, MAX_URL_BYTES, Media,
    References,
};
pub use ring::Ring;
pub use targets::{
    Address, Target, deleted_addresses, expiration, identifier, reaction_target, read_deletion,
    repost_target, reposted, vanishes_everywhere,
};
pub use text::{MAX_HASHTAG_CHARS, fold_hashtag};

/// Kinds that Sazanami keeps and carries.
pub const KINDS: [Kind; 12] = [
    // Who somebody is.
    Kind::Metadata,
    // What they say.
    Kind::TextNote,
    // Whom they follow: the trust rings and the timelines.
    Kind::ContactList,
    // What is to be forgotten (NIP-09), so that it is forgotten everywhere.
    Kind::EventDeletion,
    // Whose notes they pass on (NIP-18).
    Kind::Repost,
    // What they make of a note (NIP-25).
    Kind::Reaction,
    // As a repost, by clients that use the general form for notes as well.
    Kind::GenericRepost,
    // Everything of theirs is to be forgotten (NIP-62).
    Kind::RequestToVanish,
    // What they report to those who trust their judgement (NIP-56).
    Kind::Reporting,
    // Whom they mute (NIP-51), on all of their devices.
    Kind::MuteList,
    // What they keep for later (NIP-51), on all of their devices.
    Kind::Bookmarks,
    // Their lists of people (NIP-51): timelines of their own.
    Kind::FollowSet,
];
/// Most characters (Unicode scalar values) in a note that is written here.
pub const MAX_NOTE_CHARS: usize = 2_000;
/// Most characters in a name that is written here; longer ones of others are shown cut.
pub const MAX_NAME_CHARS: usize = 50;
/// Largest event that is stored or carried, in bytes of JSON. A follow list of 600 people takes about 45 KiB.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;
/// Seconds by which an event may lie in the future (clocks differ); later ones are refused, since they would stand
/// on top of every timeline.
pub const MAX_FUTURE_SECS: u64 = 900;

/// What a person says of themselves: the content of kind 0 (NIP-01). Unknown fields are kept, so that editing the
/// name here does not lose what another client wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The name shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// A text that cannot be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// Over the limit.
    #[error("the text is too long")]
    TooLong,
}

/// A name as it is stored: trimmed, inner white space and invisible characters folded to single spaces.
///
/// # Errors
/// Empty, or over [`MAX_NAME_CHARS`].
pub fn clean_name(name: &str) -> Result<String, TextError> {
    check(&fold(name), MAX_NAME_CHARS)
}

/// The name of a profile as it is shown: folded as [`clean_name`] does and cut to [`MAX_NAME_CHARS`], since anybody
/// may write anything; `None` when nothing is left.
pub fn shown_name(profile: &Profile) -> Option<String> {
    let cut: String = fold(profile.name.as_deref()?)
        .chars()
        .take(MAX_NAME_CHARS)
        .collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}

fn fold(name: &str) -> String {
    let parts = name.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    parts
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Zero-width and direction-changing characters (UTR 36): they make one name look like another. The joiners U+200C
/// and U+200D stay, since scripts and emoji need them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// A note's text as it is posted: trimmed at its end, checked against [`MAX_NOTE_CHARS`].
///
/// # Errors
/// Empty or too long.
pub fn clean_note(text: &str) -> Result<String, TextError> {
    check(text.trim_end(), MAX_NOTE_CHARS)
}

fn check(text: &str, limit: usize) -> Result<String, TextError> {
    if text.trim().is_empty() {
        Err(TextError::Empty)
    } else if text.chars().count() > limit {
        Err(TextError::TooLong)
    } else {
        Ok(text.to_owned())
    }
}

/// The event of a profile. `now` must lie after the profile it replaces.
pub fn profile_event(keys: &Keys, profile: &Profile, now: Millis) -> Event {
    let content = serde_json::to_string(profile).expect("a JSON map serialises");
    sign(EventBuilder::new(Kind::Metadata, content), keys, now)
}

/// Reads a profile; a broken one is empty, since anybody may write anything.
pub fn read_profile(event: &Event) -> Profile {
    serde_json::from_str(&event.content).unwrap_or_default()
}

/// The event that asks everybody to forget own notes (NIP-09).
pub fn deletion_event(keys: &Keys, ids: &[EventId], now: Millis) -> Event {
    let tags = ids
        .iter()
        .map(|id| Tag::event(*id))
        .chain([Tag::custom("k", ["1"])]);
    sign(EventBuilder::new(Kind::EventDeletion, "").tags(tags), keys, now)
}

/// The event of a follow list (NIP-02).
pub fn follows_event(keys: &Keys, follows: &[PublicKey], now: Millis) -> Event {
    sign(
        EventBuilder::new(Kind::ContactList, "").tags(follows.iter().map(|key| Tag::public_key(*key))),
        keys,
        now,
    )
}

/// The event of a follow list after one change; what other clients wrote into it (petnames, relay hints) stays.
pub fn follow_event(
    keys: &Keys,
    previous: Option<&Event>,
    person: PublicKey,
    follow: bool,
    now: Millis,
) -> Event {
    let names_them = |tag: &Tag| tag.kind() == "p" && tag.content() == Some(person.to_hex().as_str());
    let mut tags: Vec<Tag> = previous
        .map(|event| event.tags.iter().cloned().collect())
        .unwrap_or_default();
    if !follow {
        tags.retain(|tag| !names_them(tag));
    } else if !tags.iter().any(names_them) {
        tags.push(Tag::public_key(person));
    }
    let content = previous.map(|event| event.content.clone()).unwrap_or_default();
    sign(
        EventBuilder::new(Kind::ContactList, content).tags(tags),
        keys,
        now,
    )
}

/// Reads a follow list: each person once, in order.
pub fn read_follows(event: &Event) -> Vec<PublicKey> {
    let mut seen = std::collections::HashSet::new();
    event.tags.public_keys().filter(|key| seen.insert(*key)).collect()
}

fn sign(builder: EventBuilder, keys: &Keys, now: Millis) -> Event {
    builder
        .custom_created_at(now.timestamp())
        .finalize(keys)
        .expect("a key pair signs what it is given")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_700_000_000_000);

    #[test]
    fn a_profile_keeps_what_other_clients_wrote() {
        let keys = Keys::generate();
        let mut profile: Profile = serde_json::from_str(r#"{"name":"あおい","about":"hi","x":[1]}"#).unwrap();
        profile.name = Some("葵".into());
        let read = read_profile(&profile_event(&keys, &profile, NOW));
        assert_eq!(read, profile);
        assert_eq!(read.other["about"], "hi");
    }

    #[test]
    fn a_broken_profile_is_empty() {
        let event = sign(
            EventBuilder::new(Kind::Metadata, "not json"),
            &Keys::generate(),
            NOW,
        );
        assert_eq!(read_profile(&event), Profile::default());
    }

    #[test]
    fn names_are_folded_and_bounded() {
        assert_eq!(clean_name("  波\n\tの  音 "), Ok("波 の 音".into()));
        assert_eq!(clean_name(" \n"), Err(TextError::Empty));
        assert_eq!(
            clean_name(&"あ".repeat(MAX_NAME_CHARS + 1)),
            Err(TextError::TooLong)
        );
    }

    #[test]
    fn a_name_cannot_hide_or_turn_its_letters() {
        assert_eq!(clean_name("al\u{202E}ecila\u{200B}"), Ok("al ecila".into()));
        let named = |name: String| Profile {
            name: Some(name),
            ..Profile::default()
        };
        assert_eq!(shown_name(&named("\u{FEFF} \n".into())), None);
        assert_eq!(
            shown_name(&named("あ".repeat(60_000))),
            Some("あ".repeat(MAX_NAME_CHARS))
        );
        assert_eq!(
            shown_name(&named("👩\u{200D}🚀".into())),
            Some("👩\u{200D}🚀".into())
        );
    }

    #[test]
    fn notes_keep_their_inner_space() {
        assert_eq!(
            clean_note("  一行目\n\n 二行目 \n"),
            Ok("  一行目\n\n 二行目".into())
        );
        assert_eq!(clean_note("   "), Err(TextError::Empty));
        assert!(clean_note(&"波".repeat(MAX_NOTE_CHARS)).is_ok());
        assert_eq!(
            clean_note(&"a".repeat(MAX_NOTE_CHARS + 1)),
            Err(TextError::TooLong)
        );
    }

    #[test]
    fn follows_and_deletions_read_back() {
        let (keys, friend) = (Keys::generate(), Keys::generate().public_key());
        assert_eq!(
            read_follows(&follows_event(&keys, &[friend, friend], NOW)),
            [friend]
        );
        let note = note_event(&keys, "さざなみ".into(), NOW);
        assert_eq!(read_deletion(&deletion_event(&keys, &[note.id], NOW)), [note.id]);
    }
}
